"""Uploads in SQL."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row, delete, exists, func, insert, or_, select, update

from tensortrigger_backend.adapters.sql.database import Database
from tensortrigger_backend.adapters.sql.idempotency import find, remember
from tensortrigger_backend.adapters.sql.tables import (
    idempotency_keys,
    model_versions,
    upload_parts,
    uploads,
)
from tensortrigger_backend.domain.errors import Conflict, NotFound, WrongOffset
from tensortrigger_backend.domain.models import VersionState
from tensortrigger_backend.domain.uploads import Upload, UploadPart
from tensortrigger_backend.ports.storage import Idempotency

_KIND = "upload"
_HAS_PARTS = exists().where(upload_parts.c.upload_id == uploads.c.upload_id)


class SqlUploadStore:
    """Keeps the ``UploadStore`` promises on a ``Database``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def begin(self, upload: Upload, limit: int, idempotency: Idempotency | None = None) -> Upload:
        """See ``UploadStore.begin``."""
        with self._database.write() as connection:
            if idempotency is not None:
                before = find(connection, upload.owner, _KIND, idempotency)
                if before is not None:
                    row = connection.execute(_one(before)).one_or_none()
                    if row is None:
                        raise Conflict(
                            "This Idempotency-Key began an upload that is gone since: take a new key."
                        )
                    return _upload(row)
            open_ones = connection.execute(
                select(func.count())
                .select_from(uploads)
                .where(uploads.c.owner == upload.owner, or_(uploads.c.model_id.is_(None), _HAS_PARTS))
            ).scalar()
            if (open_ones or 0) >= limit:
                raise Conflict(
                    f"You have {limit} uploads already: publish or delete one of them before beginning another."
                )
            if idempotency is not None:
                remember(connection, upload.owner, _KIND, idempotency, upload.upload_id, upload.created)
            connection.execute(
                insert(uploads).values(
                    upload_id=upload.upload_id,
                    owner=upload.owner,
                    size=upload.size,
                    sha256=upload.sha256,
                    offset=upload.offset,
                    created=upload.created,
                    touched=upload.touched,
                    ticket_id=upload.ticket_id,
                )
            )
        return upload

    def get(self, upload_id: str) -> Upload:
        """See ``UploadStore.get``."""
        with self._database.read() as connection:
            row = connection.execute(_one(upload_id)).one_or_none()
        if row is None:
            raise NotFound(f"There is no upload {upload_id[:80]!r}.")
        return _upload(row)

    def append(self, upload_id: str, part: UploadPart, now: float) -> Upload:
        """See ``UploadStore.append``."""
        with self._database.write() as connection:
            grown = connection.execute(
                update(uploads)
                .where(uploads.c.upload_id == upload_id, uploads.c.offset == part.offset)
                .values(offset=part.offset + part.size, touched=now)
            )
            row = connection.execute(_one(upload_id)).one_or_none()
            if row is None:
                raise NotFound(f"There is no upload {upload_id[:80]!r}.")
            if grown.rowcount != 1:
                raise WrongOffset(row.offset)
            connection.execute(
                insert(upload_parts).values(
                    upload_id=upload_id, offset=part.offset, size=part.size, key=part.key
                )
            )
            return _upload(row)

    def parts(self, upload_id: str) -> list[UploadPart]:
        """See ``UploadStore.parts``."""
        query = (
            select(upload_parts).where(upload_parts.c.upload_id == upload_id).order_by(upload_parts.c.offset)
        )
        with self._database.read() as connection:
            return [UploadPart(row.offset, row.size, row.key) for row in connection.execute(query)]

    def made(self, upload_id: str, model_id: str, now: float) -> None:
        """See ``UploadStore.made``."""
        with self._database.write() as connection:
            connection.execute(
                update(uploads).where(uploads.c.upload_id == upload_id).values(model_id=model_id, touched=now)
            )

    def discard(self, upload_id: str) -> None:
        """See ``UploadStore.discard``."""
        with self._database.write() as connection:
            connection.execute(
                delete(idempotency_keys).where(
                    idempotency_keys.c.kind == _KIND, idempotency_keys.c.resource_id == upload_id
                )
            )
            connection.execute(delete(upload_parts).where(upload_parts.c.upload_id == upload_id))
            connection.execute(delete(uploads).where(uploads.c.upload_id == upload_id))

    def expired(self, before: float) -> list[str]:
        """See ``UploadStore.expired``."""
        with self._database.read() as connection:
            query = select(uploads.c.upload_id).where(uploads.c.touched < before)
            return list(connection.execute(query).scalars())

    def published(self) -> list[str]:
        """See ``UploadStore.published``."""
        made = select(model_versions.c.model_id).where(
            or_(
                model_versions.c.state == str(VersionState.READY),
                model_versions.c.removed.is_not(None),
            )
        )
        with self._database.read() as connection:
            query = select(uploads.c.upload_id).where(uploads.c.model_id.in_(made), _HAS_PARTS)
            return list(connection.execute(query).scalars())

    def release(self, upload_id: str) -> list[UploadPart]:
        """See ``UploadStore.release``."""
        with self._database.write() as connection:
            gone = connection.execute(
                delete(upload_parts).where(upload_parts.c.upload_id == upload_id).returning(*upload_parts.c)
            ).all()
        return [UploadPart(row.offset, row.size, row.key) for row in gone]


def _one(upload_id: str) -> Any:
    return select(uploads).where(uploads.c.upload_id == upload_id)


def _upload(row: Row[Any]) -> Upload:
    return Upload(
        upload_id=row.upload_id,
        owner=row.owner,
        created=row.created,
        touched=row.touched,
        offset=row.offset,
        size=row.size,
        sha256=row.sha256,
        ticket_id=row.ticket_id,
        model_id=row.model_id,
    )
