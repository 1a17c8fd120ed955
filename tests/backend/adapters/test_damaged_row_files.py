"""Is a file that is damaged, or made to do harm, refused, and one that storage fails to give not blamed?"""

from __future__ import annotations

import errno
import io
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from row_files import CITY, FIELDS, LIMIT, WRITERS, Stored, cut, read, streamed

from tensortrigger_backend.adapters import parquet_pages
from tensortrigger_backend.adapters.row_formats import row_formats
from tensortrigger_backend.adapters.thrift_compact import CompactReader
from tensortrigger_backend.domain.arrow_messages import MARK
from tensortrigger_backend.domain.errors import InvalidInput
from tensortrigger_backend.domain.fields import Field
from tensortrigger_backend.domain.job_options import RowFormat
from tensortrigger_backend.domain.schema import VectorSchema
from tensortrigger_backend.ports.rows import Wanted

END = MARK + bytes(4)
"""What ends a stream."""


@pytest.mark.parametrize(
    "name", [name for name, (kind, _) in WRITERS.items() if kind in ("parquet", "arrow")]
)
def test_a_damaged_file_is_refused_and_never_crashes_the_reader(name: str) -> None:
    row_format, write = WRITERS[name]
    data = write([(at, at / 2, at, True, "Rome", f"note {at}") for at in range(30)])
    generator = np.random.default_rng(5)
    outcomes = set()
    for _ in range(150):
        broken = bytearray(data)
        for place in generator.integers(0, len(data), 3):
            broken[place] = generator.integers(0, 256)
        try:
            values, rejects, _ = read(row_format, bytes(broken))
            outcomes.add("read")
            assert len(values) + len(rejects) <= LIMIT
        except InvalidInput:
            outcomes.add("refused")
        except AssertionError:
            outcomes.add("other rows than counted")
    assert "refused" in outcomes
    whole = (
        len(data) - 20 if name == "parquet" else data.rindex(END) if "arrow file" in name else len(data) - 9
    )
    for end in range(0, whole, 97):
        if row_format is RowFormat.ARROW and data[end : end + 4] == END[:4]:
            continue  # between two messages a stream may end
        with pytest.raises(InvalidInput):
            read(row_format, data[:end])


@pytest.mark.parametrize("name", ["arrow file", "arrow file of polars"])
def test_an_arrow_file_that_ends_between_two_batches_is_told_to_be_cut_off(name: str) -> None:
    data = WRITERS[name][1]([(at, at / 2, at, True, "Rome", "note") for at in range(30)])
    with pytest.raises(InvalidInput, match="cut off"):
        read(RowFormat.ARROW, data[: data.rindex(END)])


def test_an_arrow_file_whose_schema_never_ends_is_refused_before_all_of_it_came() -> None:
    with pytest.raises(InvalidInput, match="a description without an end"):
        cut(RowFormat.ARROW, b"ARROW1\0\0" + bytes(17 << 20), 1 << 20)


def test_no_byte_of_the_description_of_a_parquet_file_ends_the_process_that_reads_it() -> None:
    # In a process of its own: Arrow would end this one.
    script = """
import io
import pyarrow as pa, pyarrow.parquet as pq
from tensortrigger_backend.adapters.row_formats import row_formats
from tensortrigger_backend.domain.errors import InvalidInput
from tensortrigger_backend.domain.fields import Field
from tensortrigger_backend.domain.job_options import RowFormat
from tensortrigger_backend.domain.schema import VectorSchema
from tensortrigger_backend.ports.rows import CutSize, Wanted

sink = io.BytesIO()
pq.write_table(pa.table({"a": ["1", None, "x"]}), sink, store_schema=False)
data = sink.getvalue()
footer = int.from_bytes(data[-8:-4], "little")
wanted = Wanted(VectorSchema((Field("a", "STRING", categories=(("x", 1.0),)),)))
outcomes = {"read": 0, "refused": 0}
for place in range(len(data) - 8 - footer, len(data) - 8):
    for flipped in (1, 4, 16, 255):
        broken = bytearray(data)
        broken[place] ^= flipped
        opened = lambda: io.BytesIO(broken)
        splitter = row_formats()[RowFormat.PARQUET].splitter(wanted, CutSize(9, 1 << 20, 1 << 26), opened)
        try:
            list(splitter.finish())
            outcomes["read"] += 1
        except InvalidInput:
            outcomes["refused"] += 1
assert all(outcomes.values()), outcomes
"""
    subprocess.run([sys.executable, "-c", script], check=True)


