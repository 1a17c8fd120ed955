"""The whole job line on real adapters, with a clock that the test moves and a model that needs no TensorFlow."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from hypothesis import settings
from intakes import SCHEMA
from onnx import TensorProto, helper, numpy_helper

from tensortrigger_backend.adapters.artifact_file import GRAPH, Manifest, write_artifact
from tensortrigger_backend.adapters.blobs_local import LocalBlobs
from tensortrigger_backend.adapters.child_process import PlainChildLauncher
from tensortrigger_backend.adapters.engine_tensorflow import TensorFlowEngine
from tensortrigger_backend.adapters.engines import Engines
from tensortrigger_backend.adapters.forge_process import ForgeProcess
from tensortrigger_backend.adapters.parts_parquet import ParquetParts
from tensortrigger_backend.adapters.queue_memory import MemoryQueue
from tensortrigger_backend.adapters.row_formats import row_formats
from tensortrigger_backend.adapters.sql.content_store import SqlContentStore
from tensortrigger_backend.adapters.sql.database import Database
from tensortrigger_backend.adapters.sql.job_store import SqlJobStore
from tensortrigger_backend.adapters.sql.model_store import SqlModelStore
from tensortrigger_backend.domain.access import EVERYTHING, Principal
from tensortrigger_backend.domain.job_options import JobOptions
from tensortrigger_backend.domain.jobs import Job
from tensortrigger_backend.domain.models import ModelVersion, VersionState
from tensortrigger_backend.domain.publishing import ONNX, ForgeVerdict
from tensortrigger_backend.domain.schema import VectorSchema
from tensortrigger_backend.domain.tensors import Signature, TensorSpec
from tensortrigger_backend.ports.engines import Forge
from tensortrigger_backend.ports.jobs import JobStore
from tensortrigger_backend.ports.rows import CutSize
from tensortrigger_backend.ports.storage import BlobStore, Idempotency
from tensortrigger_backend.services.contents import Contents
from tensortrigger_backend.services.model_cache import ModelCache
from tensortrigger_backend.services.recovery import Recovery
from tensortrigger_backend.services.registry import Registry
from tensortrigger_backend.services.scorer import Scorer
from tensortrigger_backend.services.scoring import Scoring
from tensortrigger_backend.services.steps import Step, keep_going
from tensortrigger_backend.services.worker import Intake, Worker

# A machine that is busy with other things fails no property.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")

LEASE = 10.0
ANN = Principal("ann", EVERYTHING)


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def wait(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


def linear_model(target: Path, weights: npt.NDArray[Any], dtype: str = "float32") -> Signature:
    """Write the servable y = x · w, with x of shape (batch, inputs) and of ``dtype``, and y of float32."""
    inputs, outputs = weights.shape
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    graph = helper.make_graph(
        [
            helper.make_node("Cast", ["x"], ["real"], to=TensorProto.FLOAT),
            helper.make_node("MatMul", ["real", "w"], ["y"]),
        ],
        "linear",
        [helper.make_tensor_value_info("x", kind, ["batch", inputs])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", outputs])],
        [numpy_helper.from_array(weights.astype(np.float32), "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    signature = Signature(
        (TensorSpec("x", dtype, (-1, inputs)),), (TensorSpec("y", "float32", (-1, outputs)),)
    )
    write_artifact(target, Manifest(ONNX, signature), {GRAPH: model.SerializeToString()})
    return signature


@pytest.fixture
def write_linear() -> Callable[..., Signature]:
    return linear_model


@dataclass
class JobLine:
    """Stores, queue and services of one machine, none of them running by itself.

    Attributes:
        dead: names of workers that recovery is to take for dead.
        scored: rows that commits have added, as (scored, rejected).
    """

    clock: Clock
    root: Path
    database: Database
    jobs: SqlJobStore
    models: SqlModelStore
    blobs: LocalBlobs
    queue: MemoryQueue
    registry: Registry
    cache: ModelCache
    limits: CutSize
    dead: set[str] = field(default_factory=set)
    scored: list[tuple[int, int]] = field(default_factory=list)
    principal: Principal = ANN

    def publish(
        self,
        weights: npt.NDArray[Any],
        schema: dict[str, Any] | None = None,
        owner: str = "ann",
        dtype: str = "float32",
        write: Callable[[Path, npt.NDArray[Any], str], Signature] = linear_model,
    ) -> ModelVersion:
        """A ready version of the linear model, or of what ``write`` makes of the weights, as the forge leaves it."""
        model_id = f"m{len(list((self.root / 'made').glob('*')))}"
        artifact = self.root / "made" / model_id
        artifact.parent.mkdir(exist_ok=True)
        signature = write(artifact, weights, dtype)
        self.models.add(
            ModelVersion(
                model_id=model_id,
                owner=owner,
                name="linear",
                title="Linear",
                description="",
                state=VersionState.RECEIVED,
                source_key=f"models/{model_id}/source",
                source_sha256="0" * 64,
                size=1,
                created=self.clock(),
                schema=VectorSchema.parse(schema) if schema else None,
            )
        )
        self.blobs.put(f"models/{model_id}/source", b"what was uploaded")
        self.blobs.put(f"models/{model_id}/servable", artifact.read_bytes())
        verdict = ForgeVerdict(True, format="keras", signature=signature, engine=ONNX, max_deviation=0.0)
        return self.models.make_ready(
            model_id, verdict, f"models/{model_id}/servable", "1" * 64, self.clock()
        )

    def scoring(self) -> Scoring:
        return Scoring(
            self.registry,
            self.jobs,
            self.blobs,
            row_formats(),
            ParquetParts(),
            self.limits,
            self.clock,
            lambda: None,
        )

    def upload(
        self,
        version: ModelVersion,
        data: bytes,
        block: int = 1 << 16,
        idempotency: Idempotency | None = None,
        options: JobOptions | None = None,
    ) -> Job:
        """Have rows scored, of a CSV unless the options say otherwise, as the API does."""
        scoring = self.scoring()
        intake = scoring.intake(ANN, version.model_id, None, options, options and options.row_format)
        try:
            for at in range(0, len(data), block):
                intake.feed(data[at : at + block])
            intake.finish()
            return scoring.submit(intake, idempotency)[0]
        finally:
            intake.abort()

    def worker(
        self,
        name: str = "w1",
        jobs: JobStore | None = None,
        blobs: BlobStore | None = None,
        lease: float = LEASE,
        at: Callable[[Step], None] = keep_going,
        intake: Intake | None = None,
    ) -> Worker:
        return Worker(
            name,
            jobs or self.jobs,
            blobs or self.blobs,
            Scorer(self.models, blobs or self.blobs, self.cache, row_formats(), ParquetParts(), at),
            self.clock,
            lease,
            lambda scored, rejected: self.scored.append((scored, rejected)),
            intake,
            at,
        )

    def recovery(
        self,
        worker: Worker,
        at: Callable[[Step], None] = keep_going,
        jobs: Any = None,
        finish: Callable[[str], None] | None = None,
        tidy: Callable[[], object] = lambda: None,
    ) -> Recovery:
        return Recovery(
            jobs or self.jobs,
            self.queue,
            self.registry,
            lambda workers: [name for name in workers if name in self.dead],
            finish or worker.finish,
            self.clock,
            LEASE / 3,
            tidy=tidy,
            at=at,
        )

    def work(self, worker: Worker) -> int:
        """Let the worker do whatever the queue holds; how many messages that were."""
        count = 0
        while (delivery := self.queue.receive(0.0)) is not None:
            try:
                worker.handle(delivery.wake_up)
            except BaseException:
                # As a broker does with what a dead consumer had in hand.
                delivery.nack()
                raise
            delivery.ack()
            count += 1
        return count

    def run(self, worker: Worker | None = None) -> None:
        """Relay and work until nothing is left to do now."""
        worker = worker or self.worker()
        recovery = self.recovery(worker)
        recovery.relay()
        while self.work(worker):
            recovery.relay()

    def rows(self, job: Job) -> tuple[list[int], npt.NDArray[Any]]:
        """Scored rows of a job and their answers, in the order they are handed out."""
        parts = list(self.scoring().results(ANN, job.job_id))
        rows = [int(row) for part in parts for row in part.rows]
        answers = [part.outputs["y"] for part in parts]
        return rows, np.concatenate(answers) if answers else np.empty((0, 1), np.float32)

    def state(self, job: Job) -> Job:
        return self.jobs.get(job.job_id, job.owner)


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database file with all tables and nothing in them."""
    path = tmp_path_factory.mktemp("migrated") / "empty.db"
    database = Database(f"sqlite:///{path}")
    database.migrate()
    database.close()
    return path


