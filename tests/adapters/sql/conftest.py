"""One suite, two databases: `url` is an empty one of each kind in turn, `store` is open on it."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, create_engine

from scheduler.adapters.sql.engine import parse
from scheduler.adapters.sql.store import SqlStore, open_store


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