def test_a_place_outside_the_dictionary_of_a_parquet_file_is_refused() -> None:
    sink = io.BytesIO()
    pq.write_table(pa.table({"city": ["Rome", "Oslo"] * 4 + ["Oslo"] * 200}), sink, compression="none")
    data = sink.getvalue()
    refused = 0
    for place in range(4, len(data) - 8 - int.from_bytes(data[-8:-4], "little")):
        broken = bytearray(data)
        broken[place] ^= 0x7F
        try:
            values, _, _ = read(RowFormat.PARQUET, bytes(broken), wanted=CITY)
        except InvalidInput:
            refused += 1
        except AssertionError:
            continue  # other rows than the description tells
        else:
            assert {number for (number,) in values.values()} <= {1.0, 2.0}
    assert refused


def test_a_page_that_would_unpack_to_gigabytes_is_refused_by_name() -> None:
    sink = io.BytesIO()
    zeros = pa.table({"a": np.zeros(9 << 20)})
    pq.write_table(
        zeros,
        sink,
        compression="zstd",
        use_dictionary=False,
        data_page_size=1 << 30,
        max_rows_per_page=1 << 30,
        row_group_size=1 << 30,
    )
    with pytest.raises(InvalidInput, match="A page of column 'a' unpacks to 75497"):
        cut(RowFormat.PARQUET, sink.getvalue(), 1 << 20, Wanted(VectorSchema((Field("a"),))))


def test_a_parquet_file_that_describes_itself_at_too_great_length_is_told_so() -> None:
    sink = io.BytesIO()
    whole = pa.table({"a": [1.0]})
    with pq.ParquetWriter(sink, whole.schema) as writer:
        writer.write_table(whole)
        writer.add_key_value_metadata({"note": "x" * (17 << 20)})
    with pytest.raises(InvalidInput, match=r"footer of the file has 178\d+ bytes, 16777216 at most"):
        cut(RowFormat.PARQUET, sink.getvalue(), 1 << 20, Wanted(VectorSchema((Field("a"),))))


def test_the_descriptions_of_parquet_files_are_walked_over_one_after_the_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    walking: set[int] = set()
    beside: list[int] = []

    class Watched(CompactReader):
        def structs(self, kind: int) -> Iterator[int]:
            walking.add(threading.get_ident())
            time.sleep(0.001)
            beside.append(len(walking))
            yield from super().structs(kind)
            walking.discard(threading.get_ident())

    monkeypatch.setattr(parquet_pages, "CompactReader", Watched)
    sink = io.BytesIO()
    pq.write_table(pa.table({"a": np.arange(40.0)}), sink, row_group_size=2)
    wanted = Wanted(VectorSchema((Field("a"),)))
    with ThreadPoolExecutor(4) as pool:
        cuts = [pool.submit(cut, RowFormat.PARQUET, sink.getvalue(), 1 << 20, wanted) for _ in range(4)]
    assert all(len(one.result()[1]) == 10 for one in cuts)
    assert set(beside) == {1}


def as_delta(texts: list[str]) -> bytes:
    """A Parquet file of one column, in which a text that repeats the one before it takes no room."""
    sink = io.BytesIO()
    pq.write_table(
        pa.table({"city": texts}),
        sink,
        use_dictionary=False,
        column_encoding={"city": "DELTA_BYTE_ARRAY"},
        compression="none",
    )
    return sink.getvalue()


