"""Keyset pagination: a cursor names the last row seen, so that pages neither skip nor repeat."""

from __future__ import annotations

import base64
import binascii
import struct

from sqlalchemy import ColumnElement, and_, or_

from tensortrigger_backend.domain.errors import Fault, InvalidInput


def encode_cursor(created: float, row_id: str) -> str:
    """An opaque text for the row with this time and id."""
    return base64.urlsafe_b64encode(struct.pack(">d", created) + row_id.encode()).decode().rstrip("=")


def after_cursor(
    cursor: str, created: ColumnElement[float], row_id: ColumnElement[str]
) -> ColumnElement[bool]:
    """The condition for rows older than the cursor's.

    Raises:
        InvalidInput: it is no cursor.
    """
    try:
        data = base64.b64decode(cursor + "=" * (-len(cursor) % 4), b"-_", validate=True)
        (at,) = struct.unpack(">d", data[:8])
        last = data[8:].decode("ascii")
    except (binascii.Error, struct.error, UnicodeDecodeError, ValueError):
        fault = Fault(
            ("cursor",), "cursor", "This is no cursor: pass next_cursor of the page before, unchanged."
        )
        raise InvalidInput.of(fault) from None
    return or_(created < at, and_(created == at, row_id < last))
