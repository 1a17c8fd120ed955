"""Rows of a CSV slice as numbers, with pyarrow; what is not a number becomes a reject, never a guess."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tensortrigger_backend.adapters.arrow_texts import fault_of, not_utf_8, texts, trimmed
from tensortrigger_backend.domain.csv_records import record_lines
from tensortrigger_backend.domain.encoding import VectorEncoder
from tensortrigger_backend.domain.errors import Fault, InvalidInput
from tensortrigger_backend.domain.field_faults import reject_sentence
from tensortrigger_backend.domain.field_rules import WRONGS, FieldRules, place_of
from tensortrigger_backend.domain.fields import Field, VarType, Wrong
from tensortrigger_backend.domain.jobs import Reject, Slice
from tensortrigger_backend.domain.schema import VectorSchema
from tensortrigger_backend.ports.rows import RowBatch

_NUMBER = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$"
_NOT_FINITE = r"(?i)^[+-]?(nan|inf(inity)?)$"
_TRUE, _FALSE = ("true", "t", "yes", "y"), ("false", "f", "no", "n")
"""How a BOOL may be written, in any case; 1 and 0 may be written as any number."""
_BLOCK = 1 << 19
"""Bytes that are parsed at a time: so many stay in the processor's cache, which makes parsing twice as fast."""


class ArrowCsvReader:
    """A clean slice is parsed straight into numbers; only a slice that holds something else is read as text and
    looked at value by value, still column by column.
    """

    def read(
        self,
        data: bytes,
        columns: Sequence[str],
        schema: VectorSchema,
        slice_: Slice,
        dtype: np.dtype[Any] | None = None,
        delimiter: str = ",",
        keep: Sequence[str] = (),
    ) -> RowBatch:
        """Every record of the slice becomes a row or a reject; columns are matched by name.

        Args:
            dtype: of the model's tensor: a row with a number that it cannot hold is rejected.
            keep: columns that are carried through as the text that they are.

        Raises:
            InvalidInput: the parser sees other records than were counted when the slice was cut.
        """
        asked = _Asked(
            columns,
            [columns.index(name) for name in schema.input_names],
            VectorEncoder(schema.inputs, dtype).rules,
            [columns.index(name) for name in keep],
            delimiter,
        )
        values = np.empty((slice_.rows, len(asked.places)), np.float32 if dtype == np.float32 else np.float64)
        kept = _parse_cleanly(data, asked, values)
        if kept is not None:
            return RowBatch(values, slice_.first_row + np.arange(slice_.rows), (), kept)
        del values
        return _read_carefully(data, asked, slice_, dtype)


@dataclass(frozen=True, slots=True)
class _Asked:
    """What is read: the model's columns, by their places, under their rules, and the columns that are kept."""

    columns: Sequence[str]
    places: Sequence[int]
    rules: Sequence[FieldRules]
    kept: Sequence[int]
    delimiter: str

    def dtypes(self) -> dict[int, Any]:
        """Types of all columns that are read, by place; what is kept stays the text that it is."""
        fields = zip(self.places, self.rules, strict=True)
        return {place: _column_type(rules.field) for place, rules in fields} | self.texts(self.kept)

    def texts(self, places: Sequence[int]) -> dict[int, Any]:
        """The type of text for each of these places."""
        import pyarrow as pa

        return dict.fromkeys(places, pa.binary())


