"""How the backend is doing, as one answer that is safe to show in a browser."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from typing import Any

import httpx

from tensortrigger_server.upstream import VERSION_HEADER

LONGEST_VERSION = 40


@dataclass(frozen=True, slots=True)
class BackendStatus:
    """What the status route answers. Holds no key and no token.

    Attributes:
        embedded: whether this Jupyter server runs the backend itself.
        running: whether its process runs; for a backend elsewhere, whether it can be reached.
        ready: whether it answered its health check just now.
        url: where kernels reach it; None where there is no backend at all.
        restarts: how often the embedded backend was started again.
        pid: process id of the embedded backend while it runs.
        error: what is wrong and what to do, where something is.
        version: the backend's; None while it is not known.
        extension_version: of this extension.
        skew: what to update, where the two do not fit together.
    """

    embedded: bool
    running: bool
    ready: bool
    url: str | None
    restarts: int = 0
    pid: int | None = None
    error: str | None = None
    version: str | None = None
    extension_version: str = ""
    skew: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """The answer's members; ``pid``, ``error`` and ``skew`` only where there is one."""
        members = asdict(self)
        always = ("url", "version")
        return {name: value for name, value in members.items() if value is not None or name in always}


@dataclass(frozen=True, slots=True)
class Health:
    """What a health check told.

    Attributes:
        fault: what is wrong in one sentence; None when it is well.
        version: the backend's, where it said so.
    """

    fault: str | None
    version: str | None = None


async def check_health(client: httpx.AsyncClient, url: str) -> Health:
    """Ask the backend at ``url`` how it is. Raises nothing."""
    fault, answer = await _health_check(client, url)
    if fault is not None or answer is None:
        return Health(fault)
    version = answer.headers.get(VERSION_HEADER)
    if version is None:
        # One that is older than this header.
        try:
            told = (await client.get(f"{url}/health")).json().get("version")
        except (httpx.HTTPError, ValueError, AttributeError):
            told = None
        version = told if isinstance(told, str) else None
    return Health(None, version[:LONGEST_VERSION] if version else None)


def skew(backend: str | None, extension: str) -> str | None:
    """What to update where the two versions do not fit: another major one, or another minor one below 1.0."""
    if backend is None or _line(backend) == _line(extension):
        return None
    if _line(backend) is None or _line(extension) is None:
        return None
    older = "backend" if (_line(backend) or ()) < (_line(extension) or ()) else "JupyterLab extension"
    return f"The backend is version {backend}, this extension {extension}: update the {older}."


def _line(version: str) -> tuple[int, ...] | None:
    """The part of a version that must be the same on both sides."""
    found = re.match(r"(\d{1,9})(?:\.(\d{1,9}))?", version)
    if found is None:
        return None
    major, minor = int(found[1]), int(found[2] or 0)
    return (major, minor) if major == 0 else (major,)


async def _health_check(client: httpx.AsyncClient, url: str) -> tuple[str | None, httpx.Response | None]:
    try:
        answer = await client.get(f"{url}/health_check")
    except httpx.TimeoutException:
        return f"The backend at {url} does not answer in time: look at its log.", None
    except httpx.HTTPError:
        return f"The backend at {url} cannot be reached: check that it runs and that the URL is right.", None
    if answer.status_code != httpx.codes.OK:
        return (
            f"The backend at {url} answers its health check with {answer.status_code}: look at its log.",
            None,
        )
    try:
        recognised = answer.json().get("message") == "Service running"
    except (ValueError, AttributeError):
        recognised = False
    if not recognised:
        return (
            f"What answers at {url} is no TensorTrigger backend: correct TensorTriggerApp.backend_url.",
            None,
        )
    return None, answer
