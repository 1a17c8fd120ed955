"""A training is ordered once by whom it may be, and only its owner sees and ends it."""

from __future__ import annotations

from typing import Any

import pytest
from schools import School

from tensortrigger_backend.domain.access import EVERYTHING, Principal, Scope
from tensortrigger_backend.domain.errors import (
    Conflict,
    Forbidden,
    InvalidInput,
    NotFound,
    NotInstalled,
    Unavailable,
)
from tensortrigger_backend.domain.jobs import Job, JobKind, JobState, WakeUp
from tensortrigger_backend.domain.runs import Batch, RunState


def test_a_training_whose_run_was_not_told_of_its_end_is_set_right(school: School) -> None:
    job = school.order()
    school.line.jobs.cancel(job.job_id, "ann", school.line.clock())
    assert school.runs.find("ann", job.job_id).state is RunState.RUNNING
    school.recovery().look_after()
    assert school.runs.find("ann", job.job_id).state is RunState.CANCELLED


def test_an_order_whose_taker_died_before_its_run_was_there_is_worked_on(school: School) -> None:
    job = school.order()
    school.runs.record("ann", job.job_id, Batch(state=RunState.CANCELLED))
    school.runs.remove("ann", job.job_id)
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
