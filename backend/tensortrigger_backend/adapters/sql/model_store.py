"""Model versions in SQL."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select, update

from tensortrigger_backend.adapters.sql.cursors import after_cursor, encode_cursor
from tensortrigger_backend.adapters.sql.database import Database
from tensortrigger_backend.adapters.sql.idempotency import find, remember
from tensortrigger_backend.adapters.sql.tables import idempotency_keys, jobs, model_names, model_versions
from tensortrigger_backend.domain.errors import Conflict, NotFound
from tensortrigger_backend.domain.jobs import JobState
from tensortrigger_backend.domain.models import ModelVersion, Parent, VersionState
from tensortrigger_backend.domain.publishing import ForgeVerdict
from tensortrigger_backend.domain.schema import VectorSchema
from tensortrigger_backend.domain.tensors import Signature
from tensortrigger_backend.ports.storage import Idempotency, Page

_KIND = "model"
_UNSETTLED = [str(state) for state in VersionState if not state.settled]
_UNFINISHED = [str(JobState.QUEUED), str(JobState.RUNNING)]


class SqlModelStore:
    """Keeps the ``ModelStore`` promises on a ``Database``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, version: ModelVersion, idempotency: Idempotency | None = None) -> ModelVersion:
        """See ``ModelStore.add``."""
        with self._database.write() as connection:
            there = _row(connection, version.model_id)
            if there is not None:
                return _version(there)
            if idempotency is not None:
                before = find(connection, version.owner, _KIND, idempotency)
                if before is not None:
                    row = _row(connection, before)
                    if row is None or row.removed is not None:
                        raise Conflict(
                            "This Idempotency-Key made a model that was deleted since: take a new key."
                        )
                    return _version(row)
                remember(connection, version.owner, _KIND, idempotency, version.model_id, version.created)
            connection.execute(
                insert(model_versions).values(
                    model_id=version.model_id,
                    owner=version.owner,
                    name=version.name,
                    title=version.title,
                    description=version.description,
                    state=str(version.state),
                    model_schema=version.schema.to_dict() if version.schema else None,
                    source_key=version.source_key,
                    source_sha256=version.source_sha256,
                    size=version.size,
                    report={},
                    created=version.created,
                    holder=version.holder,
                    parent=version.parent.to_dict() if version.parent else None,
                )
            )
        return version

    def get(self, model_id: str, owner: str | None) -> ModelVersion:
        """See ``ModelStore.get``."""
        with self._database.read() as connection:
            row = _row(connection, model_id)
        if row is None or (owner is not None and (row.owner != owner or row.removed is not None)):
            raise NotFound(f"There is no model {model_id[:80]!r}.")
        return _version(row)

    def by_name(self, owner: str, name: str, version: int | None) -> ModelVersion:
        """See ``ModelStore.by_name``."""
        query = (
            select(model_versions)
            .where(
                model_versions.c.owner == owner,
                model_versions.c.name == name,
                model_versions.c.state == str(VersionState.READY),
                model_versions.c.removed.is_(None),
            )
            .order_by(model_versions.c.version.desc())
            .limit(1)
        )
        with self._database.read() as connection:
            latest = connection.execute(query).one_or_none()
            if latest is None:
                raise NotFound(f"There is no model {name!r}.")
            if version is None or latest.version == version:
                return _version(latest)
            row = connection.execute(query.where(model_versions.c.version == version)).one_or_none()
        if row is None:
            raise NotFound(f"Model {name!r} has no version {version}; latest is {latest.version}.")
        return _version(row)

    def page(
        self, owner: str, name: str | None, state: VersionState | None, limit: int, cursor: str | None
    ) -> Page[ModelVersion]:
        """See ``ModelStore.page``."""
        columns = model_versions.c
        query = select(model_versions).where(columns.owner == owner, columns.removed.is_(None))
        if name is not None:
            query = query.where(columns.name == name)
        if state is not None:
            query = query.where(columns.state == str(state))
        else:
            query = query.where(columns.state != str(VersionState.REFUSED))
        if cursor is not None:
            query = query.where(after_cursor(cursor, columns.created, columns.model_id))
        query = query.order_by(columns.created.desc(), columns.model_id.desc()).limit(limit + 1)
        with self._database.read() as connection:
            rows = connection.execute(query).all()
        more = len(rows) > limit
        rows = rows[:limit]
        return Page(
            tuple(_version(row) for row in rows),
            encode_cursor(rows[-1].created, rows[-1].model_id) if more else None,
        )

    def advance(self, model_id: str, state: VersionState) -> None:
        """See ``ModelStore.advance``."""
        with self._database.write() as connection:
            connection.execute(
                update(model_versions)
                .where(model_versions.c.model_id == model_id, model_versions.c.state.in_(_UNSETTLED))
                .values(state=str(state))
            )

    def make_ready(
        self, model_id: str, verdict: ForgeVerdict, servable_key: str, servable_sha256: str
    ) -> ModelVersion:
        """See ``ModelStore.make_ready``."""
        with self._database.write() as connection:
            row = _row(connection, model_id)
            if row is None or row.removed is not None:
                raise NotFound(f"Model {model_id!r} was removed while it was being checked.")
            if row.state == str(VersionState.READY):
                return _version(row)
            bumped = connection.execute(
                update(model_names)
                .where(model_names.c.owner == row.owner, model_names.c.name == row.name)
                .values(latest=model_names.c.latest + 1)
                .returning(model_names.c.latest)
            ).scalar()
            if bumped is None:
                connection.execute(insert(model_names).values(owner=row.owner, name=row.name, latest=1))
                bumped = 1
            connection.execute(
                update(model_versions)
                .where(model_versions.c.model_id == model_id)
                .values(
                    state=str(VersionState.READY),
                    version=bumped,
                    signature=verdict.signature.to_dict() if verdict.signature else None,
                    engine=verdict.engine,
                    servable_key=servable_key,
                    servable_sha256=servable_sha256,
                    report=verdict.to_dict(),
                )
            )
            return _version(_row(connection, model_id))

    def refuse(self, model_id: str, verdict: ForgeVerdict) -> None:
        """See ``ModelStore.refuse``."""
        with self._database.write() as connection:
            connection.execute(
                update(model_versions)
                .where(model_versions.c.model_id == model_id, model_versions.c.state.in_(_UNSETTLED))
                .values(state=str(VersionState.REFUSED), report=verdict.to_dict())
            )

    def remove(self, model_id: str, owner: str, now: float) -> ModelVersion:
        """See ``ModelStore.remove``."""
        with self._database.write() as connection:
            row = _row(connection, model_id)
            if row is None or row.owner != owner or row.removed is not None:
                raise NotFound(f"There is no model {model_id[:80]!r}.")
            connection.execute(
                update(model_versions).where(model_versions.c.model_id == model_id).values(removed=now)
            )
            return _version(row)

    def discard(self, model_id: str) -> None:
        """See ``ModelStore.discard``."""
        with self._database.write() as connection:
            connection.execute(
                delete(idempotency_keys).where(
                    idempotency_keys.c.kind == _KIND, idempotency_keys.c.resource_id == model_id
                )
            )
            connection.execute(delete(model_versions).where(model_versions.c.model_id == model_id))

    def unsettled(self) -> list[ModelVersion]:
        """See ``ModelStore.unsettled``."""
        query = (
            select(model_versions)
            .where(model_versions.c.state.in_(_UNSETTLED), model_versions.c.removed.is_(None))
            .order_by(model_versions.c.created)
        )
        with self._database.read() as connection:
            return [_version(row) for row in connection.execute(query)]

    def removed_unused(self) -> list[ModelVersion]:
        """See ``ModelStore.removed_unused``."""
        needed = select(jobs.c.model_id).where(jobs.c.state.in_(_UNFINISHED))
        query = select(model_versions).where(
            model_versions.c.removed.is_not(None), model_versions.c.model_id.not_in(needed)
        )
        with self._database.read() as connection:
            return [_version(row) for row in connection.execute(query)]


def _row(connection: Connection, model_id: str) -> Any:
    return connection.execute(
        select(model_versions).where(model_versions.c.model_id == model_id)
    ).one_or_none()


def _version(row: Row[Any]) -> ModelVersion:
    return ModelVersion(
        model_id=row.model_id,
        owner=row.owner,
        name=row.name,
        title=row.title,
        description=row.description,
        state=VersionState(row.state),
        source_key=row.source_key,
        source_sha256=row.source_sha256,
        size=row.size,
        created=row.created,
        holder=row.holder,
        schema=VectorSchema.parse(row.model_schema) if row.model_schema else None,
        version=row.version,
        signature=Signature.from_dict(row.signature) if row.signature else None,
        engine=row.engine,
        servable_key=row.servable_key,
        servable_sha256=row.servable_sha256,
        report=row.report,
        parent=Parent(**row.parent) if row.parent else None,
    )
