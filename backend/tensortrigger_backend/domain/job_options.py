"""What whoever orders a job may choose: the format of the rows, what is carried through, who is told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

DEFAULT_PRIORITY = 5
"""Of 0 to 9; higher goes first among the jobs of one owner."""


class RowFormat(StrEnum):
    """How the rows of an upload are laid down."""

    CSV = "csv"
    NDJSON = "ndjson"
    PARQUET = "parquet"
    ARROW = "arrow"


@dataclass(frozen=True, slots=True)
class Source:
    """Rows that lie elsewhere, for a worker to fetch: an upload by presigned URL, or a file of a configured source.

    Attributes:
        name: of the configured source; None for an upload.
        key: of the file below the source's prefix, or of the upload's blob.
    """

    name: str | None
    key: str


@dataclass(frozen=True, slots=True)
class JobOptions:
    """The choices of one job; a training has none of the rows.

    Attributes:
        row_format: of the rows as they are stored: what was compressed or in another encoding is stored as plain UTF-8.
        delimiter: between the fields of a CSV, one character.
        encoding: of the text as it came; it is stored as UTF-8.
        compression: ``gzip`` or None, as it came.
        keep: columns of the upload that the results carry through, as text for CSV.
        webhook: an address that is told when the job has ended.
        source: where a worker fetches the rows; None where they came with the request.
    """

    row_format: RowFormat = RowFormat.CSV
    delimiter: str = ","
    encoding: str = "utf-8"
    compression: str | None = None
    keep: tuple[str, ...] = ()
    webhook: str | None = None
    source: Source | None = None

    def to_dict(self) -> dict[str, Any]:
        """What ``from_dict`` reads."""
        return {**asdict(self), "row_format": str(self.row_format), "keep": list(self.keep)}

    @classmethod
    def from_dict(cls, members: Mapping[str, Any] | None) -> JobOptions:
        """The options as stored; jobs of earlier days have none."""
        if not members:
            return cls()
        source = members.get("source")
        return cls(
            RowFormat(members["row_format"]),
            members["delimiter"],
            members["encoding"],
            members["compression"],
            tuple(members["keep"]),
            members["webhook"],
            Source(**source) if source else None,
        )
