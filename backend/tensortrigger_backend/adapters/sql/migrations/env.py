"""Alembic's entry: run the migrations on the engine that ``Database.migrate`` hands over."""

from alembic import context

from tensortrigger_backend.adapters.sql.database import WRITING
from tensortrigger_backend.adapters.sql.tables import metadata

engine = context.config.attributes["engine"]
with engine.connect() as connection:
    # Two processes that start at once on a new database: the second waits here, and finds all done.
    connection = connection.execution_options(**{WRITING: "in turn"})
    context.configure(connection=connection, target_metadata=metadata, transactional_ddl=True)
    with context.begin_transaction():
        context.run_migrations()
    connection.commit()
