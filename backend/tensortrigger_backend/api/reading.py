"""Read request bodies within limits, as strict JSON, base64 or a stream."""

from __future__ import annotations

import asyncio
import binascii
import hashlib
from collections import Counter
from collections.abc import AsyncIterator, Collection, Iterator
from typing import Any, get_args, get_origin

import msgspec
from fastapi import Request
from fastapi.routing import APIRoute

from tensortrigger_backend.domain.errors import (
    Fault,
    InvalidInput,
    PayloadTooLarge,
    Unavailable,
    UnsupportedMedia,
)
from tensortrigger_backend.ports.storage import Idempotency

_BASE64_STEP = 1 << 20
"""Characters decoded at a time: a multiple of four."""
_KEY_LIMIT = 255

HEAVY = 64 << 10
"""Bytes of JSON from which on reading it would hold up the event loop, and so runs in a thread."""
LARGE = 1 << 20
"""Bytes from which on only so many bodies may be in memory at once."""
LARGE_BODIES = 8
ENVELOPE = 1 << 20
"""Bytes that a body with base64 in it may have beside that."""


async def stream(request: Request, limit: int) -> AsyncIterator[bytes]:
    """The body as it comes in.

    Raises:
        PayloadTooLarge: it is longer than ``limit`` bytes, announced or counted.
    """
    announced = request.headers.get("content-length", "")
    too_large = PayloadTooLarge(f"The body is over the limit of {limit} bytes.")
    if announced.isdigit() and int(announced) > limit:
        raise too_large
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limit:
            raise too_large
        yield chunk


async def json_object(request: Request, limit: int) -> dict[str, Any]:
    """A JSON object from the body; see ``sized_json_object``."""
    return (await sized_json_object(request, limit))[0]


async def sized_json_object(request: Request, limit: int) -> tuple[dict[str, Any], int]:
    """A JSON object from the body, and how many bytes it was; raises as ``json_value``, and where it is none."""
    members, size = await json_value(request, limit)
    if not isinstance(members, dict):
        raise _malformed("json_type", "The body must be a JSON object.")
    return members, size


async def json_value(request: Request, limit: int) -> tuple[Any, int]:
    """Whatever JSON the body holds, and how many bytes it was.

    A web page of another origin cannot send this content type without asking first, so demanding it keeps
    such pages from using a backend that listens on loopback without keys.

    Raises:
        UnsupportedMedia: the content type is not JSON.
        PayloadTooLarge: as ``stream``.
        InvalidInput: not JSON, or nested too deep.
        Unavailable: too many large bodies are being read at once.
    """
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json" and not media_type.endswith("+json"):
        raise UnsupportedMedia(f"Send Content-Type: application/json, not {media_type[:80] or 'none'!r}.")
    announced = request.headers.get("content-length", "")
    if announced.isdigit() and int(announced) <= LARGE:
        return await _read(request, limit)
    gate: asyncio.Semaphore = request.app.state.large_bodies
    if gate.locked():
        raise Unavailable("Too many large requests are being read.", retry_after=2.0)
    async with gate:
        return await _read(request, limit)


async def _read(request: Request, limit: int) -> tuple[Any, int]:
    body = bytearray()
    async for chunk in stream(request, limit):
        body += chunk
    if len(body) > HEAVY:
        return await asyncio.to_thread(_parsed, body), len(body)
    return _parsed(body), len(body)


def _parsed(body: bytearray) -> Any:
    try:
        return msgspec.json.decode(body)
    except RecursionError:
        raise _malformed("json_depth", "The JSON is nested too deep.") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _malformed("json", f"The body is not valid JSON: {error}.") from None


def known_members(members: dict[str, Any], *names: str) -> None:
    """Raises InvalidInput for every member with another name: a misspelt one would be passed over silently."""
    faults = [
        Fault(
            (name,), "unknown_member", f"There is no member {name[:80]!r} here.", ", ".join(names), name[:80]
        )
        for name in members
        if name not in names
    ]
    if faults:
        raise InvalidInput.of(*faults[:20])


async def known_parameters(request: Request) -> None:
    """Raises InvalidInput for every parameter of the query that the route does not have, or has once and got twice.

    A dependency of the routers: a misspelt parameter would be passed over silently, and with it what it asks for.
    """
    if request.query_params:
        route: APIRoute = request.scope["route"]
        beside = (route.openapi_extra or {}).get("parameters", [])
        only_parameters(
            request,
            *(field.alias for field in route.dependant.query_params),
            *(told["name"] for told in beside if told["in"] == "query"),
        )
        several = [
            field.alias for field in route.dependant.query_params if _is_list(field.field_info.annotation)
        ]
        several += [told["name"] for told in beside if told["schema"].get("type") == "array"]
        _once_each(request, several)


def only_parameters(request: Request, *names: str, where: str = "here") -> None:
    """Raises InvalidInput for every parameter of the query with another name."""
    _no_other_parameters(request, names, where)


