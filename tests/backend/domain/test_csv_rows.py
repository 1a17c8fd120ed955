"""Is a CSV cut at record boundaries only, whatever it holds and however its blocks arrive?"""

from __future__ import annotations

import csv
import io
import itertools
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tensortrigger_backend.domain.csv_records import lone_return, record_ends, record_lines
from tensortrigger_backend.domain.csv_rows import BOM, MAX_RECORD, CsvSplitter
from tensortrigger_backend.domain.errors import InvalidInput
from tensortrigger_backend.domain.jobs import Slice
from tensortrigger_backend.domain.upload_columns import MAX_COLUMNS

FEEDS = ("\n", "\r\n")


@dataclass(frozen=True)
class Table:
    """A CSV file and what it holds.

    Attributes:
        header_end: bytes up to the end of the header's line.
        records: the fields of each data record.
        lines: the line of the file on which each record begins.
    """

    data: bytes
    columns: tuple[str, ...]
    header_end: int
    records: list[list[str]]
    lines: list[int]


def written(field: str, quoted: bool) -> str:
    if quoted or any(mark in field for mark in ',"\r\n'):
        return '"' + field.replace('"', '""') + '"'
    return field


FIELD = st.text(alphabet='ab1.,"\n\r ü😀', max_size=6)


@st.composite
def tables(draw: st.DrawFn) -> Table:
    width = draw(st.integers(1, 3))
    columns = tuple(f"{name}{place}" for place, name in enumerate(["a", "b,\n", 'c"'][:width]))
    text = "\ufeff" if draw(st.booleans()) else ""
    text += draw(st.sampled_from(["", "\n", "\r\n\n"]))
    text += ",".join(written(name, draw(st.booleans())) for name in columns) + draw(st.sampled_from(FEEDS))
    header_end = len(text.encode())
    records, lines = [], []
    count = draw(st.integers(0, 12))
    for number in range(count):
        text += "".join(draw(st.lists(st.sampled_from(FEEDS), max_size=2)))
        fields = [draw(FIELD) for _ in range(width)]
        record = ",".join(written(field, draw(st.booleans())) for field in fields)
        if not record.strip("\r\n"):
            # An empty line is no record: the only field of a record must be quoted to be empty.
            record, fields = '""', [""]
        records.append(fields)
        lines.append(text.count("\n") + 1)
        text += record
        if number < count - 1 or draw(st.booleans()):
            text += draw(st.sampled_from(FEEDS))
    return Table(text.encode(), columns, header_end, records, lines)


def split(splitter: CsvSplitter, blocks: Iterable[bytes]) -> list[Slice]:
    return list(slices_of(splitter, blocks))


def slices_of(splitter: CsvSplitter, blocks: Iterable[bytes]) -> Iterator[Slice]:
    for block in blocks:
        yield from splitter.feed(block)
    yield from splitter.finish()


def in_blocks(data: bytes, cuts: Sequence[int]) -> list[bytes]:
    places = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [data[start:end] for start, end in itertools.pairwise(places)]


def records_in(data: bytes) -> list[list[str]]:
    return [fields for fields in csv.reader(io.StringIO(data.decode(), newline=""), strict=True) if fields]


@settings(max_examples=200)
@given(
    tables(), st.lists(st.integers(0, 10_000), max_size=12), st.integers(1, 5), st.integers(1, 60), st.data()
)
def test_slices_hold_every_record_once_whole_and_in_order(
    table: Table, cuts: list[int], slice_rows: int, slice_bytes: int, data: st.DataObject
) -> None:
    splitter = CsvSplitter(table.columns, slice_rows, slice_bytes)
    slices = split(splitter, in_blocks(table.data, cuts))

    assert splitter.columns == table.columns
    assert splitter.rows == len(table.records)
    assert [slice_.number for slice_ in slices] == list(range(len(slices)))
    at, row = table.header_end, 0
    for slice_ in slices:
        raw = table.data[slice_.offset : slice_.offset + slice_.length]
        # Between two slices lie blank lines at most.
        assert slice_.offset >= at
        assert not table.data[at : slice_.offset].strip(b"\r\n")
        assert slice_.first_row == row
        assert 1 <= slice_.rows <= slice_rows
        assert slice_.first_line == table.data[: slice_.offset].count(b"\n") + 1
        assert records_in(raw) == table.records[row : row + slice_.rows]
        assert record_lines(raw, slice_.first_line).tolist() == table.lines[row : row + slice_.rows]
        at, row = slice_.offset + slice_.length, row + slice_.rows
    assert row == len(table.records)
    assert not table.data[at:].strip(b"\r\n")


