"""The predict routes answered below the framework, for as long as nothing is unusual.

A subclass of uvicorn's protocol recognises ``POST /tensor/run`` and ``/tensor/run/batch`` as soon as their
headers are in. If the key is known, the model is in memory and the body is what the schema says, the answer
is written straight to the socket. Anything else - an unknown key, a first call, a fault - is handed, with the
body as it came, to the application, which is the only place that words an error.
"""

from __future__ import annotations

import asyncio
import re
from time import perf_counter
from typing import Any, Final
from weakref import WeakKeyDictionary

import msgspec
import numpy as np
import numpy.typing as npt
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from tensortrigger_backend import __version__
from tensortrigger_backend.api.app import OLD_PREFIX, Recorder
from tensortrigger_backend.api.auth import USER_HEADER, host_allowed, token_of
from tensortrigger_backend.api.body_reader import BodyReader, EncodingReader, as_vectors, reader_of
from tensortrigger_backend.api.native_run import RUN, RUN_BATCH
from tensortrigger_backend.domain.access import Principal, Scope
from tensortrigger_backend.domain.arrays import row_answers
from tensortrigger_backend.domain.errors import Unauthenticated, Unavailable
from tensortrigger_backend.services.batcher import Outputs
from tensortrigger_backend.services.core import Core
from tensortrigger_backend.services.model_cache import Resident

VERSION_HEADER: Final = "x-tensortrigger-version"
"""On every answer, so that a client can tell whether it fits this backend."""
MAX_BODY: Final = 1 << 20
"""Larger bodies go the ordinary way."""
UNUSUAL: Final = frozenset({b"transfer-encoding", b"expect", b"content-encoding", b"upgrade"})
MAX_HEAD: Final = 64 << 10
"""Bytes of a request line with its headers."""
WATCH_EVERY: Final = 1.0
"""Seconds between two looks at whether a client is too slow."""

_NAMED = re.compile(rb'"(model_id|model)"\s*:\s*"([^"\\\\]{1,80})"')
"""Finds the model's name before the body is decoded; what it found is compared with the decoded body."""


class HotLane:
    """What all connections of one server share.

    Args:
        header_timeout, body_timeout: seconds that a client may take for its headers, or without sending a
            byte of a body that is due.
    """

    def __init__(
        self,
        core: Core,
        metrics: Recorder,
        allowed_hosts: frozenset[str] | None,
        trusted_proxy: bool,
        header_timeout: float,
        body_timeout: float,
    ) -> None:
        self.core = core
        self.metrics = metrics
        self.allowed_hosts = allowed_hosts
        self.trusted_proxy = trusted_proxy
        self.header_timeout = header_timeout
        self.body_timeout = body_timeout
        self.paths = {
            (prefix + path).encode(): path for prefix in ("", OLD_PREFIX) for path in (RUN, RUN_BATCH)
        }
        self._readers: WeakKeyDictionary[Resident, BodyReader | EncodingReader] = WeakKeyDictionary()
        self.encode = msgspec.json.Encoder().encode

    def principal(self, headers: list[tuple[bytes, bytes]]) -> Principal | None:
        """The caller, if every header is an ordinary one; None sends the request the other way."""
        host_known, is_json = self.allowed_hosts is None, False
        for name, value in headers:
            if name in UNUSUAL or (self.trusted_proxy and name == USER_HEADER.encode()):
                return None
            if name == b"content-type":
                is_json = value.startswith(b"application/json")
            elif name == b"content-length" and int(value) > MAX_BODY:
                return None
            elif name == b"host":
                host_known = host_allowed(value.decode("latin-1"), self.allowed_hosts)
        if not (host_known and is_json):
            return None
        try:
            known = self.core.gatekeeper.recall(token_of(headers))
        except Unauthenticated:
            return None
        return known if known is not None and Scope.RUN in known.scopes else None

    def vectors(self, owner: str, path: str, body: bytes) -> tuple[Resident, npt.NDArray[Any]] | None:
        """The resident model and checked vectors, shape (n, inputs); None sends the request the other way."""
        named = _NAMED.search(body)
        if named is None:
            return None
        name = named[2].decode("utf-8", "replace")
        model_id, reference = (name, None) if named[1] == b"model_id" else (None, name)
        resident = self.core.cache.recall(owner, model_id, reference)
        if resident is None or resident.schema is None:
            return None
        reader = self._readers.get(resident)
        if reader is None:
            reader = self._readers[resident] = reader_of(resident)
        flat = reader.flat(path, body, model_id, reference)
        vectors = None if flat is None else as_vectors(flat, resident)
        return None if vectors is None else (resident, vectors)

    def answer(self, resident: Resident, outputs: Outputs, single: bool) -> bytes:
        """The body of the answer."""
        non_finite = 0
        lists = {}
        for name, values in outputs.items():
            if values.dtype.kind == "f" and not np.isfinite(values).all():
                non_finite += int((~np.isfinite(values)).sum())
            lists[name] = values.tolist()
        rows = row_answers(lists, resident.schema.output_names if resident.schema is not None else ())
        output = self.encode(rows[0] if single else rows)
        tail = f',"model_id":"{resident.version.model_id}"'
        if non_finite:
            tail += f',"non_finite":{non_finite}'
        return b'{"http_code":200,"output":' + output + tail.encode() + b"}"


