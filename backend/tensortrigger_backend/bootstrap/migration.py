"""What commands need that start nothing: the newest tables, and the office where keys are made."""

from __future__ import annotations

import time

from tensortrigger_backend.adapters.sql.database import Database
from tensortrigger_backend.adapters.sql.deployment_store import SqlDeploymentStore
from tensortrigger_backend.adapters.sql.key_store import SqlKeyStore
from tensortrigger_backend.bootstrap.pepper import make_data_dir, pepper_of_settings
from tensortrigger_backend.services.deployment import Deployment
from tensortrigger_backend.services.gatekeeper import Gatekeeper
from tensortrigger_backend.settings import Settings


def migrate(settings: Settings) -> None:
    """Bring the database to the newest revision. Any number of processes may do so at once."""
    make_data_dir(settings.data_dir.absolute())
    database = Database(settings.resolved_database_url())
    try:
        database.migrate()
    finally:
        database.close()


def key_office(settings: Settings) -> tuple[Gatekeeper, SqlKeyStore, Database]:
    """What ``tt keys`` needs; the caller closes the database.

    Raises:
        Conflict: the keys would be of another pepper than the deployment's.
    """
    make_data_dir(settings.data_dir.absolute())
    database = Database(settings.resolved_database_url())
    try:
        database.migrate()
        pepper = pepper_of_settings(settings)
        if settings.database_url:
            Deployment(SqlDeploymentStore(database)).must_know(pepper)
    except BaseException:
        database.close()
        raise
    store = SqlKeyStore(database)
    return Gatekeeper(store, pepper, time.time), store, database
