"""Put a version that was published elsewhere into a database of its own, under the id and number that it has there."""

from __future__ import annotations

from sqlalchemy import delete, insert

from tensortrigger_backend.adapters.sql.content_store import SqlContentStore
from tensortrigger_backend.adapters.sql.database import Database
from tensortrigger_backend.adapters.sql.model_store import SqlModelStore
from tensortrigger_backend.adapters.sql.tables import model_names
from tensortrigger_backend.domain.models import ModelVersion, VersionState
from tensortrigger_backend.domain.publishing import ForgeVerdict


def seed_version(database: Database, version: ModelVersion, verdict: ForgeVerdict) -> ModelVersion:
    """Store a ready version; its ``wanted_alias`` points to it. The one that is there already is found.

    Args:
        version: with its number, keys and receipt.
        verdict: what the forge said of it there.
    """
    assert version.version is not None
    assert version.servable_key is not None
    assert version.servable_sha256 is not None
    store, content_store = SqlModelStore(database), SqlContentStore(database)
    if not store.unknown([version.model_id]):
        there = store.get(version.model_id, None)
        if there.state is VersionState.READY:
            return there
    for key in {version.source_key, version.servable_key, version.example_key} - {None}:
        content_store.touch(str(key), version.created)
    with database.write() as connection:
        numbered = (model_names.c.owner == version.owner, model_names.c.name == version.name)
        connection.execute(delete(model_names).where(*numbered))
        connection.execute(
            insert(model_names).values(owner=version.owner, name=version.name, latest=version.version - 1)
        )
    store.add(version)
    return store.make_ready(
        version.model_id,
        verdict,
        version.servable_key,
        version.servable_sha256,
        version.created,
        version.receipt,
    )
