"""Does the quick reader of CSV slices read the very rows, and the very rejects, of a slow and simple one?"""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tensortrigger_backend.adapters.csv_arrow import ArrowCsvReader
from tensortrigger_backend.domain.csv_rows import CsvSplitter
from tensortrigger_backend.domain.errors import InvalidInput
from tensortrigger_backend.domain.fields import FLOAT32_MAX, Field
from tensortrigger_backend.domain.jobs import Slice
from tensortrigger_backend.domain.schema import VectorSchema
from tensortrigger_backend.ports.rows import RowBatch

SCHEMA = VectorSchema((Field("a"), Field("b", "INT")))
NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
NOT_FINITE = re.compile(r"[+-]?(nan|inf|infinity)", re.IGNORECASE)

Reference = tuple[list[tuple[int, list[float]]], list[tuple[int, int, str | None, str]]]


@pytest.fixture(params=["arrow"])
def reader(request: pytest.FixtureRequest) -> ArrowCsvReader:
    return ArrowCsvReader()


def fault_of(text: str, field: Field) -> str | None:
    text = text.strip(" \t\r\n\v\f")
    if not text:
        return "missing"
    if NOT_FINITE.fullmatch(text):
        return "not_finite"
    if not NUMBER.fullmatch(text):
        return "not_a_number"
    if abs(float(text)) > FLOAT32_MAX:
        return "out_of_range"
    if field.var_type == "INT" and float(text) != math.trunc(float(text)):
        return "not_an_integer"
    return None


def slowly(data: str, columns: Sequence[str], schema: VectorSchema, slice_: Slice) -> Reference:
    """Rows as (row, values) and rejects as (row, line, field, code), one record after the other."""
    rows, rejects = [], []
    number, line = slice_.first_row, slice_.first_line
    records = csv.reader(io.StringIO(data, newline=""), strict=True)
    for fields in records:
        begins, line = line, slice_.first_line + records.line_num
        if not fields:
            continue
        if len(fields) != len(columns):
            rejects.append((number, begins, None, "column_count"))
        else:
            texts = [fields[columns.index(field.name)] for field in schema.inputs]
            codes = [fault_of(text, field) for text, field in zip(texts, schema.inputs, strict=True)]
            bad = next((place for place, code in enumerate(codes) if code), None)
            if bad is None:
                rows.append((number, [float(text) for text in texts]))
            else:
                code = codes[bad]
                assert code is not None
                rejects.append((number, begins, schema.inputs[bad].name, code))
        number += 1
    return rows, rejects


def as_reference(batch: RowBatch) -> Reference:
    rows = [(int(row), values.tolist()) for row, values in zip(batch.rows, batch.values, strict=True)]
    return rows, [(reject.row, reject.line, reject.field, reject.code) for reject in batch.rejects]


def split_and_read(
    reader: ArrowCsvReader, data: bytes, schema: VectorSchema, slice_rows: int = 50
) -> Reference:
    splitter = CsvSplitter(schema.input_names, slice_rows)
    rows, rejects = [], []
    for slice_ in [*splitter.feed(data), *splitter.finish()]:
        raw = data[slice_.offset : slice_.offset + slice_.length]
        some = as_reference(reader.read(raw, splitter.columns, schema, slice_))
        rows += some[0]
        rejects += some[1]
    return rows, rejects


GOOD = st.one_of(
    st.integers(-(2**60), 2**60).map(str),
    st.floats(-1e38, 1e38).map(repr),
    st.sampled_from(
        [
            "0",
            "-0.0",
            "+1",
            "1.",
            ".5",
            "1e5",
            " 7 ",
            "\t2",
            "1E-400",
            "340282346638528859811704183484516925440",
        ]
    ),
)
BAD = st.one_of(
    st.sampled_from(
        [
            "",
            " ",
            "x",
            "nan",
            "-Inf",
            "infinity",
            "1e39",
            "-1e400",
            "1.5",
            "1,5",
            "0x10",
            "1_0",
            "--1",
            "1e",
            ".",
        ]
    ),
    st.sampled_from(
        ["NaN(1)", "٣", "1\u00a0", "é", "1\n", '1"', "true", "None", "1d5", "1f", "1 2", "e5", "+-1"]
    ),
)


