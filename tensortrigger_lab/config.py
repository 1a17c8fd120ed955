"""Which backend, and with which key: the only place that reads the environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed_version
from ipaddress import ip_address
from urllib.parse import urlsplit

from tensortrigger_lab.errors import BadInput

DEFAULT_URL = "http://127.0.0.1:8500"
URL_VARIABLE = "TENSORTRIGGER_URL"
KEY_VARIABLE = "TENSORTRIGGER_API_KEY"


@dataclass(frozen=True, slots=True)
class Settings:
    """Where the backend is. The key never shows in a repr.

    Raises:
        BadInput: the URL is no http(s) URL, or holds a password; the key cannot stand in a header.
    """

    url: str = DEFAULT_URL
    api_key: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "url", _checked_url(self.url))
        object.__setattr__(self, "api_key", _checked_key(self.api_key))

    @property
    def on_this_machine(self) -> bool:
        """Whether the backend listens on loopback, so that no proxy may come between."""
        host = urlsplit(self.url).hostname or ""
        if host == "localhost":
            return True
        try:
            return ip_address(host).is_loopback
        except ValueError:
            return False


def from_environment(environment: Mapping[str, str] | None = None) -> Settings:
    """The settings that ``TENSORTRIGGER_URL`` and ``TENSORTRIGGER_API_KEY`` give; both may be absent."""
    found = os.environ if environment is None else environment
    return Settings(found.get(URL_VARIABLE) or DEFAULT_URL, found.get(KEY_VARIABLE) or None)


def settings_of(url: str | None, api_key: str | None) -> Settings:
    """The settings that a caller names; what it leaves open comes from the environment.

    The environment's key goes only with the environment's URL: a key is never sent to a backend that it was
    not given for.
    """
    found = from_environment()
    return Settings(url, api_key) if url else Settings(found.url, api_key or found.api_key)


def hub_user(environment: Mapping[str, str] | None = None) -> str | None:
    """The name by which a JupyterHub knows whoever this runs for; None elsewhere."""
    found = os.environ if environment is None else environment
    return found.get("JUPYTERHUB_USER") or None


def notebook_path(environment: Mapping[str, str] | None = None) -> str | None:
    """The notebook that this kernel was started for, as the Jupyter server told it; None elsewhere."""
    found = os.environ if environment is None else environment
    path = found.get("JPY_SESSION_NAME") or ""
    return path if path.endswith(".ipynb") else None


def version() -> str:
    """The installed version of the distribution; ``0+source`` where it runs from a bare source tree."""
    try:
        return installed_version("tensortrigger-lab")
    except PackageNotFoundError:
        return "0+source"


def _checked_url(url: str) -> str:
    try:
        parts = urlsplit(url.strip())
        port_is_valid = parts.port is None or parts.port > 0
    except ValueError:
        port_is_valid = False
    if not port_is_valid or parts.scheme not in ("http", "https") or not parts.hostname:
        raise BadInput("The backend's URL must look like http://127.0.0.1:8500.", got=url.rpartition("@")[2])
    if parts.username or parts.password:
        raise BadInput(
            f"The backend's URL must hold no password: give the key apart from it, as {KEY_VARIABLE}."
        )
    if parts.query or parts.fragment:
        raise BadInput("The backend's URL must end with its path, without '?' or '#'.")
    return url.strip().rstrip("/")


def _checked_key(key: str | None) -> str | None:
    if key is None or not key.strip():
        return None
    stripped = key.strip()
    if not (stripped.isascii() and stripped.isprintable()) or " " in stripped:
        raise BadInput(
            "The API key holds a character that no key has: copy it again, without quotes or spaces."
        )
    return stripped
