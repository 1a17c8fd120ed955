"""Everything that trains on one machine, with a child and a forge that take no time.

The child is stood in for by one that learns nothing and tells everything, so that hundreds of deaths take seconds; the
real one is killed in ``tests/backend/api/test_training_faults.py``.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tensortrigger_backend.adapters.points_file import NpzPoints, read_points
from tensortrigger_backend.adapters.queue_memory import MemoryQueue
from tensortrigger_backend.adapters.sql.content_store import SqlContentStore
from tensortrigger_backend.adapters.sql.run_store import SqlRunStore
from tensortrigger_backend.adapters.sql.training_store import SqlTrainingStore
from tensortrigger_backend.domain.access import EVERYTHING, Principal
from tensortrigger_backend.domain.errors import InvalidInput, NotInstalled, Unavailable
from tensortrigger_backend.domain.jobs import MAX_ATTEMPTS, WAITS, Job, JobState
from tensortrigger_backend.domain.listing import VersionFilter
from tensortrigger_backend.domain.models import ModelVersion, VersionState
from tensortrigger_backend.domain.publishing import ONNX, ForgeVerdict
from tensortrigger_backend.domain.runs import Point, PointKind, RunState
from tensortrigger_backend.domain.training import TrainingFacts, TrainingPlan
from tensortrigger_backend.ports.storage import Idempotency
from tensortrigger_backend.ports.training import Saved, Told, Trained, TrainingEvent
from tensortrigger_backend.services.contents import Contents
from tensortrigger_backend.services.notices import Notices
from tensortrigger_backend.services.publishing import PublishLine
from tensortrigger_backend.services.recovery import Recovery
from tensortrigger_backend.services.registry import Registry
from tensortrigger_backend.services.runs import Runs
from tensortrigger_backend.services.trainer import TrainingWorker
from tensortrigger_backend.services.training import Training

if TYPE_CHECKING:
    from tests.backend.services.conftest import JobLine


ANN = Principal("ann", EVERYTHING)


LEASE = 10.0


EPOCHS = 4


STEPS = 3


CALLS = 40
"""At least as many calls as a training makes of stores and services."""


class Killed(BaseException):
    """The process died: nothing it would have done happens."""


class Interrupted:
    """Something whose calls can be watched; what the watcher raises ends the caller."""

    def __init__(self, inner: Any, before: Callable[[str], None]) -> None:
        self._inner = inner
        self._before = before

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._inner, name)
        if not callable(call) or name in ("renew", "get"):
            return call

        def passed(*arguments: Any, **named: Any) -> Any:
            self._before(name)
            return call(*arguments, **named)

        return passed


class LearningNothing:
    """A child that tells two points a step and an epoch, and can go on after each.

    Attributes:
        starts: the epoch after which each session began.
        at: called before each event with the epoch it belongs to.
    """

    def __init__(self, home: Path) -> None:
        self.home = home
        self.starts: list[int] = []
        self.at: Callable[[int, LearningNothing], None] = lambda epoch, _: None
        self.killed = threading.Event()
        self.installed = True
        self.wanted = False
        self.pid = 0
        self._start = 0

    def must_be_installed(self) -> None:
        if not self.installed:
            raise NotInstalled("There is no TensorFlow.")

    def facts(self, artifact: Path) -> TrainingFacts:
        return TrainingFacts(("linear",), 2)

    @contextlib.contextmanager
    def session(
        self,
        artifact: Path,
        points: Path,
        plan: TrainingPlan,
        checkpoint: Path | None,
        seconds: float,
        given_up: Callable[[], bool],
    ) -> Iterator[LearningNothing]:
        if given_up():
            raise Unavailable("Given up.")
        inputs, targets = read_points(points)
        assert (len(inputs[0]), len(targets[0])) == (STEPS, STEPS)
        self._start = int(checkpoint.read_text()) if checkpoint is not None else 0
        self.starts.append(self._start)
        self.killed.clear()
        yield self

    def events(self) -> Iterator[TrainingEvent]:
        for epoch in range(self._start + 1, EPOCHS + 1):
            self.at(epoch, self)
            if self.killed.is_set():
                raise Unavailable("The training was interrupted.")
            steps = range(STEPS * (epoch - 1) + 1, STEPS * epoch + 1)
            batches = [Point(0, PointKind.BATCH, step, epoch, 0.0, {"loss": 1 / step}) for step in steps]
            yield Told(tuple(batches))
            yield Told((Point(0, PointKind.EPOCH, steps[-1], epoch, 0.0, {"loss": 1 / steps[-1]}),))
            if epoch < EPOCHS:
                saved = self.home / "checkpoint"
                saved.write_text(str(epoch))
                yield Saved(epoch, steps[-1], saved)
        made = self.home / "made.keras"
        made.write_bytes(b"trained")
        yield Trained(made)

    def kill(self) -> None:
        self.killed.set()


class Anvil:
    """A forge that takes what it is given."""

    def __init__(self, signature: Any) -> None:
        self.signature = signature
        self.refusing = False

    def forge(self, source: Path, target: Path, order: Any, on_stage: Callable[[str], None]) -> ForgeVerdict:
        assert source.read_bytes() == b"trained"
        if self.refusing:
            return ForgeVerdict(False, InvalidInput.of(*_faults("too strange")).faults)
        target.write_bytes(b"servable")
        return ForgeVerdict(True, format="keras", signature=self.signature, engine=ONNX, max_deviation=0.0)

    def close(self) -> None:
        pass


def _faults(message: str) -> Any:
    from tensortrigger_backend.domain.errors import Fault

    return [Fault(("model_content",), "strange", message)]


class School:
    """Everything that trains on one machine, with a child and a forge that take no time."""

    def __init__(self, line: JobLine) -> None:
        self.line = line
        self.base = line.publish(np.array([[3.0]]), {"v": {"var_type": "FLOAT", "index": 0}})
        self.child = LearningNothing(line.root)
        self.anvil = Anvil(self.base.signature)
        self.runs = Runs(SqlRunStore(line.database), line.clock, Notices())
        self.registry = Registry(
            line.models,
            line.blobs,
            Contents(SqlContentStore(line.database), line.blobs, line.clock),
            self.anvil,
            line.root / "scratch",
            line.clock,
            lambda _: None,
            lambda owner, name: None,
            "here",
            lambda names: [],
        )
        self.publish_line = PublishLine(self.registry)
        self.publish_line.start()
        self.queue = MemoryQueue()
        self.working: TrainingWorker | None = None

    def training(self) -> Training:
        return Training(
            self.registry,
            self.line.jobs,
            self.runs,
            self.line.blobs,
            NpzPoints(),
            self.child,
            self.line.root / "scratch",
            self.line.clock,
            lambda: None,
            lambda job_id: self.working.interrupt(job_id) if self.working else None,
        )

    def order(self, principal: Principal = ANN, key: str | None = None, **options: Any) -> Job:
        body = {
            "epochs": EPOCHS,
            "batch_size": 1,
            "input_vectors": [[1], [2], [3]],
            "output_vectors": [1, 2, 3],
            **options,
        }
        idempotency = Idempotency(key, repr(options)) if key else None
        return self.training().submit(principal, self.base.model_id, None, body, idempotency)[0]

    def worker(self, name: str = "w1", before: Callable[[str], None] = lambda _: None) -> TrainingWorker:
        self.working = TrainingWorker(
            name,
            Interrupted(self.line.jobs, before),
            Interrupted(SqlTrainingStore(self.line.database), before),
            self.line.models,
            Interrupted(self.runs, before),
            Interrupted(self.line.blobs, before),
            Interrupted(self.registry, before),
            self.publish_line,
            self.child,
            self.line.root / "scratch",
            self.line.clock,
            LEASE,
            60.0,
            lambda: None,
        )
        return self.working

    def recovery(self) -> Recovery:
        return Recovery(
            self.line.jobs,
            self.line.queue,
            self.registry,
            lambda workers: [name for name in workers if name in self.line.dead],
            lambda job_id: None,
            self.line.clock,
            LEASE / 3,
            trainings=self.queue,
            settle=self.worker("sweeper").settle,
        )

    def work(self, worker: TrainingWorker) -> None:
        self.recovery().relay()
        self.working = worker
        while (delivery := self.queue.receive(0.0)) is not None:
            worker.handle(delivery.wake_up)
            delivery.ack()
            self.recovery().relay()

    def work_on(self, worker: TrainingWorker) -> None:
        """Work until what fails has failed for good, with all waiting between its attempts."""
        for _ in range(MAX_ATTEMPTS):
            self.recovery().look_after()
            self.work(worker)
            self.line.clock.wait(WAITS[-1] + 1)

    def made(self, job: Job) -> list[ModelVersion]:
        page = self.line.models.page("ann", VersionFilter(), 100, None)
        return [version for version in page.items if version.parent is not None]

    def everything_is_there_once(self, job: Job) -> None:
        done = self.line.state(job)
        assert (done.state, done.error) == (JobState.SUCCEEDED, None)
        (version,) = self.made(job)
        assert version.parent is not None
        assert (version.state, version.version, version.parent.job_id) == (VersionState.READY, 2, job.job_id)
        described = done.described()
        assert described["result"] == {"model_id": version.model_id, "name": "linear", "version": 2}
        assert (described["progress"]["epochs_done"], described["progress"]["step"]) == (
            EPOCHS,
            EPOCHS * STEPS,
        )
        self.told_once(job)
        assert self.line.blobs.keys(f"jobs/{job.job_id}") == []
        assert self.runs.find("ann", job.job_id).state is RunState.SUCCEEDED

    def told_once(self, job: Job) -> None:
        points = self.runs.points_after("ann", job.job_id, 0, 1000).points
        assert [point.step for point in points if point.kind is PointKind.BATCH] == [
            *range(1, EPOCHS * STEPS + 1)
        ]
        assert [point.epoch for point in points if point.kind is PointKind.EPOCH] == [*range(1, EPOCHS + 1)]
