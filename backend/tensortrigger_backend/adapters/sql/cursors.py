"""Keyset pagination: a cursor names the last row seen, so that pages neither skip nor repeat."""

from __future__ import annotations

import base64
import binascii
import math
import struct
from collections.abc import Callable, Sequence
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Row, Select, and_, or_

from tensortrigger_backend.domain.errors import Fault, InvalidInput

_NUMBERS_END: Final = 2.0**53
"""From here on a float cannot count, and a driver may not take the number."""


def encode_cursor(created: float, row_id: str) -> str:
    """An opaque text for the row with this time and id."""
    return base64.urlsafe_b64encode(struct.pack(">d", created) + row_id.encode()).decode().rstrip("=")


def page_of(
    connection: Connection,
    query: Select[Any],
    created: ColumnElement[float],
    row_id: ColumnElement[str],
    limit: int,
    cursor: str | None,
) -> tuple[Sequence[Row[Any]], str | None]:
    """One page of a query's rows, newest first, and the cursor of the next one (None on the last page).

    Args:
        query: selects ``created`` and ``row_id`` under their own names, among others.

    Raises:
        InvalidInput: the cursor is none.
    """
    if cursor is not None:
        at, last = _decoded(cursor)
        query = query.where(or_(created < at, and_(created == at, row_id < last)))
    rows = connection.execute(query.order_by(created.desc(), row_id.desc()).limit(limit + 1)).all()
    return rows[:limit], _next(rows, limit, lambda row: encode_cursor(row.created, row._mapping[row_id]))


def numbered_page_of(
    connection: Connection,
    query: Select[Any],
    number: ColumnElement[int],
    limit: int,
    cursor: str | None,
) -> tuple[Sequence[Row[Any]], str | None]:
    """As ``page_of``, for rows that are counted by a column ``number``."""
    if cursor is not None:
        at, _ = _decoded(cursor)
        if not 0 <= at < _NUMBERS_END:
            raise _no_cursor()
        query = query.where(number < int(at))
    rows = connection.execute(query.order_by(number.desc()).limit(limit + 1)).all()
    return rows[:limit], _next(rows, limit, lambda row: encode_cursor(float(row.number), ""))


def _next(rows: Sequence[Row[Any]], limit: int, name: Callable[[Row[Any]], str]) -> str | None:
    return name(rows[limit - 1]) if len(rows) > limit else None


def _decoded(cursor: str) -> tuple[float, str]:
    try:
        data = base64.b64decode(cursor + "=" * (-len(cursor) % 4), b"-_", validate=True)
        (at,) = struct.unpack(">d", data[:8])
        last = data[8:].decode("ascii")
        if not math.isfinite(at) or "\0" in last:
            raise ValueError(cursor)
    except (binascii.Error, struct.error, UnicodeDecodeError, ValueError):
        raise _no_cursor() from None
    return at, last


def _no_cursor() -> InvalidInput:
    return InvalidInput.of(
        Fault(("cursor",), "cursor", "This is no cursor: pass next_cursor of the page before, unchanged.")
    )
