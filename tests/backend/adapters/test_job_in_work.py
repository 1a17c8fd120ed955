"""How far is a job while its partitions are in work, on every database?"""

from __future__ import annotations

from tensortrigger_backend.domain.jobs import Job, JobState, Slice, WakeUp
from tensortrigger_backend.ports.jobs import JobStore


def test_rows_in_work_and_their_speed_are_told_before_the_first_commit(jobs: JobStore) -> None:
    slices = [Slice(number, 0, 1, number * 10, 10, 1) for number in range(2)]
    jobs.add(Job("j1", "ann", "m1", JobState.QUEUED, "u", 1, ("a",), 20, 1.0, 1.0), slices)
    claims = [jobs.claim(WakeUp("j1", number), "w1", 10.0, 60.0) for number in range(2)]
    assert jobs.get("j1", "ann").rate is None
    for claim, rows in zip(claims, (4, 2), strict=True):
        assert claim is not None
        assert jobs.renew(claim, 12.0, 60.0, rows_done=rows)
    job = jobs.get("j1", "ann")
    assert (job.rows_done, job.rows_in_work, job.rate) == (0, 6, 3.0)
    progress = job.described()["progress"]
    assert (progress["rows_done"], progress["seconds_left"]) == (6, 4.7)
    (listed,) = jobs.page("ann", 10, None).items
    assert listed == job