@st.composite
def files(draw: st.DrawFn) -> str:
    """A file with columns b, t, a and sometimes too few or too many fields in a record."""
    feed = draw(st.sampled_from(["\n", "\r\n"]))
    value = draw(st.sampled_from([GOOD, st.one_of(GOOD, GOOD, GOOD, BAD)]))
    text = f"b,t,a{feed}"
    for _ in range(draw(st.integers(0, 10))):
        fields = [
            draw(value),
            draw(st.sampled_from(["", "text", 'say "x"', "two\nlines", "a,b"])),
            draw(value),
        ]
        if draw(st.integers(0, 12)) == 0:
            fields = fields[: draw(st.integers(1, 2))] if draw(st.booleans()) else [*fields, "more"]
        quoted = [
            '"' + field.replace('"', '""') + '"'
            if any(mark in field for mark in ',"\n')
            or (field == "" and len(fields) == 1)
            or draw(st.booleans())
            else field
            for field in fields
        ]
        text += ",".join(quoted) + feed + feed * draw(st.sampled_from([0, 0, 0, 1]))
    return text.removesuffix(feed) if draw(st.booleans()) else text


@settings(max_examples=200)
@given(text=files(), slice_rows=st.integers(1, 12))
def test_rows_and_rejects_are_those_of_a_slow_reference(text: str, slice_rows: int) -> None:
    data = text.encode()
    splitter = CsvSplitter(SCHEMA.input_names, slice_rows)
    for slice_ in [*splitter.feed(data), *splitter.finish()]:
        raw = data[slice_.offset : slice_.offset + slice_.length]
        batch = ArrowCsvReader().read(raw, splitter.columns, SCHEMA, slice_)
        assert as_reference(batch) == slowly(raw.decode(), splitter.columns, SCHEMA, slice_)
        assert batch.values.dtype == np.float64
        assert len(batch.rows) + len(batch.rejects) == slice_.rows


@settings(max_examples=200)
@given(text=files(), slice_rows=st.integers(1, 12), whole_numbers=st.booleans())
def test_a_model_of_32_bits_gets_the_same_rows_rounded_to_its_floats(
    text: str, slice_rows: int, whole_numbers: bool
) -> None:
    schema = SCHEMA if whole_numbers else VectorSchema((Field("a"), Field("b")))
    data = text.encode()
    splitter = CsvSplitter(schema.input_names, slice_rows)
    for slice_ in [*splitter.feed(data), *splitter.finish()]:
        raw = data[slice_.offset : slice_.offset + slice_.length]
        batch = ArrowCsvReader().read(raw, splitter.columns, schema, slice_, np.dtype("float32"))
        rows, rejects = slowly(raw.decode(), splitter.columns, schema, slice_)
        exact = np.array([values for _, values in rows], np.float64).reshape(-1, 2)
        np.testing.assert_array_equal(batch.values.astype(np.float32), exact.astype(np.float32))
        assert batch.rows.tolist() == [row for row, _ in rows]
        assert as_reference(batch)[1] == rejects


@pytest.mark.parametrize(
    ("text", "good"),
    [
        ("340282356779733642752421368009120415744.0", False),  # half a step above the largest 32-bit float
        ("340282356779733623858607532500980858880", True),  # the number of 64 bits below that
        ("-3.4028235677973366e38", False),
        ("1e-400", True),
        ("inf", False),
        ("nan", False),
    ],
)
def test_a_number_that_32_bits_cannot_hold_is_rejected_and_the_largest_that_they_can_is_not(
    reader: ArrowCsvReader, text: str, good: bool
) -> None:
    schema = VectorSchema((Field("a"), Field("b")))
    data = f"1,2\n{text},4\n".encode()
    batch = reader.read(data, ["a", "b"], schema, whole(data, 2), np.dtype("float32"))
    assert batch.rows.tolist() == ([100, 101] if good else [100])
    assert np.isfinite(batch.values).all()


def test_records_longer_than_a_block_and_slices_of_many_blocks_are_read_whole(reader: ArrowCsvReader) -> None:
    schema = VectorSchema((Field("a"), Field("b")))
    rows = [(row / 7, -row / 3) for row in range(60_000)]
    long_text = "x" * 700_000
    data = "".join(f"{a},{'short' if row else long_text},{b}\n" for row, (a, b) in enumerate(rows)).encode()
    batch = reader.read(data, ["a", "t", "b"], schema, whole(data, len(rows)), np.dtype("float32"))
    np.testing.assert_array_equal(batch.values, np.array(rows, np.float32))
    assert batch.rejects == ()


def whole(data: bytes, rows: int) -> Slice:
    return Slice(0, 0, len(data), 100, rows, 5)


