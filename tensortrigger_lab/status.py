"""Which backend this client speaks to, and whether it answers."""

from __future__ import annotations

from tensortrigger_lab.client import Client
from tensortrigger_lab.config import version


def status_facts(client: Client) -> list[tuple[str, str]]:
    """Name and value of each fact, the key never among them.

    Raises:
        TensorTriggerError: the backend does not answer, or not as one.
    """
    health = client.health()
    return [
        ("URL", client.url),
        ("backend", f"{health.get('status', 'unknown')}, version {health.get('version', 'unknown')}"),
        ("client", f"version {version()}"),
        ("key", "in use" if client.has_key else "none"),
    ]
