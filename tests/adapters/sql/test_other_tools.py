"""What somebody does to the file, the schema or the heads with tools of their own: what changes nothing passes, and what
weakens a guard, hides a row from an index, or mixes copies of different ages is found."""

import re
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import Connection, create_engine

from scheduler.adapters.sql.columns import Row
from scheduler.adapters.sql.engine import parse
from scheduler.adapters.sql.guards import UNIQUE, missing_guards, missing_keys
from scheduler.adapters.sql.store import SqlStore, open_store
from scheduler.finance.proving.findings import FindingCode
from tests.adapters.sql.booked import Booked
from tests.adapters.sql.tampering import Original, codes, first, look, named


def with_its_triggers(database: Path, *statements: str) -> None:
    """Take all triggers off, do something, and put every trigger back as it was."""
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        triggers = connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").fetchall()
        for name, _ in triggers:
            connection.execute(named("DROP TRIGGER {}", name))
        for statement in statements:
            connection.execute(statement)
        for _, text in triggers:
            connection.execute(text)


def run(database: Path, script: str) -> None:
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        connection.executescript(script)


# --- what changes nothing --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "script",
    [
        "VACUUM",
        "REINDEX; ANALYZE",
        "PRAGMA journal_mode = delete; PRAGMA page_size = 8192; VACUUM",
        "CREATE INDEX of_theirs ON entries (amount)",
        "CREATE TABLE notes (text TEXT)",
    ],
)
def test_what_changes_no_row_and_no_guard_is_nothing(copy: Original, script: str) -> None:
    run(copy.database, script)
    assert list(look(copy.database, copy.heads).findings) == []


# --- rows, with everything else put back -----------------------------------------------------------------------------


def test_a_row_that_was_changed_is_named_though_every_trigger_was_put_back(copy: Original) -> None:
    with_its_triggers(copy.database, "UPDATE entries SET amount = amount + 1 WHERE seq = 5")
    found = look(copy.database, copy.heads)
    assert first(found) == ("entries", 5)
    assert FindingCode.GUARD_MISSING not in codes(found)


def test_two_entries_that_changed_accounts_are_named(copy: Original) -> None:
    with closing(sqlite3.connect(copy.database)) as connection:
        (one,), (other,) = connection.execute("SELECT account_id FROM entries WHERE seq IN (3, 20) ORDER BY seq")
    assert one != other
    with_its_triggers(
        copy.database,
        f"UPDATE entries SET account_id = {other} WHERE seq = 3",  # noqa: S608  # a number of ours
        f"UPDATE entries SET account_id = {one} WHERE seq = 20",  # noqa: S608  # a number of ours
    )
    assert first(look(copy.database, copy.heads)) == ("entries", 3)


@pytest.mark.parametrize("table", ["transactions", "entries", "accounts", "seals", "audit_events", "allowances"])
def test_a_table_that_was_emptied_is_named_by_its_first_row(copy: Original, table: str) -> None:
    with closing(sqlite3.connect(copy.database)) as connection:
        (key,) = connection.execute(f"SELECT * FROM {table} ORDER BY 1").fetchone()[:1]  # noqa: S608  # names are ours
    with_its_triggers(copy.database, f"DELETE FROM {table}")  # noqa: S608  # names are ours
    assert first(look(copy.database, copy.heads)) == (table, key)


# --- guards ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("trigger", "code"),
    [
        ("entries_no_update BEFORE UPDATE ON entries WHEN 0", FindingCode.GUARD_MISSING),
        ("entries_no_update BEFORE UPDATE OF gpu_ms ON entries", FindingCode.GUARD_MISSING),
        ("entries_no_update BEFORE UPDATE ON settings", FindingCode.GUARD_MISSING),
        ("mends BEFORE INSERT ON entries WHEN NEW.amount > 5", FindingCode.SCHEMA_CHANGED),
    ],
    ids=["that never fires", "of one column", "of another table", "of theirs"],
)
def test_a_trigger_that_is_not_as_it_was_made_is_a_finding(copy: Original, trigger: str, code: FindingCode) -> None:
    drop = f"DROP TRIGGER IF EXISTS {trigger.split(maxsplit=1)[0]};"
    run(copy.database, f"{drop} CREATE TRIGGER {trigger} BEGIN SELECT RAISE(ABORT, 'entries is append-only'); END")
    assert codes(look(copy.database, copy.heads)) == {code}