def no_parameters(request: Request) -> None:
    """Raises InvalidInput for every parameter of the query: a JSON body says it all."""
    _no_other_parameters(request, (), "beside a JSON body: make it a member of that")


def _no_other_parameters(request: Request, names: Collection[str], where: str) -> None:
    expected = ", ".join(names) or "none"
    faults = [
        Fault(
            (name,), "unknown_parameter", f"There is no parameter {name[:80]!r} {where}.", expected, name[:80]
        )
        for name in request.query_params
        if name not in names and not _against_caches(name)
    ]
    if faults:
        raise InvalidInput.of(*faults[:20])


def _once_each(request: Request, several: Collection[str]) -> None:
    """Raises InvalidInput for every parameter but ``several`` that is there more than once: one would be dropped."""
    counts = Counter(name for name, _ in request.query_params.multi_items())
    faults = [
        Fault(
            (name,),
            "repeated_parameter",
            f"Parameter {name!r} is there {count} times: say it once.",
            "once",
            f"{count} times",
        )
        for name, count in counts.items()
        if count > 1 and name not in several and not _against_caches(name)
    ]
    if faults:
        raise InvalidInput.of(*faults[:20])


def _is_list(annotation: Any) -> bool:
    """Whether a parameter may be repeated: it is a list, or a list or None."""
    return any(get_origin(kind) is list for kind in (annotation, *get_args(annotation)))


def _against_caches(name: str) -> bool:
    """Whether it only keeps answers from being cached, as the bare number of JupyterLab does and jQuery's ``_``."""
    return name.isdigit() or name == "_"


def member(members: dict[str, Any], name: str) -> Any:
    """A required member. Raises InvalidInput when it is missing."""
    if members.get(name) is None:
        raise InvalidInput.of(Fault((name,), "missing", f"Member {name!r} is missing.", name, "nothing"))
    return members[name]


def one_of(members: dict[str, Any], *names: str) -> None:
    """Raises InvalidInput unless exactly one of these members is there."""
    told = [name for name in names if members.get(name) is not None]
    if len(told) != 1:
        message = f"Send exactly one of {' and '.join(names)}."
        got = " and ".join(told) or "neither"
        raise InvalidInput.of(Fault((names[0],), "one_of", message, " or ".join(names), got))


def text_member(members: dict[str, Any], name: str) -> str | None:
    """An optional string member. Raises InvalidInput when it is something else."""
    value = members.get(name)
    if value is not None and not isinstance(value, str):
        raise InvalidInput.of(
            Fault((name,), "type", f"{name} must be a string.", "string", type(value).__name__)
        )
    return value


def base64_member(members: dict[str, Any], name: str, limit: int) -> Iterator[bytes]:
    """The bytes of a data URL or of bare base64, decoded block by block.

    Raises:
        InvalidInput: missing, no string, or no base64.
        PayloadTooLarge: more than ``limit`` characters.
    """
    content = member(members, name)
    if not isinstance(content, str):
        raise InvalidInput.of(
            Fault(
                (name,), "type", f"{name} must be a string.", "base64 or a data URL", type(content).__name__
            )
        )
    if len(content) > limit:
        raise PayloadTooLarge(f"{name} is over the limit of {limit} base64 characters.")
    start = 0
    if content.startswith("data:"):
        comma = content.find(",", 0, 256)
        if comma < 0 or not content[:comma].endswith(";base64"):
            raise InvalidInput.of(
                Fault(
                    (name,), "data_url", f"{name} is a data URL without base64.", "data:<mime>;base64,<bytes>"
                )
            )
        start = comma + 1
    if "\n" in content:
        # Line breaks are usual in base64 that was wrapped for mail, and mean nothing.
        content, start = content[start:].replace("\r", "").replace("\n", ""), 0
    return _decoded(content, start, name)


def _decoded(content: str, start: int, name: str) -> Iterator[bytes]:
    for at in range(start, len(content), _BASE64_STEP):
        try:
            yield binascii.a2b_base64(content[at : at + _BASE64_STEP], strict_mode=True)
        except (binascii.Error, ValueError) as error:
            raise InvalidInput.of(
                Fault(
                    (name,), "base64", f"{name} is not valid base64: {error}.", "base64", "other characters"
                )
            ) from None


def idempotency(request: Request, *told: str) -> Idempotency | None:
    """The request's ``Idempotency-Key``, bound to what makes two requests the same.

    Raises:
        InvalidInput: the key is empty, too long or not printable.
    """
    key = request.headers.get("idempotency-key")
    if key is None:
        return None
    if not 0 < len(key) <= _KEY_LIMIT or not key.isprintable():
        raise InvalidInput.of(
            Fault(
                ("Idempotency-Key",),
                "idempotency_key",
                f"Idempotency-Key must have 1 to {_KEY_LIMIT} printable characters.",
            )
        )
    digest = hashlib.sha256("\0".join((request.url.path, *told)).encode())
    return Idempotency(key, digest.hexdigest())


def _malformed(code: str, message: str) -> InvalidInput:
    return InvalidInput.of(Fault(("body",), code, message, "JSON"))
