"""How this server asks the backend: at the configured URL only, with the key added here."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from tensortrigger_server.problems import BackendAway, BackendFault, KeyRefused, Problem
from tensortrigger_server.redaction import Blotter, redact

VERSION_HEADER = "x-tensortrigger-version"
LARGEST_PROBLEM = 1 << 16
"""Bytes of an error answer that are read to learn its reason."""
LARGEST_JSON = 32 << 20
"""Bytes of an answer that this server itself reads as JSON."""
START_PATIENCE = 20.0
"""Seconds that the first requests wait for an embedded backend that is just starting."""

Body = bytes | AsyncIterator[bytes] | None


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds within which a connection must stand, and between two signs of life of an answer."""

    connect: float = 5.0
    answer: float = 120.0


class Upstream:
    """The backend, seen from here. Follows no redirect, and shows its key to nobody.

    Args:
        url: without a trailing slash.
        key: tells the key at this moment, empty for none; it may be rotated.
        wait_ready: returns once an embedded backend can answer; raises BackendAway if it never will.
    """

    def __init__(
        self,
        url: str,
        key: Callable[[], str],
        client: httpx.AsyncClient,
        *,
        wait_ready: Callable[[], Awaitable[None]] | None = None,
        patience: Patience | None = None,
    ) -> None:
        self.url = url
        self.version: str | None = None
        self._key = key
        self._client = client
        self._wait_ready = wait_ready
        self._patience = patience or Patience()

    def redact(self, text: str) -> str:
        """``text`` without the key."""
        return redact(text, self._key())

    @asynccontextmanager
    async def ask(
        self,
        method: str,
        path: str,
        *,
        query: str = "",
        headers: Mapping[str, str] | None = None,
        content: Body = None,
        silence: float | None = None,
    ) -> AsyncIterator[httpx.Response]:
        """An answer whose body is not read yet; whatever its status but 401, 403 and redirects.

        Args:
            path: already allowed, without a leading slash.
            silence: seconds without a byte after which the answer is given up, where not the usual.

        Raises:
            BackendAway: no answer came.
            KeyRefused: the backend does not accept the key.
            Problem: the backend wants to send us elsewhere.
        """
        if self._wait_ready is not None:
            await self._wait_ready()
        answer = await self._send(method, path, query, headers or {}, content, silence)
        try:
            self.version = answer.headers.get(VERSION_HEADER, self.version)
            await self._refuse(answer)
            yield answer
        finally:
            await answer.aclose()

    async def json(self, method: str, path: str, *, query: str = "", body: object = None) -> dict[str, Any]:
        """The members of a successful answer.

        Raises:
            BackendFault: the backend answered with an error.
            BackendAway, KeyRefused, Problem: see `ask`.
        """
        content = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"} if content is not None else {}
        async with self.ask(method, path, query=query, headers=headers, content=content) as answer:
            return await self.members(answer)

    async def members(self, answer: httpx.Response) -> dict[str, Any]:
        """The members of an answer's JSON object. Raises as `json`."""
        body = b""
        async for block in self.blocks(answer):
            body += block
            if len(body) > LARGEST_JSON:
                raise Problem(502, "backend_failed", f"The backend's answer is over {LARGEST_JSON} bytes.")
        try:
            members = json.loads(body)
        except ValueError:
            members = None
        if not isinstance(members, dict):
            members = {}
            if answer.is_success:
                raise Problem(
                    502, "backend_failed", f"What answers at {self.url} is no TensorTrigger backend."
                )
        if not answer.is_success:
            detail = str(members.get("detail") or members.get("message") or answer.reason_phrase)
            more = {"errors": members["errors"]} if isinstance(members.get("errors"), list) else {}
            code = "not_found" if answer.status_code == httpx.codes.NOT_FOUND else "backend_fault"
            raise BackendFault(answer.status_code, code, detail, more=more)
        return members

    async def blocks(self, answer: httpx.Response) -> AsyncIterator[bytes]:
        """The body as it comes in, without the key, as long as it was.

        Raises:
            BackendAway: it broke off.
        """
        blotter = Blotter(self._key())
        try:
            async for block in answer.aiter_bytes():
                if shown := blotter.feed(block):
                    yield shown
        except httpx.HTTPError:
            raise BackendAway(f"The backend at {self.url} broke off its answer: try again.") from None
        if rest := blotter.rest():
            yield rest

    async def _send(
        self,
        method: str,
        path: str,
        query: str,
        headers: Mapping[str, str],
        content: Body,
        silence: float | None,
    ) -> httpx.Response:
        connect, answer = self._patience.connect, silence or self._patience.answer
        request = self._client.build_request(
            method,
            f"{self.url}/{path}?{query}" if query else f"{self.url}/{path}",
            # What is compressed all the same is unpacked here: only so can it be looked through for the key.
            headers={**headers, **self._authorization(), "Accept-Encoding": "identity"},
            content=content,
            timeout=httpx.Timeout(answer, connect=connect, pool=connect),
        )
        # A client keeps cookies; the next caller may be somebody else.
        request.headers.pop("Cookie", None)
        try:
            return await self._client.send(request, stream=True, follow_redirects=False)
        except httpx.ReadTimeout:
            raise BackendAway(
                f"The backend at {self.url} does not answer in time: look at its log."
            ) from None
        except (httpx.HTTPError, httpx.InvalidURL, OSError):
            # The words of these errors may hold a header, and that the key.
            raise BackendAway(
                f"The backend at {self.url} cannot be reached: check that it runs, then try again."
            ) from None

    def _authorization(self) -> dict[str, str]:
        key = self._key()
        if not key:
            return {}
        if not (key.isascii() and key.isprintable()) or " " in key:
            raise KeyRefused("it holds characters that no key has.")
        return {"Authorization": f"Bearer {key}"}

    async def _refuse(self, answer: httpx.Response) -> None:
        if answer.status_code in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
            raise KeyRefused(await self._reason(answer))
        if answer.is_redirect and answer.status_code != httpx.codes.NOT_MODIFIED:
            raise Problem(
                502,
                "backend_redirects",
                f"What answers at {self.url} wants to redirect, which is not followed: set "
                "TensorTriggerApp.backend_url to the backend's own URL.",
            )
        is_json = "json" in answer.headers.get("content-type", "")
        if answer.status_code in (502, 503, 504) and not is_json:
            # A gateway speaks in the backend's place.
            raise BackendAway(
                f"What stands before the backend at {self.url} answers {answer.status_code}: try again later."
            )

    async def _reason(self, answer: httpx.Response) -> str:
        body = b""
        async for block in self.blocks(answer):
            body += block
            if len(body) > LARGEST_PROBLEM:
                break
        try:
            detail = json.loads(body)["detail"]
        except (ValueError, KeyError, TypeError):
            detail = None
        return detail if isinstance(detail, str) and detail else f"it answers {answer.status_code}."
