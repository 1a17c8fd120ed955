"""Rows of a CSV slice as numbers, with pyarrow; what is not a number becomes a reject, never a guess."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from tensortrigger_backend.domain.csv_records import record_lines
from tensortrigger_backend.domain.errors import Fault, InvalidInput
from tensortrigger_backend.domain.jobs import Reject, Slice
from tensortrigger_backend.domain.schema import FLOAT32_MAX, Field, VectorSchema
from tensortrigger_backend.ports.jobs import RowBatch

_NUMBER = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$"
_NOT_FINITE = r"(?i)^[+-]?(nan|inf(inity)?)$"

# Per value, from worst to none; the first of a row's fields decides what its reject says.
_OK, _MISSING, _NOT_A_NUMBER, _NOT_FINITE_CODE, _OUT_OF_RANGE, _NOT_AN_INTEGER = range(6)
_CODES = ("", "missing", "not_a_number", "not_finite", "out_of_range", "not_an_integer")
_SENTENCES = (
    "",
    "is empty",
    "is not a number",
    "is not finite",
    "does not fit a 32-bit float",
    "is not a whole number",
)


class ArrowCsvReader:
    """Keeps the ``RowReader`` promise. A clean slice is parsed straight into numbers; only a slice that holds
    something else is read as text and looked at value by value, still column by column.
    """

    def read(self, data: bytes, columns: Sequence[str], schema: VectorSchema, slice_: Slice) -> RowBatch:
        """See ``RowReader.read``.

        Raises:
            InvalidInput: the parser sees other records than were counted when the slice was cut.
        """
        places = [columns.index(name) for name in schema.input_names]
        parsed = _parse_numbers(data, len(columns), places)
        if parsed is not None and parsed.shape[0] == slice_.rows:
            faults = np.stack(
                [_range_faults(parsed[:, at], field) for at, field in enumerate(schema.inputs)], axis=1
            )
            if not faults.any():
                return RowBatch(parsed, slice_.first_row + np.arange(slice_.rows), ())
        return _read_carefully(data, columns, places, schema, slice_)


def _parse_numbers(data: bytes, width: int, places: Sequence[int]) -> npt.NDArray[np.float64] | None:
    """Shape (rows, fields); None if anything in these columns is not a number."""
    import pyarrow as pa

    try:
        table = _table(data, width, places, pa.float64(), None)
    except pa.ArrowInvalid:
        return None
    return _matrix([column.to_numpy() for column in table.columns], table.num_rows)


def _read_carefully(
    data: bytes, columns: Sequence[str], places: Sequence[int], schema: VectorSchema, slice_: Slice
) -> RowBatch:
    import pyarrow as pa

    misfits: dict[int, int] = {}

    def skip(row: Any) -> str:
        misfits[row.number - 1] = row.actual_columns
        return "skip"

    table = _table(data, len(columns), places, pa.binary(), skip)
    count = table.num_rows + len(misfits)
    lines = record_lines(data, slice_.first_line)
    if count != slice_.rows or len(lines) != slice_.rows:
        last = slice_.first_line + data.count(b"\n")
        raise InvalidInput.of(
            Fault(
                ("input_data",),
                "csv_records",
                f"Between lines {slice_.first_line} and {last} stand {count} records where {slice_.rows} were "
                "counted: quote fields that hold quotation marks or line breaks (RFC 4180).",
            )
        )
    fitting = np.ones(count, np.bool_)
    fitting[list(misfits)] = False
    records = np.flatnonzero(fitting)
    values, faults = _matrix([], table.num_rows), np.zeros((table.num_rows, 0), np.int8)
    texts = [column.combine_chunks() for column in table.columns]
    if texts:
        read = [_values(text, field) for text, field in zip(texts, schema.inputs, strict=True)]
        values = _matrix([numbers for numbers, _ in read], table.num_rows)
        faults = np.stack([fault for _, fault in read], axis=1)
    bad = faults.any(axis=1)
    rejects = [
        Reject(
            slice_.first_row + number,
            int(lines[number]),
            None,
            "column_count",
            f"Line {lines[number]}: the record has {width} fields, the header {len(columns)}.",
        )
        for number, width in misfits.items()
    ]
    for at in np.flatnonzero(bad):
        number, place = int(records[at]), int(np.argmax(faults[at] != _OK))
        rejects.append(
            _reject(
                slice_.first_row + number,
                int(lines[number]),
                schema.inputs[place].name,
                int(faults[at, place]),
                texts[place][int(at)].as_py(),
                int((faults[at] != _OK).sum()) - 1,
            )
        )
    rejects.sort(key=lambda reject: reject.row)
    return RowBatch(values[~bad], slice_.first_row + records[~bad], tuple(rejects))


def _table(data: bytes, width: int, places: Sequence[int], dtype: Any, handler: Any) -> Any:
    import pyarrow as pa
    from pyarrow import csv

    names = [f"c{place}" for place in range(width)]
    wanted = [names[place] for place in places]
    return csv.read_csv(
        pa.BufferReader(data),
        read_options=csv.ReadOptions(column_names=names, use_threads=False, block_size=len(data) + 1),
        parse_options=csv.ParseOptions(newlines_in_values=True, invalid_row_handler=handler),
        convert_options=csv.ConvertOptions(
            include_columns=wanted,
            column_types=dict.fromkeys(wanted, dtype),
            null_values=[],
            strings_can_be_null=False,
            check_utf8=False,
        ),
    )


def _values(text: Any, field: Field) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int8]]:
    """Numbers of one column of text, NaN where there is none, and the fault of each."""
    import pyarrow as pa
    import pyarrow.compute as pc

    text = pc.ascii_trim_whitespace(text.cast(pa.binary()).view(pa.binary()).cast(pa.string(), safe=False))
    is_number = pc.match_substring_regex(text, _NUMBER)
    numbers = pc.if_else(is_number, text, "nan").cast(pa.float64()).to_numpy(zero_copy_only=False)
    number_mask = is_number.to_numpy(zero_copy_only=False)
    faults = np.where(number_mask, _range_faults(numbers, field), np.int8(_NOT_A_NUMBER)).astype(np.int8)
    not_finite = pc.match_substring_regex(text, _NOT_FINITE).to_numpy(zero_copy_only=False)
    empty = pc.equal(pc.binary_length(text), 0).to_numpy(zero_copy_only=False)
    faults[not_finite] = _NOT_FINITE_CODE
    faults[empty] = _MISSING
    return numbers, faults


def _range_faults(numbers: npt.NDArray[np.float64], field: Field) -> npt.NDArray[np.int8]:
    """Faults of parsed numbers: not finite, too large for float32, or a fraction where INT is due."""
    faults = np.zeros(len(numbers), np.int8)
    if field.var_type == "INT":
        faults[numbers != np.trunc(numbers)] = _NOT_AN_INTEGER
    faults[np.abs(numbers) > FLOAT32_MAX] = _OUT_OF_RANGE
    # A text such as 1e400 parses to infinity: out of range says it better than not finite.
    faults[np.isnan(numbers)] = _NOT_FINITE_CODE
    return faults


def _matrix(columns: Sequence[npt.NDArray[np.float64]], rows: int) -> npt.NDArray[np.float64]:
    matrix = np.empty((rows, len(columns)), np.float64)
    for at, column in enumerate(columns):
        matrix[:, at] = column
    return matrix


def _reject(row: int, line: int, field: str, fault: int, raw: bytes, others: int) -> Reject:
    shown = raw[:80].decode("utf-8", "replace")
    more = f" (and {others} more of this row)" if others else ""
    value = "" if fault == _MISSING else f" {shown!r}"
    return Reject(
        row, line, field, _CODES[fault], f"Line {line}: field {field!r}{value} {_SENTENCES[fault]}{more}."
    )
