"""Change where an alias points, with its entry in the history, inside a transaction that somebody else began."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import Connection, and_, delete, insert, select, update

from tensortrigger_backend.adapters.sql.tables import alias_history, aliases
from tensortrigger_backend.domain.aliases import Alias, AliasAction, no_alias
from tensortrigger_backend.domain.errors import NotFound


def is_alias(owner: str, name: str, alias: str) -> Any:
    """The one alias."""
    return and_(aliases.c.owner == owner, aliases.c.name == name, aliases.c.alias == alias)


def present(connection: Connection, owner: str, name: str, alias: str) -> Alias | None:
    """Where it points now; None where it does not exist."""
    row = connection.execute(select(aliases).where(is_alias(owner, name, alias))).one_or_none()
    return alias_of(row) if row is not None else None


def alias_of(row: Any) -> Alias:
    """An alias of its row."""
    return Alias(row.name, row.alias, row.model_id, row.version, row.moved, row.moved_by)


def missing(connection: Connection, owner: str, name: str, alias: str) -> NotFound:
    """The error for an alias that does not exist, naming those that do."""
    query = select(aliases.c.alias).where(aliases.c.owner == owner, aliases.c.name == name)
    return NotFound(no_alias(name, alias, connection.execute(query).scalars()))


def point(
    connection: Connection,
    owner: str,
    target: Alias,
    action: AliasAction,
    before: Alias | None,
) -> Alias:
    """Let it point to ``target``, which says when and by whom, and write that down.

    Args:
        before: what ``present`` said in this transaction.
    """
    columns = {
        "model_id": target.model_id,
        "version": target.version,
        "moved": target.moved,
        "moved_by": target.moved_by,
    }
    if before is None:
        connection.execute(
            insert(aliases).values(owner=owner, name=target.name, alias=target.alias, **columns)
        )
    else:
        connection.execute(
            update(aliases).where(is_alias(owner, target.name, target.alias)).values(**columns)
        )
    connection.execute(
        insert(alias_history).values(
            owner=owner,
            name=target.name,
            alias=target.alias,
            previous_version=before.version if before else None,
            action=str(action),
            **columns,
        )
    )
    return target


def drop(connection: Connection, owner: str, gone: Iterable[Alias], now: float, by: str) -> None:
    """Take aliases away, and write that down."""
    for alias in gone:
        connection.execute(delete(aliases).where(is_alias(owner, alias.name, alias.alias)))
        connection.execute(
            insert(alias_history).values(
                owner=owner,
                name=alias.name,
                alias=alias.alias,
                previous_version=alias.version,
                action=str(AliasAction.REMOVED),
                moved=now,
                moved_by=by,
            )
        )


def pointing_to(connection: Connection, model_id: str) -> list[Alias]:
    """Aliases of a version, sorted."""
    query = select(aliases).where(aliases.c.model_id == model_id).order_by(aliases.c.alias)
    return [alias_of(row) for row in connection.execute(query)]
