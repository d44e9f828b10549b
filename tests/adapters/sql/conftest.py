"""One suite, two databases: `url` is an empty one of each kind in turn, `store` is open on it."""

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


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/allot.db"
    new_database: Callable[[], str] = request.getfixturevalue("new_postgres_database")
    return new_database()


@pytest.fixture
def store(url: str) -> Iterator[SqlStore]:
    opened = open_store(url)
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
