"""Whoever dies whenever in a training: is there one version, and is every epoch told once?

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
import pytest

from tensortrigger_backend.adapters.points_file import NpzPoints, read_points
from tensortrigger_backend.adapters.queue_memory import MemoryQueue
from tensortrigger_backend.adapters.sql.content_store import SqlContentStore
from tensortrigger_backend.adapters.sql.run_store import SqlRunStore
from tensortrigger_backend.adapters.sql.training_store import SqlTrainingStore
from tensortrigger_backend.domain.access import EVERYTHING, Principal, Scope
from tensortrigger_backend.domain.errors import (
    Conflict,
    Forbidden,
    InvalidInput,
    InvalidJobState,
    NotFound,
    NotInstalled,
    Unavailable,
)
from tensortrigger_backend.domain.jobs import MAX_ATTEMPTS, Job, JobKind, JobState, WakeUp
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


@pytest.fixture
def school(line: JobLine) -> Iterator[School]:
    school = School(line)
    yield school
    school.queue.close()
    school.publish_line.close()


def test_a_training_is_ordered_worked_on_and_published(school: School) -> None:
    job = school.order()
    assert (job.kind, job.state, job.model_name, job.model_version) == (
        JobKind.TRAIN,
        JobState.QUEUED,
        "linear",
        1,
    )
    assert school.runs.find("ann", job.job_id).state is RunState.RUNNING
    calls: list[str] = []
    school.work(school.worker(before=calls.append))
    school.everything_is_there_once(job)
    assert school.child.starts == [0]
    assert school.line.state(job).described()["training"]["resumed_at"] is None
    assert len(calls) <= CALLS, calls


@pytest.mark.parametrize("at", range(CALLS))
def test_a_process_may_die_before_any_call(school: School, at: int) -> None:
    job = school.order()
    left = [at]

    def die(name: str) -> None:
        if left[0] == 0:
            raise Killed(name)
        left[0] -= 1

    with contextlib.suppress(Killed):
        school.work(school.worker("w1", die))
    # The memory queue dies with its process; that the worker is dead is known from its lock.
    school.queue.close()
    school.queue = MemoryQueue()
    school.line.dead.add("w1")
    school.line.clock.wait(0.5)
    school.recovery().resume()
    school.work(school.worker("w2"))
    school.everything_is_there_once(job)
    # No epoch that had been saved was trained again.
    assert school.child.starts == sorted(school.child.starts)


def test_a_child_that_keeps_dying_fails_its_training_and_says_why(school: School) -> None:
    def die(epoch: int, child: LearningNothing) -> None:
        if epoch == 3:
            child.kill()

    school.child.at = die
    job = school.order()
    school.work(school.worker())
    failed = school.line.state(job)
    assert failed.state is JobState.FAILED
    assert failed.error == f"Training failed after {MAX_ATTEMPTS} attempts: The training was interrupted."
    # The first attempt came to its second checkpoint, from which attempts count anew.
    assert school.child.starts == [0, *[2] * (MAX_ATTEMPTS - 1)]
    run = school.runs.find("ann", job.job_id)
    assert (run.state, run.error) == (RunState.FAILED, failed.error)
    assert school.made(job) == []
    school.child.at = lambda epoch, _: None
    school.training().retry(ANN, job.job_id)
    assert school.runs.find("ann", job.job_id).state is RunState.RUNNING
    school.work(school.worker())
    school.everything_is_there_once(job)
    assert school.child.starts[-1] == 2
    assert school.line.state(job).described()["training"]["resumed_at"] == 2
    with pytest.raises(InvalidJobState):
        school.training().retry(ANN, _cancelled(school).job_id)


def _cancelled(school: School) -> Job:
    return school.training().cancel(ANN, school.order().job_id)


def test_a_training_that_cannot_work_fails_at_once(school: School) -> None:
    def diverge(epoch: int, _: LearningNothing) -> None:
        if epoch == 2:
            raise InvalidInput("The loss became NaN in epoch 2.")

    school.child.at = diverge
    job = school.order()
    school.work(school.worker())
    assert school.line.state(job).error == "Training failed after 1 attempt: The loss became NaN in epoch 2."
    assert school.runs.find("ann", job.job_id).state is RunState.FAILED


def test_a_model_that_the_forge_refuses_fails_its_training_and_leaves_no_version(school: School) -> None:
    school.anvil.refusing = True
    job = school.order()
    school.work(school.worker())
    assert school.line.state(job).state is JobState.FAILED
    assert "too strange" in (school.line.state(job).error or "")
    page = school.line.models.page("ann", VersionFilter(state=VersionState.REFUSED), 100, None)
    assert page.items == ()


@pytest.mark.parametrize("at", ["append", "advance", "adopt", "complete", "keep"])
def test_a_training_cancelled_at_any_moment_makes_no_version(school: School, at: str) -> None:
    job = school.order()

    def cancel(name: str) -> None:
        if name == at:
            school.training().cancel(ANN, job.job_id)

    school.work(school.worker(before=cancel))
    assert school.line.state(job).state is JobState.CANCELLED
    assert school.runs.find("ann", job.job_id).state is RunState.CANCELLED
    assert school.made(job) == []
    assert school.line.blobs.keys(f"jobs/{job.job_id}") == []


def test_a_server_that_stops_hands_its_training_back_and_no_attempt_is_lost(school: School) -> None:
    for times in range(MAX_ATTEMPTS + 2):
        stopped: list[TrainingWorker] = []

        def stop(epoch: int, child: LearningNothing, stopped: list[TrainingWorker] = stopped) -> None:
            stopped[0].stop()

        school.child.at = stop
        if times == 0:
            job = school.order()
        stopped.append(school.worker(f"w{times}"))
        school.recovery().relay()
        delivery = school.queue.receive(0.0)
        assert delivery is not None, times
        stopped[0].handle(delivery.wake_up)
        delivery.ack()
        assert not school.line.state(job).state.final
    school.child.at = lambda epoch, _: None
    school.work(school.worker("last"))
    school.everything_is_there_once(job)


def test_a_training_gives_its_turn_away_and_goes_on(school: School) -> None:
    school.child.wanted = True
    job = school.order()
    school.work(school.worker())
    school.everything_is_there_once(job)
    assert school.child.starts == [0, 1, 2, 3]
    assert school.line.state(job).described()["training"]["resumed_at"] is None


def test_a_worker_that_slept_past_its_lease_tells_nothing_more(school: School) -> None:
    job = school.order()
    slept: list[int] = []

    def sleep(epoch: int, _: LearningNothing) -> None:
        if epoch == 3 and not slept:
            slept.append(epoch)
            school.line.clock.wait(LEASE + 1)
            school.recovery().look_after()
            school.work(school.worker("w2"))

    school.child.at = sleep
    sleeper = school.worker("w1")
    sleeper.handle(WakeUp(job.job_id, 0, JobKind.TRAIN))
    done = school.line.state(job)
    assert done.state is JobState.SUCCEEDED
    assert len(school.made(job)) == 1
    school.told_once(job)


def test_a_training_whose_run_was_not_told_of_its_end_is_set_right(school: School) -> None:
    job = school.order()
    school.line.jobs.cancel(job.job_id, "ann", school.line.clock())
    assert school.runs.find("ann", job.job_id).state is RunState.RUNNING
    school.recovery().look_after()
    assert school.runs.find("ann", job.job_id).state is RunState.CANCELLED


def test_an_order_whose_taker_died_before_its_run_was_there_is_worked_on(school: School) -> None:
    job = school.order()
    school.runs.close("ann", job.job_id, RunState.CANCELLED)
    school.runs.remove("ann", job.job_id)
    school.work(school.worker())
    school.everything_is_there_once(job)


def test_a_deleted_run_stays_deleted_when_its_training_is_cancelled_again(school: School) -> None:
    job = _cancelled(school)
    school.runs.remove("ann", job.job_id)
    assert school.training().cancel(ANN, job.job_id).state is JobState.CANCELLED
    school.work(school.worker())
    school.recovery().look_after()
    with pytest.raises(NotFound):
        school.runs.find("ann", job.job_id)


def test_the_points_of_a_failed_training_stay_until_it_was_tried_again(school: School) -> None:
    def diverge(epoch: int, _: LearningNothing) -> None:
        if epoch == 2:
            raise InvalidInput("The loss became NaN in epoch 2.")

    school.child.at = diverge
    job = school.order()
    school.work(school.worker())
    folder = f"jobs/{job.job_id}"
    assert [key.partition("/checkpoints/")[0] for key in school.line.blobs.keys(folder)] == [
        folder,
        f"{folder}/points",
    ]
    school.child.at = lambda epoch, _: None
    school.training().retry(ANN, job.job_id)
    school.work(school.worker())
    school.everything_is_there_once(job)


def test_scoring_workers_get_no_trainings(school: School) -> None:
    job = school.order()
    school.recovery().relay()
    assert school.line.queue.depth() == 0
    delivery = school.queue.receive(0.0)
    assert delivery is not None
    assert delivery.wake_up == WakeUp(job.job_id, 0, JobKind.TRAIN)


def test_an_order_is_refused_where_it_may_not_or_cannot_be_done(school: School) -> None:
    with pytest.raises(Forbidden):
        school.order(Principal("ann", frozenset({Scope.PUBLISH, Scope.RUN})))
    with pytest.raises(Forbidden):
        school.order(Principal("ann", frozenset({Scope.JOBS})))
    with pytest.raises(NotFound):
        school.order(Principal("bob", EVERYTHING))
    with pytest.raises(InvalidInput):
        school.order(output_vectors=[1, 2])
    school.child.installed = False
    with pytest.raises(NotInstalled):
        school.order()
    assert school.line.blobs.keys("jobs") == []


def test_an_idempotency_key_orders_one_training(school: School) -> None:
    first = school.order(key="k")
    assert school.order(key="k").job_id == first.job_id
    assert len(school.line.blobs.keys("jobs")) == 1
    with pytest.raises(Conflict):
        school.order(key="k", epochs=2)


def test_an_order_whose_commit_was_not_answered_can_be_repeated_and_is_worked_on(school: School) -> None:
    jobs = school.line.jobs

    class AnswerLost:
        def __getattr__(self, name: str) -> Any:
            return getattr(jobs, name)

        def add(self, *arguments: Any) -> Job:
            jobs.add(*arguments)
            raise Unavailable("The database did not answer.")

    school.line.jobs = AnswerLost()  # type: ignore[assignment]
    with pytest.raises(Unavailable):
        school.order(key="k")
    school.line.jobs = jobs
    job = school.order(key="k")
    school.work(school.worker())
    school.everything_is_there_once(job)


def test_nobody_else_sees_or_ends_a_training(school: School) -> None:
    job = school.order()
    bob = Principal("bob", EVERYTHING)
    for act in (school.training().cancel, school.training().retry):
        with pytest.raises(NotFound):
            act(bob, job.job_id)
    assert school.line.state(job).state is JobState.QUEUED


def test_lists_of_jobs_tell_trainings_from_scorings(school: School) -> None:
    training = school.order()
    upload = school.line.upload(school.base, b"v\n1\n2\n")
    store = school.line.jobs
    for kind, wanted in ((JobKind.TRAIN, training), (JobKind.SCORE, upload)):
        assert [job.job_id for job in store.page("ann", 10, None, kind).items] == [wanted.job_id]
    assert store.page("ann", 10, None, None, JobState.FAILED).items == ()
