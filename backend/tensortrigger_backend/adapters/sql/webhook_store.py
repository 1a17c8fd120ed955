"""Webhooks in SQL: what is owed, who is just delivering it, and how it went."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import select, update

from tensortrigger_backend.adapters.sql.database import Database
from tensortrigger_backend.adapters.sql.job_log import write_line
from tensortrigger_backend.adapters.sql.tables import jobs, webhooks
from tensortrigger_backend.ports.webhooks import Webhook


class SqlWebhookStore:
    """Keeps the ``WebhookStore`` promises on a ``Database``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def take(
        self, now: float, hold: float, not_to: Collection[str] = (), not_of: Collection[str] = ()
    ) -> Webhook | None:
        """See ``WebhookStore.take``."""
        query = (
            select(webhooks)
            .where(
                webhooks.c.due <= now,
                webhooks.c.url.not_in(list(not_to)),
                webhooks.c.owner.not_in(list(not_of)),
            )
            .order_by(webhooks.c.due, webhooks.c.job_id)
            .limit(1)
        )
        with self._database.read() as connection:
            # Mostly nothing is due: whoever only asks disturbs no writer.
            if connection.execute(query).first() is None:
                return None
        with self._database.write(in_turn=False) as connection:
            row = connection.execute(query.with_for_update(skip_locked=True)).first()
            if row is None:
                return None
            connection.execute(update(webhooks).where(webhooks.c.job_id == row.job_id).values(due=now + hold))
            return Webhook(row.job_id, row.owner, row.message_id, row.url, row.body, row.attempts)

    def settle(self, webhook: Webhook, error: str | None, due: float | None, now: float) -> None:
        """See ``WebhookStore.settle``."""
        attempts = webhook.attempts + 1
        with self._database.write(in_turn=False) as connection:
            # The job's row first, as everybody does: then nobody waits in a ring.
            connection.execute(select(jobs.c.job_id).where(jobs.c.job_id == webhook.job_id).with_for_update())
            settled = connection.execute(
                update(webhooks)
                .where(
                    webhooks.c.job_id == webhook.job_id,
                    webhooks.c.message_id == webhook.message_id,
                    webhooks.c.attempts == webhook.attempts,
                    webhooks.c.due.is_not(None),
                )
                .values(attempts=attempts, error=error, due=due, delivered=now if error is None else None)
            )
            if settled.rowcount != 1:
                return
            level, message = _told(attempts, error, None if due is None else due - now)
            write_line(connection, webhook.job_id, level, message, now, always=True)


def _told(attempts: int, error: str | None, wait: float | None) -> tuple[str, str]:
    tries = "1 attempt" if attempts == 1 else f"{attempts} attempts"
    if error is None:
        return "info", f"The webhook was delivered after {tries}."
    if wait is None:
        return "error", f"The webhook was given up after {tries}: {error}."
    return "warning", f"The webhook did not arrive, attempt {attempts}: {error}; again in {wait:.0f} seconds."