def test_columns_are_matched_by_name_whatever_their_order(reader: ArrowCsvReader) -> None:
    data = b"1,2\n3,4\n"
    assert reader.read(data, ["a", "b"], SCHEMA, whole(data, 2)).values.tolist() == [[1, 2], [3, 4]]
    assert reader.read(data, ["b", "a"], SCHEMA, whole(data, 2)).values.tolist() == [[2, 1], [4, 3]]


def test_a_reject_says_line_field_value_and_how_many_more(reader: ArrowCsvReader) -> None:
    data = b"1,2\nlots,1.5\n"
    (reject,) = reader.read(data, ["a", "b"], SCHEMA, whole(data, 2)).rejects
    assert (reject.row, reject.line, reject.field) == (101, 6, "a")
    assert reject.message == "Line 6: field 'a' 'lots' is not a number (and 1 more of this row)."


def test_a_slice_in_which_every_row_is_bad_has_no_values(reader: ArrowCsvReader) -> None:
    for data in (b"x,1\n,2\n", b"1\n1,2,3\n"):
        batch = reader.read(data, ["a", "b"], SCHEMA, whole(data, 2))
        assert batch.values.shape == (0, 2)
        assert [reject.row for reject in batch.rejects] == [100, 101]


def test_bytes_that_are_no_utf_8_reject_the_row_only_where_a_number_is_due(reader: ArrowCsvReader) -> None:
    data = b"1,\xff\xfe,2\n3,ok,\xff\n"
    batch = reader.read(data, ["a", "t", "b"], SCHEMA, whole(data, 2))
    assert batch.rows.tolist() == [100]
    assert [(reject.field, reject.code) for reject in batch.rejects] == [("b", "not_a_number")]


@pytest.mark.parametrize(
    "body",
    [
        b'5",1\nx",2\n',
        b'x","1\ny"1"z,2\nt,3\n',
        b'say "a\nb",1\n"c",2\n',
    ],
)
def test_a_quotation_mark_inside_an_unquoted_field_never_joins_or_splits_rows(
    reader: ArrowCsvReader, body: bytes
) -> None:
    schema = VectorSchema((Field("v"),))
    records = list(csv.reader(io.StringIO(body.decode(), newline="")))
    scored, rejects = split_and_read(reader, b"t,v\n" + body, schema, 1)
    fitting = [(row, [float(fields[1])]) for row, fields in enumerate(records) if len(fields) == 2]
    assert scored == fitting
    assert len(rejects) == len(records) - len(fitting)


def test_a_harmless_quotation_mark_is_text(reader: ArrowCsvReader) -> None:
    data = b'5" by 6", "x" ,1\n"6"" pipe",y,2\n'
    schema = VectorSchema((Field("v"),))
    assert reader.read(data, ["t", "u", "v"], schema, whole(data, 2)).values.tolist() == [[1], [2]]


MARKS = st.sampled_from(["x", '"', "\n", ",1\n", ",2\n", "1", ",", 'y"', '"z', "\r\n", '""', " "])


@settings(max_examples=300)
@given(st.lists(MARKS, max_size=14).map("".join), st.integers(1, 3))
def test_a_file_of_stray_marks_is_read_as_a_csv_reader_does_or_refused(body: str, slice_rows: int) -> None:
    schema = VectorSchema((Field("v"),))
    text = "t,v\n" + body
    data = text.encode()
    try:
        rows, rejects = split_and_read(ArrowCsvReader(), data, schema, slice_rows)
    except InvalidInput as error:
        refused = error.faults[0].code
        assert refused in ("csv_quote", "csv_carriage_return")
        return
    records = [fields for fields in csv.reader(io.StringIO(text, newline="")) if fields][1:]
    fitting = [(number, fields[1]) for number, fields in enumerate(records) if len(fields) == 2]
    assert rows == [(number, [float(text)]) for number, text in fitting if fault_of(text, Field("v")) is None]
    assert len(rows) + len(rejects) == len(records)


def test_a_carriage_return_that_stands_alone_is_refused(reader: ArrowCsvReader) -> None:
    with pytest.raises(InvalidInput, match="On line 3 a carriage return stands alone"):
        split_and_read(reader, b"a,b\n1,2\n3,4\r5,6\n", SCHEMA)
    data = b"1,2\r3,4\n"
    with pytest.raises(InvalidInput, match="stand 2 records where 1 were counted"):
        reader.read(data, ["a", "b"], SCHEMA, whole(data, 1))
