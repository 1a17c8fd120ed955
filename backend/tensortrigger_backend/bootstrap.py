"""The only wiring: which adapters stand behind which port, started and stopped in order."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType

from tensortrigger_backend.adapters.blobs_local import LocalBlobs
from tensortrigger_backend.adapters.child_process import PlainChildLauncher
from tensortrigger_backend.adapters.csv_arrow import ArrowCsvReader
from tensortrigger_backend.adapters.engine_tensorflow import TensorFlowEngine
from tensortrigger_backend.adapters.engines import Engines
from tensortrigger_backend.adapters.forge_process import ForgeProcess
from tensortrigger_backend.adapters.guest_turn import GuestTurn
from tensortrigger_backend.adapters.parts_parquet import ParquetParts
from tensortrigger_backend.adapters.points_file import NpzPoints
from tensortrigger_backend.adapters.presence import Presence
from tensortrigger_backend.adapters.queue_memory import MemoryQueue
from tensortrigger_backend.adapters.sql.database import Database
from tensortrigger_backend.adapters.sql.job_store import SqlJobStore
from tensortrigger_backend.adapters.sql.key_store import SqlKeyStore
from tensortrigger_backend.adapters.sql.model_store import SqlModelStore
from tensortrigger_backend.adapters.sql.run_store import SqlRunStore
from tensortrigger_backend.adapters.sql.training_store import SqlTrainingStore
from tensortrigger_backend.adapters.trainer_process import TrainerProcess
from tensortrigger_backend.services.core import Core
from tensortrigger_backend.services.gatekeeper import Gatekeeper
from tensortrigger_backend.services.inference import Inference
from tensortrigger_backend.services.model_cache import ModelCache
from tensortrigger_backend.services.notices import Notices
from tensortrigger_backend.services.publishing import PublishLine
from tensortrigger_backend.services.recovery import Recovery
from tensortrigger_backend.services.registry import Registry
from tensortrigger_backend.services.runs import Runs
from tensortrigger_backend.services.scoring import CsvLimits, Scoring
from tensortrigger_backend.services.trainer import TrainingWorker
from tensortrigger_backend.services.training import Training
from tensortrigger_backend.services.worker import Worker, WorkerThread
from tensortrigger_backend.settings import Settings
from tensortrigger_backend.telemetry import Metrics

SLOW_CALLS = 4
"""Threads for inference that is too slow for the event loop; ONNX Runtime and the pipes let go of the GIL."""


class Backend:
    """Everything that ``tt serve`` runs, on one machine.

    Args:
        open_when_empty: let callers without a key in while none exists; for loopback only.
    """

    def __init__(self, settings: Settings, open_when_empty: bool = False) -> None:
        data_dir = settings.data_dir.absolute()
        make_data_dir(data_dir)
        self._undo = contextlib.ExitStack()
        try:
            self._wire(settings, data_dir, open_when_empty)
        except BaseException:
            self._undo.close()
            raise

    def _wire(self, settings: Settings, data_dir: Path, open_when_empty: bool) -> None:
        undo = self._undo
        presence = undo.enter_context(Presence(data_dir / "alive"))
        scratch = _own_scratch(data_dir / "scratch", presence)
        undo.callback(shutil.rmtree, scratch, ignore_errors=True)
        database = Database(settings.resolved_database_url())
        undo.callback(database.close)
        database.migrate()
        blobs = LocalBlobs(settings.resolved_blob_root(), presence.worker)
        blobs.sweep_incoming(presence.dead(blobs.half_written_by()))
        models, jobs = SqlModelStore(database), SqlJobStore(database)
        queue = MemoryQueue()
        runs = Runs(SqlRunStore(database), time.time, Notices())
        self.metrics = Metrics()

        launcher = PlainChildLauncher()
        undo.callback(launcher.close)
        turn = GuestTurn()
        self._forge = ForgeProcess(
            launcher,
            scratch,
            time_limit=settings.forge_timeout,
            idle_seconds=settings.forge_idle,
            turn=turn,
        )
        undo.callback(self._forge.close)
        trainer = TrainerProcess(launcher, scratch, turn, self._forge.leave)
        engine = Engines(
            TensorFlowEngine(launcher, scratch, idle_seconds=settings.forge_idle),
            intra_op_threads=settings.engine_threads,
        )
        undo.callback(engine.close)
        slow_calls = ThreadPoolExecutor(SLOW_CALLS, thread_name_prefix="inference")
        undo.callback(slow_calls.shutdown, wait=True, cancel_futures=True)

        registry = Registry(
            models,
            blobs,
            self._forge,
            scratch,
            time.time,
            lambda model_id: cache.forget(model_id),
            presence.worker,
            presence.dead,
        )
        cache = ModelCache(registry, blobs, engine, scratch, slow_calls, time.time, settings.resident_models)
        undo.callback(cache.close)
        parts = ParquetParts()
        worker = Worker(
            presence.worker,
            jobs,
            models,
            blobs,
            cache,
            ArrowCsvReader(),
            parts,
            time.time,
            settings.lease,
            self.metrics.rows,
        )
        training_queue = MemoryQueue()
        publish_line = PublishLine(registry)
        self._trainer = TrainingWorker(
            presence.worker,
            jobs,
            SqlTrainingStore(database),
            models,
            runs,
            blobs,
            registry,
            publish_line,
            trainer,
            scratch,
            time.time,
            settings.lease,
            settings.train_timeout,
            lambda: self._recovery.nudge(),
        )
        self._recovery = Recovery(
            jobs,
            queue,
            registry,
            presence.dead,
            worker.finish,
            time.time,
            interval=settings.lease / 3,
            trainings=training_queue,
            settle=self._trainer.settle,
        )
        self._workers = [
            WorkerThread(worker, queue, f"worker-{number}") for number in range(settings.workers)
        ]
        self._workers += [
            WorkerThread(self._trainer, training_queue, "trainer") for _ in range(settings.trainers)
        ]
        self._queues = (queue, training_queue)
        limits = CsvLimits(settings.slice_rows, settings.slice_bytes, settings.max_upload)
        session_key = settings.session_key.get_secret_value() if settings.session_key else None
        self.core = Core(
            gatekeeper=Gatekeeper(
                SqlKeyStore(database), pepper_of(data_dir), time.time, session_key, open_when_empty
            ),
            registry=registry,
            publish_line=publish_line,
            cache=cache,
            inference=Inference(cache, slow_calls),
            scoring=Scoring(registry, jobs, blobs, parts, limits, time.time, self._recovery.nudge),
            runs=runs,
            training=Training(
                registry,
                jobs,
                runs,
                blobs,
                NpzPoints(),
                trainer,
                scratch,
                time.time,
                self._recovery.nudge,
                self._trainer.interrupt,
            ),
            open_blob=blobs.open,
            queue_depth=queue.depth,
        )

    def start(self) -> None:
        """Take up what a stopped process left, and begin to work."""
        self._recovery.start()
        self.core.publish_line.start()
        for thread in self._workers:
            thread.start()

    def close(self) -> None:
        """Stop in the reverse order; partitions in hand are finished first. Safe to repeat."""
        self._recovery.close()
        for queue in self._queues:
            queue.close()
        self._trainer.stop()
        for thread in self._workers:
            thread.close()
        # The forge's child is ended before the line is joined: an upload in hand waits for the next start.
        self.core.publish_line.stop()
        self._forge.close()
        self.core.publish_line.close()
        self._undo.close()

    def __enter__(self) -> Backend:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def key_office(settings: Settings) -> tuple[Gatekeeper, SqlKeyStore, Database]:
    """What ``tt keys`` needs, without starting anything; the caller closes the database."""
    data_dir = settings.data_dir.absolute()
    make_data_dir(data_dir)
    database = Database(settings.resolved_database_url())
    database.migrate()
    store = SqlKeyStore(database)
    return Gatekeeper(store, pepper_of(data_dir), time.time), store, database


def make_data_dir(data_dir: Path) -> None:
    """Make the data folder, for its owner's eyes only."""
    data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)


def pepper_of(data_dir: Path) -> bytes:
    """The secret that keys the stored hashes, made on first use and kept beside the data."""
    path = data_dir / "pepper"
    if not path.exists():
        fresh = data_dir / f"pepper.{secrets.token_hex(4)}"
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(secrets.token_bytes(32))
            os.fsync(stream.fileno())
        # A link fails when another process was quicker, and then its pepper is the one.
        with contextlib.suppress(FileExistsError):
            os.link(fresh, path)
        fresh.unlink()
    return path.read_bytes()


def _own_scratch(root: Path, presence: Presence) -> Path:
    """A folder for this process's short-lived copies; those of dead processes are removed."""
    root.mkdir(exist_ok=True)
    for worker in presence.dead([path.name for path in root.iterdir()]):
        shutil.rmtree(root / worker, ignore_errors=True)
    own = root / presence.worker
    own.mkdir()
    return own
