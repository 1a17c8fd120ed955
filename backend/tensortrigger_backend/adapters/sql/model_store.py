"""Model versions in SQL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, delete, insert, or_, select, update

from tensortrigger_backend.adapters.sql.alias_moves import (
    drop,
    is_alias,
    missing,
    point,
    pointing_to,
    present,
)
from tensortrigger_backend.adapters.sql.content_store import must_be_kept
from tensortrigger_backend.adapters.sql.cursors import page_of
from tensortrigger_backend.adapters.sql.database import Database
from tensortrigger_backend.adapters.sql.idempotency import find, remember
from tensortrigger_backend.adapters.sql.tables import (
    aliases,
    idempotency_keys,
    jobs,
    model_names,
    model_versions,
)
from tensortrigger_backend.adapters.sql.unknown import unknown_of
from tensortrigger_backend.adapters.sql.version_rows import (
    columns_of,
    owned_row,
    ready_of,
    row_of,
    version_of,
    versions_of,
)
from tensortrigger_backend.domain.aliases import LATEST, PRODUCTION, Alias, AliasAction
from tensortrigger_backend.domain.errors import Conflict, NotFound
from tensortrigger_backend.domain.jobs import JobState
from tensortrigger_backend.domain.listing import VersionFilter
from tensortrigger_backend.domain.models import ModelVersion, Reference, VersionState
from tensortrigger_backend.domain.publishing import ForgeVerdict
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
            there = row_of(connection, version.model_id)
            if there is not None:
                return version_of(connection, there)
            if idempotency is not None:
                before = find(connection, version.owner, _KIND, idempotency)
                if before is not None:
                    row = row_of(connection, before)
                    if row is None or row.removed is not None:
                        raise Conflict(
                            "This Idempotency-Key made a model that was deleted since: take a new key."
                        )
                    return version_of(connection, row)
                remember(connection, version.owner, _KIND, idempotency, version.model_id, version.created)
            must_be_kept(connection, version.source_key, version.example_key)
            connection.execute(insert(model_versions).values(**columns_of(version)))
        return version

    def get(self, model_id: str, owner: str | None) -> ModelVersion:
        """See ``ModelStore.get``."""
        with self._database.read() as connection:
            row = row_of(connection, model_id) if owner is None else owned_row(connection, model_id, owner)
            if row is None:
                raise NotFound(f"There is no model {model_id[:80]!r}.")
            return version_of(connection, row)

    def named(self, owner: str, reference: Reference) -> ModelVersion:
        """See ``ModelStore.named``."""
        name = reference.name
        with self._database.read() as connection:
            latest = connection.execute(ready_of(owner, name).limit(1)).one_or_none()
            if latest is None:
                raise NotFound(f"There is no model {name!r}.")
            row: Row[Any] | None = latest
            if reference.version is not None:
                numbered = ready_of(owner, name).where(model_versions.c.version == reference.version)
                row = connection.execute(numbered).one_or_none()
                if row is None:
                    raise NotFound(
                        f"Model {name!r} has no version {reference.version}; latest is {latest.version}."
                    )
            elif reference.alias != LATEST:
                pointed = ready_of(owner, name).join(
                    aliases,
                    is_alias(owner, name, reference.alias or PRODUCTION)
                    & (aliases.c.model_id == model_versions.c.model_id),
                )
                row = connection.execute(pointed).one_or_none()
                if row is None and reference.alias is not None:
                    raise missing(connection, owner, name, reference.alias)
            return version_of(connection, row if row is not None else latest)

    def page(self, owner: str, wanted: VersionFilter, limit: int, cursor: str | None) -> Page[ModelVersion]:
        """See ``ModelStore.page``."""
        columns = model_versions.c
        query = select(model_versions).where(
            columns.owner == owner, columns.removed.is_(None), *_conditions(wanted)
        )
        with self._database.read() as connection:
            rows, following = page_of(connection, query, columns.created, columns.model_id, limit, cursor)
            return Page(tuple(versions_of(connection, rows)), following)

    def amend(
        self, model_id: str, owner: str, description: str | None, tags: Mapping[str, str] | None
    ) -> ModelVersion:
        """See ``ModelStore.amend``."""
        changed: dict[str, Any] = {}
        if description is not None:
            changed["description"] = description
        if tags is not None:
            changed["tags"] = dict(tags) or None
        with self._database.write() as connection:
            owned_row(connection, model_id, owner)
            if changed:
                connection.execute(
                    update(model_versions).where(model_versions.c.model_id == model_id).values(**changed)
                )
            return version_of(connection, owned_row(connection, model_id, owner))

    def take(self, model_id: str, before: str, holder: str) -> bool:
        """See ``ModelStore.take``."""
        with self._database.write() as connection:
            taken = connection.execute(
                update(model_versions).where(*_held(model_id, before)).values(holder=holder)
            )
            return taken.rowcount == 1

    def advance(self, model_id: str, state: VersionState, holder: str) -> None:
        """See ``ModelStore.advance``."""
        with self._database.write() as connection:
            connection.execute(
                update(model_versions).where(*_held(model_id, holder)).values(state=str(state))
            )

    def make_ready(
        self,
        model_id: str,
        verdict: ForgeVerdict,
        servable_key: str,
        servable_sha256: str,
        now: float,
        receipt: Mapping[str, Any] | None = None,
        example_key: str | None = None,
    ) -> ModelVersion:
        """See ``ModelStore.make_ready``."""
        with self._database.write() as connection:
            row = row_of(connection, model_id)
            if row is None or row.removed is not None:
                raise NotFound(f"Model {model_id!r} was removed while it was being checked.")
            if VersionState(row.state).settled:
                return version_of(connection, row)
            must_be_kept(connection, servable_key, example_key)
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
                    receipt=dict(receipt) if receipt is not None else None,
                    example_key=example_key or row.example_key,
                )
            )
            if row.wanted_alias is not None:
                there = present(connection, row.owner, row.name, row.wanted_alias)
                wanted = Alias(row.name, row.wanted_alias, model_id, bumped, now, row.wanted_by or row.owner)
                point(connection, row.owner, wanted, AliasAction.PUBLISHED, there)
            return version_of(connection, row_of(connection, model_id))

    def note_receipt(self, model_id: str, receipt: Mapping[str, Any]) -> None:
        """See ``ModelStore.note_receipt``."""
        with self._database.write() as connection:
            connection.execute(
                update(model_versions)
                .where(model_versions.c.model_id == model_id)
                .values(receipt=dict(receipt))
            )

    def refuse(self, model_id: str, verdict: ForgeVerdict, holder: str) -> None:
        """See ``ModelStore.refuse``."""
        with self._database.write() as connection:
            connection.execute(
                update(model_versions)
                .where(*_held(model_id, holder))
                .values(state=str(VersionState.REFUSED), report=verdict.to_dict())
            )

    def remove(
        self, model_id: str, owner: str, now: float, force: bool = False, by: str = ""
    ) -> ModelVersion:
        """See ``ModelStore.remove``."""
        with self._database.write() as connection:
            row = owned_row(connection, model_id, owner)
            pointing = pointing_to(connection, model_id)
            if pointing and not force:
                named = ", ".join(repr(alias.alias) for alias in pointing)
                raise Conflict(
                    f"Version {row.version} of model {row.name!r} has the alias {named}: move it to another "
                    "version first, or delete with force (?force=true, force=True, --force)."
                )
            removed = version_of(connection, row)
            drop(connection, owner, pointing, now, by)
            connection.execute(
                update(model_versions).where(model_versions.c.model_id == model_id).values(removed=now)
            )
            return removed

    def discard(self, model_id: str, now: float) -> None:
        """See ``ModelStore.discard``."""
        with self._database.write() as connection:
            row = row_of(connection, model_id)
            if row is not None:
                drop(connection, row.owner, pointing_to(connection, model_id), now, row.owner)
            _forget(connection, model_id)

    def unsettled(self) -> list[ModelVersion]:
        """See ``ModelStore.unsettled``."""
        query = (
            select(model_versions)
            .where(model_versions.c.state.in_(_UNSETTLED), model_versions.c.removed.is_(None))
            .order_by(model_versions.c.created)
        )
        with self._database.read() as connection:
            return versions_of(connection, connection.execute(query).all())

    def clear_removed(self) -> list[ModelVersion]:
        """See ``ModelStore.clear_removed``."""
        needed = select(jobs.c.model_id).where(jobs.c.state.in_(_UNFINISHED))
        query = select(model_versions).where(
            model_versions.c.removed.is_not(None), model_versions.c.model_id.not_in(needed)
        )
        with self._database.read() as connection:
            if connection.execute(query.limit(1)).one_or_none() is None:
                return []
        with self._database.write() as connection:
            cleared = versions_of(connection, connection.execute(query).all())
            for version in cleared:
                _forget(connection, version.model_id)
            return cleared

    def unknown(self, model_ids: Sequence[str]) -> list[str]:
        """See ``ModelStore.unknown``."""
        with self._database.read() as connection:
            return unknown_of(connection, model_versions.c.model_id, model_ids)


def _forget(connection: Connection, model_id: str) -> None:
    connection.execute(
        delete(idempotency_keys).where(
            idempotency_keys.c.kind == _KIND, idempotency_keys.c.resource_id == model_id
        )
    )
    connection.execute(delete(model_versions).where(model_versions.c.model_id == model_id))


def _held(model_id: str, holder: str) -> list[ColumnElement[bool]]:
    columns = model_versions.c
    return [columns.model_id == model_id, columns.holder == holder, columns.state.in_(_UNSETTLED)]


def _conditions(wanted: VersionFilter) -> list[ColumnElement[bool]]:
    columns = model_versions.c
    found: list[ColumnElement[bool]] = []
    if wanted.state is not None:
        found.append(columns.state == str(wanted.state))
    else:
        found.append(columns.state != str(VersionState.REFUSED))
    exactly = {
        columns.name: wanted.name,
        columns.author: wanted.author,
        columns.engine: wanted.engine,
        columns.report["format"].as_string(): wanted.format,
    }
    found += [column == value for column, value in exactly.items() if value is not None]
    found += [columns.tags[key].as_string() == value for key, value in wanted.tags]
    if wanted.alias is not None:
        found.append(columns.model_id.in_(select(aliases.c.model_id).where(aliases.c.alias == wanted.alias)))
    if wanted.text is not None:
        text = (columns.name, columns.title, columns.description)
        found.append(or_(*(column.icontains(wanted.text, autoescape=True) for column in text)))
    return found
