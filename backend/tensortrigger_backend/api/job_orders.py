"""What whoever orders a scoring job says about it: members of a JSON body, or names of a query."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fastapi import Request

from tensortrigger_backend.api.reading import known_members, member, one_of, only_parameters, text_member
from tensortrigger_backend.domain.errors import Fault, InvalidInput, UnsupportedMedia
from tensortrigger_backend.domain.job_options import DEFAULT_PRIORITY, JobOptions, RowFormat, Source
from tensortrigger_backend.domain.source_keys import checked_key
from tensortrigger_backend.domain.upload_columns import MAX_COLUMNS
from tensortrigger_backend.domain.upload_format import MEDIA_TYPES, format_of_media, format_of_name
from tensortrigger_backend.domain.upload_text import known_encoding
from tensortrigger_backend.services.remote_intake import waiting_key

MODEL = ("model", "model_id")
OPTIONS = ("keep", "priority", "delimiter", "encoding", "webhook")
_NAMED_DELIMITERS = {"tab": "\t", "\\t": "\t", "comma": ",", "semicolon": ";", "pipe": "|", "space": " "}
_HEX = frozenset("0123456789abcdef")
_JSON = "application/json"


@dataclass(frozen=True, slots=True)
class JobOrder:
    """One scoring job as it was ordered.

    Attributes:
        model: ``name``, ``name@alias`` or ``name/3``.
        row_format: None where the first bytes of the rows tell.
    """

    model_id: str | None
    model: str | None
    options: JobOptions
    priority: int
    row_format: RowFormat | None

    def told(self) -> tuple[str, ...]:
        """All that makes two orders the same, but the rows."""
        return (
            str(self.model_id),
            str(self.model),
            repr(self.options),
            str(self.priority),
            str(self.row_format),
        )


def is_json(request: Request) -> bool:
    """Whether the body orders a job rather than being its rows."""
    media_type, _ = content_type_of(request)
    return media_type == _JSON or media_type.endswith("+json")


def order_of_query(request: Request) -> JobOrder:
    """Of a request whose body is the rows.

    Raises:
        InvalidInput: naming each parameter that is unknown or wrong.
        UnsupportedMedia: rows of a kind that is not read.
    """
    query = request.query_params
    only_parameters(request, *MODEL, *OPTIONS)
    members: dict[str, Any] = {name: query[name] for name in query if name != "keep"}
    members["keep"] = [name for value in query.getlist("keep") for name in listed(value, "keep")]
    if "priority" in members:
        members["priority"] = _whole_number(members["priority"])
    media_type, charset = content_type_of(request)
    row_format = format_of_media(media_type)
    compression = compression_of(request)
    if charset and row_format in (RowFormat.CSV, RowFormat.NDJSON):
        members.setdefault("encoding", charset)
    return _order(members, row_format, usual_delimiter(media_type), compression)


def order_of_members(members: dict[str, Any]) -> JobOrder:
    """Of a JSON body that holds the rows as ``input_data``. Raises InvalidInput."""
    known_members(members, *MODEL, *OPTIONS, "input_data")
    media_type = data_url_type(members.get("input_data"))
    # Browsers call a CSV by many names: what is no name of a format leaves it to the first bytes.
    return _order(members, MEDIA_TYPES.get(media_type), usual_delimiter(media_type), None)


def order_elsewhere(members: dict[str, Any], owner: str) -> JobOrder:
    """Of a JSON body that names rows which lie elsewhere. Raises InvalidInput."""
    known_members(members, *MODEL, *OPTIONS, "source", "upload_id", "row_format")
    one_of(members, "source", "upload_id")
    name = ""
    if members.get("upload_id") is not None:
        upload_id = text_member(members, "upload_id") or ""
        if len(upload_id) != 32 or not set(upload_id) <= _HEX:
            raise _wrong("upload_id", "This is no upload_id.", "what POST /jobs/uploads gave", upload_id)
        source = Source(None, waiting_key(owner, upload_id))
    else:
        place = members["source"]
        if not isinstance(place, dict):
            raise _wrong("source", "source must be an object.", '{"name": ..., "key": ...}', place)
        known_members(place, "name", "key")
        for part in ("name", "key"):
            if not isinstance(member(place, part), str):
                raise _wrong("source", f"source.{part} must be a string.", "string", place[part])
        name = place["key"]
        source = Source(place["name"], checked_key(name))
    told = text_member(members, "row_format")
    if told is not None and told not in list(RowFormat):
        raise _wrong("row_format", "There is no such format of rows.", ", ".join(RowFormat), told)
    row_format = RowFormat(told) if told else format_of_name(name) or RowFormat.CSV
    tabs = name.lower().removesuffix(".gz").endswith(".tsv")
    return _order(members, row_format, "\t" if tabs else ",", None, source)


def data_url_type(content: Any) -> str:
    """The media type of a data URL; empty for bare base64."""
    if not isinstance(content, str) or not content.startswith("data:"):
        return ""
    return content[5:200].partition(",")[0].partition(";")[0].strip().lower()


def _order(
    members: Mapping[str, Any],
    row_format: RowFormat | None,
    delimiter: str,
    compression: str | None,
    source: Source | None = None,
) -> JobOrder:
    options = JobOptions(
        row_format=row_format or RowFormat.CSV,
        delimiter=delimiter_of(members.get("delimiter"), delimiter),
        encoding=encoding_of(members.get("encoding")),
        compression=compression,
        keep=columns_of(members.get("keep"), "keep"),
        webhook=text_member(dict(members), "webhook"),
        source=source,
    )
    named = dict(members)
    return JobOrder(
        text_member(named, "model_id"),
        text_member(named, "model"),
        options,
        _priority(members.get("priority")),
        row_format,
    )


def content_type_of(request: Request) -> tuple[str, str | None]:
    """Content-Type and its charset."""
    media_type, *parameters = request.headers.get("content-type", "").split(";")
    named = dict(parameter.strip().partition("=")[::2] for parameter in parameters)
    charset = {name.lower(): value.strip('"') for name, value in named.items()}.get("charset")
    return media_type.strip().lower(), charset


def compression_of(request: Request) -> str | None:
    """``gzip`` or None, as Content-Encoding says. Raises UnsupportedMedia for any other."""
    packing = request.headers.get("content-encoding", "identity").strip().lower()
    if packing not in ("gzip", "x-gzip", "identity", ""):
        raise UnsupportedMedia(f"Send Content-Encoding: gzip, or none, not {packing[:40]!r}.")
    return "gzip" if packing.endswith("gzip") else None


def usual_delimiter(media_type: str) -> str:
    """Of a file of that media type."""
    return "\t" if media_type == "text/tab-separated-values" else ","


def delimiter_of(value: Any, usual: str) -> str:
    """What stands between the fields of a CSV; ``usual`` where nothing is said. Raises InvalidInput."""
    if value is None:
        return usual
    if isinstance(value, str):
        found = _NAMED_DELIMITERS.get(value, value)
        if len(found) == 1 and found.isascii() and not found.isalnum() and found not in '"+-.\r\n\0':
            return found
    expected = "one ASCII character that is no letter, digit, quotation mark, sign or point; or tab"
    raise _wrong("delimiter", "This cannot stand between the fields of a CSV.", expected, value)


def encoding_of(value: Any) -> str:
    """The text's encoding by its usual name. Raises InvalidInput."""
    if value is None:
        return "utf-8"
    if not isinstance(value, str):
        raise _wrong("encoding", "encoding must be a string.", "string", value)
    return known_encoding(value)


