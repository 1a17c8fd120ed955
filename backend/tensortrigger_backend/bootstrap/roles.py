"""Which parts of a deployment a process can be, and which settings suit each of them."""

from __future__ import annotations

from enum import StrEnum

from tensortrigger_backend.settings import Settings


class Role(StrEnum):
    """What a process does; each is a command of ``tt``."""

    SERVE = "serve"
    API = "api"
    WORKER = "worker"
    TRAINER = "trainer"
    FORGE = "forge"


def must_suit(role: Role, settings: Settings) -> None:
    """Refuse settings under which several processes of this role would not see each other.

    Raises:
        ValueError: which setting, why, and what to do.
    """
    if role is Role.SERVE:
        return
    if settings.resolved_database_url().startswith("sqlite"):
        raise ValueError(
            f"TENSORTRIGGER_DATABASE_URL: 'tt {role}' shares its database with other processes, so it needs "
            "PostgreSQL (postgresql+psycopg://user:password@host/database). On one machine 'tt serve' runs "
            "everything on SQLite."
        )
    if role is not Role.FORGE and settings.broker_url.startswith("memory:"):
        raise ValueError(
            f"TENSORTRIGGER_BROKER_URL: memory:// lies in one process and cannot be shared, and 'tt {role}' works "
            "together with others: name a RabbitMQ (amqp://user:password@host/vhost), or run 'tt serve'."
        )
