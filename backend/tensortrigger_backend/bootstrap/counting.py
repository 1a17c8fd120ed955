"""What this process worked on, counted where it passes by."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from tensortrigger_backend.adapters.sql.database import Database
from tensortrigger_backend.adapters.sql.job_store import SqlJobStore
from tensortrigger_backend.adapters.sql.model_store import SqlModelStore
from tensortrigger_backend.adapters.sql.training_store import SqlTrainingStore
from tensortrigger_backend.domain.jobs import Claim, Cut, JobKind, Part, WakeUp
from tensortrigger_backend.domain.models import ModelVersion
from tensortrigger_backend.domain.publishing import ForgeVerdict
from tensortrigger_backend.ports.jobs import JobStore
from tensortrigger_backend.services.worker_thread import Handler
from tensortrigger_backend.telemetry import Metrics

FRESH_FOR: Final = 1.0


class CountingHandler:
    """Passes wake-ups on to a worker."""

    def __init__(self, worker: Handler, metrics: Metrics) -> None:
        self._worker = worker
        self._metrics = metrics

    def handle(self, wake_up: WakeUp) -> None:
        """See ``Handler.handle``."""
        with self._metrics.at_work():
            self._worker.handle(wake_up)

    def stop(self) -> None:
        """See ``Handler.stop``."""
        self._worker.stop()


class WaitingWork:
    """How many partitions wait or are in work, asked of the store once a second at most.

    Args:
        clock: seconds.
    """

    def __init__(self, jobs: JobStore, clock: Callable[[], float]) -> None:
        self._jobs = jobs
        self._clock = clock
        self._known: tuple[float, Mapping[JobKind, int]] | None = None

    def __call__(self) -> Mapping[JobKind, int]:
        """By kind. Raises Unavailable."""
        known, now = self._known, self._clock()
        if known is None or not 0 <= now - known[0] < FRESH_FOR:
            known = self._known = (now, self._jobs.waiting())
        return known[1]


class CountingJobStore(SqlJobStore):
    """A job store that counts what this process's workers do through it; what others did is in the database."""

    def __init__(self, database: Database, metrics: Metrics) -> None:
        super().__init__(database)
        self._metrics = metrics

    def claim(self, *arguments: Any, **named: Any) -> Claim | None:
        """See ``JobStore.claim``."""
        claim = super().claim(*arguments, **named)
        if claim is not None:
            self._metrics.partition("claimed")
        return claim

    def commit(self, claim: Claim, part: Part, now: float) -> bool:
        """See ``JobStore.commit``."""
        return _counted(self._metrics, super().commit(claim, part, now))

    def cut(self, claim: Claim, cut: Cut, now: float) -> bool:
        """See ``JobStore.cut``."""
        return _counted(self._metrics, super().cut(claim, cut, now))

    def hand_back(self, claim: Claim, now: float) -> None:
        """See ``JobStore.hand_back``."""
        super().hand_back(claim, now)
        self._metrics.partition("handed_back")

    def give_up(self, claim: Claim, reason: str, *arguments: Any, **named: Any) -> None:
        """See ``JobStore.give_up``."""
        super().give_up(claim, reason, *arguments, **named)
        self._metrics.partition("failed")


class CountingTrainingStore(SqlTrainingStore):
    """A training store that counts what this process's trainer commits; its claims go through the job store."""

    def __init__(self, database: Database, metrics: Metrics) -> None:
        super().__init__(database)
        self._metrics = metrics

    def complete(self, claim: Claim, trained: Mapping[str, Any], now: float) -> bool:
        """See ``TrainingStore.complete``."""
        return _counted(self._metrics, super().complete(claim, trained, now))


class CountingModelStore(SqlModelStore):
    """A model store that counts what this process's forge finds; where there is none, nothing is found."""

    def __init__(self, database: Database, metrics: Metrics) -> None:
        super().__init__(database)
        self._metrics = metrics

    def make_ready(self, *arguments: Any, **named: Any) -> ModelVersion:
        """See ``ModelStore.make_ready``."""
        version = super().make_ready(*arguments, **named)
        self._metrics.checked("ready")
        return version

    def refuse(self, model_id: str, verdict: ForgeVerdict, holder: str) -> None:
        """See ``ModelStore.refuse``."""
        super().refuse(model_id, verdict, holder)
        self._metrics.checked("refused")


def _counted(metrics: Metrics, in_time: bool) -> bool:
    metrics.partition("committed" if in_time else "late")
    return in_time
