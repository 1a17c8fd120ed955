"""Score partitions: claim, renew, write a part, commit (docs/jobs.md). Any number of these may run anywhere."""

from __future__ import annotations

import threading
from collections.abc import Callable

import structlog

from tensortrigger_backend.domain.errors import InvalidInput, NotFound, TensorTriggerError
from tensortrigger_backend.domain.jobs import INTAKE, Claim, Cut, Part, WakeUp
from tensortrigger_backend.ports.jobs import JobStore
from tensortrigger_backend.ports.storage import BlobStore
from tensortrigger_backend.services.completion import Completion
from tensortrigger_backend.services.heartbeat import Heartbeat, LostClaim
from tensortrigger_backend.services.scorer import Scorer
from tensortrigger_backend.services.steps import Step, keep_going
from tensortrigger_backend.services.worker_thread import Handler as Handler
from tensortrigger_backend.services.worker_thread import WorkerThread as WorkerThread

log = structlog.get_logger(__name__)

Intake = Callable[[Claim, Heartbeat], Cut]


class Worker:
    """Works on one partition at a time; several threads may share one.

    Args:
        name: unique to this worker's process and start.
        scorer: does the work between claim and commit.
        lease: seconds for which a claim holds without being renewed.
        scored: told how many rows each commit added.
        intake: fetches and cuts the rows of a source; None where nothing comes from elsewhere.
        at: called at each step of the protocol.
        told: called after an intake was committed: its partitions need not wait for the next look at the outbox.
    """

    def __init__(
        self,
        name: str,
        jobs: JobStore,
        blobs: BlobStore,
        scorer: Scorer,
        clock: Callable[[], float],
        lease: float,
        scored: Callable[[int, int], None],
        intake: Intake | None = None,
        at: Callable[[Step], None] = keep_going,
        told: Callable[[], None] = lambda: None,
    ) -> None:
        self._name = name
        self._jobs = jobs
        self._blobs = blobs
        self._scorer = scorer
        self._clock = clock
        self._lease = lease
        self._scored = scored
        self._intake = intake
        self._at = at
        self._told = told
        self._completion = Completion(jobs, blobs, clock, at)
        self._lock = threading.Lock()
        self._in_hand: dict[tuple[str, int], tuple[Claim, Heartbeat]] = {}

    def handle(self, wake_up: WakeUp) -> None:
        """Do what the message is about, if there is still something to do. Safe to repeat."""
        claim = self._jobs.claim(wake_up, self._name, self._clock(), self._lease)
        if claim is None:
            return
        self._at(Step.CLAIMED)
        try:
            made = self._work(claim)
        except LostClaim:
            log.info("worker.lost_claim", job_id=claim.job_id, partition=claim.slice.number)
        except (InvalidInput, NotFound) as error:
            # The same bytes give the same fault each time: trying again would only hide it longer.
            self._jobs.give_up(claim, error.detail, final=True, now=self._clock())
        except TensorTriggerError as error:
            self._give_up(claim, error.detail)
        except Exception as error:
            # A partition must never stall the worker; the reason is kept with the partition.
            log.exception("worker.failed", job_id=claim.job_id, partition=claim.slice.number)
            self._give_up(claim, f"{type(error).__name__}: {error}")
        else:
            self._commit(claim, made)

    def finish(self, job_id: str) -> None:
        """Write the manifest and complete the job, if this was its last partition. Safe to repeat."""
        self._completion.finish(job_id)

    def stop(self) -> None:
        """Hand back what is in hand: it is claimed again at once elsewhere, and this attempt does not count."""
        with self._lock:
            in_hand = list(self._in_hand.values())
        for claim, heartbeat in in_hand:
            heartbeat.let_go()
            try:
                self._jobs.hand_back(claim, self._clock())
            except TensorTriggerError as error:
                # Then its lease runs out.
                log.warning("worker.not_handed_back", job_id=claim.job_id, reason=error.detail)

    def _work(self, claim: Claim) -> Part | Cut:
        key = (claim.job_id, claim.slice.number)
        with Heartbeat(self._jobs, claim, self._clock, self._lease) as heartbeat:
            with self._lock:
                self._in_hand[key] = (claim, heartbeat)
            try:
                if claim.slice.number != INTAKE:
                    return self._scorer.score(claim, heartbeat)
                if self._intake is not None:
                    return self._intake(claim, heartbeat)
                raise InvalidInput("This worker fetches no rows from elsewhere.")
            finally:
                with self._lock:
                    del self._in_hand[key]

    def _commit(self, claim: Claim, made: Part | Cut) -> None:
        # The lease was looked at for the last time: whoever comes too late from here on meets the fence only.
        self._at(Step.READY)
        if isinstance(made, Cut):
            committed = self._jobs.cut(claim, made, self._clock())
        else:
            committed = self._jobs.commit(claim, made, self._clock())
        self._at(Step.COMMITTED)
        if committed:
            if isinstance(made, Part):
                self._scored(made.rows_scored, made.rows_rejected)
            else:
                self._told()
            self.finish(claim.job_id)
            return
        log.info(
            "worker.commit_refused", job_id=claim.job_id, partition=claim.slice.number, fence=claim.fence
        )
        # Its keys hold the fence: nobody else's bytes are under them.
        self._blobs.delete(
            [made.upload_key]
            if isinstance(made, Cut)
            else [made.results_key, *([made.rejects_key] if made.rejects_key else [])]
        )

    def _give_up(self, claim: Claim, reason: str) -> None:
        self._jobs.give_up(claim, reason, final=False, now=self._clock(), wait=claim.retry_wait)
