"""Which loss, optimizer and metrics may a training use? Only these names of Keras' own, with plain settings.

What a file was compiled with is read here by name, from JSON, and never loaded: a name that is not listed is passed
over, as are settings that are not plain numbers.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

Setting = bool | float
"""A plain setting of a loss or an optimizer."""


@dataclass(frozen=True, slots=True)
class Named:
    """Something of Keras by its listed name, with plain settings."""

    name: str
    settings: Mapping[str, Setting] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        return {"name": self.name, "settings": dict(self.settings)}

    @classmethod
    def from_dict(cls, members: Mapping[str, Any]) -> Named:
        return cls(str(members["name"]), dict(members["settings"]))


@dataclass(frozen=True, slots=True)
class Compiled:
    """What a file says that its model was compiled with, as far as it is listed.

    Attributes:
        losses: one for every output, or one for each in the model's order, or one by the output's layer; empty
            where the file names none that is listed.
    """

    losses: Mapping[str, Named] = field(default_factory=dict)
    optimizer: Named | None = None
    metrics: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        return {
            "losses": {key: loss.to_dict() for key, loss in self.losses.items()},
            "optimizer": self.optimizer.to_dict() if self.optimizer else None,
            "metrics": list(self.metrics),
        }

    @classmethod
    def from_dict(cls, members: Mapping[str, Any]) -> Compiled:
        optimizer = members["optimizer"]
        return cls(
            {str(key): Named.from_dict(loss) for key, loss in members["losses"].items()},
            Named.from_dict(optimizer) if optimizer else None,
            tuple(str(name) for name in members["metrics"]),
        )

    def loss_of(self, place: int, name: str) -> Named | None:
        """The loss of one output, by its place and its name."""
        return self.losses.get("*") or self.losses.get(f"#{place}") or self.losses.get(name)


LOSSES: Final[Mapping[str, str]] = {
    "binary_crossentropy": "BinaryCrossentropy",
    "binary_focal_crossentropy": "BinaryFocalCrossentropy",
    "categorical_crossentropy": "CategoricalCrossentropy",
    "categorical_focal_crossentropy": "CategoricalFocalCrossentropy",
    "categorical_hinge": "CategoricalHinge",
    "cosine_similarity": "CosineSimilarity",
    "dice": "Dice",
    "hinge": "Hinge",
    "huber": "Huber",
    "kl_divergence": "KLDivergence",
    "log_cosh": "LogCosh",
    "mean_absolute_error": "MeanAbsoluteError",
    "mean_absolute_percentage_error": "MeanAbsolutePercentageError",
    "mean_squared_error": "MeanSquaredError",
    "mean_squared_logarithmic_error": "MeanSquaredLogarithmicError",
    "poisson": "Poisson",
    "sparse_categorical_crossentropy": "SparseCategoricalCrossentropy",
    "squared_hinge": "SquaredHinge",
    "tversky": "Tversky",
}
"""Name to the class of ``keras.losses``."""

METRICS: Final[Mapping[str, str]] = {
    "accuracy": "",
    "auc": "AUC",
    "binary_accuracy": "BinaryAccuracy",
    "binary_crossentropy": "BinaryCrossentropy",
    "categorical_accuracy": "CategoricalAccuracy",
    "categorical_crossentropy": "CategoricalCrossentropy",
    "cosine_similarity": "CosineSimilarity",
    "f1_score": "F1Score",
    "hinge": "Hinge",
    "kl_divergence": "KLDivergence",
    "mean_absolute_error": "MeanAbsoluteError",
    "mean_absolute_percentage_error": "MeanAbsolutePercentageError",
    "mean_squared_error": "MeanSquaredError",
    "mean_squared_logarithmic_error": "MeanSquaredLogarithmicError",
    "poisson": "Poisson",
    "precision": "Precision",
    "r2_score": "R2Score",
    "recall": "Recall",
    "root_mean_squared_error": "RootMeanSquaredError",
    "sparse_categorical_accuracy": "SparseCategoricalAccuracy",
    "sparse_categorical_crossentropy": "SparseCategoricalCrossentropy",
    "top_k_categorical_accuracy": "TopKCategoricalAccuracy",
}
"""Name to the class of ``keras.metrics``; Keras itself chooses the kind of ``accuracy`` that fits an output."""

OPTIMIZERS: Final[Mapping[str, str]] = {
    "adadelta": "Adadelta",
    "adafactor": "Adafactor",
    "adagrad": "Adagrad",
    "adam": "Adam",
    "adamax": "Adamax",
    "adamw": "AdamW",
    "ftrl": "Ftrl",
    "lamb": "Lamb",
    "lion": "Lion",
    "nadam": "Nadam",
    "rmsprop": "RMSprop",
    "sgd": "SGD",
}
"""Name to the class of ``keras.optimizers``."""

LEARNING_RATES: Final = {name: 0.01 if name == "sgd" else 0.001 for name in OPTIMIZERS}
"""Keras' own, where nobody says another."""