def _parse_cleanly(
    data: bytes, asked: _Asked, values: npt.NDArray[np.floating[Any]]
) -> dict[str, Any] | None:
    """Fill ``values``, shape (rows, fields), and give what is kept; None if anything is not as its rules want it."""
    import pyarrow as pa

    # As a float32, a number is finite exactly where it is below FLOAT32_END: the one rule of a plain FLOAT, and
    # quicker to see of a whole matrix.
    plain = [
        values.dtype == np.float32 and rules.field.plain and rules.field.var_type == VarType.FLOAT
        for rules in asked.rules
    ]
    block_size = max(_BLOCK, 4 * len(data) // max(1, len(values)))
    rows, kept = 0, []
    try:
        with np.errstate(over="ignore"):
            for batch in _batches(data, asked, block_size):
                some = values[rows : rows + batch.num_rows]
                if len(some) < batch.num_rows:
                    return None
                if plain and all(plain) and not asked.kept:
                    # The columns stand in the model's order.
                    some[:] = batch.to_tensor(row_major=False).to_numpy()
                else:
                    for at, (place, rules) in enumerate(zip(asked.places, asked.rules, strict=True)):
                        column = batch[f"c{place}"]
                        encoded = _of_text(column, rules) if place in asked.kept else _encoded(column, rules)
                        if encoded is None or not (plain[at] or not rules.faults(encoded).any()):
                            return None
                        some[:, at] = encoded
                if not np.isfinite(some).all():
                    return None
                kept.append([batch[f"c{place}"].cast(pa.string()) for place in asked.kept])
                rows += batch.num_rows
    except pa.ArrowInvalid:
        return None
    if rows != len(values):
        return None
    pieces = zip(*kept, strict=True) if kept else ((),) * len(asked.kept)
    return {
        asked.columns[place]: pa.chunked_array(list(column), pa.string())
        for place, column in zip(asked.kept, pieces, strict=True)
    }


def _of_text(column: Any, rules: FieldRules) -> npt.NDArray[np.float64] | None:
    """As ``_encoded``, of a column that was read as text."""
    numbers, faults = _values(column, rules)
    return None if faults.any() else numbers


def _column_type(field: Field) -> Any:
    import pyarrow as pa

    if field.var_type == VarType.STRING:
        return pa.binary()
    return pa.bool_() if field.var_type == VarType.BOOL else pa.float64()


def _encoded(column: Any, rules: FieldRules) -> npt.NDArray[np.float64] | None:
    """The numbers of an array of a parsed column; None if one of its values has none."""
    import pyarrow as pa
    import pyarrow.compute as pc

    field = rules.field
    if field.var_type == VarType.STRING:
        encoded, faults = texts(column, rules)
        return None if faults.any() else encoded
    if column.null_count:
        fill, wrong = rules.absent(Wrong.MISSING)
        if wrong is not None:
            return None
        # Arrow fills in the column's own type: a fill of a BOOL is 1 or 0.
        column = pc.fill_null(column.cast(pa.float64()), fill)
    elif field.var_type == VarType.BOOL:
        column = column.cast(pa.float64())
    # Arrow's own to_numpy imports pandas where there is one: 40 MB and a quarter of a second for nothing.
    numbers: npt.NDArray[np.float64] = np.asarray(np.from_dlpack(column), np.float64)
    return numbers


def _read_carefully(data: bytes, asked: _Asked, slice_: Slice, dtype: np.dtype[Any] | None) -> RowBatch:
    import pyarrow as pa

    misfits: dict[int, int] = {}

    def skip(row: Any) -> str:
        misfits[row.number - 1] = row.actual_columns
        return "skip"

    table = _table(data, asked, skip)
    count = table.num_rows + len(misfits)
    lines = record_lines(data, slice_.first_line, asked.delimiter)
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
    texts = [_column(table, place) for place in asked.places]
    if texts:
        read = [_values(text, rules) for text, rules in zip(texts, asked.rules, strict=True)]
        values = _matrix([numbers for numbers, _ in read], table.num_rows)
        faults = np.stack([fault for _, fault in read], axis=1)
    bad = np.asarray(faults.any(axis=1))
    rejects = [
        Reject(
            slice_.first_row + number,
            int(lines[number]),
            None,
            "column_count",
            f"Line {lines[number]}: the record has {width} fields, the header {len(asked.columns)}.",
            str(len(asked.columns)),
            str(width),
        )
        for number, width in misfits.items()
    ]
    for at in np.flatnonzero(bad):
        number, place = int(records[at]), int(np.argmax(faults[at] != 0))
        field, wrong = asked.rules[place].field, WRONGS[int(faults[at, place]) - 1]
        text = texts[place][int(at)].as_py()[:80].decode("utf-8", "replace")
        got = text.strip() or "nothing"
        line, others = int(lines[number]), int((faults[at] != 0).sum()) - 1
        message = reject_sentence(wrong, field, dtype, line, text, others)
        row = slice_.first_row + number
        rejects.append(Reject(row, line, field.name, str(wrong), message, field.expected, got))
    for place in asked.kept:
        for at in not_utf_8(_column(table, place)):
            if not bad[at]:
                bad[at] = True
                line, name = int(lines[records[at]]), asked.columns[place]
                message = f"Line {line}: field {name!r}, which is to be kept, is not UTF-8."
                row = slice_.first_row + int(records[at])
                rejects.append(Reject(row, line, name, str(Wrong.NOT_TEXT), message, "UTF-8", "other bytes"))
    rejects.sort(key=lambda reject: reject.row)
    good = table.filter(pa.array(~bad))
    kept = {asked.columns[place]: good[f"c{place}"].cast(pa.string()) for place in asked.kept}
    return RowBatch(values[~bad], slice_.first_row + records[~bad], tuple(rejects), kept)


def _table(data: bytes, asked: _Asked, handler: Any) -> Any:
    """All columns as text, whole; records that do not fit are the handler's."""
    import pyarrow as pa
    from pyarrow import csv

    options = _options(asked, asked.texts([*asked.places, *asked.kept]), (), len(data) + 1, handler)
    return csv.read_csv(pa.BufferReader(data), **options)


def _column(table: Any, place: int) -> Any:
    """The column of that place of the file, in one piece."""
    return table[f"c{place}"].combine_chunks()


def _batches(data: bytes, asked: _Asked, block_size: int) -> Iterable[Any]:
    """The wanted columns, some rows at a time."""
    import pyarrow as pa
    from pyarrow import csv

    fields = [rules.field for rules in asked.rules]
    # Looked at in order: without a data row there is no batch, and the parser says so as an error.
    return csv.open_csv(pa.BufferReader(data), **_options(asked, asked.dtypes(), fields, block_size))  # type: ignore[no-any-return]


def _options(
    asked: _Asked, dtypes: Mapping[int, Any], fields: Sequence[Field], block_size: int, handler: Any = None
) -> dict[str, Any]:
    """How Arrow reads; an empty field of a column that is no text is null where any of ``fields`` is nullable."""
    from pyarrow import csv

    names = [f"c{place}" for place in range(len(asked.columns))]
    wanted = {names[place]: dtype for place, dtype in dtypes.items()}
    cases = (str.lower, str.capitalize, str.upper)
    return {
        "read_options": csv.ReadOptions(column_names=names, use_threads=False, block_size=block_size),
        "parse_options": csv.ParseOptions(
            delimiter=asked.delimiter, newlines_in_values=True, invalid_row_handler=handler
        ),
        "convert_options": csv.ConvertOptions(
            include_columns=list(wanted),
            column_types=wanted,
            null_values=[""] if any(field.nullable for field in fields) else [],
            true_values=["1", "1.0", *(case(text) for text in _TRUE for case in cases)],
            false_values=["0", "0.0", *(case(text) for text in _FALSE for case in cases)],
            strings_can_be_null=False,
            check_utf8=False,
        ),
    }


def _values(text: Any, rules: FieldRules) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int8]]:
    """Numbers of one column of text, NaN where there is none, and the fault of each."""
    import pyarrow as pa
    import pyarrow.compute as pc

    exact = text.cast(pa.binary()).view(pa.binary())
    if rules.field.var_type == VarType.STRING:
        numbers, wrong = texts(exact, rules)
    else:
        text = trimmed(exact)
        numbers, wrong = _written_numbers(text)
        if rules.field.var_type == VarType.BOOL:
            numbers, wrong = _booleans(text, numbers)
        blank = pc.equal(pc.binary_length(text), 0).to_numpy(zero_copy_only=False)
        fill, missing = rules.absent(Wrong.MISSING)
        numbers[blank], wrong[blank] = fill, fault_of(missing)
    return numbers, np.where(wrong, wrong, rules.faults(numbers))


