"""A database as evidence: read for verification as it was handed over, whatever was done to it. Never written.

Nothing here trusts the schema: columns are looked up before they are read, rows come from the driver with the types
that they have, and text that is no text keeps its bytes.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from sqlalchemy import Connection, Engine, Inspector, inspect
from sqlalchemy.exc import SQLAlchemyError

from scheduler.adapters.sql.definitions import altered_tables
from scheduler.adapters.sql.engine import open_engine, parse
from scheduler.adapters.sql.faults import as_refusals
from scheduler.adapters.sql.guards import missing_guards, missing_keys, rows_hidden
from scheduler.domain.errors import InvalidInput
from scheduler.finance.proving.findings import Finding, FindingCode
from scheduler.finance.proving.heads import Unreadable
from scheduler.finance.proving.relations import SEALED, Relation, Values

_PIECE = 20_000
_DAMAGE_MAX = 20
_HEADS = Relation("heads", ("seq", "at", "body", "waiting"))
_TYPES = {"sqlite": {"INTEGER", "TEXT"}, "postgresql": {"BIGINT", "TEXT", "VARCHAR"}}
"""As they are reflected: PostgreSQL's text with a collation comes back as VARCHAR."""


@contextmanager
def open_evidence(url: str) -> Iterator["SqlEvidence"]:
    """One consistent look at the database. Raises Unavailable or, where it is not there, InvalidInput."""
    address = parse(url)
    file = address.database or ""
    if address.get_backend_name() == "sqlite" and not file.startswith("file:") and not Path(file).is_file():
        raise InvalidInput(f"there is no database {file}", where="--database", expected="a file that is there")
    engine = open_engine(address, to_write=False)
    try:
        with as_refusals(), ThreadPoolExecutor(1) as beside, engine.connect() as connection, connection.begin():
            evidence = SqlEvidence(connection, beside.submit(_damage, engine))
            yield evidence
    finally:
        engine.dispose()


class SqlEvidence:
    """An Evidence."""

    def __init__(self, connection: Connection, damage: Future[list[Finding]]) -> None:
        self._connection = connection
        self._damage = damage
        self._driver: Any = connection.connection.driver_connection
        self._is_sqlite = connection.dialect.name == "sqlite"
        self._columns: dict[str, dict[str, str]] = {}
        self._inspector: Inspector | None = None

    def shape(self, relations: Sequence[Relation]) -> list[Finding]:
        findings = []
        for relation in (*relations, _HEADS):
            found = self._columns_of(relation.name)
            if not found:
                findings.append(_schema(relation, "the table is not there"))
                continue
            wanted = {*relation.columns, *relation.may_change}
            findings += [
                _schema(relation, f"its column {name} is not there") for name in sorted(wanted - found.keys())
            ]
            findings += [_schema(relation, f"it has a column {name}") for name in sorted(found.keys() - wanted)]
            findings += [
                _schema(relation, f"its column {name} is of the type {kind or 'none'}")
                for name, kind in sorted(found.items())
                if kind not in _TYPES[self._connection.dialect.name]
            ]
        looks = (missing_guards, missing_keys, rows_hidden, altered_tables)
        return [*findings, *(finding for look in looks for finding in look(self._connection))]

    def rows(self, relation: Relation) -> Iterator[Sequence[Values]]:
        names = (*relation.columns, *relation.may_change)
        found = self._columns_of(relation.name)
        if relation.key not in found:
            raise Unreadable(f"the table {relation.name} has no {relation.key} to read it by")
        chosen = ", ".join(f'"{name}"' if name in found else "NULL" for name in names)
        query = f'SELECT {chosen} FROM "{relation.name}"'  # noqa: S608  # names are ours
        if relation not in SEALED:  # those are looked up by their seals, in whatever order the table has them
            query += f' ORDER BY "{relation.key}"'
        yield from self._pieces(query)

    def damage(self) -> list[Finding]:
        return self._damage.result()

    def heads(self) -> Iterator[Values]:
        for rows in self.rows(_HEADS):
            yield from rows

    def _columns_of(self, table: str) -> dict[str, str]:
        """The type of each column, by name; nothing where there is no such table, or it is something else."""
        if table not in self._columns:
            try:
                if self._inspector is None:
                    self._inspector = inspect(self._connection)
                is_table = table in self._inspector.get_table_names()
                columns = self._inspector.get_columns(table) if is_table else []
            except SQLAlchemyError as error:
                raise Unreadable(f"its schema cannot be read: {_first_line(error)}") from error
            self._columns[table] = {column["name"]: type(column["type"]).__name__ for column in columns}
        return self._columns[table]

    def _pieces(self, query: str) -> Iterator[Sequence[Values]]:
        """The rows as the driver gives them. Text that is not UTF-8 is read again so that it keeps its bytes."""
        done = 0
        try:
            for rows in self._read(query):
                done += len(rows)
                yield rows
        except sqlite3.OperationalError as error:
            if "decode" not in str(error).lower():
                raise Unreadable(_first_line(error)) from error
        except (sqlite3.Error, psycopg.Error) as error:
            raise Unreadable(_first_line(error)) from error
        else:
            return
        self._driver.text_factory = _keeping_its_bytes
        for rows in self._read(query):
            yield rows[done:]
            done = max(0, done - len(rows))
        self._driver.text_factory = str

    def _read(self, query: str) -> Iterator[list[Values]]:
        cursor = self._driver.cursor() if self._is_sqlite else self._driver.cursor(name="evidence")
        try:
            cursor.execute(query)
            while rows := cursor.fetchmany(_PIECE):
                yield rows
        finally:
            cursor.close()


def _damage(engine: Engine) -> list[Finding]:
    """What SQLite itself finds wrong with the file: pages, indexes and constraints. It is read beside everything else.

    A row that an index lost is in its table, and on no statement. PostgreSQL has `pg_amcheck` for that, on the server.
    """
    if engine.dialect.name != "sqlite":
        return []
    try:
        with engine.connect() as connection:
            said = connection.exec_driver_sql(f"PRAGMA integrity_check({_DAMAGE_MAX})").scalars().all()
    except SQLAlchemyError as error:
        said = [_first_line(error)]
    return [Finding(FindingCode.DAMAGED, " ".join(str(each).split())) for each in said if each != "ok"]


def _keeping_its_bytes(content: bytes) -> str:
    return content.decode("utf-8", "surrogateescape")


def _schema(relation: Relation, detail: str) -> Finding:
    return Finding(FindingCode.SCHEMA_CHANGED, detail, relation.name)


def _first_line(error: Exception) -> str:
    return str(getattr(error, "orig", None) or error).splitlines()[0]
