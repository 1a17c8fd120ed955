"""The terms on which a client speaks with its backend: key and timeout, how an answer is read, how it fails."""

from __future__ import annotations

import time
from collections.abc import AsyncIterable, Iterable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import httpx

from tensortrigger_lab.attempts import retry_after
from tensortrigger_lab.config import KEY_VARIABLE, URL_VARIABLE, Settings, version
from tensortrigger_lab.errors import (
    ApiError,
    BadInput,
    ModelRefused,
    NoAnswer,
    NotReachable,
    TensorTriggerError,
    UnexpectedAnswer,
    error_of,
)
from tensortrigger_lab.request import Request
from tensortrigger_lab.strict_json import dumps, loads
from tensortrigger_lab.wire import Problem, WireError

IN_SHELL = (f"set {URL_VARIABLE} and {KEY_VARIABLE}",) * 2
IN_PYTHON = (
    f"name another with tt.login(url) or {URL_VARIABLE}",
    f"use tt.login(url, key), %tt login, or {KEY_VARIABLE}",
)
"""What to do where no backend answers, and where a key is asked for."""


@dataclass(frozen=True, slots=True)
class Terms:
    """Neither sends nor waits: both clients share it.

    Attributes:
        timeout: seconds to wait for an answer's next bytes.
        patience: seconds to go on trying; see ``Attempts``.
        in_shell: whether errors advise somebody at a shell, who has variables and no Python.
    """

    settings: Settings
    timeout: float
    patience: float
    in_shell: bool = False

    @property
    def headers(self) -> dict[str, str]:
        """What every request carries."""
        key = self.settings.api_key
        own = {"User-Agent": f"tensortrigger-lab/{version()}", "Accept": "application/json"}
        return own | ({"Authorization": f"Bearer {key}"} if key else {})

    @property
    def options(self) -> dict[str, Any]:
        """The arguments of httpx's clients, less the transport."""
        return {
            "base_url": self.settings.url,
            "headers": self.headers,
            "timeout": httpx.Timeout(self.timeout, connect=min(self.timeout, 5.0)),
            # A proxy of the environment cannot see this machine's loopback.
            "trust_env": not self.settings.on_this_machine,
        }

    def built(
        self,
        http: httpx.Client | httpx.AsyncClient,
        request: Request,
        body: Iterable[bytes] | AsyncIterable[bytes] | None,
    ) -> httpx.Request:
        """The request as httpx sends it.

        Raises:
            BadInput: its members cannot be written as JSON.
        """
        headers = dict(request.headers or {})
        content: bytes | Iterable[bytes] | AsyncIterable[bytes] | None = body
        if request.members is not None:
            headers["Content-Type"] = "application/json"
            try:
                content = dumps(request.members)
            except (ValueError, TypeError) as error:
                raise BadInput(f"The request cannot be written as JSON: {error}.") from None
        return http.build_request(
            request.method, request.path, params=request.params, headers=headers, content=content
        )

    def members(self, request: Request, content: bytes) -> dict[str, Any]:
        """The JSON object that an answer is.

        Raises:
            UnexpectedAnswer: it is none.
        """
        try:
            members = loads(content)
        except WireError as error:
            raise self._unexpected(request, str(error)) from error
        if not isinstance(members, dict):
            raise self._unexpected(request, "the answer is not a JSON object")
        return members

    def refusal(self, request: Request, response: httpx.Response) -> TensorTriggerError:
        """The error that an answer of 300 and above is, in the server's own words where it said any."""
        status = response.status_code
        if status < 400:
            to = response.headers.get("Location", "nowhere")[:200]
            return self._unexpected(request, f"it redirects to {to}")
        try:
            problem = Problem.read(loads(response.content))
        except WireError:
            problem = None
        kind: type[ApiError] = error_of(status)
        if request.refuses_models and status == HTTPStatus.BAD_REQUEST:
            kind = ModelRefused
        detail = problem.detail if problem else f"{self.settings.url} answered {status} without a reason."
        if status == HTTPStatus.UNAUTHORIZED and not self.settings.api_key:
            detail += f" No key is set: {self._advice[1]}."
        return kind(detail, status=status, problem=problem, retry_after=retry_after(response, time.time()))

    def failure(self, request: Request, error: httpx.HTTPError) -> TensorTriggerError:
        """The error that it is when no answer comes."""
        url, asked = self.settings.url, f"{request.method} {request.path}"
        if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
            return NotReachable(
                f"No TensorTrigger backend answers at {url} ({error}): start one with 'tt serve', "
                f"or {self._advice[0]}."
            )
        if isinstance(error, httpx.TimeoutException):
            return NoAnswer(f"{url} took longer than {self.timeout:g} s over {asked}.")
        return NotReachable(f"The connection to {url} broke during {asked}: {error}.")

    @property
    def _advice(self) -> tuple[str, str]:
        return IN_SHELL if self.in_shell else IN_PYTHON

    def _unexpected(self, request: Request, reason: str) -> UnexpectedAnswer:
        return UnexpectedAnswer(
            f"{self.settings.url}{request.path} does not answer as a TensorTrigger backend ({reason}): "
            "check the URL."
        )