@pytest.fixture
def database(migrated: Path, tmp_path: Path) -> Iterator[Database]:
    shutil.copy(migrated, tmp_path / "tt.db")
    database = Database(f"sqlite:///{tmp_path / 'tt.db'}")
    yield database
    database.close()


@pytest.fixture
def unstarted_forge(tmp_path: Path) -> Iterator[Forge]:
    """The real forge; its process starts with the first upload, and here none comes."""
    launcher = PlainChildLauncher()
    forge = ForgeProcess(launcher, tmp_path / "scratch", time_limit=60.0, idle_seconds=60.0)
    yield forge
    forge.close()
    launcher.close()


@pytest.fixture
def line(tmp_path: Path, clock: Clock, database: Database, unstarted_forge: Forge) -> Iterator[JobLine]:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    models, jobs, blobs = SqlModelStore(database), SqlJobStore(database), LocalBlobs(tmp_path, "here")
    launcher = PlainChildLauncher()
    engine = Engines(TensorFlowEngine(launcher, scratch, idle_seconds=60.0))
    executor = ThreadPoolExecutor(2)
    registry = Registry(
        models,
        blobs,
        Contents(SqlContentStore(database), blobs, clock),
        unstarted_forge,
        scratch,
        clock,
        lambda model_id: cache.forget(model_id),
        lambda owner, name: cache.forget_name(owner, name),
        "here",
        lambda processes: [name for name in processes if name != "here"],
    )
    cache = ModelCache(registry, blobs, engine, scratch, executor, clock, 4)
    queue = MemoryQueue()
    yield JobLine(
        clock,
        tmp_path,
        database,
        jobs,
        models,
        blobs,
        queue,
        registry,
        cache,
        CutSize(10, 1 << 20, 1 << 24),
    )
    queue.close()
    cache.close()
    executor.shutdown()
    engine.close()
    launcher.close()


@pytest.fixture
def version(line: JobLine) -> ModelVersion:
    """The model y = a + 10 b."""
    return line.publish(np.array([[1.0], [10.0]]), SCHEMA)


@pytest.fixture
def table() -> Callable[[npt.NDArray[Any], Sequence[str]], bytes]:
    """A CSV of a matrix under column names."""

    def write(values: npt.NDArray[Any], names: Sequence[str]) -> bytes:
        lines = [",".join(names), *(",".join(repr(float(value)) for value in row) for row in values)]
        return ("\n".join(lines) + "\n").encode()

    return write
