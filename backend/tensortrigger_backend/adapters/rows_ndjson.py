"""Rows of an upload that has one JSON object a line, under the rules of a vector in a request."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, BinaryIO

import msgspec
import numpy as np
import numpy.typing as npt

from tensortrigger_backend.domain.encoding import VectorEncoder
from tensortrigger_backend.domain.errors import InvalidInput
from tensortrigger_backend.domain.field_faults import kind_of, value_fault
from tensortrigger_backend.domain.field_rules import FieldRules
from tensortrigger_backend.domain.fields import Wrong
from tensortrigger_backend.domain.jobs import Reject, Slice
from tensortrigger_backend.domain.ndjson_rows import NdjsonSplitter
from tensortrigger_backend.ports.rows import CutSize, RowBatch, RowSource, RowSplitter, Wanted

_ABSENT: Any = object()
_EMPTY = (b"", b"\r")


class NdjsonRows:
    """Keeps the ``RowFormatReader`` promise. Members that no field takes are passed over, as columns of a CSV are."""

    def splitter(
        self,
        wanted: Wanted,  # noqa: ARG002 - its lines are looked at one by one
        size: CutSize,
        stored: Callable[[], BinaryIO],  # noqa: ARG002 - what another format needs
    ) -> RowSplitter:
        """See ``RowFormatReader.splitter``."""
        return NdjsonSplitter(size.rows, size.bytes)

    def read(
        self,
        source: RowSource,
        columns: Sequence[str],  # noqa: ARG002 - the rows name them themselves
        slice_: Slice,
        wanted: Wanted,
    ) -> Iterator[RowBatch]:
        """See ``RowFormatReader.read``. Kept members are JSON texts; one that is missing is null."""
        rules = VectorEncoder(wanted.schema.inputs, wanted.dtype).rules
        lines = source.bytes().split(b"\n")
        values = None if wanted.keep else _plainly(lines, rules, slice_.rows)
        if values is not None:
            yield RowBatch(values, slice_.first_row + np.arange(len(values)), ())
            return
        yield _carefully(lines, rules, slice_, wanted)


def _plainly(lines: list[bytes], rules: Sequence[FieldRules], rows: int) -> npt.NDArray[np.float64] | None:
    """Shape (rows, fields) where every line holds a plain number for every field; None otherwise."""
    if not all(kept.field.plain for kept in rules):
        return None
    members = [(f"m{place}", float) for place in range(len(rules))]
    names = {f"m{place}": kept.field.name for place, kept in enumerate(rules)}
    try:
        # Also ValueError: no struct has a member whose name JSON would have to escape.
        shape = msgspec.defstruct("Row", members, rename=names, gc=False)
        decode = msgspec.json.Decoder(shape).decode
        read = [msgspec.structs.astuple(decode(line)) for line in lines if line not in _EMPTY]
    except (ValueError, RecursionError):
        return None
    values = np.array(read, np.float64).reshape(len(read), len(rules))
    if len(read) != rows or any(kept.faults(values[:, place]).any() for place, kept in enumerate(rules)):
        return None
    return values


def _carefully(lines: list[bytes], rules: Sequence[FieldRules], slice_: Slice, wanted: Wanted) -> RowBatch:
    values: list[list[float]] = []
    rows: list[int] = []
    rejects: list[Reject] = []
    kept: dict[str, list[str | None]] = {name: [] for name in wanted.keep}
    decode = msgspec.json.Decoder().decode
    row = slice_.first_row - 1
    for at, line in enumerate(lines):
        if line in _EMPTY:
            continue
        row += 1
        number = slice_.first_line + at
        try:
            members = decode(line)
        except RecursionError:
            rejects.append(_line_reject(row, number, "json_depth", "is nested too deep", "flat objects"))
            continue
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            rejects.append(_line_reject(row, number, "json", f"is no JSON: {error}", "JSON"))
            continue
        if not isinstance(members, dict):
            told = f"holds a {kind_of(members)}, not an object"
            rejects.append(_line_reject(row, number, "json_type", told, "object", kind_of(members)))
            continue
        numbers, reject = _numbers(members, rules, wanted, row, number)
        if reject is not None:
            rejects.append(reject)
            continue
        values.append(numbers)
        rows.append(row)
        for name, texts in kept.items():
            value = members.get(name)
            texts.append(None if value is None else msgspec.json.encode(value).decode())
    if row + 1 != slice_.first_row + slice_.rows:
        raise InvalidInput(
            f"From line {slice_.first_line} on stand {row + 1 - slice_.first_row} rows where {slice_.rows} "
            "were counted."
        )
    matrix = np.array(values, np.float64).reshape(len(values), len(rules))
    return RowBatch(matrix, np.array(rows, np.int64), tuple(rejects), _kept_columns(kept))


def _numbers(
    members: dict[str, Any], rules: Sequence[FieldRules], wanted: Wanted, row: int, line: int
) -> tuple[list[float], Reject | None]:
    numbers, first, others = [], None, -1
    for kept in rules:
        value = members.get(kept.field.name, _ABSENT)
        number, wrong = kept.absent(Wrong.MISSING) if value is _ABSENT else kept.number(value)
        numbers.append(number)
        if wrong is not None:
            first, others = first or (wrong, kept.field, value), others + 1
    if first is None:
        return numbers, None
    wrong, field, value = first
    fault = value_fault(wrong, field, wanted.dtype, value, (), None)
    more = f" (and {others} more of this row)" if others else ""
    sentence = fault.message[0].lower() + fault.message[1:].removesuffix(".")
    message = f"Line {line}: {sentence}{more}."
    return numbers, Reject(row, line, field.name, str(wrong), message, fault.expected, fault.got)


def _line_reject(row: int, line: int, code: str, told: str, expected: str, got: str | None = None) -> Reject:
    return Reject(row, line, None, code, f"Line {line} {told}.", expected, got)


def _kept_columns(kept: dict[str, list[str | None]]) -> dict[str, Any]:
    from tensortrigger_backend.adapters.kept_columns import json_column

    return {name: json_column(texts) for name, texts in kept.items()}
