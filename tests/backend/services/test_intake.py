"""Does an upload reach storage as plain rows, however it was packed, and is what is no upload refused?"""

from __future__ import annotations

import gzip
import io
import zlib
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from intakes import CSV, SCHEMA, stored, table, upload

from tensortrigger_backend.adapters.row_formats import row_formats
from tensortrigger_backend.domain.errors import InvalidInput, PayloadTooLarge
from tensortrigger_backend.domain.job_options import RowFormat
from tensortrigger_backend.domain.models import ModelVersion
from tensortrigger_backend.domain.upload_gzip import Inflater
from tensortrigger_backend.domain.upload_text import ENCODINGS
from tensortrigger_backend.ports.rows import CutSize

if TYPE_CHECKING:
    from tests.backend.services.conftest import JobLine


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


@pytest.mark.parametrize("block", [1, 5, 1000])
@pytest.mark.parametrize("keep", [(), ("id",)])
def test_what_is_no_utf_8_is_refused_whether_or_not_its_column_is_read(
    line: JobLine, version: ModelVersion, block: int, keep: tuple[str, ...]
) -> None:
    data = "id,a,b\nü,1,2\nx,3,4\n".encode() + "Müller,5,6\n".encode("cp1252")
    with pytest.raises(InvalidInput, match=r"Line 4 is not UTF-8: .* \(fc.*encoding=cp1252") as caught:
        upload(line, version, data, block, keep=keep)
    assert caught.value.faults[0].code == "encoding"
    assert line.blobs.keys("jobs") == []


@pytest.mark.parametrize("rest", [b"", b"\n", b"1,2\n"], ids=("nothing", "a line's end", "ASCII"))
def test_a_character_of_utf_8_that_is_cut_off_is_refused(
    line: JobLine, version: ModelVersion, rest: bytes
) -> None:
    begun = b"a,b,id\n1,2,\xc3"
    with pytest.raises(InvalidInput, match="Line 2 is not UTF-8"):
        upload(line, version, begun + rest, len(begun))


@pytest.mark.parametrize("block", [1, 2, 3, 1000])
def test_utf_8_is_stored_byte_by_byte_as_it_came(line: JobLine, version: ModelVersion, block: int) -> None:
    data = "\ufeffid,a,b\r\nÜbung 😀,1,2\r\nplain,3,4\r\n".encode()
    job = upload(line, version, data, block, keep=("id",))
    assert stored(line, job) == data
    line.run()
    assert table(line, job)["id"] == ["Übung 😀", "plain"]


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