class HotCycle:
    """One request on the hot lane, in the shape that uvicorn's protocol expects of a request in work."""

    __slots__ = (
        "body",
        "disconnected",
        "keep_alive",
        "message_event",
        "more_body",
        "path",
        "principal",
        "response_complete",
        "scope",
        "started",
        "url",
    )

    def __init__(
        self,
        principal: Principal,
        path: str,
        url: bytes,
        scope: Any,
        keep_alive: bool,
    ) -> None:
        self.principal = principal
        self.path = path
        self.url = url
        self.scope = scope
        self.keep_alive = keep_alive
        self.body = bytearray()
        self.more_body = True
        self.disconnected = False
        self.response_complete = False
        self.message_event = _NO_EVENT
        self.started = 0.0


class _NoEvent:
    """Nobody awaits a hot request."""

    def set(self) -> None:
        """Do nothing."""


_NO_EVENT: Final = _NoEvent()

_VERSION: Final = f"{VERSION_HEADER}: {__version__}\r\n".encode()

_HEAD: Final = (
    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nx-content-type-options: nosniff\r\n"
    + _VERSION
    + b"content-length: "
)


_HEAD_TOO_LARGE: Final = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\n"
    + _VERSION
    + b"content-length: 0\r\nconnection: close\r\n\r\n"
)


class HotLaneProtocol(HttpToolsProtocol):
    """uvicorn's protocol with a lane of its own for the predict routes, and a limit for slow clients."""

    lane: HotLane
    cycle: Any
    _due_since: float | None = None
    _reading_body: bool = False
    _head_bytes: int = 0
    _watch: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)  # type: ignore[arg-type]
        self._due_since = self.loop.time()
        self._watch = self.loop.call_later(WATCH_EVERY, self._look_at_client)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._watch is not None:
            self._watch.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._reading_body:
            self._due_since = self.loop.time()
        super().data_received(data)
        # The parser keeps a head of any length; it is counted from the block after the one it began in.
        if self._reading_body or self._due_since is None:
            self._head_bytes = 0
        else:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD and not self.transport.is_closing():
                self.transport.write(_HEAD_TOO_LARGE)
                self.transport.close()

    def on_message_begin(self) -> None:
        self._due_since = self.loop.time()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._reading_body = True
        path = self.lane.paths.get(self.url)
        idle = self.cycle is None or self.cycle.response_complete
        # A request behind another one that is still in work keeps its place in uvicorn's own line.
        # Nor may answers pile up for a client that does not read them.
        free = idle and not self.flow.write_paused
        if path is not None and free and self.parser.get_method() == b"POST":
            principal = self.lane.principal(self.headers)
            if principal is not None and self.parser.get_http_version() == "1.1":
                self.cycle = HotCycle(principal, path, self.url, self.scope, self.parser.should_keep_alive())
                return
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        if isinstance(self.cycle, HotCycle):
            self.cycle.body += body
            return
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._due_since = None
        self._reading_body = False
        if isinstance(self.cycle, HotCycle):
            self.cycle.more_body = False
            self._answer(self.cycle)
            return
        super().on_message_complete()

    def _answer(self, cycle: HotCycle) -> None:
        lane = self.lane
        cycle.started = perf_counter()
        found = lane.vectors(cycle.principal.owner, cycle.path, bytes(cycle.body))
        if found is None:
            self._hand_over(cycle)
            return
        resident, vectors = found
        assert resident.batcher is not None
        single = cycle.path == RUN

        def done(outputs: Outputs | None, _error: BaseException | None) -> None:
            if cycle.disconnected or self.transport.is_closing():
                cycle.response_complete = True
            elif outputs is None:
                self._hand_over(cycle)
            else:
                self._write(cycle, lane.answer(resident, outputs, single))

        try:
            resident.batcher.submit(vectors, done)
        except Unavailable:
            self._hand_over(cycle)

    def _write(self, cycle: HotCycle, body: bytes) -> None:
        ending = b"\r\n\r\n" if cycle.keep_alive else b"\r\nconnection: close\r\n\r\n"
        self.transport.write(_HEAD + str(len(body)).encode() + ending + body)
        cycle.response_complete = True
        self.lane.metrics.answered(cycle.path, 200, perf_counter() - cycle.started)
        if not cycle.keep_alive:
            self.transport.close()
        self.on_response_complete()

    def _hand_over(self, cycle: HotCycle) -> None:
        """Let the application answer, with the body that was read here."""
        path = cycle.url.decode("ascii")
        cycle.scope.update(method="POST", path=path, raw_path=cycle.url, query_string=b"")
        handed = RequestResponseCycle(
            scope=cycle.scope,
            transport=self.transport,
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=self.access_log,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=False,
            keep_alive=cycle.keep_alive,
            on_response=self.on_response_complete,
        )
        handed.body = cycle.body
        handed.more_body = False
        handed.message_event.set()
        if self.cycle is cycle:
            self.cycle = handed
        cycle.response_complete = True
        self._start_asgi_task(handed, self.app)

    def _look_at_client(self) -> None:
        """Close a connection whose client has been due for too long."""
        if self.transport.is_closing():
            return
        due = self._due_since
        limit = self.lane.body_timeout if self._reading_body else self.lane.header_timeout
        # Reading that we paused ourselves is not the client's fault.
        if due is not None and self.loop.time() - due > limit and not self.flow.read_paused:
            self.transport.close()
            return
        self._watch = self.loop.call_later(WATCH_EVERY, self._look_at_client)


def protocol_class(lane: HotLane) -> type[HotLaneProtocol]:
    """The protocol bound to one server's lane, as ``uvicorn.Config(http=...)`` takes it."""
    return type("BoundHotLaneProtocol", (HotLaneProtocol,), {"lane": lane})
