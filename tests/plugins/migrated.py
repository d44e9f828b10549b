"""Databases at the newest migration without migrating: a copy of one that was migrated once."""

from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import Any

from sqlalchemy import Dialect

from scheduler.adapters.sql.engine import PATIENCE_SECONDS, parse
from scheduler.adapters.sql.store import SqlStore, open_store
from tests.plugins.memory import folder_for_databases


def open_migrated(url: str = "sqlite://", filled: bytes | None = None) -> SqlStore:
    """As `open_store(url)`, for SQLite; the chain of migrations would take longer than most tests. A new database is
    empty, or a copy of `filled`."""
    address, resources = parse(url), ExitStack()
    if not address.database:
        folder = resources.enter_context(folder_for_databases())
        address = address.set(database=f"{folder}/allot.db")
    if address.get_backend_name() == "sqlite":
        put_migrated(Path(str(address.database)), filled)
    store = SqlStore(address, resources, PATIENCE_SECONDS)
    store.prepare(migrate=True)
    return share_statements(store)


def share_statements(store: SqlStore) -> SqlStore:
    """An engine compiles each statement anew when it first sees it, which would be a quarter of the work of most tests.
    The store is one whose readers have read: their dialect then knows the server."""
    known = _dialects.setdefault(store._readers.dialect.name, store._readers.dialect)
    for engine in (store._writer, store._readers):
        engine.dialect = known
        engine.update_execution_options(compiled_cache=_compiled)
    return store


def put_migrated(file: Path, filled: bytes | None = None) -> None:
    """A migrated SQLite database where there is none yet: empty, or a copy of `filled`."""
    if not file.exists():
        file.write_bytes(filled or _migrated())


@cache
def _migrated() -> bytes:
    with folder_for_databases() as folder:
        file = Path(folder) / "allot.db"
        open_store(f"sqlite:///{file}").close()
        return file.read_bytes()


_dialects: dict[str, Dialect] = {}
_compiled: dict[Any, Any] = {}
