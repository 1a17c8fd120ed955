"""Whatever workers, sweepers and owners do in whatever order: is each row counted once?"""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    MultipleResults,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    rule,
)

from tensortrigger_backend.adapters.sql.database import Database
from tensortrigger_backend.adapters.sql.job_store import SqlJobStore
from tensortrigger_backend.domain.errors import InvalidJobState
from tensortrigger_backend.domain.jobs import (
    INTAKE,
    MAX_ATTEMPTS,
    Claim,
    Cut,
    Job,
    JobKind,
    JobState,
    Part,
    PartitionState,
    Slice,
    WakeUp,
)

LEASE = 10.0
ROWS = 7
MEMORY = Path("/dev/shm")
"""Where there is such a folder a commit need not wait for a disk."""


class JobHistory(RuleBasedStateMachine):
    """Several workers on one job, each of which may lose its lease and commit late.

    The job may begin with fetching its rows; then its partitions come of that.
    """

    claims: Bundle[Claim] = Bundle("claims")

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None)
        self.database = Database(f"sqlite:///{self.folder.name}/tt.db")
        self.database.migrate()
        self.jobs = SqlJobStore(self.database)
        self.now = 1000.0
        self.fences: dict[int, int] = {}
        self.committed: dict[int, Part] = {}
        self.failed: set[int] = set()
        self.ended: JobState | None = None
        self.rows_done = 0
        self.count = 0
        self.numbers: set[int] = set()

    def teardown(self) -> None:
        try:
            if self.count:
                self.bring_to_an_end()
        finally:
            self.database.close()
            self.folder.cleanup()

    def bring_to_an_end(self) -> None:
        """Whatever came before, one diligent worker, a sweeper and a retry complete every job not cancelled."""
        for _ in range(4):
            self.now += LEASE + 61.0
            self.jobs.sweep(self.now)
            self.jobs.tell_again(JobKind.SCORE, 0, self.now - 60.0, self.now)
            if self.jobs.get("j", "ann").state is JobState.FAILED:
                self.jobs.retry("j", "ann", self.now)
            messages: list[WakeUp] = []
            while self.jobs.relay(1000, messages.append):
                pass
            for wake_up in messages:
                claim = self.jobs.claim(wake_up, "diligent", self.now, LEASE)
                if claim is not None and claim.slice.number == INTAKE:
                    assert self.jobs.cut(claim, self.a_cut(), self.now)
                elif claim is not None:
                    assert self.jobs.commit(claim, Part("last", None, ROWS - 1, 1), self.now)
            self.jobs.finish("j", self.now)
        state = self.jobs.get("j", "ann").state
        assert state is (self.ended if self.ended is JobState.CANCELLED else JobState.SUCCEEDED)
        if state is JobState.SUCCEEDED:
            parts = {slice_.number: part for slice_, part in self.jobs.parts("j")}
            assert sorted(parts) == list(range(self.count))
            assert parts | self.scored() == parts

    def a_cut(self) -> Cut:
        return Cut(tuple(self.slices()), ("a",), "u", 2)

    def slices(self) -> list[Slice]:
        return [Slice(number, number, 1, ROWS * number, ROWS, 1) for number in range(self.count)]

    @initialize(count=st.integers(1, 3), elsewhere=st.booleans())
    def add(self, count: int, elsewhere: bool) -> None:
        self.count = count
        slices = [Slice(INTAKE, 0, 0, 0, 0, 1)] if elsewhere else self.slices()
        rows = 0 if elsewhere else ROWS * count
        self.numbers = {slice_.number for slice_ in slices}
        self.jobs.add(Job("j", "ann", "m", JobState.QUEUED, "u", 1, ("a",), rows, 0.0, 0.0), slices)

    @rule(target=claims, worker=st.sampled_from(["w1", "w2", "w3"]))
    def claim(self, worker: str) -> Claim | MultipleResults[Claim]:
        claim = self.jobs.claim(WakeUp("j", 0), worker, self.now, LEASE)
        if claim is None:
            return multiple()
        number = claim.slice.number
        assert self.ended is None, "a job that has ended was claimed"
        assert number in self.numbers - set(self.committed) - self.failed, (
            "what was claimed is not to be done"
        )
        assert claim.fence > self.fences.get(number, 0), "a fence did not grow"
        assert claim.attempt <= MAX_ATTEMPTS
        self.fences[number] = claim.fence
        return claim

    @rule(target=claims, worker=st.sampled_from(["w1", "w2", "w3"]))
    def lapse(self, worker: str) -> Claim | MultipleResults[Claim]:
        """All leases run out and somebody else takes a partition, while its first worker lives on."""
        self.now += LEASE + 0.5
        return self.claim(worker)

    @rule(claim=claims, rows=st.none() | st.integers(0, ROWS))
    def renew(self, claim: Claim, rows: int | None) -> None:
        if self.jobs.renew(claim, self.now, LEASE, rows):
            assert self.may_hold(claim), "a lost claim was renewed"

    @rule(claim=claims)
    def commit(self, claim: Claim) -> None:
        number = claim.slice.number
        if number == INTAKE:
            if self.jobs.cut(claim, self.a_cut(), self.now):
                assert self.may_hold(claim), "a lost claim has cut its rows"
                self.committed[number] = Part("", None, 0, 0)
                self.numbers |= set(range(self.count))
            return
        part = Part(f"{number}-{claim.fence}", None, ROWS - 1, 1)
        if self.jobs.commit(claim, part, self.now):
            assert self.may_hold(claim), "a lost claim was committed"
            self.committed[number] = part

    @rule(claim=consumes(claims))
    def hand_back(self, claim: Claim) -> None:
        before = self.jobs.get("j", "ann")
        self.jobs.hand_back(claim, self.now)
        assert self.jobs.get("j", "ann").state is before.state

    @rule(
        claim=consumes(claims), final=st.sampled_from([False, False, True]), wait=st.sampled_from([0.0, 7.0])
    )
    def give_up(self, claim: Claim, final: bool, wait: float) -> None:
        number = claim.slice.number
        held = self.may_hold(claim)
        self.jobs.give_up(claim, "cause", final, self.now, wait)
        state = next(one.state for one in self.jobs.partitions("j", -2, 10) if one.slice.number == number)
        if state is PartitionState.FAILED and number not in self.failed:
            assert held, "a lost claim failed its partition"

    @rule(deed=st.sampled_from(["wait", "sweep", "tell all", "relay", "abandon"]))
    def tidy(self, deed: str) -> None:
        if deed == "wait":
            self.now += LEASE / 2
        elif deed == "relay":
            self.jobs.relay(1000, lambda _: None)
        elif deed == "abandon":
            self.jobs.abandon(["w1"])
        elif deed == "tell all":
            self.jobs.tell_again(JobKind.SCORE, 0, self.now, self.now)
        else:
            self.jobs.sweep(self.now)

    @rule(deed=st.sampled_from(["finish", "finish", "retry", "retry", "cancel"]))
    def end(self, deed: str) -> None:
        if deed == "finish":
            if self.jobs.finish("j", self.now):
                assert self.ended is None, "a job that has ended has succeeded"
                assert set(self.committed) == self.numbers, "a job has succeeded with partitions to do"
        elif deed == "cancel":
            self.jobs.cancel("j", "ann", self.now)
        elif self.ended in (JobState.SUCCEEDED, JobState.CANCELLED):
            with pytest.raises(InvalidJobState):
                self.jobs.retry("j", "ann", self.now)
        else:
            assert not self.jobs.retry("j", "ann", self.now).state.final
            if self.ended is JobState.FAILED:
                self.ended = None
                self.failed = set()

    def scored(self) -> dict[int, Part]:
        """What was committed but for the cut."""
        return {number: part for number, part in self.committed.items() if number != INTAKE}

    def may_hold(self, claim: Claim) -> bool:
        """Whether the claim is the newest of its partition, which is to be done, in a job that runs."""
        number = claim.slice.number
        done = number in self.committed or number in self.failed
        return self.ended is None and not done and self.fences[number] == claim.fence

    @invariant()
    def what_was_committed_stays_and_nothing_else_counts(self) -> None:
        job = self.jobs.get("j", "ann")
        parts = {slice_.number: part for slice_, part in self.jobs.parts("j")}
        assert parts == self.scored()
        assert job.rows_done == ROWS * len(parts)
        assert job.rows_done >= self.rows_done, "progress went back"
        assert (job.rows_rejected, job.partitions_done) == (len(parts), len(self.committed))
        assert job.attempts == sum(self.fences.values())
        self.rows_done = job.rows_done
        if self.ended is not None:
            assert job.state is self.ended, "a final state has changed"
        if job.state is JobState.SUCCEEDED:
            assert job.partitions_done == job.partitions_total
        if job.state.final:
            self.ended = job.state
            assert job.finished is not None
        assert (job.state is JobState.FAILED) == (job.error is not None)

    @invariant()
    def the_sums_are_those_of_the_partitions(self) -> None:
        job = self.jobs.get("j", "ann")
        states = Counter(one.state for one in self.jobs.partitions("j", -2, 10))
        self.failed = {
            one.slice.number
            for one in self.jobs.partitions("j", -2, 10)
            if one.state is PartitionState.FAILED
        }
        assert job.partitions_total == sum(states.values()) == len(self.numbers)
        assert job.partitions_done == states[PartitionState.DONE]
        if job.state is JobState.CANCELLED:
            # Nobody counts any more what comes to rest after that.
            return
        assert job.partitions_failed == states[PartitionState.FAILED]
        in_work = states[PartitionState.QUEUED] + states[PartitionState.CLAIMED]
        assert self.jobs.waiting()[JobKind.SCORE] == (0 if job.state.final else in_work)
        if job.state is JobState.FAILED:
            assert in_work == 0, "a job has failed with partitions to do"
        elif in_work == 0:
            assert not states[PartitionState.FAILED], "a job that can only fail still runs"


JobHistory.TestCase.settings = settings(
    max_examples=30,
    stateful_step_count=30,
    deadline=None,
    # Thirty steps can be read as they are; shrinking them takes minutes of a database's time.
    phases=(Phase.reuse, Phase.generate),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
TestJobHistory = JobHistory.TestCase
