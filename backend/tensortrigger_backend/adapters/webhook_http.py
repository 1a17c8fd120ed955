"""Deliver webhooks over HTTP, to public addresses only, however the address is written or what its name resolves to.

The name is resolved here, and the connection goes to exactly the address that was looked at: a name that answers
otherwise the second time changes nothing. Redirects are not followed, no proxy is asked, nothing of the environment
is read, and the whole delivery has one deadline, however slowly a receiver drips.
"""

from __future__ import annotations

import ipaddress
import re
import socket
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from time import monotonic
from typing import Final

import httpcore
import httpx

from tensortrigger_backend.adapters.pinned_route import PinnedRoute
from tensortrigger_backend.domain.errors import Fault, InvalidInput
from tensortrigger_backend.domain.public_addresses import Address, Network, address_in, may_be_called
from tensortrigger_backend.ports.webhooks import Webhook

CONNECT_SECONDS: Final = 5.0
WHOLE_SECONDS: Final = 10.0
ANSWER_BYTES: Final = 64 << 10
URL_LIMIT: Final = 2048
ADDRESSES: Final = 3
"""Addresses of one name that are tried."""
CHECKS: Final = 2
"""Names that are resolved at a time for requests that wait for it."""

_HOST = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?\.?\Z")
_HERE = ("localhost", "localhost.localdomain", "ip6-localhost")
_LOOPBACK = (ipaddress.IPv4Address("127.0.0.1"), ipaddress.IPv6Address("::1"))

Resolver = Callable[[str, int], Sequence[str]]


class _Refused(Exception):
    """In words, why an address is never called."""


