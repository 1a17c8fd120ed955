"""Which content-addressed bytes are still needed, in SQL."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, delete, insert, select, update

from tensortrigger_backend.adapters.sql.database import Database
from tensortrigger_backend.adapters.sql.tables import contents, model_versions
from tensortrigger_backend.domain.contents import is_content
from tensortrigger_backend.domain.errors import Unavailable

_AT_ONCE: Final = 200
"""Blobs deleted in one transaction: every other writer waits for it."""


class SqlContentStore:
    """Keeps the ``ContentStore`` promises on a ``Database``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def touch(self, key: str, now: float) -> None:
        """See ``ContentStore.touch``."""
        with self._database.write() as connection:
            # Never back: of two who put the same bytes the later one counts.
            later = connection.execute(select(contents.c.touched).where(contents.c.key == key)).scalar()
            if later is None:
                connection.execute(insert(contents).values(key=key, touched=now))
            elif later < now:
                connection.execute(update(contents).where(contents.c.key == key).values(touched=now))

    def free(
        self,
        delete: Callable[[Sequence[str]], None],
        touched_until: float,
        keys: Sequence[str] | None = None,
    ) -> int:
        """See ``ContentStore.free``."""
        query = select(contents.c.key).where(contents.c.touched <= touched_until, ~_needed(contents.c.key))
        if keys is not None:
            query = query.where(contents.c.key.in_(keys))
        freed = 0
        # Looked for without holding up writers: most of the time there is nothing.
        while self._any(query):
            with self._database.write() as connection:
                gone = list(connection.execute(query.limit(_AT_ONCE)).scalars())
                _forget(connection, gone)
                # Should this fail, the rows stay and the next round goes on.
                delete(gone)
            freed += len(gone)
        return freed

    def free_unknown(self, delete: Callable[[Sequence[str]], None], keys: Sequence[str]) -> int:
        """See ``ContentStore.free_unknown``."""
        freed = 0
        for at in range(0, len(keys), _AT_ONCE):
            some = list(keys[at : at + _AT_ONCE])
            with self._database.write() as connection:
                known = set(
                    connection.execute(select(contents.c.key).where(contents.c.key.in_(some))).scalars()
                )
                for column in _KEYS:
                    known.update(connection.execute(select(column).where(column.in_(some))).scalars())
                gone = [key for key in some if key not in known]
                if gone:
                    delete(gone)
            freed += len(gone)
        return freed

    def _any(self, query: Any) -> bool:
        with self._database.read() as connection:
            return connection.execute(query.limit(1)).scalar() is not None


def must_be_kept(connection: Connection, *keys: str | None) -> None:
    """Raise Unavailable unless the bytes of these content keys are still there; other keys are not looked at."""
    wanted = {key for key in keys if key is not None and is_content(key)}
    if not wanted:
        return
    there = set(connection.execute(select(contents.c.key).where(contents.c.key.in_(wanted))).scalars())
    if there != wanted:
        raise Unavailable("Storing this took so long that its bytes were cleared away: send it again.")


_KEYS = (model_versions.c.source_key, model_versions.c.servable_key, model_versions.c.example_key)


def _needed(key: ColumnElement[str]) -> ColumnElement[bool]:
    """Some version has these bytes as its source, servable or example; one index each."""
    by_column = [select(model_versions.c.model_id).where(column == key).exists() for column in _KEYS]
    return by_column[0] | by_column[1] | by_column[2]


def _forget(connection: Connection, keys: Sequence[str]) -> None:
    connection.execute(delete(contents).where(contents.c.key.in_(keys)))