@given(st.integers(1, 400), st.integers(1, 50), st.integers(1, 300), st.integers(1, 200))
def test_without_blank_lines_the_slices_joined_are_the_file_after_its_header(
    rows: int, slice_rows: int, slice_bytes: int, block: int
) -> None:
    body = b"".join(b'%d,"x\n""%d"\n' % (row, row) for row in range(rows))
    data = b"v,t\n" + body
    splitter = CsvSplitter(["v"], slice_rows, slice_bytes)
    slices = split(splitter, [data[at : at + block] for at in range(0, len(data), block)])
    assert b"".join(data[slice_.offset : slice_.offset + slice_.length] for slice_ in slices) == body
    # A slice ends with the record that fills it: no other is longer than its target by more than one record.
    assert all(slice_.length < slice_bytes + 20 for slice_ in slices)
    assert all(slice_.rows == slice_rows or slice_.length >= slice_bytes for slice_ in slices[:-1])


def slow_ends(data: bytes) -> list[int]:
    """Where records end, one byte after the other; a mark quotes only where a field begins."""
    ends: list[int] = []
    state = "start"
    for at, byte in enumerate(data):
        mark = chr(byte)
        if state == "quoted":
            state = "closing" if mark == '"' else state
        elif mark == '"' and state in ("start", "closing"):
            state = "quoted"
        elif mark == "\n":
            ends.append(at)
            state = "start"
        else:
            state = "start" if mark == "," else "plain"
    return ends


MARKS = st.sampled_from([b"a", b'"', b"\n", b"\r\n", b",", b'""', b'"\n"', b" "])


@settings(max_examples=300)
@given(st.lists(MARKS, max_size=30).map(b"".join))
def test_records_end_where_a_slow_reader_ends_them(data: bytes) -> None:
    feeds, ends = record_ends(data)
    assert feeds.tolist() == [at for at, byte in enumerate(data) if byte == 0x0A]
    assert ends.tolist() == slow_ends(data)


def test_a_file_of_nothing_but_its_header_has_no_slices() -> None:
    for data in (b"a,b", b"a,b\n", b"a,b\r\n\r\n\n", BOM + b"a,b\r\n"):
        splitter = CsvSplitter(["a", "b"])
        assert split(splitter, [data]) == []
        assert (splitter.columns, splitter.rows) == (("a", "b"), 0)


def test_columns_may_stand_in_any_order_among_others() -> None:
    splitter = CsvSplitter(["b", "a"])
    split(splitter, [b'x,a,"b",x\n1,2,3,4\n'])
    assert splitter.columns == ("x", "a", "b", "x")


def test_a_record_may_be_as_long_as_the_cap_and_no_longer() -> None:
    longest = b"v,t\n1," + b"x" * (MAX_RECORD - 2)
    assert split(CsvSplitter(["v"]), [longest + b"\n"])[0].rows == 1
    assert code_of(["v"], longest + b"xx\n") == "csv_record"


def code_of(required: Sequence[str], *blocks: bytes) -> str:
    with pytest.raises(InvalidInput) as caught:
        split(CsvSplitter(required), blocks)
    return caught.value.faults[0].code


def message_of(required: Sequence[str], *blocks: bytes) -> str:
    with pytest.raises(InvalidInput) as caught:
        split(CsvSplitter(required), blocks)
    return caught.value.faults[0].message


@pytest.mark.parametrize("data", [b"", b"\n\n", b"\r\n", BOM, BOM + b"\n"])
def test_an_empty_file_is_refused(data: bytes) -> None:
    assert code_of(["a"], data) == "csv_empty"


def test_a_nul_byte_is_refused_with_its_line() -> None:
    assert code_of(["a"], b"a\0\n1\n") == "csv_nul"
    assert "Line 3 " in message_of(["a"], b"a\n1\n2\0\n")
    assert "Line 3 " in message_of(["a"], b"a\n1\n", b"2", b"\0\n")


def test_an_endless_record_is_refused_before_its_end_comes() -> None:
    splitter = CsvSplitter(["a"])
    assert list(splitter.feed(b"a\n1\n")) == []
    blocks = [b"x" * (1 << 16)] * 100
    with pytest.raises(InvalidInput) as caught:
        split(splitter, blocks)
    assert caught.value.faults[0].code == "csv_record"
    assert splitter.rows == 1


def test_a_quoted_field_that_is_never_closed_is_refused() -> None:
    assert code_of(["a"], b'a\n1\n"2\n3\n') == "csv_quote"


