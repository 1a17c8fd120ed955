"""In which format an upload is: said by its media type or file name, and seen in its first bytes."""

from __future__ import annotations

from tensortrigger_backend.domain.errors import Fault, InvalidInput, UnsupportedMedia
from tensortrigger_backend.domain.job_options import RowFormat

PARQUET_MAGIC, ARROW_MAGIC = b"PAR1", b"ARROW1"
ARROW_MESSAGE = b"\xff\xff\xff\xff"
"""How each message of an Arrow stream begins, the first of them with it."""
MAGIC_BYTES = 8
"""So many bytes tell the format."""

MEDIA_TYPES = {
    "text/csv": RowFormat.CSV,
    "application/csv": RowFormat.CSV,
    "text/tab-separated-values": RowFormat.CSV,
    "application/x-ndjson": RowFormat.NDJSON,
    "application/ndjson": RowFormat.NDJSON,
    "application/jsonl": RowFormat.NDJSON,
    "application/x-jsonlines": RowFormat.NDJSON,
    "application/vnd.apache.parquet": RowFormat.PARQUET,
    "application/x-parquet": RowFormat.PARQUET,
    "application/vnd.apache.arrow.stream": RowFormat.ARROW,
    "application/vnd.apache.arrow.file": RowFormat.ARROW,
}
_USUAL = (
    "text/csv",
    "text/tab-separated-values",
    "application/x-ndjson",
    "application/vnd.apache.parquet",
    "application/vnd.apache.arrow.stream",
    "application/vnd.apache.arrow.file",
)
ENDINGS = {
    ".csv": RowFormat.CSV,
    ".tsv": RowFormat.CSV,
    ".txt": RowFormat.CSV,
    ".ndjson": RowFormat.NDJSON,
    ".jsonl": RowFormat.NDJSON,
    ".parquet": RowFormat.PARQUET,
    ".pq": RowFormat.PARQUET,
    ".arrow": RowFormat.ARROW,
    ".arrows": RowFormat.ARROW,
    ".feather": RowFormat.ARROW,
    ".ipc": RowFormat.ARROW,
}
_NAMES = {
    RowFormat.CSV: "CSV",
    RowFormat.NDJSON: "NDJSON",
    RowFormat.PARQUET: "Parquet",
    RowFormat.ARROW: "Arrow IPC",
}


def format_of_media(media_type: str) -> RowFormat:
    """Raises UnsupportedMedia."""
    found = MEDIA_TYPES.get(media_type)
    if found is None:
        known = f"{', '.join(_USUAL[:-1])} or {_USUAL[-1]}"
        raise UnsupportedMedia(f"Send Content-Type: {known}, not {media_type[:80] or 'none'!r}.")
    return found


def format_of_name(name: str) -> RowFormat | None:
    """By the ending of a file's name; None where that says nothing."""
    name = name.lower().removesuffix(".gz")
    return next((found for ending, found in ENDINGS.items() if name.endswith(ending)), None)


def format_of_content(beginning: bytes) -> RowFormat | None:
    """By the first bytes of an upload; None for text."""
    if beginning.startswith(PARQUET_MAGIC):
        return RowFormat.PARQUET
    arrow = beginning.startswith((ARROW_MAGIC, ARROW_MESSAGE))
    return RowFormat.ARROW if arrow else None


def check_content(beginning: bytes, told: RowFormat, elsewhere: bool = False) -> None:
    """Raises InvalidInput where an upload is not in the format that was told.

    Args:
        elsewhere: the rows did not come with the order, which told their format as ``row_format``.
    """
    seen = format_of_content(beginning)
    if seen is told or (seen is None and told in (RowFormat.CSV, RowFormat.NDJSON)):
        return
    was = _NAMES[seen] if seen is not None else f"no {_NAMES[told]}"
    right = f"order it as row_format {seen}" if elsewhere else "send the Content-Type that it has"
    told_so = f"The upload is {was}, and was sent as {_NAMES[told]}: {right}."
    if seen is None:
        told_so = f"The upload is no {_NAMES[told]}: it begins with other bytes."
    got = beginning[:MAGIC_BYTES].hex(" ") or "nothing"
    raise InvalidInput.of(Fault(("input_data",), "row_format", told_so, _NAMES[told], got))


def media_type_of(row_format: RowFormat, beginning: bytes = b"") -> str:
    """Of the rows as they are stored.

    Args:
        beginning: of the blob, which tells an Arrow file from a stream.
    """
    if row_format is RowFormat.ARROW:
        return f"application/vnd.apache.arrow.{'file' if beginning.startswith(ARROW_MAGIC) else 'stream'}"
    return next(media_type for media_type, found in MEDIA_TYPES.items() if found is row_format)