SPARSE: Final = {
    "categorical_crossentropy": "sparse_categorical_crossentropy",
    "categorical_accuracy": "sparse_categorical_accuracy",
}
"""The twin that takes a class index a row, instead of a number a class."""
DENSE: Final = {sparse: dense for dense, sparse in SPARSE.items()}

_ALIASES = {
    "acc": "accuracy",
    "bce": "binary_crossentropy",
    "kld": "kl_divergence",
    "kullbackleiblerdivergence": "kl_divergence",
    "mae": "mean_absolute_error",
    "mape": "mean_absolute_percentage_error",
    "mse": "mean_squared_error",
    "msle": "mean_squared_logarithmic_error",
    "rmse": "root_mean_squared_error",
}
_CROSSENTROPY = {"from_logits": bool, "label_smoothing": float}
_LOSS_SETTINGS: Mapping[str, Mapping[str, type]] = {
    "binary_crossentropy": _CROSSENTROPY,
    "binary_focal_crossentropy": {**_CROSSENTROPY, "alpha": float, "gamma": float},
    "categorical_crossentropy": _CROSSENTROPY,
    "categorical_focal_crossentropy": {**_CROSSENTROPY, "gamma": float},
    "huber": {"delta": float},
    "sparse_categorical_crossentropy": {"from_logits": bool},
    "tversky": {"alpha": float, "beta": float},
}
_OPTIMIZER_SETTINGS: Mapping[str, type] = {
    "learning_rate": float,
    "momentum": float,
    "nesterov": bool,
    "beta_1": float,
    "beta_2": float,
    "epsilon": float,
    "rho": float,
    "amsgrad": bool,
    "centered": bool,
    "weight_decay": float,
    "clipnorm": float,
    "clipvalue": float,
    "global_clipnorm": float,
}


def listed(name: str, among: Mapping[str, str]) -> str | None:
    """The listed name that is meant, however it is written: ``MeanSquaredError``, ``mse``; None if there is none."""
    plain = re.sub(r"[^a-z0-9]", "", name.lower()[:80])
    wanted = _ALIASES.get(plain, plain).replace("_", "")
    return next((entry for entry in among if entry.replace("_", "") == wanted), None)


def compiled_of(config: object) -> Compiled | None:
    """What a file was compiled with: its ``compile_config`` (``.keras``) or ``training_config`` (HDF5).

    Nothing in it is trusted to be of any form; what is not understood is passed over. None when nothing is left.
    """
    if not isinstance(config, Mapping):
        return None
    optimizer = config.get("optimizer_config", config.get("optimizer"))
    compiled = Compiled(
        _losses(config.get("loss")),
        _named(optimizer, OPTIMIZERS, lambda _: _OPTIMIZER_SETTINGS),
        _metrics(config.get("metrics")),
    )
    return compiled if compiled != Compiled() else None