def test_a_table_that_takes_a_row_twice_is_a_finding(copy: Original) -> None:
    with closing(sqlite3.connect(copy.database)) as connection:
        (text,) = connection.execute("SELECT sql FROM sqlite_master WHERE name = 'transactions'").fetchone()
        indexes = connection.execute(
            "SELECT sql FROM sqlite_master WHERE tbl_name = 'transactions' AND type = 'index' AND sql IS NOT NULL"
        ).fetchall()
    loose = re.sub(r",\s*CONSTRAINT \S+ UNIQUE \(id\)", "", text).replace("transactions", "loose", 1)
    assert "UNIQUE" in text
    assert "UNIQUE" not in loose
    with_its_triggers(
        copy.database,
        loose,
        "INSERT INTO loose SELECT * FROM transactions",
        "DROP TABLE transactions",
        "ALTER TABLE loose RENAME TO transactions",
        *(sql for (sql,) in indexes),
    )
    found = look(copy.database, copy.heads)
    assert [(f.code, f.table, f.detail) for f in found.findings] == [
        (FindingCode.SCHEMA_CHANGED, "transactions", "its id may stand there twice"),
        (
            FindingCode.SCHEMA_CHANGED,
            "transactions",
            "it does not say any more: constraint transactions_id_once unique (id)",
        ),
    ]


def test_a_row_that_an_index_lost_is_found(copy: Original) -> None:
    """It is in its table, and every query that asks the index misses it: no statement would have it."""
    run(copy.database, "PRAGMA journal_mode = delete")
    with closing(sqlite3.connect(copy.database)) as connection:
        query = "SELECT rootpage FROM sqlite_master WHERE type = 'index' AND tbl_name = 'entries'"
        pages = [page for (page,) in connection.execute(query)]
        (size,) = connection.execute("PRAGMA page_size").fetchone()
    content = bytearray(copy.database.read_bytes())
    for page in pages:
        cells = slice((page - 1) * size + 3, (page - 1) * size + 5)
        content[cells] = (int.from_bytes(content[cells]) - 1).to_bytes(2)
    copy.database.write_bytes(content)
    found = look(copy.database, copy.heads)
    assert codes(found) == {FindingCode.DAMAGED}


def test_the_unique_keys_are_those_of_the_tables(store: SqlStore, raw: Connection) -> None:
    assert (missing_keys(raw), missing_guards(raw)) == ([], [])
    for name, keys in UNIQUE.items():
        table = Row.metadata.tables[name]
        constraints = {tuple(column.name for column in each.columns) for each in table.constraints if each.columns}  # type: ignore[attr-defined]  # of keys alone
        indexes = {tuple(column.name for column in each.columns) for each in table.indexes if each.unique}
        assert set(keys) <= constraints | indexes, name


