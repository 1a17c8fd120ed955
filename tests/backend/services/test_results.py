"""Do kept columns reach the results, and are ranges and files of results what the whole is?"""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from intakes import ANN, CSV, table, upload

from tensortrigger_backend.domain.errors import InvalidInput
from tensortrigger_backend.domain.job_options import RowFormat
from tensortrigger_backend.domain.jobs import Job
from tensortrigger_backend.domain.models import ModelVersion
from tensortrigger_backend.services.results import Span

if TYPE_CHECKING:
    from tests.backend.services.conftest import JobLine


def test_kept_columns_give_way_to_outputs_of_the_same_name(line: JobLine, version: ModelVersion) -> None:
    job = upload(line, version, b"y,row,a,b,y_\n1,2,3,4,5\n", keep=("y", "row", "y_", "a"))
    line.run()
    assert table(line, job) == {"row": [0], "y_": ["1"], "row_": ["2"], "y__": ["5"], "a": ["3"], "y": [43.0]}


def test_a_kept_column_that_is_missing_or_there_twice_is_refused(
    line: JobLine, version: ModelVersion
) -> None:
    with pytest.raises(InvalidInput, match="Column 'Id', which is to be kept, is missing \\(there is 'id'"):
        upload(line, version, CSV, keep=("Id",))
    with pytest.raises(InvalidInput, match="Column 'c', which is to be kept, stands 2 times"):
        upload(line, version, b"a,b,c,c\n1,2,3,4\n", keep=("c",))


@pytest.mark.parametrize("first", [0, 3, 10, 24, 25, 99])
@pytest.mark.parametrize("count", [1, 7, 10, 100])
def test_a_range_is_what_the_whole_has_there_and_reads_no_other_part(
    line: JobLine, version: ModelVersion, first: int, count: int
) -> None:
    body = b"".join(b"n%d,%s,1\n" % (at, b"x" if at % 4 == 1 else b"%d" % at) for at in range(25))
    job = upload(line, version, b"id,a,b\n" + body, keep=("id",))
    line.run()
    whole = table(line, job)
    wanted = [at for at, row in enumerate(whole["row"]) if first <= row < first + count]
    for slice_, part in line.jobs.parts(job.job_id):
        if slice_.first_row >= first + count or slice_.first_row + slice_.rows <= first:
            line.blobs.delete([part.results_key])
    some = table(line, job, Span(first, first + count))
    assert some == {name: [column[at] for at in wanted] for name, column in whole.items()}
    parts = list(line.scoring().results(ANN, job.job_id, Span(first, first + count)))
    assert sum(part.count for part in parts) == len(range(first, min(first + count, 25)))


def as_parquet(line: JobLine, job: Job, span: Span | None = None) -> pa.Table:
    return pq.read_table(io.BytesIO(b"".join(line.scoring().results_file(ANN, job.job_id, span))))


def test_results_become_one_parquet_file_of_flat_typed_columns(line: JobLine, version: ModelVersion) -> None:
    job = upload(line, version, CSV, keep=("id",))
    line.run()
    file = as_parquet(line, job, Span(5, 22))
    assert [str(field.type) for field in file.schema] == ["int64", "string", "float"]
    assert file.to_pydict() == table(line, job, Span(5, 22))
    empty = upload(line, version, b"id,a,b\n", keep=("id",))
    assert as_parquet(line, empty).num_rows == 0


def test_members_that_change_their_type_find_one_that_all_have(line: JobLine, version: ModelVersion) -> None:
    kinds: list[list[Any]] = [[1, None], [1, 2.5], ["x", 1], [None, True], [{"d": 1}, None]]
    lines = []
    for at in range(40):
        members = {f"k{place}": kind[at // 20] for place, kind in enumerate(kinds)}
        lines.append(json.dumps({"a": at, "b": 1, **members}).encode())
    keep = tuple(f"k{place}" for place in range(len(kinds)))
    job = upload(line, version, b"\n".join(lines), row_format=RowFormat.NDJSON, keep=keep)
    line.run()
    file = as_parquet(line, job)
    assert [str(file.schema.field(name).type) for name in keep] == [
        "int64",
        "double",
        "string",
        "bool",
        "string",
    ]
    assert file["k2"].to_pylist() == ["x"] * 20 + ["1"] * 20
    assert file["k4"].to_pylist() == ['{"d": 1}'] * 20 + [None] * 20
    assert table(line, job)["k4"] == [{"d": 1}] * 20 + [None] * 20
