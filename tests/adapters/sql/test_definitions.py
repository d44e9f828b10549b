"""A table that has its rows and guards them less is a finding; one that says the same in another way is none."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

import pytest
from sqlalchemy import Connection, create_engine

from scheduler.adapters.sql.definitions import altered_tables
from scheduler.adapters.sql.engine import parse
from scheduler.finance.proving.findings import FindingCode
from tests.adapters.sql.tampering import Original, look

FOREIGN_KEY = "FOREIGN KEY(attempt_id) REFERENCES attempts (id) DEFERRABLE INITIALLY DEFERRED"
WEAKENED = {
    "NULLs are let in": ("entries", "amount INTEGER NOT NULL", "amount INTEGER"),
    "another collation": ("attempts", "id TEXT NOT NULL", "id TEXT COLLATE NOCASE NOT NULL"),
    "no check": ("accounts", "CHECK (floor IS NULL OR balance >= floor)", "CHECK (1)"),
    "a row is replaced": ("seals", "PRIMARY KEY (seq)", "PRIMARY KEY (seq) ON CONFLICT REPLACE"),
    "a row goes with another": ("entries", "REFERENCES accounts (id)", "REFERENCES accounts (id) ON DELETE CASCADE"),
    "no foreign key": ("holds", FOREIGN_KEY, "CHECK (1)"),
    "any type": ("policies", "STRICT", ""),
    "a computed column": ("freezes", "reason TEXT NOT NULL", "reason TEXT NOT NULL AS ('so')"),
}


@contextmanager
def writable(copy: Original) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(copy.database, isolation_level=None)) as connection:
        connection.execute("PRAGMA writable_schema = ON")
        yield connection


@pytest.mark.parametrize(("table", "said", "instead"), WEAKENED.values(), ids=WEAKENED)
def test_a_table_that_guards_its_rows_less_is_a_finding(copy: Original, table: str, said: str, instead: str) -> None:
    with writable(copy) as connection:
        (text,) = connection.execute("SELECT sql FROM sqlite_master WHERE name = ?", (table,)).fetchone()
        assert said in text
        connection.execute("UPDATE sqlite_master SET sql = ? WHERE name = ?", (text.replace(said, instead, 1), table))
    found = look(copy.database, copy.heads)
    assert (FindingCode.SCHEMA_CHANGED, table) in {(each.code, each.table) for each in found.findings}


def test_a_table_that_says_the_same_in_another_way_is_none(copy: Original) -> None:
    with writable(copy) as connection:
        for name, text in connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'table'").fetchall():
            spelled = (
                " ".join(text.split()).replace(" INTEGER", "  integer").replace(f"TABLE {name}", f'TABLE "{name}"')
            )
            connection.execute("UPDATE sqlite_master SET sql = ? WHERE name = ?", (spelled, name))
    assert list(look(copy.database, copy.heads).findings) == []


@pytest.mark.postgres
@pytest.mark.parametrize(
    "statement",
    [
        "ALTER TABLE entries ALTER COLUMN amount DROP NOT NULL",
        "ALTER TABLE accounts DROP CONSTRAINT accounts_not_below_floor",
        "ALTER TABLE holds DROP CONSTRAINT holds_attempt_id_fkey",
        "ALTER TABLE entries ADD CHECK (amount < 5) NOT VALID",
        "ALTER TABLE freezes DROP COLUMN reason, ADD COLUMN reason text NOT NULL GENERATED ALWAYS AS ('so') STORED",
    ],
)
def test_a_table_that_guards_its_rows_less_on_postgresql_is_a_finding(
    new_postgres_database: Callable[..., str], migrated_postgres_database: str, statement: str
) -> None:
    def findings(connection: Connection) -> list[tuple[FindingCode, str]]:
        return [(each.code, each.table) for each in altered_tables(connection)]

    engine = create_engine(parse(new_postgres_database(migrated_postgres_database)), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        assert findings(connection) == []
        connection.exec_driver_sql(statement)
        assert set(findings(connection)) == {(FindingCode.SCHEMA_CHANGED, statement.split()[2])}
    engine.dispose()
