"""Whatever workers, sweepers and owners do in whatever order: is each row counted once?"""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, multiple, rule

from tensortrigger_backend.adapters.sql.database import Database
from tensortrigger_backend.adapters.sql.job_store import SqlJobStore
from tensortrigger_backend.domain.errors import InvalidJobState
from tensortrigger_backend.domain.jobs import MAX_ATTEMPTS, Claim, Job, JobState, Part, Slice, WakeUp

LEASE = 10.0
ROWS = 7
MEMORY = Path("/dev/shm")
"""Where there is such a folder a commit need not wait for a disk."""


class JobHistory(RuleBasedStateMachine):
    """Several workers on one job, each of which may lose its lease and commit late."""

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
        self.ended: JobState | None = None
        self.rows_done = 0
        self.count = 0

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
            self.jobs.sweep(self.now, 60.0)
            if self.jobs.get("j", "ann").state is JobState.FAILED:
                self.jobs.retry("j", "ann", self.now)
            messages = self.jobs.outbox(1000)
            self.jobs.sent([number for number, _ in messages])
            for _, wake_up in messages:
                claim = self.jobs.claim(wake_up, "diligent", self.now, LEASE)
                if claim is not None:
                    assert self.jobs.commit(claim, Part("last", None, ROWS - 1, 1), self.now)
            self.jobs.finish("j", self.now)
        state = self.jobs.get("j", "ann").state
        assert state is (self.ended if self.ended is JobState.CANCELLED else JobState.SUCCEEDED)
        if state is JobState.SUCCEEDED:
            parts = {slice_.number: part for slice_, part in self.jobs.parts("j")}
            assert sorted(parts) == list(range(self.count))
            assert parts | self.committed == parts

    @initialize(count=st.integers(1, 2))
    def add(self, count: int) -> None:
        slices = [Slice(number, number, 1, ROWS * number, ROWS, 1) for number in range(count)]
        self.count = count
        self.jobs.add(Job("j", "ann", "m", JobState.QUEUED, "u", 1, ("a",), ROWS * count, 0.0, 0.0), slices)

    @rule(target=claims, number=st.integers(0, 1), worker=st.sampled_from(["w1", "w2", "w3"]))
    def claim(self, number: int, worker: str) -> object:
        claim = self.jobs.claim(WakeUp("j", number), worker, self.now, LEASE)
        if claim is None:
            return multiple()
        assert self.ended is None, "a job that has ended was claimed"
        assert number not in self.committed, "a committed partition was claimed"
        assert claim.fence > self.fences.get(number, 0), "a fence did not grow"
        assert claim.attempt <= MAX_ATTEMPTS
        self.fences[number] = claim.fence
        return claim

    @rule(target=claims, claim=claims, worker=st.sampled_from(["w1", "w2", "w3"]))
    def lapse(self, claim: Claim, worker: str) -> object:
        """A lease runs out and somebody else takes the partition, while its first worker lives on."""
        self.now += LEASE + 0.5
        return self.claim(claim.slice.number, worker)

    @rule(claim=claims)
    def renew(self, claim: Claim) -> None:
        if self.jobs.renew(claim, self.now, LEASE):
            assert self.may_hold(claim), "a lost claim was renewed"

    @rule(claim=claims)
    def commit(self, claim: Claim) -> None:
        number = claim.slice.number
        part = Part(f"{number}-{claim.fence}", None, ROWS - 1, 1)
        if self.jobs.commit(claim, part, self.now):
            assert self.may_hold(claim), "a lost claim was committed"
            self.committed[number] = part

    @rule(claim=consumes(claims), final=st.sampled_from([False, False, False, True]))
    def give_up(self, claim: Claim, final: bool) -> None:
        before = self.jobs.get("j", "ann").state
        self.jobs.give_up(claim, "cause", final, self.now)
        after = self.jobs.get("j", "ann").state
        if after is not before:
            assert after is JobState.FAILED
            assert self.may_hold(claim), "a lost claim failed its job"

    @rule(deed=st.sampled_from(["wait", "sweep", "tell all", "relay", "abandon"]))
    def tidy(self, deed: str) -> None:
        if deed == "wait":
            self.now += LEASE / 2
        elif deed == "relay":
            self.jobs.sent([number for number, _ in self.jobs.outbox(1000)])
        elif deed == "abandon":
            self.jobs.abandon(["w1"])
        else:
            self.jobs.sweep(self.now, 0.0 if deed == "tell all" else 60.0)

    @rule(deed=st.sampled_from(["finish", "finish", "retry", "cancel"]))
    def end(self, deed: str) -> None:
        if deed == "finish":
            if self.jobs.finish("j", self.now):
                assert self.ended is None, "a job that has ended has succeeded"
                assert len(self.committed) == self.count, "a job has succeeded with partitions to do"
        elif deed == "cancel":
            self.jobs.cancel("j", "ann", self.now)
        elif self.ended in (JobState.SUCCEEDED, JobState.CANCELLED):
            with pytest.raises(InvalidJobState):
                self.jobs.retry("j", "ann", self.now)
        else:
            assert not self.jobs.retry("j", "ann", self.now).state.final
            self.ended = None

    def may_hold(self, claim: Claim) -> bool:
        """Whether the claim is the newest of its partition, which is not done, in a job that runs."""
        number = claim.slice.number
        return self.ended is None and number not in self.committed and self.fences[number] == claim.fence

    @invariant()
    def what_was_committed_stays_and_nothing_else_counts(self) -> None:
        job = self.jobs.get("j", "ann")
        assert {slice_.number: part for slice_, part in self.jobs.parts("j")} == self.committed
        assert job.rows_done == ROWS * len(self.committed)
        assert job.rows_done >= self.rows_done, "progress went back"
        assert (job.rows_rejected, job.partitions_done) == (len(self.committed), len(self.committed))
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


JobHistory.TestCase.settings = settings(
    max_examples=30,
    stateful_step_count=30,
    deadline=None,
    # Thirty steps can be read as they are; shrinking them takes minutes of a database's time.
    phases=(Phase.reuse, Phase.generate),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
TestJobHistory = JobHistory.TestCase
