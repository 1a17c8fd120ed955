"""Scored rows as JSON, NDJSON or CSV, part by part, so that memory does not grow with the job."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec
import numpy as np

from tensortrigger_backend.domain.jobs import Job
from tensortrigger_backend.services.scoring import ScoredPart


def as_json(parts: Iterable[ScoredPart]) -> Iterator[bytes]:
    """``{http_code, results}``: one entry a row of the upload, null where it was rejected."""
    yield b'{"http_code":200,"results":['
    separator = b""
    for part in parts:
        answers: list[Any] = [None] * part.slice.rows
        for row, answer in zip((part.rows - part.slice.first_row).tolist(), _answers(part), strict=True):
            answers[row] = answer
        # The encoder writes NaN and infinities as null, which is what strict JSON can hold.
        yield separator + msgspec.json.encode(answers)[1:-1]
        separator = b","
    yield b"]}"


def as_ndjson(parts: Iterable[ScoredPart]) -> Iterator[bytes]:
    """One object a scored row: ``row``, then a member an output column."""
    encoder = msgspec.json.Encoder()
    for part in parts:
        names, rows = _flat(part)
        yield encoder.encode_lines([dict(zip(names, row, strict=True)) for row in rows])


def as_csv(job: Job, parts: Iterable[ScoredPart]) -> Iterator[bytes]:
    """A header, then a record a scored row; a value that is not finite is left empty."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["row", *(name for names in job.output_columns.values() for name in names)])
    yield _taken(text)
    for part in parts:
        writer.writerows(_flat(part)[1])
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


def _flat(part: ScoredPart) -> tuple[list[str], Iterator[tuple[Any, ...]]]:
    """Column names, and rows of plain values with None for what is not finite."""
    columns = part.columns()
    lists: list[list[Any]] = [part.rows.tolist()]
    for values in columns.values():
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            masked = values.astype(object)
            masked[~np.isfinite(values)] = None
            lists.append(masked.tolist())
        else:
            lists.append(values.tolist())
    return ["row", *columns], zip(*lists, strict=True)


def _taken(text: io.StringIO) -> bytes:
    data = text.getvalue().encode()
    text.seek(0)
    text.truncate()
    return data
