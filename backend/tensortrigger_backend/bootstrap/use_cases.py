"""The use cases behind the HTTP face, wired for a process that answers it."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from tensortrigger_backend.adapters.export_process import ExportProcess
from tensortrigger_backend.adapters.guest_turn import GuestTurn
from tensortrigger_backend.adapters.parts_parquet import ParquetParts
from tensortrigger_backend.adapters.points_file import NpzPoints
from tensortrigger_backend.adapters.row_formats import row_formats
from tensortrigger_backend.adapters.rows_csv import CsvRows
from tensortrigger_backend.adapters.sandbox import SandboxedLauncher
from tensortrigger_backend.adapters.sql.alias_store import SqlAliasStore
from tensortrigger_backend.adapters.sql.key_store import SqlKeyStore
from tensortrigger_backend.adapters.sql.upload_store import SqlUploadStore
from tensortrigger_backend.adapters.sql.webhook_store import SqlWebhookStore
from tensortrigger_backend.adapters.webhook_http import HttpCourier
from tensortrigger_backend.bootstrap.connections import open_sources
from tensortrigger_backend.bootstrap.counting import WaitingWork
from tensortrigger_backend.bootstrap.foundation import Foundation
from tensortrigger_backend.bootstrap.jobs import completion, cut_size
from tensortrigger_backend.bootstrap.pepper import pepper_of_settings
from tensortrigger_backend.bootstrap.versions import Versions
from tensortrigger_backend.domain.access import Scope
from tensortrigger_backend.domain.public_addresses import networks_of
from tensortrigger_backend.ports.training import Trainer
from tensortrigger_backend.services.aliases import Aliases
from tensortrigger_backend.services.core import Core
from tensortrigger_backend.services.exports import Exports
from tensortrigger_backend.services.gatekeeper import Gatekeeper
from tensortrigger_backend.services.inference import Inference
from tensortrigger_backend.services.job_details import JobDetails
from tensortrigger_backend.services.orphans import Orphans
from tensortrigger_backend.services.publishing import Line
from tensortrigger_backend.services.retention import Retention
from tensortrigger_backend.services.scoring import Scoring
from tensortrigger_backend.services.training import Training
from tensortrigger_backend.services.training_files import TrainingFiles
from tensortrigger_backend.services.uploads import Uploads
from tensortrigger_backend.services.webhooks import Webhooks


@dataclass(frozen=True, slots=True)
class Door:
    """Who may come in.

    Attributes:
        open_when_empty: let callers without a key in while none exists; for loopback only.
        granted: what callers without a key, and holders of the session key, may do.
    """

    open_when_empty: bool
    granted: frozenset[Scope]


class UseCases:
    """The core, and what it wants done now and then.

    Args:
        trainer: reads what a training needs to know of a version; trains itself only in a trainer.
        told: called when there is something in the outbox.
        interrupt: ends a training that this process is at work on.
    """

    def __init__(
        self,
        base: Foundation,
        door: Door,
        versions: Versions,
        line: Line,
        launcher: SandboxedLauncher,
        turn: GuestTurn,
        trainer: Trainer,
        told: Callable[[], None],
        interrupt: Callable[[str], None],
    ) -> None:
        settings = base.settings
        exporter = ExportProcess(launcher, base.scratch, turn, time_limit=settings.forge_timeout)
        base.undo.callback(exporter.close)
        self._uploads = Uploads(
            SqlUploadStore(base.database), base.models, base.blobs, base.clock, settings.max_model
        )
        self._exports = Exports(versions.registry, base.blobs, exporter, base.scratch, base.clock)
        self._orphans = Orphans(
            base.contents, base.content_store, base.blobs, base.models, base.jobs, base.clock
        )
        pepper = pepper_of_settings(settings)
        self._half_written = base.half_written
        self._completion = completion(base)
        self._retention = Retention(base.jobs, base.blobs, base.clock, settings.retention_days)
        upload_threads = ThreadPoolExecutor(thread_name_prefix="upload")
        base.undo.callback(upload_threads.shutdown, wait=True, cancel_futures=True)
        session_key = settings.session_key.get_secret_value() if settings.session_key else None
        webhooks = Webhooks(
            SqlWebhookStore(base.database),
            HttpCourier(networks_of(settings.webhook_networks)),
            pepper,
            base.clock,
        )
        training = Training(
            versions.registry,
            base.jobs,
            base.runs,
            base.blobs,
            NpzPoints(),
            trainer,
            base.scratch,
            base.clock,
            told,
            interrupt,
            webhooks.check,
        )
        self.core = Core(
            gatekeeper=Gatekeeper(
                SqlKeyStore(base.database),
                pepper,
                base.clock,
                session_key,
                door.open_when_empty,
                door.granted,
            ),
            registry=versions.registry,
            aliases=Aliases(SqlAliasStore(base.database), base.clock, versions.cache.forget_name),
            publish_line=line,
            cache=versions.cache,
            inference=Inference(versions.cache, versions.slow_calls),
            scoring=Scoring(
                versions.registry,
                base.jobs,
                base.blobs,
                row_formats(),
                ParquetParts(),
                cut_size(base),
                base.clock,
                told,
                open_sources(settings),
                webhooks.check,
                base.at,
            ),
            job_details=JobDetails(base.jobs),
            retention=self._retention,
            webhooks=webhooks,
            runs=base.runs,
            training=training,
            training_files=TrainingFiles(
                training,
                base.jobs,
                base.blobs,
                CsvRows(),
                NpzPoints(),
                base.scratch,
                settings.max_upload,
            ),
            uploads=self._uploads,
            exports=self._exports,
            open_blob=base.blobs.open,
            waiting=WaitingWork(base.jobs, base.clock),
            sandbox=launcher.known,
            upload_threads=upload_threads,
        )

    def sweep(self) -> None:
        """Free uploads that nobody came back for, and exports of yesterday."""
        self._uploads.sweep()
        self._exports.sweep()

    def tidy(self) -> None:
        """Delete jobs whose time is over, and free bytes that nobody needs any more."""
        self._half_written.look_after()
        self._retention.look_after()
        self._completion.look_after()
        self._orphans.look_after()
