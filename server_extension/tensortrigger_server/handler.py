"""What all JSON routes of this extension share: who may ask, and how errors are told."""

from __future__ import annotations

import asyncio
import json
from typing import Any, Protocol, cast

from jupyter_core.utils import ensure_async
from jupyter_server.auth.utils import HTTP_METHOD_TO_AUTH_ACTION
from jupyter_server.base.handlers import APIHandler
from jupyter_server.extension.handler import ExtensionHandlerMixin
from tornado import web

from tensortrigger_server.problems import MEDIA_TYPE, Problem, phrase
from tensortrigger_server.score_book import ScoreBook
from tensortrigger_server.status import BackendStatus
from tensortrigger_server.upstream import Upstream

RESOURCE = "tensortrigger"
LARGEST_BODY = 1 << 20
"""Bytes of a JSON body that is meant for this server itself."""


class Extension(Protocol):
    """What a handler needs of the extension's application."""

    @property
    def upstream(self) -> Upstream:
        """The backend. Raises BackendAway where there is none."""

    @property
    def scores(self) -> ScoreBook:
        """The CSV files that are being scored."""

    async def backend_status(self) -> BackendStatus:
        """How the backend is doing now. Raises nothing: what is wrong is part of the answer."""

    def redact(self, text: str) -> str:
        """``text`` without the backend's key."""

    def follow(self, task: asyncio.Task[None]) -> None:
        """See to it that a task which serves a browser ends with the extension."""


class TensorTriggerHandler(ExtensionHandlerMixin, APIHandler):
    """A JSON route. Its verbs are marked ``@web.authenticated`` and ``@authorized``, each one by itself:
    the latter keeps the first verb that it saw."""

    auth_resource = RESOURCE
    # A page that polls must not keep an otherwise idle server alive.
    _track_activity = False

    @property
    def extension(self) -> Extension:
        """The extension's application."""
        return cast("Extension", self.extensionapp)

    async def must(self, resource: str = RESOURCE, method: str | None = None) -> None:
        """Let only those pass who are signed in and may do this.

        Raises:
            HTTPError: 403.
        """
        action = str(HTTP_METHOD_TO_AUTH_ACTION.get(method or str(self.request.method), "write"))
        if not self.current_user or not await ensure_async(
            self.authorizer.is_authorized(self, self.current_user, action, resource)
        ):
            raise Problem(403, "not_allowed", f"Jupyter does not let you {action} {resource} here.")

    def members(self) -> dict[str, Any]:
        """The body's JSON object.

        Raises:
            Problem: 400 or 413.
        """
        if len(self.request.body) > LARGEST_BODY:
            raise Problem(413, "too_large", f"The body is over {LARGEST_BODY} bytes.")
        try:
            body = json.loads(self.request.body)
        except (ValueError, RecursionError):
            body = None
        if not isinstance(body, dict):
            raise Problem(400, "bad_body", "Send a JSON object as the body.")
        return body

    def answer(self, members: dict[str, Any], status: int = 200) -> None:
        """Finish with a JSON object, in which the key stands nowhere."""
        self.set_status(status)
        self.finish(self.extension.redact(json.dumps(members)))

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Answer problem details; of an error that nobody foresaw, nothing but that it happened."""
        error = kwargs.get("exc_info", (None, None))[1]
        if not isinstance(error, Problem):
            error = _as_problem(status_code, error)
        for name, value in error.headers.items():
            self.set_header(name, self.extension.redact(value))
        self.set_header("X-Content-Type-Options", "nosniff")
        self.finish(self.extension.redact(json.dumps(error.to_dict())), set_content_type=MEDIA_TYPE)


class NothingHere(TensorTriggerHandler):
    """Every other path below ours: problem details too, instead of a page for people."""

    async def prepare(self) -> None:  # type: ignore[override]
        """Refuse."""
        await super().prepare()
        await self.must()
        raise Problem(404, "not_found", "The TensorTrigger extension has no such route: is it up to date?")


def _as_problem(status: int, error: BaseException | None) -> Problem:
    if isinstance(error, web.HTTPError) and error.log_message:
        return Problem(status, "refused", _message(error))
    if status < 500:
        return Problem(status, "refused", phrase(status))
    return Problem(status, "failed", "The Jupyter server failed on this request: its log says why.")


def _message(error: web.HTTPError) -> str:
    message = error.log_message or ""
    return message % error.args if error.args else message.replace("%%", "%")