def test_texts_that_repeat_each_other_are_unfolded_a_few_at_a_time() -> None:
    data = as_delta(["x" * (1 << 20)] * 500)
    assert len(data) < 2 << 20
    splitter, (slice_,) = cut(RowFormat.PARQUET, data, 1 << 20, CITY, rows=500)
    before = pa.total_allocated_bytes()
    rejected = 0
    for batch in row_formats()[RowFormat.PARQUET].read(Stored(data, slice_), splitter.columns, slice_, CITY):
        rejected += len(batch.rejects)
        assert pa.total_allocated_bytes() - before < 192 << 20
    assert rejected == 500


def test_a_page_of_long_texts_that_repeat_each_other_is_refused_by_name() -> None:
    with pytest.raises(InvalidInput, match=r"A page of column 'city' unpacks to .* bytes, 4194304 at most"):
        cut(RowFormat.PARQUET, as_delta(["x" * (5 << 20)] * 9), 1 << 20, CITY)


def test_a_batch_that_would_unpack_to_gigabytes_is_refused() -> None:
    sink = io.BytesIO()
    zeros = pa.table({"a": np.zeros(17 << 20)})
    with pa.ipc.new_stream(sink, zeros.schema, options=pa.ipc.IpcWriteOptions(compression="zstd")) as writer:
        writer.write_table(zeros)
    with pytest.raises(InvalidInput, match="unpacks to 142606336 bytes"):
        read(RowFormat.ARROW, sink.getvalue(), wanted=Wanted(VectorSchema((Field("a"),))))


class Failing(io.BytesIO):
    """A stored file of which nothing can be read from some moment on."""

    error: Exception | None = None

    def read(self, size: int | None = -1, /) -> bytes:
        if self.error is not None:
            raise self.error
        return super().read(size)


@dataclass(frozen=True)
class FailingLater(Stored):
    """A stored upload that begins to fail once its first batch was read."""

    stream: Failing

    def open(self) -> BinaryIO:
        return self.stream


@pytest.mark.parametrize("error", [OSError(errno.EIO, "Input/output error"), MemoryError()], ids=repr)
@pytest.mark.parametrize("row_format", [RowFormat.PARQUET, RowFormat.ARROW])
def test_what_fails_for_a_moment_while_rows_are_read_is_no_fault_of_the_file(
    row_format: RowFormat, error: Exception
) -> None:
    whole = pa.table({"a": np.arange(40_000.0)})
    sink = io.BytesIO()
    if row_format is RowFormat.PARQUET:
        pq.write_table(whole, sink, row_group_size=20_000, compression="none", use_dictionary=False)
    data = sink.getvalue() or streamed(whole, 20_000)
    wanted = Wanted(VectorSchema((Field("a"),)))
    splitter, (slice_,) = cut(row_format, data, 1 << 20, wanted, rows=50_000)
    stored = FailingLater(data, slice_, Failing(data))
    batches = row_formats()[row_format].read(stored, splitter.columns, slice_, wanted)
    next(batches)
    stored.stream.error = error
    with pytest.raises(type(error)) as caught:
        list(batches)
    assert caught.value.args == error.args


def test_offsets_of_texts_that_point_outside_are_refused() -> None:
    whole = pa.table({"city": ["Rome"] * 8})
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, whole.schema) as writer:
        writer.write_table(whole)
    offsets = np.arange(0, 36, 4, np.int32)
    wrong = np.where(offsets == 8, 1 << 30, offsets).astype(np.int32)
    data = sink.getvalue().replace(offsets.tobytes(), wrong.tobytes())
    assert data != sink.getvalue()
    with pytest.raises(InvalidInput, match="damaged"):
        read(RowFormat.ARROW, data, wanted=Wanted(VectorSchema((FIELDS[3],))))
