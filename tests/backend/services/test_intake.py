"""Does an upload reach storage as plain rows, however it was packed, and do its kept columns reach the results?"""

from __future__ import annotations

import gzip
import io
import json
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tensortrigger_backend.adapters.parts_parquet import ParquetParts
from tensortrigger_backend.adapters.row_formats import row_formats
from tensortrigger_backend.adapters.sources import ConfiguredSources
from tensortrigger_backend.domain.access import Principal, Scope
from tensortrigger_backend.domain.errors import InvalidInput, NotFound, PayloadTooLarge
from tensortrigger_backend.domain.job_options import JobOptions, RowFormat, Source
from tensortrigger_backend.domain.jobs import INTAKE, Job, JobState, WakeUp
from tensortrigger_backend.domain.models import ModelVersion
from tensortrigger_backend.domain.source_keys import checked_key
from tensortrigger_backend.domain.upload_gzip import Inflater
from tensortrigger_backend.domain.upload_text import ENCODINGS
from tensortrigger_backend.ports.rows import CutSize
from tensortrigger_backend.services.heartbeat import Heartbeat, LostClaim
from tensortrigger_backend.services.intake import feed_all
from tensortrigger_backend.services.remote_intake import RemoteIntake
from tensortrigger_backend.services.results import Span, column_names
from tensortrigger_backend.services.scorer import Scorer
from tensortrigger_backend.services.scoring import Scoring
from tensortrigger_backend.services.worker import Worker

if TYPE_CHECKING:
    from tests.backend.services.conftest import JobLine

ANN = Principal("ann", frozenset(Scope))
SCHEMA = {"a": {"var_type": "FLOAT", "index": 0}, "b": {"var_type": "FLOAT", "index": 1}}
CSV = b"id,a,b\r\n" + b"".join(b'"n\n%d",%d,%d\r\n' % (at, at, at + 1) for at in range(25))


@pytest.fixture
def version(line: JobLine) -> ModelVersion:
    return line.publish(np.array([[1.0], [10.0]]), SCHEMA)


def upload(
    line: JobLine,
    version: ModelVersion,
    data: bytes,
    block: int = 1 << 16,
    row_format: RowFormat | None = None,
    **options: Any,
) -> Job:
    scoring = line.scoring()
    intake = scoring.intake(ANN, version.model_id, None, JobOptions(**options), row_format)
    try:
        feed_all(intake, (data[at : at + block] for at in range(0, len(data), block)))
        return scoring.submit(intake)[0]
    finally:
        intake.abort()


def stored(line: JobLine, job: Job) -> bytes:
    with line.scoring().upload(ANN, job.job_id) as stream:
        return stream.read()


def table(line: JobLine, job: Job, span: Span | None = None) -> dict[str, list[Any]]:
    """Columns of the results by name."""
    columns: dict[str, list[Any]] = {name: [] for name in column_names(line.state(job))}
    for part in line.scoring().results(ANN, job.job_id, span):
        for name, column in part.table().items():
            columns[name] += column.tolist() if isinstance(column, np.ndarray) else column.values()
    return columns


@pytest.mark.parametrize("block", [1, 7, 1 << 16])
def test_gzip_is_known_by_its_first_bytes_and_stored_unpacked(
    line: JobLine, version: ModelVersion, block: int
) -> None:
    packed = gzip.compress(CSV[:60]) + gzip.compress(CSV[60:])
    job = upload(line, version, packed, block, keep=("id",))
    assert stored(line, job) == CSV
    assert (job.options.compression, job.rows_total, job.upload_size) == ("gzip", 25, len(CSV))
    line.run()
    columns = table(line, job)
    assert columns["id"] == [f"n\n{at}" for at in range(25)]
    assert columns["y"] == [at + 10.0 * (at + 1) for at in range(25)]


@pytest.mark.parametrize(
    "data",
    [b"\x1f\x8b\x08" + b"x" * 40, gzip.compress(CSV)[:-9], gzip.compress(CSV) + b"more"],
    ids=("no gzip", "cut off", "something behind it"),
)
def test_a_gzip_that_is_damaged_leaves_nothing_behind(
    line: JobLine, version: ModelVersion, data: bytes
) -> None:
    with pytest.raises(InvalidInput, match="gzip"):
        upload(line, version, data, 10)
    assert line.blobs.keys("jobs") == []


def test_what_was_told_to_be_packed_must_be(line: JobLine, version: ModelVersion) -> None:
    with pytest.raises(InvalidInput, match="no gzip"):
        upload(line, version, CSV, compression="gzip")


def test_a_bomb_is_defused_before_it_fills_memory_or_disk(line: JobLine, version: ModelVersion) -> None:
    line.limits = CutSize(10, 1 << 20, 1 << 22)
    pack = zlib.compressobj(9, zlib.DEFLATED, 31)
    bomb = (
        pack.compress(b"a,b\n")
        + b"".join(pack.compress(b"1,2\n" * (1 << 18)) for _ in range(64))
        + pack.flush()
    )
    assert len(bomb) < 1 << 20
    with pytest.raises(PayloadTooLarge, match="limit of 4194304 bytes"):
        upload(line, version, bomb)
    assert line.blobs.keys("jobs") == []
    inflater = Inflater(1 << 40)
    zeros = gzip.compress(bytes(1 << 24))
    taken = 0

    def inflate() -> None:
        nonlocal taken
        for _ in range(64):
            taken += sum(len(block) for block in inflater.feed(zeros))

    with pytest.raises(PayloadTooLarge, match="400 times its size"):
        inflate()
    assert taken <= (256 << 20)


