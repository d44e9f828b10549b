"""The schema: brought up to date as a whole, refused where it is not, and the same as the tables say."""

import sqlite3
from contextlib import closing
from pathlib import Path
from threading import Thread

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, create_engine, inspect, text

from scheduler.adapters.sql import engine as engines
from scheduler.adapters.sql.columns import Row
from scheduler.adapters.sql.engine import open_engine, parse
from scheduler.adapters.sql.migrating import migrate
from scheduler.adapters.sql.migrations import HEAD
from scheduler.adapters.sql.store import SqlStore, open_store
from scheduler.domain.errors import RefusalCode, Unavailable
from tests.adapters.sql.conftest import PATIENT_SECONDS


def test_the_migrations_make_the_tables_that_the_code_knows(store: SqlStore, raw: Connection) -> None:
    assert compare_metadata(MigrationContext.configure(raw), Row.metadata) == []


def test_the_version_that_spares_importing_alembic_is_alembics_own_head(store: SqlStore, raw: Connection) -> None:
    assert MigrationContext.configure(raw).get_current_revision() == HEAD


def test_every_table_on_sqlite_is_strict_and_has_integers_and_texts_alone(tmp_path: Path) -> None:
    opened = open_store(f"sqlite:///{tmp_path}/allot.db")
    columns = """
        SELECT t.name, t.strict, c.type FROM pragma_table_list t JOIN pragma_table_info(t.name) c
        WHERE t.schema = 'main' AND t.name NOT LIKE 'sqlite_%'
    """
    with opened._write() as connection:
        made = {tuple(row) for row in connection.execute(text(columns))}
    opened.close()
    assert {name for name, _, _ in made} == {*Row.metadata.tables, "alembic_version"}
    assert {(strict, kind) for _, strict, kind in made} == {(1, "INTEGER"), (1, "TEXT")}


def test_sqlite_is_set_so_that_what_was_committed_stays(tmp_path: Path) -> None:
    opened = open_store(f"sqlite:///{tmp_path}/allot.db")
    with opened._write() as connection:
        settings = {
            name: connection.execute(text(f"PRAGMA {name}")).scalar_one()
            for name in ("journal_mode", "synchronous", "foreign_keys")
        }
    opened.close()
    assert settings == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}


def test_a_database_that_was_never_migrated_is_refused(url: str) -> None:
    if url.startswith("sqlite"):
        Path(url.removeprefix("sqlite:///")).touch()
    with pytest.raises(Unavailable, match="at migration none") as refused:
        open_store(url, migrate=False)
    assert refused.value.code is RefusalCode.DATABASE_OUTDATED
    assert "allot serve" in refused.value.remedy


def test_a_database_of_an_older_version_is_refused_and_then_migrated(
    url: str, store: SqlStore, raw: Connection
) -> None:
    raw.execute(text("DELETE FROM alembic_version"))
    for table in reversed(Row.metadata.sorted_tables):
        raw.execute(text(f"DROP TABLE {table.name}"))
    if raw.dialect.name == "postgresql":
        raw.execute(text("DROP SCHEMA public CASCADE; CREATE SCHEMA public"))
    with pytest.raises(Unavailable) as refused:
        open_store(url, migrate=False)
    assert refused.value.code is RefusalCode.DATABASE_OUTDATED
    migrate(url)
    open_store(url, migrate=False).close()


@pytest.mark.parametrize("is_migrating", [True, False])
def test_a_database_of_a_newer_version_is_refused(
    url: str, store: SqlStore, raw: Connection, is_migrating: bool
) -> None:
    raw.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(Unavailable, match="newer version of allot") as refused:
        open_store(url, migrate=is_migrating)
    assert refused.value.code is RefusalCode.DATABASE_OUTDATED


def test_a_database_that_cannot_be_migrated_says_why(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="does not answer") as refused:
        migrate(f"sqlite:///{tmp_path}/nowhere/allot.db")
    assert refused.value.code is RefusalCode.DATABASE_UNAVAILABLE


def test_migrating_twice_changes_nothing(url: str) -> None:
    migrate(url)
    with closing(open_store(url, migrate=False)) as store, store.writing() as books:
        books.control.put_setting("key", "kept")
    before = _schema(url)
    migrate(url)
    assert _schema(url) == before
    with closing(open_store(url, migrate=False)) as store, store.reading() as books:
        assert books.control.setting("key") == "kept"


def _schema(url: str) -> set[tuple[str, str]]:
    """Every table with its columns, as the database describes them."""
    engine = create_engine(parse(url))
    try:
        found = inspect(engine)
        return {
            (table, f"{column['name']} {column['type']}")
            for table in found.get_table_names()
            for column in found.get_columns(table)
        }
    finally:
        engine.dispose()


def test_two_that_migrate_at_once_do_it_once(url: str) -> None:
    failures: list[BaseException] = []

    def start() -> None:
        try:
            open_store(url, patience_seconds=PATIENT_SECONDS).close()
        except BaseException as error:  # noqa: BLE001  # whatever a thread raises is told below
            failures.append(error)

    threads = [Thread(target=start) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    open_store(url, migrate=False).close()


def test_who_opens_a_new_file_waits_for_another_who_is_about_to_write_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite itself refuses at once to change how such a file is logged."""
    with closing(sqlite3.connect(tmp_path / "allot.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        waits: list[float] = []

        def leave(seconds: float) -> None:
            waits.append(seconds)
            other.execute("COMMIT")

        monkeypatch.setattr(engines, "sleep", leave)
        opened = open_engine(parse(f"sqlite:///{tmp_path}/allot.db"), to_write=True)
        with opened.begin() as connection:
            assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        opened.dispose()
        assert len(waits) == 1