@pytest.mark.parametrize(
    ("statements", "code"),
    [
        (("ALTER TABLE entries DISABLE TRIGGER entries_no_change",), FindingCode.GUARD_MISSING),
        (
            (
                "CREATE OR REPLACE FUNCTION entries_no_change() RETURNS trigger LANGUAGE plpgsql AS "
                "$$ BEGIN IF false THEN RAISE EXCEPTION 'entries is append-only'; END IF; RETURN NEW; END $$",
            ),
            FindingCode.GUARD_MISSING,
        ),
        (
            (
                "DROP TRIGGER entries_no_change ON entries",
                "CREATE TRIGGER entries_no_change BEFORE DELETE ON entries FOR EACH ROW "
                "EXECUTE FUNCTION entries_no_change()",
            ),
            FindingCode.GUARD_MISSING,
        ),
        (
            (
                "DROP TRIGGER accounts_same_name ON accounts",
                "CREATE TRIGGER accounts_same_name BEFORE UPDATE ON accounts FOR EACH ROW WHEN (false) "
                "EXECUTE FUNCTION accounts_same_name()",
            ),
            FindingCode.GUARD_MISSING,
        ),
        (
            ("CREATE TRIGGER theirs BEFORE INSERT ON entries FOR EACH ROW EXECUTE FUNCTION accounts_no_delete()",),
            FindingCode.SCHEMA_CHANGED,
        ),
        (("DROP INDEX proposals_by_id",), FindingCode.SCHEMA_CHANGED),
    ],
    ids=["off", "another function", "another event", "another condition", "of theirs", "a key"],
)
@pytest.mark.postgres
def test_a_guard_that_was_weakened_on_postgresql_is_a_finding(
    new_postgres_database: Callable[..., str],
    migrated_postgres_database: str,
    statements: tuple[str, ...],
    code: FindingCode,
) -> None:
    url = new_postgres_database(migrated_postgres_database)
    engine = create_engine(parse(url), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)
        found = missing_guards(connection) + missing_keys(connection)
    engine.dispose()
    assert {finding.code for finding in found} == {code}


# --- heads and databases of different ages ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def ages(tmp_path_factory: pytest.TempPathFactory) -> tuple[Original, Original]:
    """The same books at their first head, and at their second."""
    folder = tmp_path_factory.mktemp("ages")
    store = open_store(f"sqlite:///{folder}/new.db")
    made = Booked(store, folder)
    made.work(1)
    made.publish()
    with closing(sqlite3.connect(folder / "new.db")) as now, closing(sqlite3.connect(folder / "old.db")) as then:
        now.backup(then)
    shutil.copytree(made.heads, folder / "heads-then")
    made.work(1)
    made.publish()
    store.close()
    return Original(folder / "old.db", folder / "heads-then"), Original(folder / "new.db", made.heads)


def test_a_database_that_was_put_back_is_named_by_the_first_row_that_it_lost(ages: tuple[Original, Original]) -> None:
    then, now = ages
    assert look(then.database, then.heads).is_ok
    table, row = first(look(then.database, now.heads))
    with closing(sqlite3.connect(then.database)) as connection:
        assert (table, row) == (
            "transactions",
            connection.execute("SELECT MAX(seq) + 1 FROM transactions").fetchone()[0],
        )


def test_heads_that_were_taken_away_are_missed(ages: tuple[Original, Original]) -> None:
    then, now = ages
    found = look(now.database, then.heads)
    assert [(f.code, f.detail) for f in found.findings] == [
        (FindingCode.HEAD_MISSING, "the database remembers head 2; it is not there")
    ]


def test_a_head_under_another_number_is_found(copy: Original) -> None:
    for kind in ("json", "leaves"):
        (copy.heads / f"head-00000002.{kind}").rename(copy.heads / f"head-00000003.{kind}")
    assert {FindingCode.HEAD_MISSING, FindingCode.HEAD_FORGED} <= codes(look(copy.database, copy.heads))


def test_a_file_with_a_number_far_away_is_one_gap_and_takes_no_longer(copy: Original) -> None:
    (copy.heads / "head-99999999.json").write_text("{}", encoding="utf-8")
    found = look(copy.database, copy.heads)
    assert [f.code for f in found.findings] == [FindingCode.HEAD_MISSING, FindingCode.HEAD_FORGED]
    assert "head-00000003.json to 99999998" in found.findings[0].detail


def test_a_head_that_says_the_same_in_other_bytes_is_not_what_was_published(copy: Original) -> None:
    head = copy.heads / "head-00000002.json"
    for content in (head.read_bytes() + b"\n", head.read_bytes().replace(b"{", b'{"number":7,', 1)):
        head.chmod(0o644)
        head.write_bytes(content)
        assert not look(copy.database, copy.heads).is_ok
