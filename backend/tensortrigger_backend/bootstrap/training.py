"""What works on trainings."""

from __future__ import annotations

from collections.abc import Callable

from tensortrigger_backend.bootstrap.counting import CountingHandler, CountingTrainingStore
from tensortrigger_backend.bootstrap.foundation import Foundation
from tensortrigger_backend.bootstrap.versions import Versions
from tensortrigger_backend.domain.jobs import JobKind
from tensortrigger_backend.ports.training import Trainer
from tensortrigger_backend.services.publishing import Line
from tensortrigger_backend.services.trainer import TrainingWorker
from tensortrigger_backend.services.worker_thread import WorkerThread


def training_worker(
    base: Foundation, versions: Versions, line: Line, trainer: Trainer, told: Callable[[], None]
) -> TrainingWorker:
    """Works on one training at a time; what it makes is judged in ``line``."""
    return TrainingWorker(
        base.name,
        base.jobs,
        CountingTrainingStore(base.database, base.metrics),
        base.models,
        base.runs,
        base.blobs,
        versions.registry,
        line,
        trainer,
        base.scratch,
        base.clock,
        base.settings.lease,
        base.settings.train_timeout,
        told,
    )


def training_threads(base: Foundation, worker: TrainingWorker, count: int) -> list[WorkerThread]:
    """Those that feed it from the queue."""
    counting = CountingHandler(worker, base.metrics)
    return [WorkerThread(counting, base.queues[JobKind.TRAIN], "trainer", base.at) for _ in range(count)]
