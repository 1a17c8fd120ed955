"""Does a CSV job give each row its own answer, once and in order, and say what it could not score?"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import pytest
from sqlalchemy import func, select

from tensortrigger_backend.adapters.sql.tables import metadata
from tensortrigger_backend.domain.access import Principal, Scope
from tensortrigger_backend.domain.errors import (
    Conflict,
    Forbidden,
    InvalidInput,
    InvalidJobState,
    NotFound,
    PayloadTooLarge,
    Unavailable,
)
from tensortrigger_backend.domain.job_options import JobOptions
from tensortrigger_backend.domain.jobs import JobState
from tensortrigger_backend.domain.models import ModelVersion
from tensortrigger_backend.ports.rows import CutSize
from tensortrigger_backend.ports.storage import Idempotency

if TYPE_CHECKING:
    from tests.backend.services.conftest import JobLine

Table = Callable[..., bytes]

WEIGHTS = np.array([[1.0, 10.0], [100.0, 1000.0], [0.25, -0.5]])
SCHEMA = {
    "c": {"var_type": "FLOAT", "index": 2},
    "a": {"var_type": "INT", "index": 0},
    "b": {"var_type": "FLOAT", "index": 1},
}
ANN = Principal("ann", frozenset(Scope))


@pytest.fixture
def version(line: JobLine) -> ModelVersion:
    return line.publish(WEIGHTS, SCHEMA)


def test_every_row_gets_its_own_answer_whatever_the_order_of_columns(
    line: JobLine, version: ModelVersion, table: Table
) -> None:
    x = np.random.default_rng(7).integers(-50, 50, (137, 3)).astype(float)
    shuffled = table(np.column_stack([x[:, 2], np.arange(137), x[:, 0], x[:, 1]]), ["c", "id", "a", "b"])
    job = line.upload(version, shuffled, block=97)
    assert (job.state, job.rows_total, job.partitions_total) == (JobState.QUEUED, 137, 14)
    line.run()
    done = line.state(job)
    assert (done.state, done.rows_done, done.rows_rejected, done.attempts) == (JobState.SUCCEEDED, 137, 0, 14)
    rows, answers = line.rows(job)
    assert rows == list(range(137))
    np.testing.assert_allclose(answers, x @ WEIGHTS, rtol=1e-6)
    assert sum(scored for scored, _ in line.scored) == 137


def test_rows_that_cannot_be_scored_are_told_and_do_not_fail_the_job(
    line: JobLine, version: ModelVersion
) -> None:
    body = [f"{row},{row},{row}" for row in range(35)]
    body[3], body[17], body[18], body[34] = "1.5,0,0", "1,,2", "1,2", "x,nan,3"
    job = line.upload(version, ("a,b,c\n" + "\n".join(body)).encode())
    line.run()
    done = line.state(job)
    assert (done.state, done.rows_done, done.rows_rejected) == (JobState.SUCCEEDED, 35, 4)
    rows, answers = line.rows(job)
    assert rows == [row for row in range(35) if row not in (3, 17, 18, 34)]
    np.testing.assert_allclose(answers, np.outer(rows, WEIGHTS.sum(axis=0)), rtol=1e-6)
    rejects = line.scoring().rejects(ANN, job.job_id, 50, None).items
    assert [(reject.row, reject.line, reject.field, reject.code) for reject in rejects] == [
        (3, 5, "a", "not_an_integer"),
        (17, 19, "b", "missing"),
        (18, 20, None, "column_count"),
        (34, 36, "a", "not_a_number"),
    ]


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
def test_pages_of_rejects_neither_skip_nor_repeat(line: JobLine, version: ModelVersion, limit: int) -> None:
    body = "".join("x,1,1\n" if row % 3 == 0 or 10 <= row < 20 else "1,1,1\n" for row in range(45))
    job = line.upload(version, b"a,b,c\n" + body.encode())
    line.run()
    seen: list[int] = []
    cursor = None
    while True:
        page = line.scoring().rejects(ANN, job.job_id, limit, cursor)
        seen += [reject.row for reject in page.items]
        cursor = page.next_cursor
        if cursor is None:
            break
    assert seen == [row for row in range(45) if row % 3 == 0 or 10 <= row < 20]
    for bad in ("", "x", "-1", "²", "9" * 30):
        with pytest.raises(InvalidInput, match="no cursor"):
            line.scoring().rejects(ANN, job.job_id, limit, bad)


def test_a_job_in_which_every_row_is_rejected_still_succeeds(line: JobLine, version: ModelVersion) -> None:
    job = line.upload(version, b"a,b,c\n" + b"x,1,1\n" * 25)
    line.run()
    done = line.state(job)
    assert (done.state, done.error, done.rows_rejected) == (JobState.SUCCEEDED, None, 25)
    assert line.rows(job)[0] == []
    for part in line.scoring().results(ANN, job.job_id):
        assert {name: column.shape for name, column in part.columns().items()} == {"y_0": (0,), "y_1": (0,)}


def test_a_csv_without_rows_succeeds_at_once(line: JobLine, version: ModelVersion) -> None:
    job = line.upload(version, b"a,b,c\n")
    assert job.state is JobState.SUCCEEDED
    assert list(line.scoring().results(ANN, job.job_id)) == []
    assert line.jobs.outbox(10) == []


def test_declared_outputs_name_the_columns_of_the_results(line: JobLine) -> None:
    outputs = {"high": {"var_type": "FLOAT", "index": 1}, "low": {"var_type": "FLOAT", "index": 0}}
    version = line.publish(WEIGHTS, {"input_schema": SCHEMA, "output_schema": outputs})
    job = line.upload(version, b"a,b,c\n1,0,0\n2,0,0\n")
    line.run()
    (part,) = line.scoring().results(ANN, job.job_id)
    assert {name: column.tolist() for name, column in part.columns().items()} == {
        "low": [1.0, 2.0],
        "high": [10.0, 20.0],
    }
    assert part.job.named_outputs


def test_an_inferred_schema_takes_columns_x0_and_on(line: JobLine) -> None:
    version = line.publish(np.array([[2.0], [3.0]]))
    job = line.upload(version, b"x1,x0\n1,10\n")
    line.run()
    assert line.rows(job)[1].tolist() == [[23.0]]


def test_numbers_that_a_whole_number_model_cannot_take_are_rejected_and_never_cut(line: JobLine) -> None:
    version = line.publish(np.array([[1.0]]), {"n": {"var_type": "FLOAT", "index": 0}}, dtype="int32")
    job = line.upload(version, b"n\n7\n1.5\n3000000000\n-2147483648\n")
    line.run()
    done = line.state(job)
    assert (done.state, done.error, done.rows_rejected) == (JobState.SUCCEEDED, None, 2)
    rows, answers = line.rows(job)
    assert (rows, answers.tolist()) == ([0, 3], [[7.0], [-2147483648.0]])
    rejects = line.scoring().rejects(ANN, job.job_id, 10, None).items
    assert [(reject.row, reject.line, reject.field, reject.code) for reject in rejects] == [
        (1, 3, "n", "not_an_integer"),
        (2, 4, "n", "out_of_range"),
    ]


def test_the_uploaded_bytes_come_back_as_they_were(line: JobLine, version: ModelVersion) -> None:
    data = b"\xef\xbb\xbfa,b,c\r\n1,2,3\r\n\r\n4,5,6"
    job = line.upload(version, data, block=3)
    with line.scoring().upload(ANN, job.job_id) as stream:
        assert stream.read() == data
    assert job.upload_size == len(data)


def everything_kept(line: JobLine) -> dict[str, int]:
    with line.database.read() as connection:
        kept = {
            name: connection.execute(select(func.count()).select_from(table)).scalar_one()
            for name, table in metadata.tables.items()
        }
    kept["blobs"] = len(
        [path for folder in ("blobs", "incoming") for path in (line.root / folder).rglob("*")]
    )
    return kept


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"a,b\n1,2\n", "csv_missing_column"),
        (b"a,b,c,c\n1,2,3,4\n", "csv_duplicate_column"),
        (b"a,b,c\n1,2,3\n4,\0,6\n", "csv_nul"),
        (b'a,b,c\n1,2,3\n"4,5,6\n', "csv_quote"),
        (b"", "csv_empty"),
    ],
)
def test_a_refused_upload_leaves_nothing_behind(
    line: JobLine, version: ModelVersion, data: bytes, code: str
) -> None:
    before = everything_kept(line)
    with pytest.raises(InvalidInput) as caught:
        line.upload(version, data, block=4)
    assert caught.value.faults[0].code == code
    assert everything_kept(line) == before


def test_an_upload_over_the_limit_leaves_nothing_behind(line: JobLine, version: ModelVersion) -> None:
    before = everything_kept(line)
    line.limits = CutSize(10, 1 << 20, 100)
    with pytest.raises(PayloadTooLarge, match="100 bytes"):
        line.upload(version, b"a,b,c\n" + b"1,2,3\n" * 16, block=7)
    assert everything_kept(line) == before


def test_an_upload_that_stops_half_way_leaves_nothing_behind(line: JobLine, version: ModelVersion) -> None:
    before = everything_kept(line)
    intake = line.scoring().intake(ANN, version.model_id, None)
    intake.feed(b"a,b,c\n" + b"1,2,3\n" * 500)
    intake.abort()
    assert everything_kept(line) == before


def test_the_same_upload_under_one_idempotency_key_is_one_job(line: JobLine, version: ModelVersion) -> None:
    key = Idempotency("key", "print")
    job = line.upload(version, b"a,b,c\n1,2,3\n", idempotency=key)
    before = everything_kept(line)
    assert line.upload(version, b"a,b,c\n1,2,3\n", idempotency=key).job_id == job.job_id
    with pytest.raises(Conflict):
        line.upload(version, b"a,b,c\n1,2,4\n", idempotency=key)
    assert everything_kept(line) == before


def test_results_are_there_once_the_job_has_succeeded(line: JobLine, version: ModelVersion) -> None:
    job = line.upload(version, b"a,b,c\n1,2,3\n")
    with pytest.raises(InvalidJobState, match=r"Invalid job state.*is queued"):
        line.scoring().results(ANN, job.job_id)
    line.scoring().cancel(ANN, job.job_id)
    with pytest.raises(InvalidJobState, match="was cancelled"):
        line.scoring().results(ANN, job.job_id)
    line.run()
    assert line.state(job).attempts == 0


def test_nobody_scores_or_sees_what_another_owns(line: JobLine, version: ModelVersion) -> None:
    bob = Principal("bob", frozenset(Scope))
    job = line.upload(version, b"a,b,c\n1,2,3\n")
    scoring = line.scoring()
    for ask in (
        lambda: scoring.intake(bob, version.model_id, None),
        lambda: scoring.find(bob, job.job_id),
        lambda: scoring.upload(bob, job.job_id),
        lambda: scoring.results(bob, job.job_id),
        lambda: scoring.rejects(bob, job.job_id, 10, None),
        lambda: scoring.cancel(bob, job.job_id),
        lambda: scoring.retry(bob, job.job_id),
    ):
        with pytest.raises(NotFound):
            ask()
    assert scoring.page(bob, 10, None).items == ()


def test_each_deed_needs_its_scope(line: JobLine, version: ModelVersion) -> None:
    job = line.upload(version, b"a,b,c\n1,2,3\n")
    scoring = line.scoring()
    reader, worker = Principal("ann", frozenset({Scope.READ})), Principal("ann", frozenset({Scope.JOBS}))
    assert scoring.find(reader, job.job_id) == job
    for ask in (
        lambda: scoring.intake(reader, version.model_id, None),
        lambda: scoring.cancel(reader, job.job_id),
        lambda: scoring.retry(reader, job.job_id),
        lambda: scoring.find(worker, job.job_id),
        lambda: scoring.results(worker, job.job_id),
        lambda: scoring.page(worker, 10, None),
    ):
        with pytest.raises(Forbidden):
            ask()


def test_a_model_that_takes_no_single_vector_scores_no_csv(line: JobLine) -> None:
    from dataclasses import replace

    from tensortrigger_backend.domain.tensors import Signature, TensorSpec
    from tensortrigger_backend.services.intake import wanted_of

    version = line.publish(np.array([[1.0]]))
    image = Signature((TensorSpec("x", "float32", (-1, 8, 8)),), (TensorSpec("y", "float32", (-1, 1)),))
    with pytest.raises(InvalidInput, match="take one vector"):
        wanted_of(replace(version, signature=image), JobOptions())


def test_a_removed_model_finishes_the_jobs_that_run_on_it(line: JobLine, version: ModelVersion) -> None:
    job = line.upload(version, b"a,b,c\n1,0,0\n")
    line.registry.remove(ANN, version.model_id)
    assert line.registry.purge() == 0
    with pytest.raises(NotFound):
        line.upload(version, b"a,b,c\n1,0,0\n")
    line.run()
    assert line.rows(job)[1].tolist() == [[1.0, 10.0]]
    assert line.registry.purge() == 1
    assert line.blobs.keys("models") == []
    # Its answers outlive it.
    assert line.rows(job)[1].tolist() == [[1.0, 10.0]]


def test_a_model_that_is_still_checked_is_unavailable_for_now(line: JobLine, version: ModelVersion) -> None:
    from dataclasses import replace

    from tensortrigger_backend.domain.models import VersionState

    line.models.add(replace(version, model_id="fresh", state=VersionState.RECEIVED))
    with pytest.raises(Unavailable, match="not ready yet"):
        line.upload(replace(version, model_id="fresh"), b"a,b,c\n1,0,0\n")


def test_a_cause_that_cannot_be_mended_fails_the_job_at_its_first_attempt(
    line: JobLine, version: ModelVersion
) -> None:
    job = line.upload(version, b"a,b,c\n1,2,3\n4,5,6\n")
    line.blobs.put(job.upload_key, b"a,b,c\n1,2,3 4,5,6\n")
    line.run()
    failed = line.state(job)
    assert (failed.state, failed.attempts) == (JobState.FAILED, 1)
    assert failed.error is not None
    assert failed.error.startswith("Partition 0 failed after 1 attempt:")
    assert "stand 1 records where 2 were counted" in failed.error


def test_a_servable_that_is_damaged_fails_the_job_after_five_attempts(
    line: JobLine, version: ModelVersion
) -> None:
    good = line.blobs.read(f"models/{version.model_id}/servable")
    line.blobs.put(f"models/{version.model_id}/servable", b"no zip")
    job = line.upload(version, b"a,b,c\n1,0,0\n")
    line.run()
    while not (failed := line.state(job)).state.final:
        line.clock.wait(60)
        line.recovery(line.worker()).look_after()
        line.run()
    assert (failed.state, failed.attempts) == (JobState.FAILED, 5)
    assert "publish the model again" in (failed.error or "")
    # Once the cause is mended, a retry takes the same job to its end.
    line.blobs.put(f"models/{version.model_id}/servable", good)
    line.scoring().retry(ANN, job.job_id)
    line.run()
    assert line.rows(job)[1].tolist() == [[1.0, 10.0]]


def test_many_slices_by_bytes_give_the_same_answers(
    line: JobLine, version: ModelVersion, table: Table
) -> None:
    x = np.random.default_rng(3).integers(-9, 9, (60, 3)).astype(float)
    line.limits = CutSize(1000, 40, 1 << 20)
    job = line.upload(version, table(x, ["a", "b", "c"]), block=11)
    assert job.partitions_total > 10
    line.run()
    np.testing.assert_allclose(line.rows(job)[1], x @ WEIGHTS, rtol=1e-6)
