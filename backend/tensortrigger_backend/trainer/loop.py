"""How is a rebuilt model trained, so that it can be watched while it runs and go on after it was killed?

The order of the points in an epoch follows from the seed and the epoch's number alone, so a training that goes on
after a checkpoint takes the very steps that it would have taken without the interruption.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from tensortrigger_backend.domain.training import TrainingPlan
from tensortrigger_backend.forge.keras.signatures import structured
from tensortrigger_backend.trainer.checkpoint import all_finite, load_checkpoint, save_checkpoint
from tensortrigger_backend.trainer.compilation import as_answered, compile_model

Arrays = tuple[npt.NDArray[Any], ...]
Metrics = dict[str, float | None]

SAMPLE_SECONDS: Final = 0.05
"""Between two points of batches, at least."""
SPARE_AFTER: Final = 20_000
SPARE_SECONDS: Final = 1.0
"""After so many points of batches they come no more often than this: a run holds a million points."""
MOST_BATCH_POINTS: Final = 800_000
SAVE_SECONDS: Final = 1.0
SAVE_SHARE: Final = 4
"""Between two checkpoints there are at least so many seconds, and so many times what writing the last one took."""


class Diverged(Exception):
    """The loss or a weight is not finite any more."""


@dataclass(frozen=True, slots=True)
class Listener:
    """Who is told of a training.

    Attributes:
        point: kind, step, epoch and metrics.
        saved: epochs and steps done, and where their checkpoint lies; the taker removes the file.
    """

    point: Callable[[str, int, int, Metrics], None]
    saved: Callable[[int, int, Path], None]


class Training:
    """One model, compiled, with its points.

    Args:
        home: an existing folder for checkpoints.
        checkpoint: where to go on from, if anywhere.

    Raises:
        ValueError, TypeError: model, plan and points do not fit each other.
    """

    def __init__(
        self,
        model: Any,
        plan: TrainingPlan,
        inputs: Arrays,
        targets: Arrays,
        home: Path,
        checkpoint: Path | None,
    ) -> None:
        self._model = model
        self._plan = plan
        self._inputs = inputs
        self._targets = targets
        self._home = home
        self._seed = plan.seed
        self._epoch = self._step = self._batch_points = 0
        self._saved = self._sampled = -math.inf
        self._save_pause = SAVE_SECONDS
        self._pending = home / "checkpoint"
        compile_model(model, plan)
        model.optimizer.build(model.trainable_variables)
        # Metrics make their variables on first use, which must not be within a compiled step.
        model.test_on_batch(*self._batch(np.arange(1)))
        model.reset_metrics()
        if checkpoint is not None:
            self._epoch, self._step, self._seed = load_checkpoint(checkpoint, model)
        self._train_step = tf.function(lambda x, y: model.train_step((x, y)), reduce_retracing=True)
        self._test_step = tf.function(lambda x, y: model.test_step((x, y)), reduce_retracing=True)

    def run(self, listener: Listener) -> None:
        """Train through the remaining epochs.

        Raises:
            Diverged: naming the epoch.
        """
        for epoch in range(self._epoch + 1, self._plan.epochs + 1):
            logs = self._run_epoch(epoch, listener)
            listener.point("epoch", self._step, epoch, logs)
            self._must_be_finite(logs, epoch)
            if epoch < self._plan.epochs:
                self._maybe_save(epoch, listener)
        if not all_finite(self._model):
            raise Diverged(f"A weight of the model became infinite or NaN by epoch {self._plan.epochs}")

    def _run_epoch(self, epoch: int, listener: Listener) -> Metrics:
        self._model.reset_metrics()
        logs: dict[str, Any] = {}
        for places in self._order(epoch):
            logs = self._train_step(*self._batch(places))
            self._step += 1
            if self._due():
                told = _floats(logs)
                listener.point("batch", self._step, epoch, told)
                self._must_be_finite(told, epoch)
        found = _floats(logs)
        held_back = np.arange(self._plan.training_points, self._plan.points)
        if len(held_back):
            self._model.reset_metrics()
            for start in range(0, len(held_back), self._plan.batch_size):
                logs = self._test_step(*self._batch(held_back[start : start + self._plan.batch_size]))
            found |= {f"val_{name}": value for name, value in _floats(logs).items()}
        return found

    def _order(self, epoch: int) -> Iterator[npt.NDArray[np.int64]]:
        """The places of the points of each batch."""
        places = np.arange(self._plan.training_points)
        if self._plan.shuffle:
            np.random.default_rng([self._seed, epoch]).shuffle(places)
        for start in range(0, len(places), self._plan.batch_size):
            yield places[start : start + self._plan.batch_size]

    def _batch(self, places: npt.NDArray[np.int64]) -> tuple[Any, Any]:
        inputs = [_tensor(array[places]) for array in self._inputs]
        targets = [_tensor(array[places]) for array in self._targets]
        return structured(self._model, inputs), as_answered(self._model, targets)

    def _due(self) -> bool:
        """Whether it is time for a point of a batch."""
        now = time.monotonic()
        pause = SAMPLE_SECONDS if self._batch_points < SPARE_AFTER else SPARE_SECONDS
        if now - self._sampled < pause or self._batch_points >= MOST_BATCH_POINTS:
            return False
        self._sampled = now
        self._batch_points += 1
        return True

    def _must_be_finite(self, metrics: Metrics, epoch: int) -> None:
        if metrics.get("loss") is None:
            raise Diverged(f"The loss became infinite or NaN in epoch {epoch}, by step {self._step}")

    def _maybe_save(self, epoch: int, listener: Listener) -> None:
        started = time.monotonic()
        # While the last one still lies there its taker is busy with it.
        if started - self._saved < self._save_pause or self._pending.exists():
            return
        if not all_finite(self._model):
            raise Diverged(f"A weight of the model became infinite or NaN in epoch {epoch}")
        save_checkpoint(self._pending, self._model, epoch, self._step, self._seed)
        self._saved = time.monotonic()
        self._save_pause = max(SAVE_SECONDS, SAVE_SHARE * (self._saved - started))
        listener.saved(epoch, self._step, self._pending)


def _tensor(array: npt.NDArray[Any]) -> Any:
    return tf.constant(array.tolist(), tf.string) if array.dtype.kind == "O" else tf.constant(array)


def _floats(logs: dict[str, Any]) -> Metrics:
    """Plain numbers, None for what is not finite; a metric of a number a class is its mean."""
    found = {name: float(np.mean(np.asarray(value))) for name, value in logs.items()}
    return {name: value if math.isfinite(value) else None for name, value in found.items()}
