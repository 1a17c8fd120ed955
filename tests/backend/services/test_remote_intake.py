"""Do workers fetch the rows of a source, leave nothing behind, and stay inside it?"""

from __future__ import annotations

import gzip
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from intakes import ANN, CSV, stored, table

from tensortrigger_backend.adapters.parts_parquet import ParquetParts
from tensortrigger_backend.adapters.row_formats import row_formats
from tensortrigger_backend.adapters.sources import ConfiguredSources
from tensortrigger_backend.adapters.sql.content_store import SqlContentStore
from tensortrigger_backend.domain.errors import InvalidInput, NotFound
from tensortrigger_backend.domain.job_options import JobOptions, Source
from tensortrigger_backend.domain.jobs import INTAKE, Job, JobState, WakeUp
from tensortrigger_backend.domain.models import ModelVersion
from tensortrigger_backend.domain.source_keys import checked_key
from tensortrigger_backend.services.contents import Contents
from tensortrigger_backend.services.heartbeat import Heartbeat, LostClaim
from tensortrigger_backend.services.orphans import SWEEP_EVERY, Orphans
from tensortrigger_backend.services.remote_intake import RemoteIntake, waiting_key
from tensortrigger_backend.services.scorer import Scorer
from tensortrigger_backend.services.scoring import Scoring
from tensortrigger_backend.services.worker import Worker

if TYPE_CHECKING:
    from tests.backend.services.conftest import JobLine


DAY = 86_400.0


class Away:
    """A scoring service and a worker with sources."""

    def __init__(self, line: JobLine, folder: Path) -> None:
        self.line = line
        self.sources = ConfiguredSources({"lake": f"file://{folder}"}, _no_bucket)
        self.scoring = Scoring(
            line.registry,
            line.jobs,
            line.blobs,
            row_formats(),
            ParquetParts(),
            line.limits,
            line.clock,
            lambda: None,
            self.sources,
        )
        self.intake = RemoteIntake(line.models, line.blobs, row_formats(), self.sources, line.limits)
        self.worker = Worker(
            "w1",
            line.jobs,
            line.blobs,
            Scorer(line.models, line.blobs, line.cache, row_formats(), ParquetParts()),
            line.clock,
            10.0,
            lambda scored, rejected: line.scored.append((scored, rejected)),
            self.intake.cut,
        )

    def order(self, version: ModelVersion, key: str, name: str | None = "lake", **options: Any) -> Job:
        chosen = JobOptions(source=Source(name, key), **options)
        return self.scoring.fetch(ANN, version.model_id, None, chosen)[0]


def _no_bucket(url: str) -> Any:
    raise AssertionError(url)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "lake" / "sub").mkdir(parents=True)
    return tmp_path / "lake"


@pytest.fixture
def away(line: JobLine, folder: Path) -> Away:
    return Away(line, folder)


def test_a_file_of_a_source_is_fetched_unpacked_and_scored_by_workers(
    away: Away, line: JobLine, version: ModelVersion, folder: Path
) -> None:
    (folder / "sub" / "rows.csv.gz").write_bytes(gzip.compress(CSV))
    job = away.order(version, "sub/rows.csv.gz", keep=("id",))
    assert (job.state, job.rows_total) == (JobState.QUEUED, 0)
    with pytest.raises(NotFound, match="not fetched yet"):
        away.scoring.upload(ANN, job.job_id)
    line.run(away.worker)
    done = line.state(job)
    assert (done.state, done.rows_total, done.rows_done, done.columns) == (
        JobState.SUCCEEDED,
        25,
        25,
        ("id", "a", "b"),
    )
    assert table(line, done)["y"] == [at + 10.0 * (at + 1) for at in range(25)]
    # The job has its own copy: the source may change or go.
    (folder / "sub" / "rows.csv.gz").unlink()
    assert stored(line, done) == CSV


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"a,c\n1,2\n", "Column 'b' is missing"),
        (b"\x1f\x8b\x08damaged!!", "no gzip, or is damaged"),
        (None, "holds no file 'rows.csv'"),
        (b"a,b,c\n" + (b"1,2," + b"x" * 100_000 + b"\n") * 170, "over the limit of 16777216 bytes"),
    ],
)
def test_a_source_that_is_no_upload_for_the_model_fails_its_job_with_the_reason(
    away: Away, line: JobLine, version: ModelVersion, folder: Path, content: bytes | None, said: str
) -> None:
    if content is not None:
        (folder / "rows.csv").write_bytes(content)
    job = away.order(version, "rows.csv")
    line.run(away.worker)
    failed = line.state(job)
    assert (failed.state, failed.attempts) == (JobState.FAILED, 1)
    assert said in (failed.error or "")
    assert line.blobs.keys("jobs") == []


def test_a_link_that_leads_out_of_the_source_is_no_file_of_it(
    away: Away, line: JobLine, version: ModelVersion, folder: Path
) -> None:
    (folder.parent / "secret.csv").write_bytes(CSV)
    (folder / "rows.csv").symlink_to(folder.parent / "secret.csv")
    job = away.order(version, "rows.csv")
    line.run(away.worker)
    assert "holds no file" in (line.state(job).error or "")


