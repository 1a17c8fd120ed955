"""Which of many ids has a table no row for?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sqlalchemy import ColumnElement, Connection, select

_AT_ONCE: Final = 500
"""Ids in one query: drivers bound how many parameters it may have."""


def unknown_of(connection: Connection, column: ColumnElement[str], ids: Sequence[str]) -> list[str]:
    """Those that the column does not hold, in their order."""
    known: set[str] = set()
    for at in range(0, len(ids), _AT_ONCE):
        known.update(connection.execute(select(column).where(column.in_(ids[at : at + _AT_ONCE]))).scalars())
    return [one for one in ids if one not in known]
