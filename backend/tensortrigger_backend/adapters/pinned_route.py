"""How does a call reach exactly the address that was looked at, and end in time? As a network backend of httpcore."""

# ruff: noqa: ARG002 - the signatures are httpcore's

from __future__ import annotations

from collections.abc import Iterable, Sequence
from time import monotonic
from typing import Any

import httpcore


class PinnedRoute(httpcore.NetworkBackend):
    """Connects to addresses that were looked at, whatever host is asked for, and gives up at one deadline.

    TLS still names the host and checks its certificate: that is done above this.

    Args:
        addresses: to be tried in this order.
        connecting: seconds for all of them together.
        until: when even an answer that drips has to be whole, by ``time.monotonic``.
    """

    def __init__(self, addresses: Sequence[str], connecting: float, until: float) -> None:
        self._addresses = addresses
        self._connecting = connecting
        self._until = until
        self._plain = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        connect_until = min(self._until, monotonic() + self._connecting)
        for place, address in enumerate(self._addresses):
            # The others must have their share of the time.
            share = (connect_until - monotonic()) / (len(self._addresses) - place)
            try:
                return _Hasty(self._plain.connect_tcp(address, port, max(share, 0.001)), self._until)
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                if place == len(self._addresses) - 1:
                    raise
        raise httpcore.ConnectError("no address")


class _Hasty(httpcore.NetworkStream):
    """A stream each of whose steps ends at one deadline."""

    def __init__(self, stream: httpcore.NetworkStream, until: float) -> None:
        self._stream = stream
        self._until = until

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, self._left(httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, self._left(httpcore.WriteTimeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: Any, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        left = self._left(httpcore.ConnectTimeout)
        return _Hasty(self._stream.start_tls(ssl_context, server_hostname, left), self._until)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)

    def _left(self, over: type[httpcore.TimeoutException]) -> float:
        left = self._until - monotonic()
        if left <= 0:
            raise over("the deadline has passed")
        return left
