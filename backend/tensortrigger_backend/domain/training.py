"""What a training is asked to do: how long, on how many points, with which loss and optimizer, and who said so."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from tensortrigger_backend.domain.compiled import (
    DENSE,
    LEARNING_RATES,
    SPARSE,
    Compiled,
    Named,
)
from tensortrigger_backend.domain.errors import Fault, InvalidInput
from tensortrigger_backend.domain.tensors import Signature, TensorSpec
from tensortrigger_backend.domain.training_options import TrainingOptions

FILE, INFERRED, REQUEST = "file", "inferred", "request"
"""Where a choice of the plan comes from."""


@dataclass(frozen=True, slots=True)
class TrainingFacts:
    """What the canonical artifact tells about training it.

    Attributes:
        activations: the activation of each output, None where it cannot be told.
        trainable: how many parameters can be trained; None in artifacts that do not tell.
        compiled: what the original was compiled with, as far as it is listed.
    """

    activations: tuple[str | None, ...]
    trainable: int | None = None
    compiled: Compiled | None = None


@dataclass(frozen=True, slots=True)
class TrainingPlan:
    """Everything that a trainer needs to know beside the model and the points.

    Attributes:
        losses: one for each output, in the model's order.
        metrics: for every output alike.
        sources: ``loss``, ``optimizer``, ``metrics`` and ``learning_rate``, each to where it comes from.
        points: rows, those held back for validation included.
        seed: of the shuffling and of whatever the model draws.
    """

    losses: tuple[Named, ...]
    optimizer: Named
    metrics: tuple[str, ...]
    sources: Mapping[str, str]
    epochs: int
    batch_size: int
    validation_split: float
    shuffle: bool
    points: int
    seed: int = 0
    outputs: tuple[str, ...] = field(default=())

    @property
    def training_points(self) -> int:
        """Points that are learned from: the first ones, as Keras splits them."""
        return math.floor(self.points * (1.0 - self.validation_split))

    @property
    def steps_per_epoch(self) -> int:
        return math.ceil(self.training_points / self.batch_size)

    @property
    def learning_rate(self) -> float:
        return float(self.optimizer.settings["learning_rate"])

    def described(self) -> dict[str, Any]:
        """The ``training`` member of a Job object."""
        names = [loss.name for loss in self.losses]
        same = len(set(names)) == 1
        return {
            "loss": names[0] if same else dict(zip(self.outputs, names, strict=True)),
            "optimizer": self.optimizer.name,
            "metrics": list(self.metrics),
            "learning_rate": self.learning_rate,
            "source": self.sources["loss"],
            "sources": dict(self.sources),
            "epochs": self.epochs,
            "batch_size": self.batch_size,
            "validation_split": self.validation_split,
            "shuffle": self.shuffle,
            "points": self.points,
        }

    def to_dict(self) -> dict[str, Any]:
        return {
            "losses": [loss.to_dict() for loss in self.losses],
            "optimizer": self.optimizer.to_dict(),
            "metrics": list(self.metrics),
            "sources": dict(self.sources),
            "epochs": self.epochs,
            "batch_size": self.batch_size,
            "validation_split": self.validation_split,
            "shuffle": self.shuffle,
            "points": self.points,
            "seed": self.seed,
            "outputs": list(self.outputs),
        }

    @classmethod
    def from_dict(cls, members: Mapping[str, Any]) -> TrainingPlan:
        return cls(
            tuple(Named.from_dict(loss) for loss in members["losses"]),
            Named.from_dict(members["optimizer"]),
            tuple(members["metrics"]),
            dict(members["sources"]),
            members["epochs"],
            members["batch_size"],
            members["validation_split"],
            members["shuffle"],
            members["points"],
            members["seed"],
            tuple(members["outputs"]),
        )


@dataclass(frozen=True, slots=True)
class Choice:
    """Which loss, optimizer and metrics, before it is known how the labels come."""

    losses: tuple[Named, ...]
    optimizer: Named
    metrics: tuple[str, ...]
    sources: Mapping[str, str]

    def takes_classes(self, place: int) -> bool:
        """Whether an output's labels may be class indices, one a row."""
        return self.losses[place].name in SPARSE or self.losses[place].name in DENSE

    def planned(
        self, options: TrainingOptions, signature: Signature, points: int, indexed: Sequence[bool], seed: int
    ) -> TrainingPlan:
        """The plan, with the twin of each loss and metric that fits how the labels come.

        Args:
            indexed: for each output, whether its labels are class indices.

        Raises:
            InvalidInput: the split leaves nothing to learn from, or nothing to validate with.
        """
        losses = tuple(_twin(loss, here) for loss, here in zip(self.losses, indexed, strict=True))
        metrics = self.metrics
        if len(set(indexed)) == 1:
            table = SPARSE if indexed[0] else DENSE
            metrics = tuple(dict.fromkeys(table.get(name, name) for name in metrics))
        names = tuple(spec.name for spec in signature.outputs)
        plan = TrainingPlan(
            losses,
            self.optimizer,
            metrics,
            self.sources,
            options.epochs,
            min(options.batch_size, max(points, 1)),
            options.validation_split,
            options.shuffle,
            points,
            seed,
            names,
        )
        held_back = points - plan.training_points
        if not plan.training_points or (options.validation_split and not held_back):
            raise InvalidInput.of(
                Fault(
                    ("validation_split",),
                    "validation_split",
                    f"Of {points} points, {plan.training_points} would be learned from and {held_back} held "
                    "back: send more points or change the split.",
                    "at least 1 of each",
                    f"{plan.training_points} and {held_back}",
                )
            )
        return plan


