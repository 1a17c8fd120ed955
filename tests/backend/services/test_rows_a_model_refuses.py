"""Of rows that keep every rule and that the model cannot take all the same: are they rejected, and they alone?"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import onnx
import pyarrow as pa
import pytest
from onnx import TensorProto, helper, numpy_helper

from tensortrigger_backend.adapters.artifact_file import GRAPH, Manifest, write_artifact
from tensortrigger_backend.adapters.parts_parquet import ParquetParts
from tensortrigger_backend.adapters.row_formats import row_formats
from tensortrigger_backend.domain.access import EVERYTHING, Principal
from tensortrigger_backend.domain.job_options import JobOptions, RowFormat
from tensortrigger_backend.domain.jobs import Job, JobState, WakeUp
from tensortrigger_backend.domain.models import ModelVersion
from tensortrigger_backend.domain.publishing import ONNX
from tensortrigger_backend.domain.tensors import Signature, TensorSpec
from tensortrigger_backend.ports.rows import CutSize
from tensortrigger_backend.services.heartbeat import Heartbeat
from tensortrigger_backend.services.scorer import BATCH_ROWS, Scorer

if TYPE_CHECKING:
    from tests.backend.services.conftest import JobLine

ANN = Principal("ann", EVERYTHING)
ENTRIES = 1000
TABLE = np.arange(ENTRIES, dtype=np.float32).reshape(ENTRIES, 1) * 2
SCHEMA = {"a": {"var_type": "INT", "index": 0, "min": 0}}


def embedding(target: Path, weights: npt.NDArray[Any], dtype: str) -> Signature:
    """Write the servable that looks up each row's number, which is of ``dtype``, in the table of weights."""
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    graph = helper.make_graph(
        [
            helper.make_node("Cast", ["x"], ["place"], to=TensorProto.INT64),
            helper.make_node("Gather", ["w", "place"], ["found"]),
            helper.make_node("Squeeze", ["found", "last"], ["y"]),
        ],
        "embedding",
        [helper.make_tensor_value_info("x", kind, ["batch", 1])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 1])],
        [numpy_helper.from_array(weights, "w"), numpy_helper.from_array(np.array([2]), "last")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    signature = Signature((TensorSpec("x", dtype, (-1, 1)),), (TensorSpec("y", "float32", (-1, 1)),))
    write_artifact(target, Manifest(ONNX, signature), {GRAPH: model.SerializeToString()})
    return signature


def unfolding(target: Path, weights: npt.NDArray[Any], dtype: str) -> Signature:
    """Write the servable that repeats each row's number more often than any machine has bytes for."""
    graph = helper.make_graph(
        [
            helper.make_node("Expand", ["x", "often"], ["wide"]),
            helper.make_node("ReduceMax", ["wide"], ["y"], axes=[1], keepdims=1),
        ],
        "unfolding",
        [helper.make_tensor_value_info("x", helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), ["batch", 1])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 1])],
        [numpy_helper.from_array(np.array([1, 1 << 45]), "often")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    signature = Signature((TensorSpec("x", dtype, (-1, 1)),), (TensorSpec("y", "float32", (-1, 1)),))
    write_artifact(target, Manifest(ONNX, signature), {GRAPH: model.SerializeToString()})
    return signature


@pytest.fixture
def version(line: JobLine) -> ModelVersion:
    line.limits = CutSize(20_000, 1 << 24, 1 << 24)
    return line.publish(TABLE, SCHEMA, write=embedding)


def as_csv(numbers: list[int]) -> bytes:
    return b"a,id\n" + b"".join(b"%d,n%d\n" % (number, row) for row, number in enumerate(numbers))


def as_ndjson(numbers: list[int]) -> bytes:
    return b"".join(
        json.dumps({"a": number, "id": f"n{row}" if row % 2 else row}).encode() + b"\n"
        for row, number in enumerate(numbers)
    )


def as_arrow(numbers: list[int]) -> bytes:
    sink = pa.BufferOutputStream()
    ids = pa.array([f"n{row}" for row in range(len(numbers))]).dictionary_encode()
    whole = pa.table({"a": numbers, "id": ids})
    with pa.ipc.new_stream(sink, whole.schema) as writer:
        writer.write_table(whole, max_chunksize=3000)
    return bytes(sink.getvalue())


def finished(line: JobLine, job: Job) -> Job:
    line.run()
    done = line.state(job)
    assert done.state is JobState.SUCCEEDED, done.error
    return done


@pytest.mark.parametrize(
    ("row_format", "write"),
    [(RowFormat.CSV, as_csv), (RowFormat.NDJSON, as_ndjson), (RowFormat.ARROW, as_arrow)],
    ids=["csv", "ndjson", "arrow"],
)
def test_only_the_rows_that_the_model_cannot_take_are_rejected_and_kept_columns_stay_with_theirs(
    line: JobLine, version: ModelVersion, row_format: RowFormat, write: Any
) -> None:
    refused, ruled_out = [0, 5000, 5001, 8999], 7
    numbers = [5000 if row in refused else -1 if row == ruled_out else row % ENTRIES for row in range(9000)]
    job = line.upload(version, write(numbers), options=JobOptions(row_format, keep=("id",)))
    done = finished(line, job)
    assert (done.rows_done, done.rows_rejected) == (9000, 5)
    good = [row for row in range(9000) if row not in (*refused, ruled_out)]
    rows, answers = line.rows(job)
    assert rows == good
    np.testing.assert_array_equal(answers[:, 0], [2 * (row % ENTRIES) for row in good])
    (part,) = line.scoring().results(ANN, job.job_id)
    assert part.kept["id"].values() == [
        row if row_format is RowFormat.NDJSON and row % 2 == 0 else f"n{row}" for row in good
    ]
    rejects = line.scoring().rejects(ANN, job.job_id, 50, None).items
    assert [(one.row, one.code) for one in rejects] == [
        (0, "model"),
        (7, "below_min"),
        (5000, "model"),
        (5001, "model"),
        (8999, "model"),
    ]
    one = rejects[0]
    assert "The model cannot take" in one.message
    assert (one.line, one.field, one.got) == (None, None, "[5000.0]")


def test_a_job_of_which_the_model_takes_no_row_has_as_many_rejects_as_rows(
    line: JobLine, version: ModelVersion
) -> None:
    job = line.upload(version, as_csv([5000] * 5000), options=JobOptions(keep=("id",)))
    done = finished(line, job)
    assert (done.rows_done, done.rows_rejected) == (5000, 5000)
    rejects = [one for some in line.scoring().all_rejects(ANN, job.job_id) for one in some]
    assert [one.row for one in rejects] == list(range(5000))
    assert line.rows(job)[0] == []


def test_however_many_rows_the_model_refuses_the_log_stays_short(
    line: JobLine, version: ModelVersion, capfd: pytest.CaptureFixture[str]
) -> None:
    finished(line, line.upload(version, as_csv([5000] * 2000)))
    assert len("".join(capfd.readouterr()).splitlines()) < 50


def test_rows_that_take_more_memory_than_there_is_are_not_rejected_as_if_they_were_wrong(
    line: JobLine,
) -> None:
    job = line.upload(line.publish(TABLE, SCHEMA, write=unfolding), as_csv([0, 1, 2]))
    worker = line.worker()
    for _ in range(8):
        line.recovery(worker).look_after()
        line.work(worker)
        line.clock.wait(31.0)
    failed = line.state(job)
    assert (failed.state, failed.rows_rejected) == (JobState.FAILED, 0)
    assert failed.error is not None
    assert "5 attempts: There is not enough memory for 3 rows" in failed.error


def test_rows_of_a_partition_in_work_are_told_as_they_are_scored_or_rejected(
    line: JobLine, version: ModelVersion
) -> None:
    told: list[int] = []

    class AtEachCheck(Heartbeat):
        """Renews the lease whenever it is looked at."""

        def check(self, rows_done: int | None = None) -> None:
            super().check(rows_done)
            self.verify()
            told.append(line.state(job).rows_in_work)

    job = line.upload(version, as_csv([-1] * 10 + [5] * (2 * BATCH_ROWS + 10)))
    claim = line.jobs.claim(WakeUp(job.job_id, 0), "w1", line.clock(), 60.0)
    assert claim is not None
    scorer = Scorer(line.models, line.blobs, line.cache, row_formats(), ParquetParts())
    part = scorer.score(claim, AtEachCheck(line.jobs, claim, line.clock, 60.0))
    assert told == [10, 10 + BATCH_ROWS, 10 + 2 * BATCH_ROWS]
    assert (part.rows_scored, part.rows_rejected) == (2 * BATCH_ROWS + 10, 10)
