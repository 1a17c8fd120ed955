"""What scores partitions and what keeps jobs moving, as several roles need them."""

from __future__ import annotations

from collections.abc import Callable

from tensortrigger_backend.adapters.parts_parquet import ParquetParts
from tensortrigger_backend.adapters.row_formats import row_formats
from tensortrigger_backend.bootstrap.connections import open_sources
from tensortrigger_backend.bootstrap.counting import CountingHandler
from tensortrigger_backend.bootstrap.foundation import Foundation
from tensortrigger_backend.bootstrap.versions import Versions
from tensortrigger_backend.domain.jobs import JobKind
from tensortrigger_backend.ports.rows import CutSize
from tensortrigger_backend.services.completion import Completion
from tensortrigger_backend.services.recovery import Recovery
from tensortrigger_backend.services.remote_intake import RemoteIntake
from tensortrigger_backend.services.scorer import Scorer
from tensortrigger_backend.services.worker import Worker
from tensortrigger_backend.services.worker_thread import WorkerThread


def scoring_threads(base: Foundation, versions: Versions, told: Callable[[], None]) -> list[WorkerThread]:
    """As many as the settings say, with one worker between them; see ``Worker`` for ``told``."""
    formats = row_formats()
    intake = RemoteIntake(base.models, base.blobs, formats, open_sources(base.settings), cut_size(base))
    worker = Worker(
        base.name,
        base.jobs,
        base.blobs,
        Scorer(base.models, base.blobs, versions.cache, formats, ParquetParts(), base.at),
        base.clock,
        base.settings.lease,
        base.metrics.rows,
        intake.cut,
        base.at,
        told,
    )
    counting, queue = CountingHandler(worker, base.metrics), base.queues[JobKind.SCORE]
    return [
        WorkerThread(counting, queue, f"worker-{number}", base.at) for number in range(base.settings.workers)
    ]


def cut_size(base: Foundation) -> CutSize:
    """Where uploads are cut, as the settings say."""
    settings = base.settings
    return CutSize(settings.slice_rows, settings.slice_bytes, settings.max_upload)


def completion(base: Foundation) -> Completion:
    """Completes jobs all of whose partitions are done, and tidies up after them."""
    return Completion(base.jobs, base.blobs, base.clock, base.at)


def recovery(
    base: Foundation,
    versions: Versions,
    settle: Callable[[], None] = lambda: None,
    sweep: Callable[[], object] = lambda: None,
    tidy: Callable[[], object] = lambda: None,
) -> Recovery:
    """Relays the outbox and brings lost work back; see ``Recovery`` for the arguments."""
    return Recovery(
        base.jobs,
        base.queues[JobKind.SCORE],
        versions.registry,
        base.presence.dead,
        completion(base).finish,
        base.clock,
        interval=base.settings.lease / 3,
        unsent_for=2 * base.settings.lease,
        trainings=base.queues[JobKind.TRAIN],
        settle=settle,
        sweep=sweep,
        tidy=tidy,
        at=base.at,
    )
