"""Run the HTTP server on a socket until it is told to stop, by a signal or by the end of its parent."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import threading
import time
from types import FrameType
from typing import Protocol

import uvicorn

from tensortrigger_backend import __version__
from tensortrigger_backend.api.app import create_app
from tensortrigger_backend.api.auth import LOOPBACK_HOSTS
from tensortrigger_backend.api.hot_lane import VERSION_HEADER, HotLane, protocol_class
from tensortrigger_backend.daemon import HURRIED
from tensortrigger_backend.services.core import Core
from tensortrigger_backend.settings import Settings
from tensortrigger_backend.telemetry import Metrics

BACKLOG = 2048
GRACE = 20
"""Seconds for requests in work when the server stops."""
KEEP_ALIVE = 75
SWITCH_SECONDS = 0.001
"""How long another thread may keep the interpreter while a request waits for it; Python's own 5 ms are a stall."""


class Face(Protocol):
    """A process that answers requests.

    Attributes:
        title: what its ready line calls it.
        linger: seconds for which it goes on answering after it was told to stop.
    """

    title: str
    linger: float
    core: Core
    metrics: Metrics

    def start(self) -> None: ...

    def close(self) -> None: ...


def listen(settings: Settings, descriptor: int | None) -> socket.socket:
    """A listening socket: the one inherited as ``descriptor``, or a new one on host and port.

    Raises:
        OSError: the address is taken or not ours.
    """
    if descriptor is not None:
        return socket.socket(fileno=descriptor)
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((settings.host, settings.port))
    listener.listen(BACKLOG)
    return listener


def is_loopback(listener: socket.socket) -> bool:
    """Whether only this machine can reach the socket."""
    address = str(listener.getsockname()[0])
    return address.startswith("127.") or address == "::1"


def url_of(listener: socket.socket) -> str:
    """The URL under which the socket answers."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def run(settings: Settings, backend: Face, listener: socket.socket, exit_with_parent: bool) -> None:
    """Serve until SIGINT or SIGTERM; with ``exit_with_parent`` also until standard input ends."""
    sys.setswitchinterval(SWITCH_SECONDS)
    own = (*LOOPBACK_HOSTS, str(listener.getsockname()[0]))
    allowed = settings.allowed_hosts or (own if is_loopback(listener) else ())
    hosts = frozenset(name.lower() for name in allowed) or None
    server: _Server
    app = create_app(
        backend.core,
        settings,
        backend.metrics,
        hosts,
        settings.trusted_proxy,
        lambda: server.should_exit,
    )
    lane = HotLane(
        backend.core,
        backend.metrics,
        hosts,
        settings.trusted_proxy,
        settings.header_timeout,
        settings.body_timeout,
    )
    config = uvicorn.Config(
        app,
        http=protocol_class(lane),
        loop="auto",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        headers=[(VERSION_HEADER, __version__)],
        timeout_keep_alive=KEEP_ALIVE,
        timeout_graceful_shutdown=GRACE,
        backlog=BACKLOG,
    )
    server = _Server(config, f"TensorTrigger {backend.title} ready at {url_of(listener)}", backend.linger)
    closing = _Closing()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, closing)
    if exit_with_parent:
        threading.Thread(target=_follow_parent, args=(server,), name="parent-watch", daemon=True).start()
    server.run(sockets=[listener])


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, ready: str, linger: float) -> None:
        super().__init__(config)
        self._ready = ready
        self._linger = linger

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        sys.stdout.write(f"{self._ready}\n")
        sys.stdout.flush()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        # A connection that waits to be taken when the socket closes is reset. So that none does, whatever stands
        # before this process has time to hear from /ready that it should turn elsewhere.
        until = time.monotonic() + self._linger
        while time.monotonic() < until and not self.force_exit:
            await asyncio.sleep(0.05)
        await super().shutdown(sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self._captured_signals:
            os._exit(HURRIED)
        super().handle_exit(sig, frame)


class _Closing:
    """What is done with signals while the backend is closed in order.

    uvicorn raises the one that it has heard again once it has shut down; another one is from somebody who does not want
    to wait.
    """

    def __init__(self) -> None:
        self._heard = False

    def __call__(self, _number: int, _frame: FrameType | None) -> None:
        if self._heard:
            os._exit(HURRIED)
        self._heard = True


def _follow_parent(server: uvicorn.Server) -> None:
    """Standard input is a pipe that the parent holds open: it ends when the parent does, however that ends."""
    # Not through sys.stdin: its lock, held by this thread, would abort the interpreter at exit.
    while os.read(0, 1024):
        pass
    server.should_exit = True
