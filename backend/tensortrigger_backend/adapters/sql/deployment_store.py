"""What all processes of a deployment agreed on, in SQL."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import Connection, insert, select

from tensortrigger_backend.adapters.sql.database import Database
from tensortrigger_backend.adapters.sql.tables import deployment


class SqlDeploymentStore:
    """Keeps the ``DeploymentStore`` promises on a ``Database``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def fact(self, name: str) -> str | None:
        """See ``DeploymentStore.fact``."""
        with self._database.read() as connection:
            return _fact(connection, name)

    def agree(self, name: str, value: str) -> str:
        """See ``DeploymentStore.agree``."""
        with self._database.write() as connection:
            there = _fact(connection, name)
            if there is None:
                connection.execute(insert(deployment).values(name=name, value=value))
            return value if there is None else there

    def agree_after(self, name: str, value: str, do: Callable[[], None]) -> bool:
        """See ``DeploymentStore.agree_after``: writers take turns, so nobody else does it meanwhile."""
        with self._database.write() as connection:
            if _fact(connection, name) is not None:
                return False
            do()
            connection.execute(insert(deployment).values(name=name, value=value))
            return True


def _fact(connection: Connection, name: str) -> str | None:
    found: str | None = connection.execute(
        select(deployment.c.value).where(deployment.c.name == name)
    ).scalar()
    return found
