"""Do the same rows give the same values and rejects in every format, however they are cut and packed?"""

from __future__ import annotations

import io
import json
import math
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from row_files import FIELDS, LIMIT, WANTED, WRITERS, Rows, Stored, as_csv, cut, read, streamed

from tensortrigger_backend.adapters.row_formats import row_formats
from tensortrigger_backend.domain.errors import InvalidInput
from tensortrigger_backend.domain.fields import Field
from tensortrigger_backend.domain.job_options import RowFormat
from tensortrigger_backend.domain.schema import VectorSchema
from tensortrigger_backend.ports.rows import CutSize, Wanted

SIZES = st.floats(-1e30, 1e30).map(lambda value: float(np.float32(value))) | st.sampled_from([1e39, -1e300])
ROOMS = st.integers(-2, 2**40)
TEXTS = st.text(
    st.characters(codec="utf-8", exclude_characters="\0\r", exclude_categories=["Cs"]), max_size=8
)
ROWS = st.lists(
    st.tuples(
        st.integers(-(2**62), 2**62),
        SIZES | st.none(),
        ROOMS | st.none(),
        st.booleans() | st.none(),
        st.sampled_from(["Rome", "Oslo", "Bath", "", " "]) | st.none(),
        TEXTS,
    ),
    max_size=40,
)


@settings(max_examples=40)
@given(rows=ROWS, block=st.integers(1, 200))
@pytest.mark.parametrize("name", list(WRITERS))
def test_every_format_gives_the_same_values_rejects_and_kept_columns(
    name: str, rows: Rows, block: int
) -> None:
    row_format, write = WRITERS[name]
    expected_values, expected_rejects, expected_kept = read(RowFormat.CSV, as_csv(rows))
    values, rejects, kept = read(row_format, write(rows), block)
    assert values == expected_values
    # An empty field of a CSV is missing; a null is null.
    assert {
        row: (field, code.replace("null", "missing")) for row, (field, code) in rejects.items()
    } == expected_rejects
    assert {row: (str(one), other) for row, (one, other) in kept.items()} == expected_kept


@pytest.mark.parametrize("name", [name for name in WRITERS if name != "parquet"])
def test_a_cut_at_any_byte_of_the_upload_changes_nothing(name: str) -> None:
    row_format, write = WRITERS[name]
    rows = [(at, at / 2, at, at % 2 == 0, "Rome", 'a "quoted"\nnote, ü') for at in range(11)]
    data = write(rows)
    _, whole = cut(row_format, data, len(data))
    for at in range(1, min(len(data), 1500)):
        splitter = row_formats()[row_format].splitter(
            WANTED, CutSize(4, 1 << 20, LIMIT), lambda: io.BytesIO(data)
        )
        slices = [*splitter.feed(data[:at]), *splitter.feed(data[at:]), *splitter.finish()]
        assert slices == whole, at
    assert read(row_format, data)[2] == {
        at: (at if name != "csv" else str(at), rows[at][5]) for at in range(11)
    }


@pytest.mark.parametrize("row_format", [RowFormat.PARQUET, RowFormat.ARROW])
@pytest.mark.parametrize("group", [7_000, 40_000, 90_000])
def test_large_groups_are_read_in_pieces_that_meet(row_format: RowFormat, group: int) -> None:
    whole = pa.table({"a": np.arange(90_000.0)})
    sink = io.BytesIO()
    if row_format is RowFormat.PARQUET:
        pq.write_table(whole, sink, row_group_size=group)
    else:
        with pa.ipc.new_stream(sink, whole.schema) as writer:
            writer.write_table(whole, max_chunksize=group)
    wanted = Wanted(VectorSchema((Field("a"),)))
    splitter, slices = cut(row_format, sink.getvalue(), 1 << 20, wanted, rows=9_000)
    assert len(slices) == {7_000: 7, 40_000: 5, 90_000: 3}[group]
    found = [
        (int(row), float(value))
        for one in slices
        for batch in row_formats()[row_format].read(
            Stored(sink.getvalue(), one), splitter.columns, one, wanted
        )
        for row, value in zip(batch.rows, batch.values[:, 0], strict=True)
    ]
    assert found == [(row, float(row)) for row in range(90_000)]


def test_lines_that_are_no_objects_are_rejected_by_row_and_line() -> None:
    deep = b"[" * 100_000 + b"]" * 100_000
    good = b'{"id":1,"note":null,"size":1,"rooms":2,"new":1,"city":"Rome","more":{"a":[1]}}'
    data = b"\xef\xbb\xbf" + b"\n".join(
        [good, b"[1]", b"", b"7", b"{", deep, b"\xff{}", b"null", b"{}", good]
    )
    splitter, slices = cut(RowFormat.NDJSON, data, 1000, rows=3)
    reader = row_formats()[RowFormat.NDJSON]
    batches = [
        batch for one in slices for batch in reader.read(Stored(data, one), splitter.columns, one, WANTED)
    ]
    rejects = [reject for batch in batches for reject in batch.rejects]
    assert [(reject.row, reject.line, reject.code) for reject in rejects] == [
        (1, 2, "json_type"),
        (2, 4, "json_type"),
        (3, 5, "json"),
        (4, 6, "json_depth"),
        (5, 7, "json"),
        (6, 8, "json_type"),
        (7, 9, "missing"),
    ]
    assert rejects[0].message == "Line 2 holds a list, not an object."
    assert "Line 9: field 'size' is missing (and 2 more of this row)." in rejects[-1].message
    assert [int(row) for batch in batches for row in batch.rows] == [0, 8]