def test_a_quoted_field_that_swallows_the_rest_of_a_large_file_is_refused_early() -> None:
    assert code_of(["a"], b'a\n1\n"2\n', *[b"3\n" * (1 << 17)] * 8) == "csv_record"


def test_a_missing_column_is_named_with_the_one_that_nearly_is_it() -> None:
    with pytest.raises(InvalidInput) as caught:
        split(CsvSplitter(["age", "mass", "size"]), [b"Age,size,x\n1,2,3\n"])
    assert [fault.loc[-1] for fault in caught.value.faults] == ["age", "mass"]
    assert {fault.code for fault in caught.value.faults} == {"csv_missing_column"}
    assert "'Age'" in caught.value.faults[0].message
    assert caught.value.faults[1].got == "Age, size, x"


def test_a_missing_column_that_is_to_be_kept_is_told_with_what_was_asked_for() -> None:
    with pytest.raises(InvalidInput) as caught:
        split(CsvSplitter(["a"], keep=["id", "note"]), [b"a,note\n1,2\n"])
    (fault,) = caught.value.faults
    assert (fault.loc, fault.expected, fault.got) == (("keep", "id"), "id, note", "a, note")


def test_a_duplicate_column_is_refused_only_where_it_is_needed() -> None:
    assert code_of(["a"], b"a,b,a\n1,2,3\n") == "csv_duplicate_column"
    assert split(CsvSplitter(["b"]), [b"a,b,a\n1,2,3\n"])[0].rows == 1


def test_a_thousand_missing_columns_are_told_in_part() -> None:
    with pytest.raises(InvalidInput) as caught:
        split(CsvSplitter([f"f{place}" for place in range(1000)]), [b"a\n1\n"])
    assert len(caught.value.faults) == 100


def test_a_header_over_the_cap_is_refused() -> None:
    assert code_of(["a"], b"a" * (MAX_RECORD + 1)) == "csv_header"
    assert code_of(["a"], *[b"a," * (1 << 16)] * 20) == "csv_header"
    columns = b",".join(b"c%d" % place for place in range(MAX_COLUMNS + 1))
    assert code_of(["c1"], columns + b"\n") == "csv_columns"


def test_a_header_that_is_not_utf_8_is_refused() -> None:
    assert code_of(["a"], "a,größe\n1,2\n".encode("latin-1")) == "csv_encoding"
    assert code_of(["a"], "a\n1\n".encode("utf-16")) in ("csv_nul", "csv_encoding")


@pytest.mark.parametrize("header", [b'"a"b,c\n', b'a,"b', b'"a\n'])
def test_a_header_that_is_no_record_is_refused(header: bytes) -> None:
    assert code_of(["c"], header) == "csv_header"


@pytest.mark.parametrize(
    ("body", "line"),
    [
        (b"1,2\r3,4\n", 2),
        (b"1,2\n3,\r4", 3),
        (b'"1\r",2\n3,4\r5,6\n', 3),
        (b"1,2\r\r\n", 2),
    ],
)
def test_a_carriage_return_that_stands_alone_is_refused_with_its_line(body: bytes, line: int) -> None:
    data = b"a,b\n" + body
    for block in (1, 3, 100):
        blocks = [data[at : at + block] for at in range(0, len(data), block)]
        assert code_of(["a"], *blocks) == "csv_carriage_return"
        assert f"On line {line} " in message_of(["a"], *blocks)


def test_a_carriage_return_inside_quotes_is_text() -> None:
    assert lone_return(b'"a\rb",1\r\n"\r\n",2\r\n') is None
    assert split(CsvSplitter(["v"]), [b't,v\r\n"a\rb",1\r\n'])[0].rows == 1


def test_old_line_ends_of_carriage_returns_alone_are_refused() -> None:
    assert code_of(["a"], b"a\r1\r2\r") == "csv_header"
    assert code_of(["a"], b"a\r1\r2\n3\n") == "csv_header"


def test_a_megabyte_of_blank_lines_before_the_header_is_refused_quickly() -> None:
    started = time.perf_counter()
    assert code_of(["a"], *[b"\n" * (1 << 16)] * 40) == "csv_header"
    assert time.perf_counter() - started < 2.0


def test_blank_lines_before_the_header_count_as_lines() -> None:
    (slice_,) = split(CsvSplitter(["a"]), [b"\n", b"\r\n", b"a\n", b"\n5\n"])
    assert (slice_.first_line, slice_.rows) == (4, 1)
    assert record_lines(b"\n5\n", slice_.first_line).tolist() == [5]
