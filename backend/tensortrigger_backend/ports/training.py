"""Training a published version: what stands between the services and TensorFlow."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy.typing as npt

from tensortrigger_backend.domain.jobs import Claim, Job
from tensortrigger_backend.domain.runs import Point
from tensortrigger_backend.domain.training import TrainingFacts, TrainingPlan
from tensortrigger_backend.domain.training_points import TrainingPoints


@dataclass(frozen=True, slots=True)
class Told:
    """Points of the training's run, in order."""

    points: tuple[Point, ...]


@dataclass(frozen=True, slots=True)
class Saved:
    """Everything that is needed to go on after an epoch lies at ``path``, for the taker to remove."""

    epoch: int
    step: int
    path: Path


@dataclass(frozen=True, slots=True)
class Trained:
    """The training is over; the model lies at ``path`` as a ``.keras`` file until the session ends."""

    path: Path


TrainingEvent = Told | Saved | Trained


class TrainingSession(Protocol):
    """One child process at work on one training."""

    @property
    def pid(self) -> int: ...

    @property
    def wanted(self) -> bool:
        """Whether somebody else waits for this machine's turn and it is fair to let them have it."""

    def events(self) -> Iterator[TrainingEvent]:
        """What the child tells, as it happens; the last is ``Trained``.

        Raises:
            InvalidInput: it diverged, or this model cannot be trained so; trying again changes nothing.
            Overrun: it took more time or memory than it may.
            Unavailable: the child ended before it was done.
        """

    def kill(self) -> None:
        """End the child at once, from any thread; ``events`` then raises Unavailable. Safe to repeat."""


class Trainer(Protocol):
    """Trains in a child process that opens plain weights and a filtered config only."""

    def must_be_installed(self) -> None:
        """Raises NotInstalled: there is no TensorFlow on this machine."""

    def facts(self, artifact: Path) -> TrainingFacts:
        """What the artifact tells about training it.

        Raises:
            InvalidInput: it holds no Keras config.
        """

    def session(
        self,
        artifact: Path,
        points: Path,
        plan: TrainingPlan,
        checkpoint: Path | None,
        seconds: float,
        given_up: Callable[[], bool],
    ) -> AbstractContextManager[TrainingSession]:
        """Wait for this machine's turn, then start a child; it is gone when the block ends.

        Args:
            artifact, points: files of the version and of ``PointFormat``.
            checkpoint: where a ``Saved`` of this training lies, to go on from there.
            seconds: how long the child may take.
            given_up: asked while it waits; True ends the wait.

        Raises:
            Unavailable: given up, or the child could not be started.
        """


class TrainingStore(Protocol):
    """How far trainings have come; who works on them is the ``JobStore``'s affair."""

    def advance(self, claim: Claim, trained: Mapping[str, Any], saved: bool, now: float) -> bool:
        """Tell how far a training has come, only where the fence still matches and the job still runs.

        Args:
            saved: it can go on from there, so that attempts are counted anew.

        Returns:
            False when it came too late: stop.
        """

    def complete(self, claim: Claim, trained: Mapping[str, Any], now: float) -> bool:
        """Succeed with a training's result: partition and job in one update, where ``advance`` would be taken."""

    def unheard(self) -> list[Job]:
        """Trainings that have ended while their run reads as if they still ran."""


class PointWriter(Protocol):
    """The points of one training on their way into a file, some rows at a time.

    Raises:
        Unavailable: there is no room for them, from the beginning to ``finish``.
    """

    def add(self, inputs: npt.NDArray[Any], targets: npt.NDArray[Any]) -> None:
        """More rows, shaped and typed as those before."""

    def finish(self) -> Path:
        """The file, as ``PointFormat.encode`` would have written all of them; it is gone after ``close``."""

    def close(self) -> None:
        """Leave nothing behind. Safe to repeat."""


class PointFormat(Protocol):
    """How the points of a training are laid down in a blob, without any pickle."""

    def encode(self, points: TrainingPoints) -> bytes: ...

    def writer(self, folder: Path) -> PointWriter:
        """Begin a file below this folder, of a model with one input and one output."""