@pytest.mark.parametrize("name", ['say "a"', "a\\b", "a\tb", "\0", "ü"])
def test_a_field_may_have_any_name_in_json(name: str) -> None:
    data = b"\n".join(json.dumps({name: at, "b": 2}).encode() for at in range(3))
    wanted = Wanted(VectorSchema((Field(name), Field("b"))))
    values, rejects, _ = read(RowFormat.NDJSON, data, wanted=wanted)
    assert (values, rejects) == ({at: [float(at), 2.0] for at in range(3)}, {})


@pytest.mark.parametrize(
    "kind", [pa.large_string(), pa.dictionary(pa.int32(), pa.string()), pa.string_view()]
)
@pytest.mark.parametrize("row_format", [RowFormat.PARQUET, RowFormat.ARROW])
def test_texts_of_every_kind_are_read(row_format: RowFormat, kind: Any) -> None:
    texts = ["Rome", None, "Oslo", "Bath"] * 5
    city = pa.array(texts)
    city = city.dictionary_encode() if pa.types.is_dictionary(kind) else city.cast(kind)
    whole = pa.table({"city": city})
    sink = io.BytesIO()
    if row_format is RowFormat.PARQUET:
        pq.write_table(whole, sink)
    else:
        with pa.ipc.new_stream(sink, whole.schema) as writer:
            writer.write_table(whole)
    wanted = Wanted(VectorSchema((FIELDS[3],)), None, ("city",))
    values, rejects, kept = read(row_format, sink.getvalue(), wanted=wanted)
    assert values == {at: [2.0 if text != "Rome" else 1.0] for at, text in enumerate(texts) if text != "Bath"}
    assert set(rejects.values()) == {("city", "unknown_category")}
    assert kept == {at: (text,) for at, text in enumerate(texts) if text != "Bath"}


@pytest.mark.parametrize("encoding", ["DELTA_BYTE_ARRAY", "DELTA_LENGTH_BYTE_ARRAY"])
@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.string_view()])
def test_texts_in_the_encodings_of_newer_parquet_writers_are_read(encoding: str, kind: Any) -> None:
    texts = ["Rome", None, "Oslo", "Bath"] * 500
    sink = io.BytesIO()
    whole = pa.table({"city": pa.array(texts).cast(kind), "id": texts})
    # Of two columns of texts one is in a dictionary, as many writers mix them.
    pq.write_table(whole, sink, use_dictionary=["id"], column_encoding={"city": encoding}, row_group_size=600)
    wanted = Wanted(VectorSchema((FIELDS[3],)), None, ("city", "id"))
    values, rejects, kept = read(RowFormat.PARQUET, sink.getvalue(), wanted=wanted)
    assert values == {at: [2.0 if text != "Rome" else 1.0] for at, text in enumerate(texts) if text != "Bath"}
    assert set(rejects.values()) == {("city", "unknown_category")}
    assert kept == {at: (text, text) for at, text in enumerate(texts) if text != "Bath"}


@pytest.mark.parametrize("row_format", [RowFormat.PARQUET, RowFormat.ARROW])
def test_a_column_of_a_type_that_holds_no_right_value_is_refused_by_name(row_format: RowFormat) -> None:
    whole = pa.table(
        {"size": ["1.5"], "rooms": [[1]], "new": [1.0], "city": [3], "id": [b"x"], "note": [{"a": 1}]}
    )
    sink = io.BytesIO()
    if row_format is RowFormat.PARQUET:
        pq.write_table(whole, sink)
    else:
        with pa.ipc.new_stream(sink, whole.schema) as writer:
            writer.write_table(whole)
    with pytest.raises(InvalidInput) as caught:
        cut(row_format, sink.getvalue(), 1000)
    assert [fault.loc[-1] for fault in caught.value.faults] == ["size", "rooms", "city", "id", "note"]
    assert "of type string; the model takes FLOAT" in caught.value.detail


@pytest.mark.parametrize("row_format", [RowFormat.PARQUET, RowFormat.ARROW])
def test_rows_of_a_wide_model_are_read_fewer_at_a_time(row_format: RowFormat) -> None:
    pixels = np.random.default_rng(3).integers(0, 256, (12_000, 784)).astype(np.uint8)
    whole = pa.table({f"p{place}": pixels[:, place] for place in range(784)})
    sink = io.BytesIO()
    if row_format is RowFormat.PARQUET:
        pq.write_table(whole, sink)
    data = sink.getvalue() or streamed(whole)
    wanted = Wanted(VectorSchema(tuple(Field(name) for name in whole.column_names)))
    splitter, (slice_,) = cut(row_format, data, 1 << 20, wanted, rows=20_000)
    batches = row_formats()[row_format].read(Stored(data, slice_), splitter.columns, slice_, wanted)
    row = 0
    for batch in batches:
        assert batch.values.nbytes <= 32 << 20
        np.testing.assert_array_equal(batch.values, pixels[row : row + len(batch.rows)])
        row += len(batch.rows)
    assert row == 12_000


def test_numbers_that_are_not_finite_are_rejected_as_such() -> None:
    whole = pa.table({"a": [1.0, math.inf, math.nan, None, -math.inf]})
    sink = io.BytesIO()
    pq.write_table(whole, sink)
    values, rejects, _ = read(RowFormat.PARQUET, sink.getvalue(), wanted=Wanted(VectorSchema((Field("a"),))))
    assert values == {0: [1.0]}
    assert [code for _, code in rejects.values()] == ["not_finite", "not_finite", "null", "not_finite"]
