"""What a trainer did is counted where it passes by."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tensortrigger_backend.bootstrap.counting import CountingJobStore, CountingTrainingStore
from tensortrigger_backend.domain.jobs import JobKind, WakeUp
from tensortrigger_backend.telemetry import Metrics

if TYPE_CHECKING:
    from schools import School


def test_a_training_counts_as_claimed_and_then_as_committed_or_late(school: School) -> None:
    metrics, line = Metrics(), school.line
    job = school.order()
    claim = CountingJobStore(line.database, metrics).claim(
        WakeUp(job.job_id, 0, JobKind.TRAIN), "w1", line.clock(), 10.0
    )
    assert claim is not None
    trainings = CountingTrainingStore(line.database, metrics)
    assert [trainings.complete(claim, {}, line.clock()) for _ in range(2)] == [True, False]
    told = metrics.exposed().decode()
    for outcome, count in {"claimed": 1, "committed": 1, "late": 1, "failed": 0, "handed_back": 0}.items():
        assert f'tensortrigger_partitions_total{{outcome="{outcome}"}} {count}.0' in told
