"""Remember which resource an ``Idempotency-Key`` made, in the same transaction that makes it."""

from __future__ import annotations

from sqlalchemy import Connection, insert, select

from tensortrigger_backend.adapters.sql.tables import idempotency_keys
from tensortrigger_backend.domain.errors import Conflict
from tensortrigger_backend.ports.storage import Idempotency


def find(connection: Connection, owner: str, kind: str, idempotency: Idempotency) -> str | None:
    """The id that this key made before, if any.

    Raises:
        Conflict: it made something else: the request differs.
    """
    row = connection.execute(
        select(idempotency_keys.c.fingerprint, idempotency_keys.c.resource_id).where(
            idempotency_keys.c.owner == owner,
            idempotency_keys.c.kind == kind,
            idempotency_keys.c.key == idempotency.key,
        )
    ).one_or_none()
    if row is None:
        return None
    if row.fingerprint != idempotency.fingerprint:
        raise Conflict("This Idempotency-Key was used for another request: take a new key.")
    found: str = row.resource_id
    return found


def remember(
    connection: Connection, owner: str, kind: str, idempotency: Idempotency, resource_id: str, now: float
) -> None:
    """Bind the key to what was made."""
    connection.execute(
        insert(idempotency_keys).values(
            owner=owner,
            kind=kind,
            key=idempotency.key,
            fingerprint=idempotency.fingerprint,
            resource_id=resource_id,
            created=now,
        )
    )
