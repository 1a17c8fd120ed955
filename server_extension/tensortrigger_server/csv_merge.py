"""The rows of a CSV file with what the model answered for each, and the rows that it could not answer."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

from tensortrigger_server.csv_text import Dialect, Records, header_of, unused
from tensortrigger_server.csv_upload import HashedFile, file_changed
from tensortrigger_server.csv_writing import RecordWriter

BLOCK = 1 << 18
REJECT_COLUMNS = ("row", "line", "column", "code", "message")


@dataclass(frozen=True, slots=True)
class Block:
    """Some rows of the result.

    Attributes:
        scored, rejects: text of the two files.
        rows: how many rows are written so far.
    """

    scored: str
    rejects: str
    rows: int


def merged(
    source: HashedFile, dialect: Dialect, results: IO[bytes], rejects: IO[bytes], columns: dict[str, str]
) -> Iterator[Block]:
    """The source's own text, record by record, with the outputs behind; a rejected row leaves them empty.

    Args:
        results: CSV with ``row``, counted from 0 and ascending, and the outputs.
        rejects: a JSON object a line, ascending by ``row``.
        columns: the source's column for each field of the model.

    Raises:
        Problem: the two do not belong together.
    """
    text = io.TextIOWrapper(results, encoding="utf-8", newline="")
    answers = csv.reader(text)
    records = Records(source, dialect.delimiter)
    header = header_of(records)
    taken = set(header)
    outputs = []
    for name in next(answers, ["row"])[1:]:
        outputs.append(unused(name, taken))
        taken.add(outputs[-1])
    scored, refused = RecordWriter(dialect), RecordWriter(dialect)
    scored.extend(records.text, 0, outputs)
    refused.add(REJECT_COLUMNS)
    empty = [""] * len(outputs)
    answer, reject = next(answers, None), _next(rejects)
    row = 0
    for record in records:
        missing = max(0, len(header) - len(record))
        if answer is not None and int(answer[0]) == row:
            scored.extend(records.text, missing, answer[1:])
            answer = next(answers, None)
        else:
            # A record with more fields than the header has no place for outputs, and no model read it.
            scored.extend(records.text, missing, empty if len(record) <= len(header) else [])
        if reject is not None and reject.get("row") == row:
            field = reject.get("field")
            column = columns.get(str(field), field)
            told = (row, records.line, column, reject.get("code"), reject.get("message"))
            refused.add(["" if value is None else str(value) for value in told])
            reject = _next(rejects)
        row += 1
        if scored.size >= BLOCK:
            yield Block(scored.take(), refused.take(), row)
    if answer is not None or reject is not None:
        raise file_changed()
    text.detach()
    yield Block(scored.take(), refused.take(), row)


def _next(rejects: IO[bytes]) -> dict[str, object] | None:
    line = rejects.readline()
    return json.loads(line) if line else None
