"""Statements as the driver takes them, handed to SQLite past SQLAlchemy.

What SQLAlchemy does around a statement that is spelled already costs several times what SQLite takes for it, and every
cycle and submission is a few dozen of them: while one transaction writes, everybody else waits. Faults are SQLAlchemy's,
as of any other statement. To PostgreSQL a statement travels, and goes the usual way.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError


def begin(connection: Connection, text: str) -> None:
    """A transaction on SQLite, when SQLAlchemy is about to count one as begun."""
    driver: object = connection.connection.dbapi_connection
    assert isinstance(driver, sqlite3.Connection)
    try:
        driver.execute(text)
    except sqlite3.Error as error:
        raise _as_sqlalchemys(connection, text, (), error) from error


def fetch_all(connection: Connection, text: str, parameters: Any = ()) -> Sequence[tuple[Any, ...]]:
    """Every row that the statement finds."""
    driver = _sqlite(connection)
    if driver is None:
        return connection.exec_driver_sql(text, parameters or None).all()
    try:
        return driver.execute(text, parameters).fetchall()
    except sqlite3.Error as error:
        raise _as_sqlalchemys(connection, text, parameters, error) from error


def fetch_by_pieces(connection: Connection, text: str, parameters: Any = ()) -> Iterator[Sequence[tuple[Any, ...]]]:
    """The same, so many rows at a time that a month of them fits into memory."""
    driver = _sqlite(connection)
    if driver is None:
        options = {"yield_per": _ROWS_AT_ONCE}
        found = connection.exec_driver_sql(text, parameters or None, execution_options=options)
        yield from found.partitions(_ROWS_AT_ONCE)
        return
    try:
        cursor = driver.execute(text, parameters)
        while rows := cursor.fetchmany(_ROWS_AT_ONCE):
            yield rows
    except sqlite3.Error as error:
        raise _as_sqlalchemys(connection, text, parameters, error) from error


_ROWS_AT_ONCE = 5_000


def write_each(connection: Connection, text: str, rows: Sequence[Any]) -> int:
    """The statement for each of the rows. Returns how many rows of the table it touched."""
    driver = _sqlite(connection)
    if driver is None:
        return connection.exec_driver_sql(text, list(rows)).rowcount
    try:
        return driver.executemany(text, rows).rowcount
    except sqlite3.Error as error:
        raise _as_sqlalchemys(connection, text, rows, error) from error


def _sqlite(connection: Connection) -> sqlite3.Connection | None:
    """The driver's own connection. SQLAlchemy must have begun the transaction: past it nothing is begun."""
    if not connection.in_transaction():
        return None
    driver: object = connection.connection.dbapi_connection
    return driver if isinstance(driver, sqlite3.Connection) else None


def _as_sqlalchemys(connection: Connection, text: str, parameters: Any, error: sqlite3.Error) -> BaseException:
    return DBAPIError.instance(text, parameters, error, sqlite3.Error, dialect=connection.dialect)
