"""API keys and tickets in SQL."""

from __future__ import annotations

from sqlalchemy import insert, select, update

from tensortrigger_backend.adapters.sql.database import Database
from tensortrigger_backend.adapters.sql.tables import api_keys, tickets
from tensortrigger_backend.domain.access import KeyRecord, Scope, TicketRecord
from tensortrigger_backend.domain.errors import NotFound


class SqlKeyStore:
    """Keeps the ``KeyStore`` promises on a ``Database``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def any_keys(self) -> bool:
        """See ``KeyStore.any_keys``."""
        with self._database.read() as connection:
            query = select(api_keys.c.key_id).limit(1)
            return connection.execute(query).scalar() is not None

    def add_key(self, key: KeyRecord) -> None:
        """See ``KeyStore.add_key``."""
        with self._database.write() as connection:
            connection.execute(
                insert(api_keys).values(
                    key_id=key.key_id,
                    owner=key.owner,
                    label=key.label,
                    scopes=sorted(key.scopes),
                    secret_hash=key.secret_hash,
                    created=key.created,
                    expires=key.expires,
                )
            )

    def key(self, key_id: str) -> KeyRecord | None:
        """See ``KeyStore.key``."""
        return next(iter(self._keys(key_id)), None)

    def all_keys(self) -> list[KeyRecord]:
        """See ``KeyStore.all_keys``."""
        return self._keys(None)

    def _keys(self, key_id: str | None) -> list[KeyRecord]:
        query = select(api_keys).order_by(api_keys.c.created)
        if key_id is not None:
            query = query.where(api_keys.c.key_id == key_id)
        with self._database.read() as connection:
            return [
                KeyRecord(
                    row.key_id,
                    row.owner,
                    row.label,
                    frozenset(Scope(scope) for scope in row.scopes),
                    bytes(row.secret_hash),
                    row.created,
                    row.expires,
                    row.revoked,
                )
                for row in connection.execute(query)
            ]

    def revoke_key(self, key_id: str, now: float) -> None:
        """See ``KeyStore.revoke_key``."""
        with self._database.write() as connection:
            revoked = connection.execute(
                update(api_keys)
                .where(api_keys.c.key_id == key_id, api_keys.c.revoked.is_(None))
                .values(revoked=now)
            )
            if revoked.rowcount != 1:
                raise NotFound(f"There is no key {key_id[:40]!r} in use.")

    def add_ticket(self, ticket: TicketRecord) -> None:
        """See ``KeyStore.add_ticket``."""
        with self._database.write() as connection:
            connection.execute(
                insert(tickets).values(
                    ticket_id=ticket.ticket_id,
                    owner=ticket.owner,
                    key_id=ticket.key_id,
                    model_name=ticket.model_name,
                    secret_hash=ticket.secret_hash,
                    created=ticket.created,
                    expires=ticket.expires,
                    used=False,
                )
            )

    def ticket(self, ticket_id: str) -> TicketRecord | None:
        """See ``KeyStore.ticket``."""
        with self._database.read() as connection:
            query = select(tickets).where(tickets.c.ticket_id == ticket_id, tickets.c.used.is_(False))
            row = connection.execute(query).one_or_none()
        if row is None:
            return None
        return TicketRecord(
            row.ticket_id,
            row.owner,
            row.key_id,
            row.model_name,
            bytes(row.secret_hash),
            row.created,
            row.expires,
        )

    def use_ticket(self, ticket_id: str, now: float) -> bool:
        """See ``KeyStore.use_ticket``."""
        with self._database.write() as connection:
            used = connection.execute(
                update(tickets)
                .where(tickets.c.ticket_id == ticket_id, tickets.c.used.is_(False), tickets.c.expires > now)
                .values(used=True)
            )
            return used.rowcount == 1
