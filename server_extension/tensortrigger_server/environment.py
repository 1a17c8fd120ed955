"""Which backend this server's environment names, and which one its kernels inherit."""

from __future__ import annotations

import os
from collections.abc import Mapping, MutableMapping
from urllib.parse import urlsplit

URL = "TENSORTRIGGER_URL"
API_KEY = "TENSORTRIGGER_API_KEY"
PATH = "PATH"
SESSION_KEY = "TENSORTRIGGER_SESSION_KEY"


def checked_url(text: str) -> str:
    """A backend's URL as configured, without a trailing slash.

    Raises:
        ValueError: it is no plain http or https URL. The message leaves it out: it may hold a password.
    """
    try:
        parts = urlsplit(text.strip())
        port_is_valid = parts.port is None or parts.port > 0
    except ValueError:
        port_is_valid = False
    if not port_is_valid or parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(
            "The backend URL is not of the form http://host:port or https://host/path: correct it."
        )
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise ValueError(
            "The backend URL holds a user name, query or fragment: leave it out and set a token."
        )
    return parts.geturl().rstrip("/")


def child_environment(environ: Mapping[str, str], session_key: str) -> dict[str, str]:
    """The environment of an embedded backend: this one with its key, without what clients need."""
    inherited = {name: value for name, value in environ.items() if name not in (URL, API_KEY)}
    return {**inherited, SESSION_KEY: session_key}


class KernelEnvironment:
    """Variables set in this process, because every kernel and terminal it starts inherits them.

    Args:
        environ: usually ``os.environ``; kernels read it at the moment they start.
    """

    def __init__(self, environ: MutableMapping[str, str]) -> None:
        self._environ = environ
        self._exported: dict[str, str] = {}
        self._before: dict[str, str | None] = {}

    @property
    def url(self) -> str:
        """The backend that the environment names; empty when it names none."""
        return self._environ.get(URL, "").strip()

    @property
    def api_key(self) -> str:
        """The key that the environment holds at this moment; empty when it holds none."""
        return self._environ.get(API_KEY, "").strip()

    def export(self, *, url: str = "", api_key: str = "") -> None:
        """Set what is not empty. Safe to repeat with new values."""
        for name, value in ((URL, url), (API_KEY, api_key)):
            if value:
                self._set(name, value)

    def offer_commands(self, folder: str) -> None:
        """Let kernels and terminals find the commands in ``folder`` first, unless ``PATH`` names it already."""
        path = self._environ.get(PATH, "")
        if folder not in path.split(os.pathsep):
            self._set(PATH, f"{folder}{os.pathsep}{path}" if path else folder)

    def _set(self, name: str, value: str) -> None:
        self._before.setdefault(name, self._environ.get(name))
        self._environ[name] = self._exported[name] = value

    def restore(self) -> None:
        """Put back what was there before, except where somebody else has changed it since. Safe to repeat."""
        for name, exported in self._exported.items():
            if self._environ.get(name) != exported:
                continue
            before = self._before[name]
            if before is None:
                del self._environ[name]
            else:
                self._environ[name] = before
        self._exported.clear()
        self._before.clear()
