"""Rows of model versions as the domain's values, with the aliases that point to them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, Select, select

from tensortrigger_backend.adapters.sql.tables import aliases, model_versions
from tensortrigger_backend.domain.errors import NotFound
from tensortrigger_backend.domain.metadata import Metadata
from tensortrigger_backend.domain.models import ModelVersion, Parent, VersionState
from tensortrigger_backend.domain.schema import VectorSchema
from tensortrigger_backend.domain.tensors import Signature


def row_of(connection: Connection, model_id: str) -> Any:
    """The version's row, None where there is none."""
    return connection.execute(
        select(model_versions).where(model_versions.c.model_id == model_id)
    ).one_or_none()


def owned_row(connection: Connection, model_id: str, owner: str) -> Row[Any]:
    """The row of a version that its owner can still see.

    Raises:
        NotFound: there is none.
    """
    row: Row[Any] | None = row_of(connection, model_id)
    if row is None or row.owner != owner or row.removed is not None:
        raise NotFound(f"There is no model {model_id[:80]!r}.")
    return row


def ready_of(owner: str, name: str) -> Select[Any]:
    """Ready versions of a name that were not removed, newest first."""
    return (
        select(model_versions)
        .where(
            model_versions.c.owner == owner,
            model_versions.c.name == name,
            model_versions.c.state == str(VersionState.READY),
            model_versions.c.removed.is_(None),
        )
        .order_by(model_versions.c.version.desc())
    )


def version_of(connection: Connection, row: Row[Any]) -> ModelVersion:
    """One version."""
    return versions_of(connection, [row])[0]


def versions_of(connection: Connection, rows: Sequence[Row[Any]]) -> list[ModelVersion]:
    """Versions in the order of their rows; one query for all their aliases."""
    query = (
        select(aliases.c.model_id, aliases.c.alias)
        .where(aliases.c.model_id.in_([row.model_id for row in rows]))
        .order_by(aliases.c.alias)
    )
    pointing: dict[str, list[str]] = {}
    for row in connection.execute(query):
        pointing.setdefault(row.model_id, []).append(row.alias)
    return [_version(row, tuple(pointing.get(row.model_id, ()))) for row in rows]


def columns_of(version: ModelVersion) -> dict[str, Any]:
    """The columns of a version that was just received."""
    return {
        "model_id": version.model_id,
        "owner": version.owner,
        "name": version.name,
        "title": version.title,
        "description": version.description,
        "state": str(version.state),
        "model_schema": version.schema.to_dict() if version.schema else None,
        "source_key": version.source_key,
        "source_sha256": version.source_sha256,
        "size": version.size,
        "report": {},
        "created": version.created,
        "holder": version.holder,
        "parent": version.parent.to_dict() if version.parent else None,
        "tags": dict(version.metadata.tags) or None,
        "metrics": dict(version.metadata.metrics) or None,
        "author": version.metadata.author,
        "notebook": version.metadata.notebook,
        "git_commit": version.metadata.git_commit,
        "wanted_alias": version.wanted_alias,
        "wanted_by": version.wanted_by or None,
        "example_key": version.example_key,
    }


def _version(row: Row[Any], pointing: tuple[str, ...]) -> ModelVersion:
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
        metadata=Metadata(row.tags or {}, row.metrics or {}, row.author, row.notebook, row.git_commit),
        wanted_alias=row.wanted_alias,
        wanted_by=row.wanted_by or "",
        receipt=row.receipt,
        example_key=row.example_key,
        aliases=pointing,
    )
