"""Whoever dies whenever in a training: is there one version, and is every epoch told once?"""

from __future__ import annotations

import contextlib
from itertools import pairwise

import pytest
from schools import ANN, CALLS, LEASE, Killed, LearningNothing, School

from tensortrigger_backend.adapters.queue_memory import MemoryQueue
from tensortrigger_backend.domain.errors import InvalidInput, InvalidJobState, NotFound
from tensortrigger_backend.domain.jobs import MAX_ATTEMPTS, Job, JobKind, JobState, WakeUp
from tensortrigger_backend.domain.listing import VersionFilter
from tensortrigger_backend.domain.models import VersionState
from tensortrigger_backend.domain.runs import RunState
from tensortrigger_backend.services.trainer import TrainingWorker


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
    school.work_on(school.worker())
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


def test_a_training_that_keeps_failing_waits_longer_each_time(school: School) -> None:
    begun: list[float] = []

    def die(_: int, child: LearningNothing) -> None:
        begun.append(school.line.clock())
        child.kill()

    school.child.at = die
    job = school.order()
    worker = school.worker()
    while not school.line.state(job).state.final:
        school.recovery().look_after()
        school.work(worker)
        school.line.clock.wait(0.5)
    # Twice a second it is looked whether its time has come.
    assert [later - sooner for sooner, later in pairwise(begun)] == [0.0, 2.5, 10.5, 30.5]


def test_a_training_tried_again_while_its_failure_is_being_told_is_watched_to_its_end(school: School) -> None:
    def diverge(epoch: int, _: LearningNothing) -> None:
        if epoch == 2:
            raise InvalidInput("The loss became NaN in epoch 2.")

    def retry(name: str) -> None:
        if name == "withdraw":
            school.child.at = lambda epoch, _: None
            school.training().retry(ANN, job.job_id)

    school.child.at = diverge
    job = school.order()
    school.work(school.worker(before=retry))
    school.everything_is_there_once(job)


def test_a_training_tried_again_while_it_is_set_right_is_watched_to_its_end(school: School) -> None:
    job = school.order()
    claim = school.line.jobs.claim(WakeUp(job.job_id, 0, JobKind.TRAIN), "w1", school.line.clock(), LEASE)
    assert claim is not None
    # Its process dies before its run hears of it.
    school.line.jobs.give_up(claim, "cause", final=True, now=school.line.clock())

    def retry(name: str) -> None:
        if name == "withdraw":
            school.training().retry(ANN, job.job_id)

    school.worker("sweeper", retry).settle()
    assert school.runs.find("ann", job.job_id).state is RunState.RUNNING
    school.work(school.worker("w2"))
    school.everything_is_there_once(job)


def test_a_worker_quicker_than_who_has_its_training_tried_again_tells_every_point(school: School) -> None:
    job = school.order()
    school.child.at = lambda epoch, child: child.kill()
    school.work_on(school.worker())
    assert school.runs.find("ann", job.job_id).state is RunState.FAILED
    school.child.at = lambda epoch, _: None
    # As far as the retry has come: its job runs, and nobody has touched the run.
    school.line.jobs.retry(job.job_id, "ann", school.line.clock())
    school.work(school.worker())
    school.everything_is_there_once(job)


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
