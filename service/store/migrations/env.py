"""Runs the migrations on the connection that `service.store.migration` hands over. Alembic loads this file."""

from alembic import context

from service.store.migration import VERSION_TABLE
from service.store.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=VERSION_TABLE,
    transactional_ddl=True,  # SQLite, too, as `service.store.database` begins its transactions
)
context.run_migrations()
