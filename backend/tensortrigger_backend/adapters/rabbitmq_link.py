"""How does a process stay connected to RabbitMQ? One thread owns the connection and opens it again after each loss."""

from __future__ import annotations

import contextlib
import logging
import random
import threading
from collections import deque
from collections.abc import Callable
from typing import Protocol

import structlog
from pika import SelectConnection, URLParameters
from pika.adapters.select_connection import IOLoop
from pika.channel import Channel
from pika.exceptions import AMQPError, ChannelClosedByClient, ConnectionClosedByClient

log = structlog.get_logger(__name__)

FIRST_PAUSE = 0.1
LONGEST_PAUSE = 3.0
HEARTBEAT = 30
"""Seconds after which a silent peer is asked; after two of them it is gone."""
PARTING = 1.0
"""Seconds for the broker to answer a goodbye."""


class Tenant(Protocol):
    """Lives on the link's channel. Only the link's thread calls it."""

    def moved_in(self, channel: Channel) -> None:
        """A new connection's only channel is open: nothing of the one before is known to the broker any more."""

    def lost(self, reason: str) -> None:
        """The channel is gone."""


class RabbitLink:
    """Runs pika's loop on a thread of its own, as pika is not thread-safe and heartbeats must not wait for work.

    A closed channel takes its connection with it: both come back in the same way, so there is one way to test.
    """

    def __init__(self, url: str, name: str, tenant: Tenant) -> None:
        # It tells every step of a lost connection as an error; one line of ours tells it once.
        logging.getLogger("pika").setLevel(logging.CRITICAL)
        self._parameters = URLParameters(url)
        if "heartbeat=" not in url:
            self._parameters.heartbeat = HEARTBEAT
        self._name = name
        self._tenant = tenant
        self._actions: deque[Callable[[], None]] = deque()
        self._guard = threading.Lock()
        self._loop: IOLoop | None = None
        self._connection: SelectConnection | None = None
        self._channel: Channel | None = None
        self._settled = False
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"rabbitmq-{name}", daemon=True)

    def start(self) -> None:
        """Connect, now and after each loss."""
        self._thread.start()

    def soon(self, action: Callable[[], None]) -> None:
        """Have the link's thread do this, in the order of the calls; there may be no channel then."""
        self._actions.append(action)
        with self._guard:
            if self._loop is not None:
                self._loop.add_callback_threadsafe(self._act)

    def later(self, seconds: float, action: Callable[[], None]) -> None:
        """From the link's thread: do this then, if the connection still lives."""
        if self._loop is not None:
            self._loop.call_later(seconds, lambda: self._try(action))

    def renew(self) -> None:
        """From the link's thread: move to a new channel."""
        if self._channel is not None and self._channel.is_open:
            self._channel.close()

    def settled(self) -> None:
        """The tenant is at home: the next loss is the first again."""
        if not self._settled:
            log.info("broker.connected", queue=self._name)
        self._settled = True

    def close(self) -> None:
        """Do what was asked for, then part from the broker, or just leave if it does not answer. Safe to repeat."""
        self._closing.set()
        self.soon(self._part)
        if self._thread.is_alive():
            self._thread.join(timeout=3 * PARTING)

    def _run(self) -> None:
        pause = FIRST_PAUSE
        while not self._closing.is_set():
            self._settled = False
            try:
                self._connect()
            except Exception:
                # Such as no file descriptor left: without this thread no broker would ever be found again.
                log.exception("broker.link_failed", queue=self._name)
            pause = FIRST_PAUSE if self._settled else min(2 * pause, LONGEST_PAUSE)
            # Not all processes of a deployment at the same moment.
            self._closing.wait(pause * random.uniform(0.5, 1.0))  # noqa: S311

    def _connect(self) -> None:
        """Open a connection and live on it until it is lost."""
        loop = IOLoop()
        try:
            self._connection = SelectConnection(
                self._parameters,
                on_open_callback=self._opened,
                on_open_error_callback=self._ended,
                on_close_callback=self._ended,
                custom_ioloop=loop,
            )
            with self._guard:
                self._loop = loop
            loop.add_callback_threadsafe(self._act)
            self._live(loop)
        finally:
            with self._guard:
                self._loop = None
            self._connection = None
            loop.close()

    def _live(self, loop: IOLoop) -> None:
        try:
            loop.start()
        except Exception as error:
            # Whatever it was, a new connection begins from nothing.
            log.exception("broker.link_failed", queue=self._name)
            self._tenant.lost(_told(error))
            self._part()
            loop.start()

    def _opened(self, connection: SelectConnection) -> None:
        connection.channel(on_open_callback=self._at_home)

    def _at_home(self, channel: Channel) -> None:
        self._channel = channel
        channel.add_on_close_callback(self._channel_closed)
        self._tenant.moved_in(channel)

    def _channel_closed(self, _channel: Channel, reason: Exception) -> None:
        self._tenant.lost(_told(reason))
        connection = self._connection
        if connection is None or not connection.is_open:
            return
        if isinstance(reason, ChannelClosedByClient):
            self._opened(connection)
        else:
            log.warning("broker.channel_closed", queue=self._name, reason=_told(reason))
            connection.close()

    def _ended(self, _connection: SelectConnection, reason: BaseException) -> None:
        # A goodbye of ours has been explained already, or needs no explanation.
        if not isinstance(reason, ConnectionClosedByClient):
            log.warning("broker.connection_lost", queue=self._name, reason=_told(reason))
            self._tenant.lost(_told(reason))
        if self._loop is not None:
            self._loop.stop()

    def _act(self) -> None:
        while self._actions:
            self._try(self._actions.popleft())

    def _try(self, action: Callable[[], None]) -> None:
        try:
            action()
        except AMQPError as error:
            # The channel has just closed; its end is told, and dealt with, elsewhere.
            log.debug("broker.too_late", queue=self._name, reason=_told(error))

    def _part(self) -> None:
        if self._loop is not None:
            self._loop.call_later(PARTING, self._loop.stop)
        if self._connection is not None:
            with contextlib.suppress(AMQPError):
                self._connection.close()


def _told(reason: BaseException) -> str:
    """Why, in one line, whatever pika wraps it in."""
    return str(reason) or type(reason).__name__
