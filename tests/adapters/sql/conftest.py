"""One suite, two databases: `url` is an empty one of each kind in turn, `store` is open on it, migrated."""

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import Connection, create_engine

from scheduler.adapters.sql.engine import parse
from scheduler.adapters.sql.store import SqlStore, open_store
from tests.adapters.sql.booked import booked
from tests.adapters.sql.tampering import Original, intruder
from tests.plugins.migrated import put_migrated, share_statements

PATIENT_SECONDS = 120.0
"""For dozens that race for one lock on a busy machine: who waits long is late, not refused."""


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    is_migrated = "store" in request.fixturenames  # which is open on it
    if request.param == "sqlite":
        if is_migrated:
            put_migrated(tmp_path / "allot.db")
        return f"sqlite:///{tmp_path}/allot.db"
    new_database: Callable[..., str] = request.getfixturevalue("new_postgres_database")
    return new_database(request.getfixturevalue("migrated_postgres_database") if is_migrated else "")


@pytest.fixture
def store(url: str) -> Iterator[SqlStore]:
    opened = share_statements(open_store(url, patience_seconds=PATIENT_SECONDS))
    yield opened
    opened.close()


@pytest.fixture
def raw(url: str, store: SqlStore) -> Iterator[Connection]:
    """A connection past the store, as an intruder or a mistake would use it, that commits each statement."""
    engine = create_engine(parse(url), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        yield connection
    engine.dispose()


@pytest.fixture(scope="session")
def original(tmp_path_factory: pytest.TempPathFactory) -> Original:
    """A SQLite database with everything in it, and its heads: never written to, copied for every example."""
    folder = tmp_path_factory.mktemp("original")
    opened = open_store(f"sqlite:///{folder}/allot.db")
    made = booked(opened, folder)
    opened.close()
    return Original(folder / "allot.db", made.heads)


@pytest.fixture
def copy(original: Original, tmp_path: Path) -> Original:
    shutil.copy(original.database, tmp_path / "copy.db")
    shutil.copytree(original.heads, tmp_path / "heads")
    return Original(tmp_path / "copy.db", tmp_path / "heads")


@pytest.fixture
def open_copy(copy: Original) -> Iterator[sqlite3.Connection]:
    """The copy as an intruder has it: no triggers, no checks, no foreign keys."""
    with closing(intruder(copy.database)) as connection:
        yield connection