def _written_numbers(text: Any) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int8]]:
    import pyarrow as pa
    import pyarrow.compute as pc

    is_number = pc.match_substring_regex(text, _NUMBER)
    numbers = pc.if_else(is_number, text, "nan").cast(pa.float64()).to_numpy(zero_copy_only=False).copy()
    mask = is_number.to_numpy(zero_copy_only=False)
    wrong = np.where(mask, np.int8(0), np.int8(place_of(Wrong.NOT_A_NUMBER)))
    not_finite = pc.match_substring_regex(text, _NOT_FINITE).to_numpy(zero_copy_only=False)
    wrong[not_finite] = place_of(Wrong.NOT_FINITE)
    return numbers, wrong


def _booleans(
    text: Any, numbers: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int8]]:
    """True and false as 1 and 0; ``numbers`` are what the texts are as such."""
    import pyarrow as pa
    import pyarrow.compute as pc

    text = pc.ascii_lower(text)
    for words, number in ((_TRUE, 1.0), (_FALSE, 0.0)):
        numbers[pc.is_in(text, pa.array(words)).to_numpy(zero_copy_only=False)] = number
    good = np.isin(numbers, (0.0, 1.0))
    return numbers, np.where(good, np.int8(0), np.int8(place_of(Wrong.NOT_A_BOOLEAN)))


def _matrix(columns: Sequence[npt.NDArray[np.float64]], rows: int) -> npt.NDArray[np.float64]:
    matrix = np.empty((rows, len(columns)), np.float64)
    for at, column in enumerate(columns):
        matrix[:, at] = column
    return matrix