def columns_of(value: Any, name: str) -> tuple[str, ...]:
    """Names of columns, each once. Raises InvalidInput, for the member called ``name``."""
    if value is None:
        return ()
    names = listed(value, name) if isinstance(value, str) else value
    if not isinstance(names, list) or not all(isinstance(one, str) for one in names):
        raise _wrong(name, f"{name} must name columns.", "a list of strings", value)
    if len(names) > MAX_COLUMNS:
        raise _wrong(name, f"{name} must name {MAX_COLUMNS} columns at most.", "fewer", len(names))
    wrong = next((one for one, count in Counter(names).items() if count > 1 or not one), None)
    if wrong is not None:
        raise _wrong(name, f"{name} must name each column once.", "each once", wrong)
    return tuple(names)


def listed(value: str, name: str) -> list[str]:
    """Names as a record of a CSV: one with a comma in it stands in quotation marks."""
    try:
        return next(csv.reader([value], skipinitialspace=True, strict=True), [])
    except csv.Error:
        raise _wrong(
            name, f"{name} must name columns, with commas between.", 'id,"last, first"', value
        ) from None


def _priority(value: Any) -> int:
    if value is None:
        return DEFAULT_PRIORITY
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= 9:
        raise _wrong("priority", "priority must be a whole number from 0 to 9.", "0 to 9", value)
    return value


def _whole_number(text: str) -> Any:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else text


def _wrong(name: str, message: str, expected: str, got: Any) -> InvalidInput:
    return InvalidInput.of(Fault((name,), name, message, expected, str(got)[:80]))
