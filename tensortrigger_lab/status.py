"""Which backend this client speaks to, and whether it answers."""

from __future__ import annotations

from tensortrigger_lab.client import Client
from tensortrigger_lab.config import version
from tensortrigger_lab.errors import Forbidden, Unauthenticated


def status_facts(client: Client) -> list[tuple[str, str]]:
    """Name and value of each fact, the key never among them.

    Raises:
        Unauthenticated: the backend answers, but refuses the key or asks for one.
        TensorTriggerError: the backend does not answer, or not as one.
    """
    health = client.health()
    return [
        ("URL", client.url),
        ("backend", f"{health.get('status', 'unknown')}, version {health.get('version', 'unknown')}"),
        ("client", f"version {version()}"),
        ("key", _key_told(client)),
    ]


def _key_told(client: Client) -> str:
    """How the key does at a question that needs one: health does not."""
    try:
        client.models(limit=1)
    except Forbidden:
        return "in use; it may not list models"
    except Unauthenticated as error:
        fault = "the key is refused" if client.has_key else "it asks for a key"
        raise Unauthenticated(
            f"{client.url} answers, but {fault}: {error.detail}", status=error.status, problem=error.problem
        ) from None
    return "in use" if client.has_key else "none, and none is asked for"
