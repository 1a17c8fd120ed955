"""How the backend is doing, as one answer that is safe to show in a browser."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import httpx


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
    """

    embedded: bool
    running: bool
    ready: bool
    url: str | None
    restarts: int = 0
    pid: int | None = None
    error: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """The answer's members; ``pid`` and ``error`` only where there is one."""
        members = asdict(self)
        return {name: value for name, value in members.items() if value is not None or name == "url"}


async def health_fault(client: httpx.AsyncClient, url: str) -> str | None:
    """Ask the backend at ``url`` for its health: None when it is well, else what is wrong in one sentence."""
    try:
        answer = await client.get(f"{url}/health_check")
    except httpx.TimeoutException:
        return f"The backend at {url} does not answer in time: look at its log."
    except httpx.HTTPError:
        return f"The backend at {url} cannot be reached: check that it runs and that the URL is right."
    if answer.status_code != httpx.codes.OK:
        return f"The backend at {url} answers its health check with {answer.status_code}: look at its log."
    try:
        recognised = answer.json().get("message") == "Service running"
    except (ValueError, AttributeError):
        recognised = False
    if not recognised:
        return f"What answers at {url} is no TensorTrigger backend: correct TensorTriggerApp.backend_url."
    return None
