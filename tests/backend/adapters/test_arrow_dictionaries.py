"""Are the dictionaries of an Arrow stream read as texts are, and within the limits of memory?"""

from __future__ import annotations

import tracemalloc

import numpy as np
import pyarrow as pa
import pytest
from row_files import CITY, KEPT_CITY, Stored, cut, read, streamed

from tensortrigger_backend.adapters import rows_arrow
from tensortrigger_backend.adapters.arrow_columns import read_columns
from tensortrigger_backend.adapters.row_formats import row_formats
from tensortrigger_backend.domain.errors import InvalidInput
from tensortrigger_backend.domain.job_options import RowFormat


def coded(texts: list[str], rows: int) -> pa.Table:
    """A column of categories, each row the last of them."""
    places = pa.array([len(texts) - 1] * rows, pa.int8())
    return pa.table({"city": pa.DictionaryArray.from_arrays(places, pa.array(texts))})


def test_dictionaries_that_would_unpack_to_more_than_the_limit_together_are_refused() -> None:
    whole = coded(["Rome"], 4)
    for place in range(3):
        whole = whole.append_column(f"more{place}", coded(["x" * (50 << 20)], 4)["city"])
    data = streamed(whole, compression="zstd")
    assert len(data) < 1 << 20
    with pytest.raises(InvalidInput, match="dictionaries come to over 134217728 bytes together"):
        read(RowFormat.ARROW, data, wanted=CITY)


def test_dictionaries_that_are_larger_than_the_limit_together_are_refused_as_they_come(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rows_arrow, "MAX_BODY", 50_000)
    whole = coded(["x" * 30_000, "Rome"], 4).append_column("more", coded(["y" * 30_000], 4)["city"])
    with pytest.raises(InvalidInput, match="dictionaries come to over 50000 bytes together"):
        cut(RowFormat.ARROW, streamed(whole), 1000, CITY)


def test_dictionaries_are_unpacked_once_a_slice_however_many_batches_it_holds() -> None:
    data = streamed(coded(["x" * (8 << 20), "Rome"], 40), batch=1, compression="zstd")
    splitter, slices = cut(RowFormat.ARROW, data, 1 << 20, CITY, rows=40)
    assert len(slices) == 1
    # Each batch holds what it was unpacked from, so that all of them together tell how often that was.
    before = pa.total_allocated_bytes()
    batches = list(
        row_formats()[RowFormat.ARROW].read(Stored(data, slices[0]), splitter.columns, slices[0], KEPT_CITY)
    )
    assert [batch.kept["city"].to_pylist() for batch in batches] == [["Rome"]] * 40
    assert pa.total_allocated_bytes() - before < 24 << 20


def test_a_dictionary_may_be_as_large_as_its_places_can_tell() -> None:
    data = streamed(coded([f"c{place}" for place in range(127)] + ["Rome"], 3))
    values, rejects, _ = read(RowFormat.ARROW, data, wanted=CITY)
    assert (values, rejects) == ({0: [1.0], 1: [1.0], 2: [1.0]}, {})


@pytest.mark.parametrize("batch", [1, 7, 1000])
def test_of_a_large_dictionary_only_what_stands_in_the_rows_is_looked_at(batch: int) -> None:
    texts = [*["x"] * 300, "Rome", None, "Oslo"]
    places = pa.array([302, None, 300, 301, 300, 0, 302] * 100, pa.int16())
    data = streamed(pa.table({"city": pa.DictionaryArray.from_arrays(places, pa.array(texts))}), batch)
    values, rejects, _ = read(RowFormat.ARROW, data, wanted=CITY)
    told = [2.0, 2.0, 1.0, 2.0, 1.0, None, 2.0] * 100
    assert values == {at: [number] for at, number in enumerate(told) if number is not None}
    assert set(rejects) == {at for at, number in enumerate(told) if number is None}


def test_a_dictionary_of_millions_of_texts_that_no_row_has_takes_no_memory() -> None:
    count = 16 << 20
    offsets = np.zeros(count + 1, np.int32)
    categories = pa.Array.from_buffers(
        pa.string(), count, [None, pa.py_buffer(offsets.tobytes()), pa.py_buffer(b"")]
    )
    column = pa.DictionaryArray.from_arrays(pa.array([5, None], pa.int32()), categories)
    batch = pa.record_batch({"city": column})
    tracemalloc.start()
    try:
        assert read_columns(batch, 0, CITY).values.tolist() == [[2.0], [2.0]]
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_a_dictionary_of_views_is_read_and_kept() -> None:
    views = pa.array(["Oslo", "Rome"], pa.string_view())
    column = pa.DictionaryArray.from_arrays(pa.array([1, None, 0], pa.int8()), views)
    values, _, kept = read(RowFormat.ARROW, streamed(pa.table({"city": column})), wanted=KEPT_CITY)
    assert values == {0: [1.0], 1: [2.0], 2: [2.0]}
    assert kept == {0: ("Rome",), 1: (None,), 2: ("Oslo",)}


def test_views_of_one_long_text_are_refused_in_a_dictionary_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows_arrow, "MAX_BODY", 100_000)
    _, view, text = pa.array(["x" * 2_000], pa.string_view()).buffers()
    views = pa.Array.from_buffers(
        pa.string_view(), 100, [None, pa.py_buffer(view.to_pybytes()[:16] * 100), text]
    )
    column = pa.DictionaryArray.from_arrays(pa.array([0, 1], pa.int8()), views)
    with pytest.raises(InvalidInput, match="texts of a batch come to over 100000 bytes"):
        read(RowFormat.ARROW, streamed(pa.table({"city": column})), wanted=CITY)