@pytest.mark.parametrize("encoding", [name for name in ENCODINGS if name not in ("utf-8", "utf-8-sig")])
def test_text_of_every_encoding_is_stored_as_utf_8(
    line: JobLine, version: ModelVersion, encoding: str
) -> None:
    text = "id,a,b\n" + "".join(f"x{at},{at},1\n" for at in range(12))
    job = upload(line, version, text.encode(encoding), 7, encoding=encoding)
    assert stored(line, job) == text.encode()
    assert job.rows_total == 12


@pytest.mark.parametrize(
    ("encoding", "word"),
    [
        ("shift_jis", "東京"),
        ("utf-16", "Übung 😀"),
        ("iso8859-1", "Größe"),
        ("cp1251", "Москва"),
        ("big5", "臺北"),
    ],
)
def test_kept_text_survives_its_encoding(
    line: JobLine, version: ModelVersion, encoding: str, word: str
) -> None:
    text = "id,a,b\n" + f"{word},1,2\n" * 13
    job = upload(line, version, text.encode(encoding), 3, encoding=encoding, keep=("id",))
    line.run()
    assert table(line, job)["id"] == [word] * 13


@pytest.mark.parametrize("block", [1, 5, 1000])
def test_a_byte_that_is_no_text_is_named_by_its_line(
    line: JobLine, version: ModelVersion, block: int
) -> None:
    data = "a,b\n1,2\n3,4\n".encode("shift_jis") + b"5,\x81\x20\n7,8\n"
    with pytest.raises(InvalidInput, match="Line 4 is not shift_jis") as caught:
        upload(line, version, data, block, encoding="shift_jis")
    assert caught.value.faults[0].code == "encoding"
    assert line.blobs.keys("jobs") == []


@pytest.mark.parametrize("delimiter", ["\t", ";", "|", " ", "^"])
@settings(max_examples=15)
@given(
    texts=st.lists(st.text(alphabet='a ;|^\t,"\nü', max_size=6), min_size=1, max_size=12),
    block=st.integers(1, 50),
)
def test_any_delimiter_gives_the_same_rows(delimiter: str, texts: list[str], block: int) -> None:
    from tensortrigger_backend.domain.schema import VectorSchema
    from tensortrigger_backend.ports.rows import Wanted

    def written(mark: str) -> bytes:
        quoted = ['"' + text.replace('"', '""') + '"' for text in texts]
        rows = [f"{text}{mark}{at}{mark}2" for at, text in enumerate(quoted)]
        return "\n".join([f"id{mark}a{mark}b", *rows]).encode()

    parsed = VectorSchema.parse(SCHEMA)
    found = []
    for mark in (",", delimiter):
        data = written(mark)
        reader = row_formats()[RowFormat.CSV]
        wanted = Wanted(parsed, None, ("id",), mark)
        splitter = reader.splitter(wanted, CutSize(3, 1 << 20, 1 << 20), lambda: io.BytesIO())
        slices = [one for at in range(0, len(data), block) for one in splitter.feed(data[at : at + block])]
        slices += splitter.finish()
        rows: list[Any] = []
        for one in slices:

            class Part:
                def bytes(self, one: Any = one, data: Any = data) -> bytes:
                    return bytes(data[one.offset : one.offset + one.length])

                def open(self) -> Any:
                    raise AssertionError

            for batch in reader.read(Part(), splitter.columns, one, wanted):
                assert batch.rejects == ()
                rows += zip(batch.kept["id"].to_pylist(), batch.values.tolist(), strict=True)
        found.append(rows)
    assert found[0] == found[1]
    assert [text for text, _ in found[0]] == texts


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


def test_kept_text_that_is_no_utf_8_rejects_its_row(line: JobLine, version: ModelVersion) -> None:
    job = upload(line, version, b"id,a,b\nx,1,2\n\xff,1,2\nz,1,2\n", keep=("id",))
    line.run()
    assert table(line, job)["id"] == ["x", "z"]
    (reject,) = line.scoring().rejects(ANN, job.job_id, 10, None).items
    assert (reject.row, reject.line, reject.field, reject.code) == (1, 3, "id", "not_text")


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


@pytest.mark.parametrize("row_format", [RowFormat.CSV, RowFormat.NDJSON, RowFormat.PARQUET])
def test_an_upload_in_another_format_than_was_told_is_refused(
    line: JobLine, version: ModelVersion, row_format: RowFormat
) -> None:
    sink = io.BytesIO()
    whole = pa.table({"a": [1.0], "b": [2.0]})
    with pa.ipc.new_file(sink, whole.schema) as writer:
        writer.write_table(whole)
    with pytest.raises(InvalidInput, match="The upload is Arrow IPC, and was sent as"):
        upload(line, version, sink.getvalue(), 3, row_format)
    with pytest.raises(InvalidInput, match="The upload is no Parquet"):
        upload(line, version, CSV, 3, RowFormat.PARQUET)
    job = upload(line, version, sink.getvalue(), 3)
    assert (job.options.row_format, line.scoring().media_type(job)) == (
        "arrow",
        "application/vnd.apache.arrow.file",
    )
    assert line.blobs.keys("jobs") == [job.upload_key]


def test_a_parquet_file_that_is_refused_at_its_end_leaves_nothing_behind(
    line: JobLine, version: ModelVersion
) -> None:
    sink = io.BytesIO()
    pq.write_table(pa.table({"a": [1.0]}), sink)
    for data in (sink.getvalue(), b"PAR1" + b"\0" * 500 + b"PAR1", sink.getvalue()[:-6]):
        with pytest.raises(InvalidInput):
            upload(line, version, data, 50, RowFormat.PARQUET)
    assert line.blobs.keys("jobs") == []


# --- rows that lie elsewhere ---


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
