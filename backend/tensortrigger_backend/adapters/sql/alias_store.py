"""Aliases in SQL: where they point, and how they came to."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Row, Select, select

from tensortrigger_backend.adapters.sql.alias_moves import alias_of, drop, missing, point, present
from tensortrigger_backend.adapters.sql.cursors import numbered_page_of
from tensortrigger_backend.adapters.sql.database import Database
from tensortrigger_backend.adapters.sql.tables import alias_history, aliases, model_versions
from tensortrigger_backend.adapters.sql.version_rows import ready_of
from tensortrigger_backend.domain.aliases import Alias, AliasAction, AliasMove, Expected, before
from tensortrigger_backend.domain.errors import Conflict, NotFound
from tensortrigger_backend.ports.storage import Page


class SqlAliasStore:
    """Keeps the ``AliasStore`` promises on a ``Database``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, owner: str, name: str, alias: str) -> Alias:
        """See ``AliasStore.get``."""
        with self._database.read() as connection:
            return _found(connection, owner, name, alias)

    def all(self, owner: str, name: str) -> list[Alias]:
        """See ``AliasStore.all``."""
        query = select(aliases).where(aliases.c.owner == owner, aliases.c.name == name)
        with self._database.read() as connection:
            found = [alias_of(row) for row in connection.execute(query.order_by(aliases.c.alias))]
            if not found:
                _must_exist(connection, owner, name)
            return found

    def move(
        self,
        owner: str,
        name: str,
        alias: str,
        target: int | str,
        expected: Expected | None,
        now: float,
        by: str,
    ) -> Alias:
        """See ``AliasStore.move``."""
        with self._database.write() as connection:
            there = present(connection, owner, name, alias)
            row = _target(connection, owner, name, target)
            if expected is not None:
                expected.must_be(name, alias, there.version if there else None)
            if there is not None and there.model_id == row.model_id:
                return there
            wanted = Alias(name, alias, row.model_id, row.version, now, by)
            return point(connection, owner, wanted, AliasAction.MOVED, there)

    def roll_back(
        self, owner: str, name: str, alias: str, expected: Expected | None, now: float, by: str
    ) -> Alias:
        """See ``AliasStore.roll_back``."""
        with self._database.write() as connection:
            there = _found(connection, owner, name, alias)
            if expected is not None:
                expected.must_be(name, alias, there.version)
            history = connection.execute(_history(owner, name, alias).order_by(alias_history.c.number)).all()
            earlier = before([_move_of(row) for row in history])
            if earlier is None:
                raise Conflict(
                    f"Alias {alias!r} of model {name!r} has pointed to version {there.version} from the "
                    "beginning: there is nothing to go back to."
                )
            row = connection.execute(
                ready_of(owner, name).where(model_versions.c.model_id == earlier.model_id)
            ).one_or_none()
            if row is None:
                raise Conflict(
                    f"Version {earlier.version} of model {name!r}, where alias {alias!r} pointed before, "
                    "was deleted: move the alias to a version that exists."
                )
            wanted = Alias(name, alias, row.model_id, row.version, now, by)
            return point(connection, owner, wanted, AliasAction.ROLLED_BACK, there)

    def remove(
        self, owner: str, name: str, alias: str, expected: Expected | None, now: float, by: str
    ) -> None:
        """See ``AliasStore.remove``."""
        with self._database.write() as connection:
            there = _found(connection, owner, name, alias)
            if expected is not None:
                expected.must_be(name, alias, there.version)
            drop(connection, owner, [there], now, by)

    def history(self, owner: str, name: str, alias: str, limit: int, cursor: str | None) -> Page[AliasMove]:
        """See ``AliasStore.history``."""
        with self._database.read() as connection:
            rows, following = numbered_page_of(
                connection, _history(owner, name, alias), alias_history.c.number, limit, cursor
            )
            if not rows and cursor is None:
                raise _missing(connection, owner, name, alias)
        return Page(tuple(_move_of(row) for row in rows), following)


def _history(owner: str, name: str, alias: str) -> Select[Any]:
    return select(alias_history).where(
        alias_history.c.owner == owner, alias_history.c.name == name, alias_history.c.alias == alias
    )


def _move_of(row: Row[Any]) -> AliasMove:
    return AliasMove(
        AliasAction(row.action), row.version, row.model_id, row.previous_version, row.moved, row.moved_by
    )


def _found(connection: Connection, owner: str, name: str, alias: str) -> Alias:
    there = present(connection, owner, name, alias)
    if there is None:
        raise _missing(connection, owner, name, alias)
    return there


def _missing(connection: Connection, owner: str, name: str, alias: str) -> NotFound:
    _must_exist(connection, owner, name)
    return missing(connection, owner, name, alias)


def _must_exist(connection: Connection, owner: str, name: str) -> None:
    if connection.execute(ready_of(owner, name).limit(1)).one_or_none() is None:
        raise NotFound(f"There is no model {name!r}.")


def _target(connection: Connection, owner: str, name: str, target: int | str) -> Row[Any]:
    column = model_versions.c.version if isinstance(target, int) else model_versions.c.model_id
    row = connection.execute(ready_of(owner, name).where(column == target)).one_or_none()
    if row is not None:
        return row
    latest = connection.execute(ready_of(owner, name).limit(1)).one_or_none()
    if latest is None:
        raise NotFound(f"There is no model {name!r}.")
    if isinstance(target, int):
        raise NotFound(f"Model {name!r} has no version {target}; latest is {latest.version}.")
    raise NotFound(f"{target[:80]!r} is no ready version of model {name!r}; latest is {latest.version}.")
