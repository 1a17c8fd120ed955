"""Scored rows as JSON, NDJSON or CSV, part by part, so that memory does not grow with the job."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec
import numpy as np

from tensortrigger_backend.services.results import ScoredPart

FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""With these a spreadsheet takes a text for a formula."""


def as_json(parts: Iterable[ScoredPart], more: Mapping[str, Any]) -> Iterator[bytes]:
    """``{http_code, results}``: one entry a row of the upload, null where it was rejected; ``more`` goes at the end."""
    yield b'{"http_code":200,"results":['
    separator = b""
    for part in parts:
        answers: list[Any] = [None] * part.count
        for row, answer in zip((part.rows - part.first_row).tolist(), _answers(part), strict=True):
            answers[row] = answer
        # The encoder writes NaN and infinities as null, which is what strict JSON can hold.
        yield separator + msgspec.json.encode(answers)[1:-1]
        separator = b","
    yield (
        b"]"
        + b"".join(b',"%b":%b' % (name.encode(), msgspec.json.encode(more[name])) for name in more)
        + b"}"
    )


def as_ndjson(parts: Iterable[ScoredPart]) -> Iterator[bytes]:
    """One object a scored row: ``row``, what was kept, then a member an output column."""
    encoder = msgspec.json.Encoder()
    for part in parts:
        table = part.table()
        lists = [
            _numbers(column) if isinstance(column, np.ndarray) else column.values()
            for column in table.values()
        ]
        yield encoder.encode_lines([dict(zip(table, row, strict=True)) for row in zip(*lists, strict=True)])


def as_csv(names: Sequence[str], parts: Iterable[ScoredPart], escape_formulas: bool) -> Iterator[bytes]:
    """A header, then a record a scored row; a value that is not finite is left empty.

    Args:
        escape_formulas: put ``'`` before a text that begins as formulas do; numbers stay as they are.
    """
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow([_harmless(name) if escape_formulas else name for name in names])
    yield _taken(text)
    for part in parts:
        lists: list[Sequence[Any]] = []
        for column in part.table().values():
            if isinstance(column, np.ndarray):
                lists.append(_numbers(column))
            else:
                texts = column.texts()
                lists.append(
                    [_harmless(value) for value in texts] if escape_formulas and column.textual else texts
                )
        writer.writerows(zip(*lists, strict=True))
        yield _taken(text)


def _answers(part: ScoredPart) -> list[Any]:
    """Each scored row's answer as ``/tensor/run`` gives it."""
    if part.job.named_outputs:
        columns = part.columns()
        lists = [values.tolist() for values in columns.values()]
        return [dict(zip(columns, row, strict=True)) for row in zip(*lists, strict=True)]
    nested = {name: values.tolist() for name, values in part.outputs.items()}
    if len(nested) == 1:
        answers: list[Any] = next(iter(nested.values()))
        return answers
    return [dict(zip(nested, row, strict=True)) for row in zip(*nested.values(), strict=True)]


def _numbers(values: Any) -> list[Any]:
    """Plain values with None for what is not finite."""
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        masked = values.astype(object)
        masked[~np.isfinite(values)] = None
        return list(masked.tolist())
    return list(values.tolist())


def _harmless(text: str) -> str:
    return f"'{text}" if text.startswith(FORMULA) else text


def _taken(text: io.StringIO) -> bytes:
    data = text.getvalue().encode()
    text.seek(0)
    text.truncate()
    return data
