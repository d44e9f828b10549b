"""Bringing a database to the schema that this version needs, and refusing one that is not there."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection

from scheduler.adapters.sql.engine import open_engine, parse
from scheduler.adapters.sql.faults import as_refusals
from scheduler.domain.errors import RefusalCode, Unavailable

_FOLDER = Path(__file__).parent / "migrations"


def migrate(url: str) -> None:
    """Run what is missing, each migration in full or not at all; a database that is up to date is left alone."""
    engine = open_engine(parse(url), to_write=True)
    try:
        with as_refusals(), engine.begin() as connection:
            upgrade(connection)
    finally:
        engine.dispose()


def upgrade(connection: Connection) -> None:
    """The same, inside the caller's transaction."""
    if connection.dialect.name == "sqlite":
        # Alembic would make this table with a VARCHAR and not strict: ours are all alike.
        connection.exec_driver_sql(
            "CREATE TABLE IF NOT EXISTS alembic_version (version_num TEXT NOT NULL PRIMARY KEY) STRICT"
        )
    config = _config()
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, "head")
    except CommandError as error:
        raise _newer_than_us(str(error)) from error


def require_current(connection: Connection) -> None:
    """Raises Unavailable (`database-outdated`) unless the schema is exactly the one that this version knows."""
    known = ScriptDirectory.from_config(_config())
    wanted = known.get_current_head()
    found = MigrationContext.configure(connection).get_current_revision()
    if found == wanted:
        return
    if found is not None and found not in {script.revision for script in known.walk_revisions()}:
        raise _newer_than_us(f"it is at {found}")
    raise Unavailable(
        f"the database is at migration {found or 'none'}, this version of allot needs {wanted}",
        code=RefusalCode.DATABASE_OUTDATED,
        remedy="start `allot serve` of this version once: it migrates",
    )


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(_FOLDER))
    return config


def _newer_than_us(detail: str) -> Unavailable:
    return Unavailable(
        f"the database was migrated by a newer version of allot ({detail})",
        code=RefusalCode.DATABASE_OUTDATED,
        remedy="run the version of allot that migrated it, or a later one",
    )