def output_activations(config: Mapping[str, Any]) -> tuple[str | None, ...]:
    """The activation of each output of an architecture, in the model's order; None where it cannot be told."""
    inner = config.get("config")
    layers = inner.get("layers") if isinstance(inner, Mapping) else inner
    if not isinstance(inner, Mapping) or not isinstance(layers, list) or not layers:
        return (None,)
    ends = inner.get("output_layers")
    if config.get("class_name") == "Sequential" or ends is None:
        return (_activation(layers[-1]),)
    by_name = {_name_of(layer): layer for layer in layers if isinstance(layer, Mapping)}
    return tuple(_activation(by_name.get(name)) for name in _end_names(ends))


def _losses(value: object) -> dict[str, Named]:
    one = _loss(value)
    if one is not None:
        return {"*": one}
    if isinstance(value, list):
        found = {f"#{place}": _loss(entry) for place, entry in enumerate(value)}
    elif isinstance(value, Mapping) and "class_name" not in value:
        found = {str(name): _loss(entry) for name, entry in value.items()}
    else:
        return {}
    # A loss of the user's own for one output says nothing about the others.
    return {key: loss for key, loss in found.items() if loss is not None} if all(found.values()) else {}


def _loss(value: object) -> Named | None:
    return _named(value, LOSSES, lambda name: _LOSS_SETTINGS.get(name, {}))


def _metrics(value: object) -> tuple[str, ...]:
    found: dict[str, None] = {}
    waiting = [value]
    while waiting:
        entry = waiting.pop(0)
        if isinstance(entry, list):
            waiting[:0] = entry
        elif isinstance(entry, Mapping) and "class_name" not in entry:
            waiting[:0] = entry.values()
        else:
            metric = _named(entry, METRICS, lambda _: {})
            if metric is not None:
                found[metric.name] = None
    return tuple(found)


def _named(value: object, among: Mapping[str, str], settings_of: Any) -> Named | None:
    settings: Any = {}
    if isinstance(value, Mapping):
        settings = value.get("config")
        value = value.get("class_name")
        if value == "function":
            value, settings = settings, {}
        elif value == "MeanMetricWrapper" and isinstance(settings, Mapping):
            value = settings.get("name")
    if not isinstance(value, str):
        return None
    name = listed(value, among)
    return Named(name, _plain(settings, settings_of(name))) if name else None


def _plain(settings: object, allowed: Mapping[str, type]) -> dict[str, Setting]:
    if not isinstance(settings, Mapping):
        return {}
    kept: dict[str, Setting] = {}
    for key, kind in allowed.items():
        value = settings.get(key)
        if isinstance(value, bool):
            if kind is bool:
                kept[key] = value
        elif kind is float and isinstance(value, int | float) and math.isfinite(value):
            kept[key] = float(value)
    return kept


def _activation(layer: object) -> str | None:
    if not isinstance(layer, Mapping):
        return None
    if layer.get("class_name") in ("Sequential", "Functional", "Model"):
        ends = output_activations(layer)
        return ends[0] if len(ends) == 1 else None
    if layer.get("class_name") == "Softmax":
        return "softmax"
    config = layer.get("config")
    if layer.get("class_name") == "TimeDistributed" and isinstance(config, Mapping):
        return _activation(config.get("layer"))
    activation = config.get("activation") if isinstance(config, Mapping) else None
    if isinstance(activation, Mapping):
        activation = activation.get("config")
    return activation if isinstance(activation, str) else None


def _name_of(layer: Mapping[str, Any]) -> Any:
    config = layer.get("config")
    return layer.get("name") or (config.get("name") if isinstance(config, Mapping) else None)


def _end_names(ends: object) -> list[Any]:
    """Layers' names out of ``[name, node, tensor]``, a list of those, or an object of those by name."""
    if isinstance(ends, list) and len(ends) == 3 and isinstance(ends[0], str):
        return [ends[0]]
    if isinstance(ends, list):
        return [name for end in ends for name in _end_names(end)]
    if isinstance(ends, Mapping):
        # Keras flattens an object in the order of its keys.
        return [name for key in sorted(ends) for name in _end_names(ends[key])]
    return []
