"""What Alembic runs: the migrations on the connection that `migrating` opened."""

from alembic import context
from sqlalchemy import Connection

from scheduler.adapters.sql.columns import Row

connection: Connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=Row.metadata, transactional_ddl=True)
context.run_migrations()