def choose(options: TrainingOptions, facts: TrainingFacts, signature: Signature) -> Choice:
    """What to train with: the request's word, else the file's, else what fits the outputs.

    Raises:
        InvalidInput: the model cannot be trained.
    """
    if facts.trainable == 0:
        raise InvalidInput.of(
            Fault(
                ("model_id",),
                "not_trainable",
                "This model has nothing to train: none of its weights is trainable. "
                "Publish it with trainable layers.",
                "trainable weights",
                "0",
            )
        )
    for spec in signature.outputs:
        if not spec.dtype.startswith("float"):
            message = f"Output {spec.name!r} holds {spec.dtype} values, which cannot be trained."
            raise InvalidInput.of(Fault(("model_id",), "not_trainable", message, "float32", spec.dtype))
    compiled = facts.compiled or Compiled()
    losses, loss_from = _losses(options, facts, compiled, signature)
    optimizer, optimizer_from = _optimizer(options, compiled)
    rate_from = optimizer_from if "learning_rate" in optimizer.settings else INFERRED
    if options.learning_rate is not None:
        optimizer, rate_from = _with_rate(optimizer, options.learning_rate), REQUEST
    elif "learning_rate" not in optimizer.settings:
        optimizer = _with_rate(optimizer, LEARNING_RATES[optimizer.name])
    metrics, metrics_from = compiled.metrics, FILE
    if not metrics or loss_from == REQUEST:
        metrics, metrics_from = _metrics(losses), INFERRED
    sources = {
        "loss": loss_from,
        "optimizer": optimizer_from,
        "metrics": metrics_from,
        "learning_rate": rate_from,
    }
    return Choice(losses, optimizer, metrics, sources)


def _losses(
    options: TrainingOptions, facts: TrainingFacts, compiled: Compiled, signature: Signature
) -> tuple[tuple[Named, ...], str]:
    if options.loss is not None:
        return tuple(Named(options.loss) for _ in signature.outputs), REQUEST
    told = [compiled.loss_of(place, spec.name) for place, spec in enumerate(signature.outputs)]
    known = tuple(loss for loss in told if loss is not None)
    if len(known) == len(signature.outputs):
        return known, FILE
    activations = [*facts.activations, *([None] * len(signature.outputs))]
    return tuple(
        _fitting(activation, spec) for activation, spec in zip(activations, signature.outputs, strict=False)
    ), INFERRED


def _fitting(activation: str | None, spec: TensorSpec) -> Named:
    if activation == "sigmoid":
        return Named("binary_crossentropy")
    if activation == "softmax" and spec.shape[-1] != 1:
        return Named("categorical_crossentropy")
    return Named("mean_squared_error")


def _optimizer(options: TrainingOptions, compiled: Compiled) -> tuple[Named, str]:
    if options.optimizer is not None:
        return Named(options.optimizer), REQUEST
    return (compiled.optimizer, FILE) if compiled.optimizer is not None else (Named("adam"), INFERRED)


def _with_rate(optimizer: Named, rate: float) -> Named:
    return replace(optimizer, settings={**optimizer.settings, "learning_rate": rate})


def _metrics(losses: Sequence[Named]) -> tuple[str, ...]:
    crossentropy = all("crossentropy" in loss.name for loss in losses)
    return ("accuracy",) if crossentropy else ("mean_absolute_error",)


def _twin(loss: Named, indexed: bool) -> Named:
    name = (SPARSE if indexed else DENSE).get(loss.name, loss.name)
    if name == loss.name:
        return loss
    # Of the settings only this one means the same to both.
    kept = {key: value for key, value in loss.settings.items() if key == "from_logits"}
    return Named(name, kept)