def test_a_name_that_no_file_can_have_is_told_at_the_first_attempt(
    away: Away, line: JobLine, version: ModelVersion, folder: Path
) -> None:
    (folder / "ring").symlink_to(folder / "ring")
    for key in ("x" * 300, "sub/" + "y/" * 400 + "z", "ring"):
        job = away.order(version, key)
        line.run(away.worker)
        failed = line.state(job)
        assert (failed.state, failed.attempts) == (JobState.FAILED, 1)
        assert "holds no file" in (failed.error or "")


def test_a_source_that_is_not_configured_is_refused_at_once(away: Away, version: ModelVersion) -> None:
    with pytest.raises(NotFound, match="no source 'pond'"):
        away.order(version, "rows.csv", "pond")
    with pytest.raises(NotFound):
        away.order(version, "row-uploads/0000/0000", None)


def test_rows_uploaded_by_url_may_be_named_for_a_day_and_are_then_freed_from_under_no_job(
    away: Away, line: JobLine, version: ModelVersion
) -> None:
    line.clock.now = time.time()
    keys = [waiting_key(owner, "0" * 32) for owner in ("ann", "bob")]
    for key in keys:
        line.blobs.put(key, CSV)
    store = SqlContentStore(line.database)
    contents = Contents(store, line.blobs, line.clock)
    orphans = Orphans(contents, store, line.blobs, line.models, line.jobs, line.clock, line.clock)
    jobs = [away.order(version, keys[0], None)]
    line.clock.wait(DAY - SWEEP_EVERY)
    orphans.look_after()
    jobs.append(away.order(version, keys[0], None))
    line.run(away.worker)
    assert sorted(line.blobs.keys("row-uploads")) == sorted(keys)
    line.clock.wait(SWEEP_EVERY + 60)
    orphans.look_after()
    assert line.blobs.keys("row-uploads") == []
    with pytest.raises(NotFound, match="Nothing was uploaded"):
        away.order(version, keys[0], None)
    for job in jobs:
        assert line.state(job).state is JobState.SUCCEEDED
        assert stored(line, line.state(job)) == CSV


def test_what_a_dead_attempt_left_is_freed_by_the_next(
    away: Away, line: JobLine, version: ModelVersion, folder: Path
) -> None:
    (folder / "rows.csv").write_bytes(CSV)
    job = away.order(version, "rows.csv")
    line.blobs.put(f"jobs/{job.job_id}/upload-0", b"half of it")
    line.run(away.worker)
    assert line.state(job).state is JobState.SUCCEEDED
    (kept,) = [key for key in line.blobs.keys(f"jobs/{job.job_id}") if "/upload" in key]
    assert kept == line.state(job).upload_key


def test_an_attempt_that_slept_past_its_lease_frees_nothing_of_the_next(
    away: Away, line: JobLine, version: ModelVersion, folder: Path
) -> None:
    (folder / "rows.csv").write_bytes(CSV)
    job = away.order(version, "rows.csv")
    asleep = line.jobs.claim(WakeUp(job.job_id, INTAKE), "asleep", line.clock(), 10.0)
    assert asleep is not None
    line.clock.wait(11.0)
    line.recovery(away.worker).look_after()
    line.run(away.worker)
    assert line.state(job).state is JobState.SUCCEEDED
    with pytest.raises(LostClaim), Heartbeat(line.jobs, asleep, line.clock, 10.0) as heartbeat:
        away.intake.cut(asleep, heartbeat)
    assert stored(line, line.state(job)) == CSV
    assert [key for key in line.blobs.keys("jobs") if "/upload" in key] == [line.state(job).upload_key]


def test_what_was_fetched_for_a_job_that_was_cancelled_meanwhile_is_not_kept(
    away: Away, line: JobLine, version: ModelVersion, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "rows.csv").write_bytes(CSV)
    job = away.order(version, "rows.csv")
    cut = line.jobs.cut

    def cancel_before(*arguments: Any) -> bool:
        line.jobs.cancel(job.job_id, job.owner, line.clock())
        return cut(*arguments)

    monkeypatch.setattr(line.jobs, "cut", cancel_before)
    line.run(away.worker)
    assert line.state(job).state is JobState.CANCELLED
    assert line.blobs.keys(f"jobs/{job.job_id}") == []


@pytest.mark.parametrize(
    "key",
    [
        "",
        "/etc/passwd",
        "../x",
        "a/../../x",
        "a//b",
        "a/",
        "./a",
        "a\\b",
        "%2e%2e/x",
        "a%2f..%2fb",
        "a\0b",
        "x" * 1025,
        "%5cx",
    ],
)
def test_keys_that_may_lead_out_of_a_source_are_refused(key: str) -> None:
    with pytest.raises(InvalidInput, match="name a file below the source"):
        checked_key(key)


@pytest.mark.parametrize("key", ["rows.csv", "a/b c/ü.csv", "100%/x.csv", "a..b/c", "50%25.csv"])
def test_other_keys_are_taken_as_they_are(key: str) -> None:
    assert checked_key(key) == key
