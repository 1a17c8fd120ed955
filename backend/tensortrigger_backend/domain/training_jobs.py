"""What the database keeps of a training: what was ordered, and how far it has come."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tensortrigger_backend.domain.training import TrainingPlan


@dataclass(frozen=True, slots=True)
class TrainingOrder:
    """Never changes once the job is stored.

    Attributes:
        title: of the run that shows the metrics.
        new_model_id: the id that the trained version will have. It is chosen with the order, so that however
            often a process dies on the way, there is one version a job.
        rows_skipped: rows of the file that could not be read and were left out, as its sender wanted it.
    """

    plan: TrainingPlan
    title: str
    new_model_id: str
    rows_skipped: int = 0

    def to_dict(self) -> dict[str, Any]:
        return {
            "plan": self.plan.to_dict(),
            "title": self.title,
            "new_model_id": self.new_model_id,
            "rows_skipped": self.rows_skipped,
        }

    @classmethod
    def from_dict(cls, members: Mapping[str, Any]) -> TrainingOrder:
        return cls(
            TrainingPlan.from_dict(members["plan"]),
            members["title"],
            members["new_model_id"],
            members.get("rows_skipped", 0),  # not in orders of earlier days
        )


@dataclass(frozen=True, slots=True)
class Trained:
    """How far a training has come.

    Attributes:
        epochs_done, step: the latest seen.
        saved_epoch: the epoch after which it can go on; 0 for the beginning.
        checkpoint: the blob to go on from; None for the beginning.
        resumed_at: the epoch after which it went on when its process had died; None if none died.
        step_seconds: how long a step takes, validation and all.
        result: the version that it made, as the Job object shows it.
    """

    epochs_done: int = 0
    step: int = 0
    saved_epoch: int = 0
    checkpoint: str | None = None
    resumed_at: int | None = None
    step_seconds: float | None = None
    result: Mapping[str, Any] | None = None

    def to_dict(self) -> dict[str, Any]:
        return {
            "epochs_done": self.epochs_done,
            "step": self.step,
            "saved_epoch": self.saved_epoch,
            "checkpoint": self.checkpoint,
            "resumed_at": self.resumed_at,
            "step_seconds": self.step_seconds,
            "result": dict(self.result) if self.result else None,
        }

    @classmethod
    def from_dict(cls, members: Mapping[str, Any]) -> Trained:
        return cls(
            members["epochs_done"],
            members["step"],
            members["saved_epoch"],
            members["checkpoint"],
            members["resumed_at"],
            members["step_seconds"],
            members["result"],
        )


def training_members(
    job_id: str, order: TrainingOrder, trained: Trained, final: bool, points: int
) -> tuple[dict[str, Any], dict[str, Any]]:
    """What a training adds to its Job object, and to the ``progress`` in it.

    Args:
        final: whether the job has ended.
        points: how many rows came with it.
    """
    plan = order.plan
    steps = plan.epochs * plan.steps_per_epoch
    left = None
    if final:
        left = 0.0
    elif trained.step_seconds is not None:
        left = round((steps - trained.step) * trained.step_seconds, 1)
    members = {
        "training": {
            **plan.described(),
            "rows_skipped": order.rows_skipped,
            "resumed_at": trained.resumed_at,
        },
        "run_id": job_id,
        "result": dict(trained.result) if trained.result else None,
    }
    progress = {
        "rows_done": points * trained.epochs_done // plan.epochs,
        "epochs_done": trained.epochs_done,
        "epochs_total": plan.epochs,
        "step": trained.step,
        "steps_total": steps,
        "seconds_left": left,
    }
    return members, progress
