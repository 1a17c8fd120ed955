"""Alembic's entry: run the migrations on the engine that ``Database.migrate`` hands over."""

from alembic import context

from tensortrigger_backend.adapters.sql.tables import metadata

engine = context.config.attributes["engine"]
with engine.connect() as connection:
    context.configure(connection=connection, target_metadata=metadata, transactional_ddl=True)
    with context.begin_transaction():
        context.run_migrations()
    connection.commit()
