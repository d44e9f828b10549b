"""Statements past SQLAlchemy, on SQLite: the transaction stays its own, and so do the faults."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine
from sqlalchemy.exc import IntegrityError

from scheduler.adapters.sql.driving import fetch_all, fetch_by_pieces, write_each
from scheduler.adapters.sql.store import SqlStore
from tests.plugins.migrated import open_migrated

_PUT = "INSERT INTO settings (key, value) VALUES (?, ?)"
_ALL = "SELECT value FROM settings WHERE key LIKE 'test-%' ORDER BY key"


@pytest.fixture
def writer() -> Iterator[Engine]:
    store = open_migrated()
    yield store._writer
    store.close()


def test_what_is_written_belongs_to_the_transaction_and_goes_with_it(writer: Engine) -> None:
    with writer.connect() as connection:
        transaction = connection.begin()
        assert write_each(connection, _PUT, [("test-1", "a"), ("test-2", "b")]) == 2
        assert fetch_all(connection, _ALL) == [("a",), ("b",)]
        transaction.rollback()
        assert fetch_all(connection, _ALL) == []


def test_where_no_transaction_was_begun_sqlalchemy_begins_one(writer: Engine) -> None:
    with writer.connect() as connection:
        write_each(connection, _PUT, [("test-1", "a")])
        assert connection.in_transaction()
    with writer.begin() as connection:
        assert fetch_all(connection, _ALL) == []


def test_a_fault_is_sqlalchemys_and_names_its_statement(writer: Engine) -> None:
    with pytest.raises(IntegrityError, match="INSERT INTO settings"), writer.begin() as connection:
        write_each(connection, _PUT, [("test-1", "a"), ("test-1", "b")])


_MANY = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 12000) SELECT i FROM n"


def test_many_rows_are_fetched_some_thousand_at_a_time_on_either_database(store: SqlStore) -> None:
    with store._readers.connect() as connection:
        pieces = [len(rows) for rows in fetch_by_pieces(connection, _MANY)]
    assert pieces == [5_000, 5_000, 2_000]
