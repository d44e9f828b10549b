"""How the proven tables are defined: what their columns and constraints say, compared with what migrations make.

A table may hold the same rows and guard them less: a NOT NULL or a CHECK that is gone, a foreign key that deletes along,
rows that are replaced on a conflict, another collation, a column that is computed.
"""

import re
from collections.abc import Iterator
from functools import cache, lru_cache

from sqlalchemy import CheckConstraint, Connection, Table
from sqlalchemy.dialects import sqlite
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.schema import CreateTable

from scheduler.adapters.sql import tables
from scheduler.adapters.sql.columns import Row
from scheduler.finance.proving.findings import Finding, FindingCode
from scheduler.finance.proving.heads import Unreadable
from scheduler.finance.proving.relations import SEALED, TREES

assert tables.__all__, "imported, they fill the metadata"

PROVEN = tuple(relation.name for relation in (*TREES, *SEALED))
_DEFAULT = re.compile(r" default ('[^']*'|[^\s,]+)")
"""Every row that we write has a value for each of its columns."""


def altered_tables(connection: Connection) -> list[Finding]:
    """One finding for each thing that a proven table says otherwise, or not any more. Raises Unreadable."""
    parts_of = _on_sqlite if connection.dialect.name == "sqlite" else _on_postgres
    wanted_of = _wanted_on_sqlite if connection.dialect.name == "sqlite" else _wanted_on_postgres
    try:
        found = {name: set(parts_of(connection, name)) for name in PROVEN}
    except SQLAlchemyError as error:
        raise Unreadable("its tables' definitions cannot be read") from error
    findings = []
    for name, parts in found.items():
        wanted = wanted_of(Row.metadata.tables[name])
        if parts:  # where it is not there at all, that is told already
            findings += [_finding(name, f"it does not say any more: {part}") for part in sorted(wanted - parts)]
            findings += [_finding(name, f"it says, and should not: {part}") for part in sorted(parts - wanted)]
    return findings


def _finding(table: str, detail: str) -> Finding:
    return Finding(FindingCode.SCHEMA_CHANGED, detail[:300], table)


# SQLite: the text of the table


def _on_sqlite(connection: Connection, table: str) -> Iterator[str]:
    query = "SELECT sql FROM sqlite_master WHERE type = 'table' AND name = ?"
    for (text,) in connection.exec_driver_sql(query, (table,)):
        yield from _parts(str(text))


@cache
def _wanted_on_sqlite(table: Table) -> frozenset[str]:
    return _parts(str(CreateTable(table).compile(dialect=sqlite.dialect())))


@lru_cache(maxsize=256)  # a database at the newest migration says what the last one said
def _parts(text: str) -> frozenset[str]:
    return frozenset(_read_parts(text))


def _read_parts(text: str) -> Iterator[str]:
    """What a CREATE TABLE says: its columns and constraints, in whatever order and spelling, and what follows them."""
    opened, _, rest = text.partition("(")
    depth, part = 1, ""
    yield "virtual" if "virtual" in opened.lower() else "table"
    for place, letter in enumerate(rest):
        depth += {"(": 1, ")": -1}.get(letter, 0)
        if depth == 0 or (depth == 1 and letter == ","):
            yield _plain(part)
            part = ""
        else:
            part += letter
        if depth == 0:
            yield f"beside: {_plain(rest[place + 1 :])}"
            return


def _plain(text: str) -> str:
    return _DEFAULT.sub("", " ".join(re.sub(r'["`\[\]]', "", text).lower().split()))


# PostgreSQL: its catalogue


def _on_postgres(connection: Connection, table: str) -> Iterator[str]:
    columns = (
        "SELECT a.attname, a.attnotnull, a.attgenerated::text FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid "
        "WHERE c.relname = %s AND c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped"
    )
    for name, is_required, generated in connection.exec_driver_sql(columns, (table,)):
        yield f"{name}{' not null' if is_required else ''}{' computed' if generated else ''}"
    constraints = (
        "SELECT pg_get_constraintdef(k.oid), k.convalidated FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid "
        "WHERE c.relname = %s AND k.contype IN ('c', 'f')"
    )
    for text, is_valid in connection.exec_driver_sql(constraints, (table,)):
        yield _condensed(str(text)) + ("" if is_valid else " of new rows alone")


@cache
def _wanted_on_postgres(table: Table) -> frozenset[str]:
    return frozenset(_said_of(table))


def _said_of(table: Table) -> Iterator[str]:
    for column in table.columns:
        yield f"{column.name}{'' if column.nullable else ' not null'}"
        for key in column.foreign_keys:
            other = key.column
            text = f"FOREIGN KEY ({column.name}) REFERENCES {other.table.name}({other.name})"
            yield _condensed(f"{text} DEFERRABLE INITIALLY DEFERRED")
    for constraint in table.constraints:
        if isinstance(constraint, CheckConstraint):
            yield _condensed(f"CHECK ({constraint.sqltext})")


def _condensed(text: str) -> str:
    """However the server sets blanks, brackets and quotes."""
    return re.sub(r'[\s()"]', "", text).lower()
