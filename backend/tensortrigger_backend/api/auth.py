"""Who is asking: the key of a request, checked before any route runs."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Annotated

from fastapi import Depends, Request

from tensortrigger_backend.domain.access import EVERYTHING, Principal, checked_owner, split_ticket
from tensortrigger_backend.domain.errors import Unauthenticated
from tensortrigger_backend.services.core import Core

USER_HEADER = "x-authenticated-userid"
LOOPBACK_HOSTS = ("localhost", "127.0.0.1", "[::1]")


def token_of(headers: Iterable[tuple[bytes, bytes]]) -> str | None:
    """The token of ``Authorization: Bearer`` or ``X-API-Key``; None without either.

    Raises:
        Unauthenticated: another scheme than Bearer.
    """
    for name, value in headers:
        if name == b"authorization":
            scheme, _, token = value.decode("latin-1").strip().partition(" ")
            if scheme.lower() != "bearer" or not token.strip():
                raise Unauthenticated("Send the key as 'Authorization: Bearer tt_...'.")
            return token.strip()
        if name == b"x-api-key":
            return value.decode("latin-1").strip()
    return None


def host_allowed(host: str, allowed: frozenset[str] | None) -> bool:
    """Whether a Host header is one of ours; with None any is.

    On loopback this is what stops a web page whose name was rebound to 127.0.0.1.
    """
    if allowed is None:
        return True
    name = host.rpartition(":")[0] if ":" in host and not host.endswith("]") else host
    return name.lower() in allowed


async def _core(request: Request) -> Core:
    # Asynchronous, since every other dependency costs, and waits for, a thread.
    core: Core = request.app.state.core
    return core


async def identify(request: Request) -> Principal:
    """The caller of a request.

    Raises:
        Unauthenticated: no key, or one that is not valid.
        Forbidden: a ticket, on a route that does not publish.
    """
    core = await _core(request)
    if request.app.state.trusted_proxy and (user := request.headers.get(USER_HEADER)):
        return Principal(checked_owner(user), EVERYTHING)
    token = token_of(request.scope["headers"])
    known = core.gatekeeper.recall(token)
    if known is not None:
        return known
    if token is not None and split_ticket(token) and _publishes(request.scope["path"]):
        return await asyncio.to_thread(core.gatekeeper.identify_ticket, token)
    return await asyncio.to_thread(core.gatekeeper.identify, token)


def _publishes(path: str) -> bool:
    """Whether a route is one of those that a ticket opens: the publish, and the upload before it."""
    return path.endswith(("/models/new", "/models/uploads")) or "/models/uploads/" in path


CoreOf = Annotated[Core, Depends(_core)]
Caller = Annotated[Principal, Depends(identify)]
