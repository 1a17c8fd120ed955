"""Writing CSV records as text, block by block."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from tensortrigger_server.csv_text import Dialect


class RecordWriter:
    """Collects records; the one who writes takes the text whenever enough has come together."""

    def __init__(self, dialect: Dialect) -> None:
        self._delimiter, self._line_end = dialect.delimiter, dialect.line_end
        self._text = io.StringIO("\ufeff" if dialect.marked else "", newline="")
        self._text.seek(0, io.SEEK_END)
        self._plain = csv.writer(self._text, delimiter=dialect.delimiter, lineterminator=dialect.line_end)
        self._quoting = csv.writer(
            self._text,
            delimiter=dialect.delimiter,
            lineterminator=dialect.line_end,
            quoting=csv.QUOTE_ALL,
        )

    def add(self, record: Sequence[str]) -> None:
        """One record."""
        # Before Python 3.13 a carriage return inside a field is not reason enough for it to be quoted.
        (self._quoting if "\r" in "".join(record) else self._plain).writerow(record)

    def extend(self, text: str, missing: int, further: Sequence[str]) -> None:
        """One record that is written already, but for its end.

        Args:
            text: the record as it stands in another file of the same dialect.
            missing: how many empty fields to add ...
            further: ... and which fields after them.
        """
        self._text.write(text + self._delimiter * missing)
        if any(further):
            self._text.write(self._delimiter)
            self.add(further)
        else:
            self._text.write(self._delimiter * len(further) + self._line_end)

    @property
    def size(self) -> int:
        """Characters that wait to be taken."""
        return self._text.tell()

    def take(self) -> str:
        """The text since the last time."""
        text = self._text.getvalue()
        self._text.seek(0)
        self._text.truncate()
        return text
