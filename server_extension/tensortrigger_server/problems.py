"""What may go wrong on the way to the backend, each with the problem details (RFC 9457) the browser gets."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from tornado import web

MEDIA_TYPE = "application/problem+json"


class Problem(web.HTTPError):
    """An error with its answer.

    Args:
        status: of the answer.
        code: one word for programs.
        detail: one or two sentences for people: what happened and what to do. Shown in the browser.
        title: where the status's own phrase does not say enough.
        headers: that go with the answer.
        more: further members of the answer.
    """

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        title: str = "",
        headers: Mapping[str, str] | None = None,
        more: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(status, detail)
        self.code = code
        self.detail = detail
        self.title = title or phrase(status)
        self.headers = dict(headers or {})
        self.more = dict(more or {})

    def to_dict(self) -> dict[str, Any]:
        """The answer's members."""
        return {
            "type": f"urn:tensortrigger:{self.code.replace('_', '-')}",
            "title": self.title,
            "status": self.status_code,
            "detail": self.detail,
            "code": self.code,
            "http_code": self.status_code,
            # JupyterLab shows this member of an error, and no other.
            "message": self.detail,
            **self.more,
        }


class BackendAway(Problem):
    """The backend cannot be asked now; asking later may help."""

    def __init__(self, detail: str, retry_after: int = 2) -> None:
        headers = {"Retry-After": str(retry_after)}
        super().__init__(503, "backend_away", detail, title="Backend away", headers=headers)


class KeyRefused(Problem):
    """The backend does not let this server's key in. Not 401: that would end the browser's own session."""

    def __init__(self, reason: str) -> None:
        detail = (
            f"The backend refuses the key of this Jupyter server: {reason} Set TensorTriggerApp.token_file."
        )
        super().__init__(502, "backend_refused_key", detail, title="Backend refused the key")


class BackendFault(Problem):
    """The backend understood the question and answered with an error of its own."""


def phrase(status: int) -> str:
    """The usual words for a status."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Error"
