"""Verification on PostgreSQL, whose intruders have other means: and that an untouched one passes on either database."""

from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import create_engine

from scheduler.adapters.sql.engine import parse
from scheduler.adapters.sql.store import SqlStore, open_store
from scheduler.finance.proving.findings import FindingCode
from tests.adapters.sql.booked import booked
from tests.adapters.sql.tampering import first, look


def test_what_was_published_can_be_verified_on_either_database(url: str, store: SqlStore, tmp_path: Path) -> None:
    made = booked(store, tmp_path)
    found = look(url, made.heads)
    assert (list(found.findings), found.trees["entries"].anchored) == ([], 48)


@pytest.mark.parametrize(
    ("statement", "row"),
    [
        ("UPDATE entries SET gpu_ms = gpu_ms # 1 WHERE seq = 17", ("entries", 17)),
        ("UPDATE transactions SET memo = memo || ' ' WHERE seq = 7", ("transactions", 7)),
        ("UPDATE accounts SET balance = balance + 1 WHERE id = 4", ("accounts", 4)),
        ("UPDATE holds SET charged = 0 WHERE id = 'h-1'", ("holds", "h-1")),
        ("UPDATE pods SET started_at = NULL WHERE pod_uid = 'p-2'", ("pods", "p-2")),
        ("DELETE FROM audit_events WHERE seq = 2", ("audit_events", 2)),
        ("ALTER TABLE entries ALTER COLUMN amount TYPE numeric", ("entries", 1)),
        ("ALTER TABLE policies ALTER COLUMN seq TYPE text", ("policies", "1")),
        ("ALTER TABLE transactions ALTER COLUMN memo TYPE text[] USING ARRAY[memo]", ("transactions", 1)),
    ],
)
@pytest.mark.postgres
def test_what_was_changed_on_postgresql_is_named(
    new_postgres_database: Callable[..., str],
    postgres_original: tuple[str, Path],
    statement: str,
    row: tuple[str, object],
) -> None:
    original, heads = postgres_original
    url = new_postgres_database(original)
    engine = create_engine(parse(url), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql("SET session_replication_role = replica")
        connection.exec_driver_sql(statement)
    engine.dispose()
    assert first(look(url, heads)) == row


@pytest.mark.parametrize(
    ("statements", "said"),
    [
        (
            [
                "ALTER TABLE freezes ENABLE ROW LEVEL SECURITY",
                "ALTER TABLE freezes FORCE ROW LEVEL SECURITY",
                "CREATE POLICY hiding ON freezes USING (seq <> 1)",
            ],
            "its rows are hidden from some by row security",
        ),
        (
            ["CREATE RULE nothing AS ON INSERT TO freezes DO INSTEAD NOTHING"],
            "the rule nothing rewrites what is asked of it",
        ),
        (
            ["CREATE TABLE theirs (LIKE freezes INCLUDING ALL) INHERITS (freezes)"],
            "rows of the table theirs, which nothing guards, are read as its own",
        ),
    ],
)
@pytest.mark.postgres
def test_a_table_of_postgresql_that_shows_or_takes_less_is_named(
    new_postgres_database: Callable[..., str],
    postgres_original: tuple[str, Path],
    statements: list[str],
    said: str,
) -> None:
    original, heads = postgres_original
    url = new_postgres_database(original)
    engine = create_engine(parse(url), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)
    engine.dispose()
    (finding,) = look(url, heads).findings
    assert (finding.code, finding.table, finding.detail) == (FindingCode.SCHEMA_CHANGED, "freezes", said)


@pytest.mark.postgres
def test_a_setting_of_the_database_that_turns_triggers_off_is_named(
    new_postgres_database: Callable[..., str], postgres_original: tuple[str, Path]
) -> None:
    original, heads = postgres_original
    url = new_postgres_database(original)
    engine = create_engine(parse(url), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        (name,) = connection.exec_driver_sql("SELECT current_database()").one()
        connection.exec_driver_sql(f'ALTER DATABASE "{name}" SET session_replication_role = replica')
    engine.dispose()
    (finding,) = look(url, heads).findings
    assert (finding.code, finding.table) == (FindingCode.GUARD_MISSING, "")
    assert finding.detail == "sessions of this database begin without triggers: session_replication_role=replica"


@pytest.fixture(scope="module")
def postgres_original(
    new_postgres_database: Callable[..., str],
    migrated_postgres_database: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[str, Path]:
    """A database with everything in it, to copy, and the folder of its heads."""
    url = new_postgres_database(migrated_postgres_database)
    store = open_store(url, migrate=False)
    made = booked(store, tmp_path_factory.mktemp("heads"))
    store.close()
    return url, made.heads