def resolve(host: str, port: int) -> list[str]:
    """The addresses of a name, as the system knows them. Raises OSError."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


class HttpCourier:
    """Keeps the ``Courier`` promises.

    Args:
        networks: that may be called although they are not public.
        resolver: the addresses of a name.
        agent: what the server calls itself.
    """

    def __init__(
        self,
        networks: Sequence[Network] = (),
        resolver: Resolver = resolve,
        agent: str = "TensorTrigger",
        seconds: float = WHOLE_SECONDS,
    ) -> None:
        self._networks = tuple(networks)
        self._resolve = resolver
        self._agent = agent
        self._seconds = seconds
        self._checks = threading.BoundedSemaphore(CHECKS)
        self._tls = httpcore.default_ssl_context()

    def check(self, url: str) -> None:
        """See ``Courier.check``. A name that cannot be resolved now may be by the time that it is called.

        Names are resolved a few at a time only, and what comes meanwhile goes unresolved: whoever waits here is a
        request, and servers that answer slowly must not hold up all others. Each delivery looks again.
        """
        try:
            self._addresses(_parsed(url), monotonic() + CONNECT_SECONDS, self._resolved_unless_busy)
        except _Refused as refused:
            # What stands before an @ may be a password.
            shown = "..." + url[url.rindex("@") :][:200] if "@" in url else url[:200]
            message = f"This webhook is never called: {refused}."
            expected = "the http or https address of a public server"
            raise InvalidInput.of(Fault(("webhook",), "webhook", message, expected, shown)) from None
        except OSError:
            return

    def bring(self, webhook: Webhook, headers: Mapping[str, str]) -> str | None:
        """See ``Courier.bring``."""
        until = monotonic() + self._seconds
        try:
            url = _parsed(webhook.url)
            addresses = self._addresses(url, until, self._resolved)
            return self._posted(url, addresses, webhook.body.encode(), headers, until)
        except _Refused as refused:
            return f"it is never called: {refused}"
        except TimeoutError:
            return "its name was not resolved in time"
        except OSError:
            return "its name could not be resolved"

    def _addresses(
        self, url: httpx.URL, until: float, resolved: Callable[[str, int, float], Sequence[str]]
    ) -> list[str]:
        """Those addresses of the host that may be called. Raises _Refused and OSError."""
        host = url.raw_host.decode("ascii")
        try:
            written = address_in(host)
        except ValueError:
            raise _Refused(f"{host[:80]!r} is not how an IP address is written") from None
        if written is None:
            name = host.lower().removesuffix(".")
            if not _HOST.match(host):
                raise _Refused(f"{host[:80]!r} is not the name of a server")
            found: Sequence[Address | None]
            if name in _HERE or name.endswith(".localhost"):
                # This machine, whatever a name server says.
                found = _LOOPBACK
            else:
                found = [_address(text) for text in resolved(host, url.port or 443, until)]
        else:
            found = [written]
        callable_ = [str(address) for address in found if address and may_be_called(address, self._networks)]
        if not callable_:
            raise _Refused(
                f"{host[:80]!r} is no public address, nor in a network of TENSORTRIGGER_WEBHOOK_NETWORKS"
            )
        return callable_[:ADDRESSES]

    def _resolved_unless_busy(self, host: str, port: int, until: float) -> Sequence[str]:
        if not self._checks.acquire(blocking=False):
            raise TimeoutError
        try:
            return self._resolved(host, port, until)
        finally:
            self._checks.release()

    def _resolved(self, host: str, port: int, until: float) -> Sequence[str]:
        """As the resolver says; it knows no time limit itself. Raises OSError, and TimeoutError among them."""
        answer: list[Sequence[str] | OSError] = []

        def ask() -> None:
            try:
                answer.append(self._resolve(host, port))
            except (OSError, UnicodeError) as error:
                answer.append(error if isinstance(error, OSError) else OSError(str(error)))

        thread = threading.Thread(target=ask, name="webhook-resolver", daemon=True)
        thread.start()
        thread.join(min(CONNECT_SECONDS, max(0.0, until - monotonic())))
        if not answer:
            raise TimeoutError
        if isinstance(answer[0], OSError):
            raise answer[0]
        return answer[0]

    def _posted(
        self,
        url: httpx.URL,
        addresses: Sequence[str],
        body: bytes,
        headers: Mapping[str, str],
        until: float,
    ) -> str | None:
        sent = {
            **headers,
            "host": url.netloc.decode("ascii"),
            "user-agent": self._agent,
            "accept": "*/*",
            "content-length": str(len(body)),
            "connection": "close",
        }
        target = httpcore.URL(
            scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path or b"/"
        )
        route = PinnedRoute(addresses, CONNECT_SECONDS, until)
        try:
            with (
                httpcore.ConnectionPool(ssl_context=self._tls, network_backend=route) as pool,
                pool.stream(
                    "POST",
                    target,
                    headers=[(name.encode(), value.encode("latin-1")) for name, value in sent.items()],
                    content=body,
                    extensions={"timeout": dict.fromkeys(("read", "write", "pool"), self._seconds)},
                ) as answer,
            ):
                if not 200 <= answer.status < 300:
                    more = ", and redirects are not followed" if 300 <= answer.status < 400 else ""
                    return f"it answered {answer.status}{more}"
                _read(answer.iter_stream())
                return None
        except httpcore.TimeoutException:
            return f"it took longer than {self._seconds:g} seconds"
        except httpcore.ConnectError as error:
            return f"no connection: {error}"[:200]
        except (httpcore.NetworkError, httpcore.ProtocolError) as error:
            return f"the connection broke: {error}"[:200]


def _read(blocks: Iterable[bytes]) -> None:
    """As much of an answer as is polite; the message has arrived whatever it says."""
    size = 0
    try:
        for block in blocks:
            size += len(block)
            if size >= ANSWER_BYTES:
                return
    except (httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError):
        return


def _parsed(url: str) -> httpx.URL:
    """Raises _Refused."""
    if len(url) > URL_LIMIT:
        raise _Refused(f"it is longer than {URL_LIMIT} characters")
    try:
        parsed = httpx.URL(url)
    except (httpx.InvalidURL, ValueError):
        raise _Refused("it is not a URL") from None
    if parsed.scheme not in ("http", "https"):
        raise _Refused("it does not begin with https:// or http://")
    if parsed.userinfo or b"@" in parsed.netloc:
        raise _Refused("it holds a user name or password")
    if not parsed.host:
        raise _Refused("it names no server")
    if parsed.port is not None and not 0 < parsed.port < 65536:
        raise _Refused(f"there is no port {parsed.port}")
    return parsed


def _address(text: str) -> Address | None:
    try:
        return address_in(text)
    except ValueError:
        return None  # with a zone: it is link-local
