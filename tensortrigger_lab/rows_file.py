"""A file of rows as a job takes it: which format its name says, and a DataFrame as such a file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from tensortrigger_lab.errors import BadInput
from tensortrigger_lab.notebook_objects import is_frame

CSV: Final = "text/csv"
NDJSON: Final = "application/x-ndjson"
PARQUET: Final = "application/vnd.apache.parquet"
_ARROW: Final = "application/vnd.apache.arrow.file"
_MEDIA: Final = {
    ".ndjson": NDJSON,
    ".jsonl": NDJSON,
    ".parquet": PARQUET,
    ".pq": PARQUET,
    ".arrow": _ARROW,
    ".arrows": "application/vnd.apache.arrow.stream",
    ".feather": _ARROW,
    ".ipc": _ARROW,
}
ENDINGS: Final = (".csv", ".tsv", ".txt", *_MEDIA)
"""Of the names of files of rows; the text ones may have ``.gz`` behind it."""
_RESULTS: Final = {".parquet": PARQUET, ".pq": PARQUET, ".ndjson": NDJSON, ".jsonl": NDJSON}


_WRITTEN: Final = ("", ".csv", ".txt", *_RESULTS)


@dataclass(frozen=True, slots=True)
class RowsFile:
    """Where the rows lie, and how.

    Attributes:
        delimiter: what the name says of it; None where it says nothing.
    """

    path: Path
    media_type: str = CSV
    delimiter: str | None = None


def media_type_of(path: Path) -> str:
    """The format that a file's name says; a CSV where it says nothing. ``.gz`` at its end does not count."""
    return _MEDIA.get(_suffix(path), CSV)


def results_type_of(path: str | Path) -> str:
    """The format in which results are written to a file of that name: Parquet, NDJSON, else CSV."""
    return _RESULTS.get(Path(path).suffix.lower(), CSV)


def check_output(path: str | Path) -> None:
    """Refuse a file into which no results can be written.

    Raises:
        BadInput: there is no such folder, it is one, or its ending says a format that results do not have.
    """
    path = Path(path)
    if path.suffix.lower() not in _WRITTEN:
        raise BadInput(
            f"Results are not written as {path.suffix!r}.",
            expected=".csv, .parquet or .ndjson",
            got=path.name,
        )
    if path.is_dir():
        raise BadInput(f"{str(path)!r} is a folder: name a file in it for the results.")
    if not path.parent.is_dir():
        raise BadInput(f"There is no folder {str(path.parent)!r} to write the results into.")


@contextmanager
def rows_file(source: Any) -> Iterator[RowsFile]:
    """``source`` as a file of rows; a DataFrame is written to a temporary one.

    Args:
        source: a DataFrame, or the path of a CSV, TSV, NDJSON, Parquet or Arrow file, the text ones perhaps gzipped.

    Raises:
        BadInput: no such file, not a file, or an empty table.
    """
    if is_frame(source):
        if source.empty:
            raise BadInput("The DataFrame is empty: there is nothing to score.", got=f"shape {source.shape}")
        with TemporaryDirectory(prefix="tensortrigger-") as folder:
            path = Path(folder) / "rows.csv"
            flags = source.select_dtypes(include=["bool", "boolean"]).columns
            # 1 and 0 are read as INT, FLOAT and BOOL alike; True and False only as BOOL.
            source.astype(dict.fromkeys(flags, "Int8")).to_csv(path, index=False)
            yield RowsFile(path)
        return
    if not isinstance(source, str | Path):
        raise BadInput(
            "This cannot be scored as a table.",
            expected="a path or a DataFrame",
            got=type(source).__name__,
        )
    yield found_file(source)


def found_file(source: str | Path) -> RowsFile:
    """The file of that path, read as its name says.

    Raises:
        BadInput: there is no such file.
    """
    path = Path(source).expanduser()
    if not path.is_file():
        raise BadInput(f"There is no file {str(path)!r}.")
    return RowsFile(path, media_type_of(path), "\t" if _suffix(path) == ".tsv" else None)


def _suffix(path: Path) -> str:
    name = path.name.lower().removesuffix(".gz")
    return Path(name).suffix
