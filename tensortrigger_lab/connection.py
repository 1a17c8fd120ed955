"""How a request reaches the backend: key, patience, retries, and every failure as an error of ours."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from types import TracebackType
from typing import Any, NoReturn

import httpx

from tensortrigger_lab.config import KEY_VARIABLE, URL_VARIABLE, Settings, version
from tensortrigger_lab.errors import (
    ApiError,
    BadInput,
    ModelRefused,
    NoAnswer,
    NotReachable,
    UnexpectedAnswer,
    error_of,
)
from tensortrigger_lab.strict_json import dumps, loads
from tensortrigger_lab.wire import Problem, WireError

Body = Callable[[], Iterable[bytes]]
"""Opens the body anew, so that a request can be sent twice."""

RETRIED = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)
ATTEMPTS = 5
LONGEST_WAIT = 30.0
"""Seconds; a Retry-After beyond it is told to the caller, not slept through."""

IN_SHELL = (f"set {URL_VARIABLE} and {KEY_VARIABLE}",) * 2
IN_PYTHON = (
    f"name another with tt.login(url) or {URL_VARIABLE}",
    f"use tt.login(url, key), %tt login, or {KEY_VARIABLE}",
)
"""What to do where no backend answers, and where a key is asked for."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request.

    Attributes:
        idempotent: sending it twice does what sending it once does, so that it may be repeated.
        refuses_models: a 400 means that the model was refused.
    """

    method: str
    path: str
    members: Any = None
    params: Mapping[str, str | int] | None = None
    headers: Mapping[str, str] | None = None
    body: Body | None = None
    idempotent: bool = True
    refuses_models: bool = False


class Connection:
    """A pool of connections to one backend. Safe to use from several threads; ``close()`` when done.

    Args:
        timeout: seconds to wait for an answer's next bytes.
        patience: seconds to go on knocking where nothing listens yet: a backend may be starting.
        in_shell: whether errors advise somebody at a shell, who has variables and no Python.
        transport: replaces the network, for tests.
        clock, sleep: seconds that only grow, and how to wait.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        timeout: float,
        patience: float,
        in_shell: bool = False,
        transport: httpx.BaseTransport | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        headers = {"User-Agent": f"tensortrigger-lab/{version()}", "Accept": "application/json"}
        if settings.api_key:
            headers["Authorization"] = f"Bearer {settings.api_key}"
        self.settings = settings
        self._timeout = timeout
        self._url_advice, self._key_advice = IN_SHELL if in_shell else IN_PYTHON
        self._patience = patience
        self._clock = clock
        self._sleep = sleep
        self._http = httpx.Client(
            base_url=settings.url,
            headers=headers,
            timeout=httpx.Timeout(timeout, connect=min(timeout, 5.0)),
            transport=transport,
            # A proxy of the environment cannot see this machine's loopback.
            trust_env=not settings.on_this_machine,
        )

    def close(self) -> None:
        """Close every connection. Safe to repeat."""
        self._http.close()

    def __enter__(self) -> Connection:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def json(self, request: Request) -> dict[str, Any]:
        """The answer's JSON object.

        Raises:
            TensorTriggerError: see the tree in ``errors``.
        """
        response = self._answered(request, stream=False)
        try:
            members = loads(response.content)
        except WireError as error:
            self._unexpected(request, str(error))
        if not isinstance(members, dict):
            self._unexpected(request, "the answer is not a JSON object")
        return members

    @contextmanager
    def stream(self, request: Request) -> Iterator[Iterator[bytes]]:
        """The answer's bytes as they come.

        Raises:
            TensorTriggerError: as for ``json``, also while reading.
        """
        response = self._answered(request, stream=True)
        try:
            yield self._bytes_of(response, request)
        finally:
            response.close()

    def _bytes_of(self, response: httpx.Response, request: Request) -> Iterator[bytes]:
        try:
            yield from response.iter_bytes()
        except httpx.HTTPError as error:
            self._failed(request, error)

    def _answered(self, request: Request, *, stream: bool) -> httpx.Response:
        """The first answer that is no error, after as many attempts as the request allows."""
        knocking_until = self._clock() + self._patience
        attempt = 0
        while True:
            attempt += 1
            may_repeat = request.idempotent and attempt < ATTEMPTS
            try:
                response = self._http.send(self._built(request), stream=True)
                if not stream or response.status_code >= 300:
                    response.read()
            except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                # Nothing was sent, so knocking again is safe whatever the request is.
                attempt -= 1
                if self._clock() >= knocking_until:
                    self._failed(request, error)
                self._sleep(0.2)
                continue
            except (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError) as error:
                if not may_repeat:
                    self._failed(request, error)
                self._sleep(0.1 * 2**attempt)
                continue
            except httpx.HTTPError as error:
                self._failed(request, error)
            if response.status_code < 300:
                return response
            wait = _retry_after(response)
            if response.status_code in RETRIED and may_repeat and (wait or 0.0) <= LONGEST_WAIT:
                self._sleep(wait if wait is not None else 0.1 * 2**attempt)
                continue
            self._refused(request, response, wait)

    def _built(self, request: Request) -> httpx.Request:
        headers = dict(request.headers or {})
        content: bytes | Iterable[bytes] | None = None
        if request.members is not None:
            headers["Content-Type"] = "application/json"
            try:
                content = dumps(request.members)
            except (ValueError, TypeError) as error:
                raise BadInput(f"The request cannot be written as JSON: {error}.") from None
        elif request.body is not None:
            content = request.body()
        return self._http.build_request(
            request.method, request.path, params=request.params, headers=headers, content=content
        )

    def _refused(self, request: Request, response: httpx.Response, retry_after: float | None) -> NoReturn:
        status = response.status_code
        if status < 400:
            self._unexpected(request, f"it redirects to {response.headers.get('Location', 'nowhere')[:200]}")
        try:
            problem = Problem.read(loads(response.content))
        except WireError:
            problem = None
        kind: type[ApiError] = error_of(status)
        if request.refuses_models and status == HTTPStatus.BAD_REQUEST:
            kind = ModelRefused
        detail = problem.detail if problem else f"{self.settings.url} answered {status} without a reason."
        if status == HTTPStatus.UNAUTHORIZED and not self.settings.api_key:
            detail += f" No key is set: {self._key_advice}."
        raise kind(detail, status=status, problem=problem, retry_after=retry_after)

    def _failed(self, request: Request, error: httpx.HTTPError) -> NoReturn:
        url = self.settings.url
        if isinstance(error, httpx.TimeoutException) and not isinstance(error, httpx.ConnectTimeout):
            raise NoAnswer(
                f"{url} took longer than {self._timeout:g} s over {request.method} {request.path}."
            ) from error
        if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
            raise NotReachable(
                f"No TensorTrigger backend answers at {url} ({error}): start one with 'tt serve', "
                f"or {self._url_advice}."
            ) from error
        raise NotReachable(
            f"The connection to {url} broke during {request.method} {request.path}: {error}."
        ) from error

    def _unexpected(self, request: Request, reason: str) -> NoReturn:
        raise UnexpectedAnswer(
            f"{self.settings.url}{request.path} does not answer as a TensorTrigger backend ({reason}): "
            "check the URL."
        )


def _retry_after(response: httpx.Response) -> float | None:
    """Seconds, from either form of the header."""
    value = response.headers.get("Retry-After", "").strip()
    if value.isascii() and value.isdigit():
        return float(value)
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except ValueError:
        return None
