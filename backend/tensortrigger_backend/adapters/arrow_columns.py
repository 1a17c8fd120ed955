"""Rows of typed columns, as Parquet and Arrow have them, under the rules of a vector in a request."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from tensortrigger_backend.adapters.arrow_texts import fault_of, texts
from tensortrigger_backend.adapters.kept_columns import check_kept_type
from tensortrigger_backend.domain.encoding import VectorEncoder
from tensortrigger_backend.domain.errors import Fault, InvalidInput
from tensortrigger_backend.domain.field_faults import value_fault
from tensortrigger_backend.domain.field_rules import WRONGS, FieldRules, place_of
from tensortrigger_backend.domain.fields import Field, VarType, Wrong
from tensortrigger_backend.domain.jobs import Reject
from tensortrigger_backend.domain.upload_columns import check_columns
from tensortrigger_backend.ports.rows import RowBatch, Wanted

CELLS = 4 << 20
"""Values that are looked at together; each takes 9 bytes, whatever it took in the file."""


def rows_at_once(most: int, wanted: Wanted) -> int:
    """How many rows go into one call of ``read_columns``: so many at most, and fewer of a wide model."""
    return max(1, min(most, CELLS // max(1, len(wanted.schema.inputs))))


def check_schema(schema: Any, wanted: Wanted, kind: str) -> tuple[str, ...]:
    """The names of a file's columns.

    Args:
        kind: of the upload, for the codes of the faults.

    Raises:
        InvalidInput: for every column that is missing, there twice or of a type that can hold no right value.
    """
    names = tuple(schema.names)
    check_columns(names, wanted.schema.input_names, wanted.keep, kind)
    faults = []
    for field in wanted.schema.inputs:
        found = schema.field(field.name).type
        if not _may_hold(found, field):
            message = f"Column {field.name!r} is of type {found}; the model takes {field.expected}."
            faults.append(
                Fault(("input_data", field.name), f"{kind}_type", message, field.expected, str(found)[:80])
            )
    for name in wanted.keep:
        found = schema.field(name).type
        refused = check_kept_type(name, found)
        if refused is not None:
            faults.append(Fault(("keep", name), f"{kind}_type", refused, None, str(found)[:80]))
    if faults:
        raise InvalidInput.of(*faults[:100])
    return names


def read_columns(batch: Any, first_row: int, wanted: Wanted) -> RowBatch:
    """Rows of a record batch, the first of them being ``first_row`` of the job."""
    rules = VectorEncoder(wanted.schema.inputs, wanted.dtype).rules
    rows = batch.num_rows
    values = np.empty((rows, len(rules)), np.float64)
    faults = np.zeros((rows, len(rules)), np.int8)
    columns = [batch.column(batch.schema.get_field_index(kept.field.name)) for kept in rules]
    for place, (column, kept) in enumerate(zip(columns, rules, strict=True)):
        values[:, place], faults[:, place] = _encoded(column, kept)
    bad = np.asarray(faults.any(axis=1))
    rejects = []
    for at in np.flatnonzero(bad):
        place = int(np.argmax(faults[at] != 0))
        others = int((faults[at] != 0).sum()) - 1
        wrong, value = WRONGS[int(faults[at, place]) - 1], columns[place][int(at)].as_py()
        rejects.append(_reject(wrong, rules[place].field, wanted, value, first_row + int(at), others))
    numbers = first_row + np.arange(rows)
    kept_columns = {name: batch.column(batch.schema.get_field_index(name)) for name in wanted.keep}
    if rejects:
        import pyarrow as pa

        good = pa.array(~bad)
        values, numbers = values[~bad], numbers[~bad]
        kept_columns = {name: column.filter(good) for name, column in kept_columns.items()}
    return RowBatch(values, numbers, tuple(rejects), kept_columns)


def _may_hold(arrow_type: Any, field: Field) -> bool:
    from pyarrow import types

    if types.is_null(arrow_type):
        return True
    if types.is_dictionary(arrow_type):
        return field.var_type == VarType.STRING and _is_text(arrow_type.value_type)
    if field.var_type == VarType.STRING:
        return _is_text(arrow_type)
    number = types.is_integer(arrow_type) or types.is_floating(arrow_type) or types.is_decimal(arrow_type)
    return bool(number or (field.var_type == VarType.BOOL and types.is_boolean(arrow_type)))


def _is_text(arrow_type: Any) -> bool:
    from pyarrow import types

    return bool(
        types.is_string(arrow_type) or types.is_large_string(arrow_type) or types.is_string_view(arrow_type)
    )


def _encoded(column: Any, rules: FieldRules) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int8]]:
    """Numbers of one column, NaN where there is none, and the fault of each."""
    import pyarrow as pa
    import pyarrow.compute as pc

    null = column.is_null().to_numpy(zero_copy_only=False)
    if rules.field.var_type == VarType.STRING and not pa.types.is_null(column.type):
        numbers, wrong = _of_texts(column, rules)
    elif pa.types.is_null(column.type):
        numbers, wrong = np.full(len(column), np.nan), np.zeros(len(column), np.int8)
    else:
        filled = pc.fill_null(column.cast(pa.float64(), safe=False), 0.0)
        numbers = np.array(filled.to_numpy(zero_copy_only=False), np.float64)
        wrong = np.where(np.isinf(numbers), np.int8(place_of(Wrong.NOT_FINITE)), np.int8(0))
        if rules.field.var_type == VarType.BOOL:
            good = np.isin(numbers, (0.0, 1.0))
            wrong = np.where(good, np.int8(0), np.int8(place_of(Wrong.NOT_A_BOOLEAN)))
    wrong = np.where(wrong, wrong, rules.faults(numbers))
    fill, missing = rules.absent(Wrong.NULL)
    numbers[null], wrong[null] = fill, fault_of(missing)
    return numbers, wrong


def _of_texts(column: Any, rules: FieldRules) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int8]]:
    import pyarrow as pa
    import pyarrow.compute as pc

    if not pa.types.is_dictionary(column.type):
        return texts(pc.fill_null(column.cast(pa.string()), "").cast(pa.binary()), rules)
    # Wider than they came: the place behind the last of 128 texts is none that eight bits have.
    none = len(column.dictionary)
    places = pc.fill_null(column.indices.cast(pa.int64()), none).to_numpy(zero_copy_only=False)
    categories = column.dictionary
    if none > len(column):
        # A dictionary may hold any number of texts that no row has.
        used, places = np.unique(places, return_inverse=True)
        categories = categories.take(pa.array(used[used < none]))
    # Each text of the dictionary is looked at once, however often it stands in the column.
    numbers, wrong = texts(pc.fill_null(categories.cast(pa.string()), "").cast(pa.binary()), rules)
    return np.append(numbers, np.nan)[places], np.append(wrong, np.int8(0))[places]


def _reject(wrong: Wrong, field: Field, wanted: Wanted, value: object, row: int, others: int) -> Reject:
    fault = value_fault(wrong, field, wanted.dtype, value, (), row)
    more = f" (and {others} more of this row)" if others else ""
    message = f"{fault.message.removesuffix('.')}{more}."
    return Reject(row, None, field.name, str(wrong), message, fault.expected, fault.got)
