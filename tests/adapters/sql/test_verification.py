"""Verification of a real database against published heads: an untouched one passes, and every change is found."""

import json
import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from alembic.migration import MigrationContext
from alembic.operations import Operations
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from sqlalchemy import create_engine

from scheduler.adapters.signing import open_key
from scheduler.adapters.sql.engine import parse
from scheduler.adapters.sql.migrations.versions import v0009_open_rows
from scheduler.adapters.sql.store import open_store
from scheduler.finance.proving.findings import FindingCode, TreeReport
from scheduler.finance.proving.relations import SEALS, TREES, Relation, digests_of
from tests.adapters.sql.booked import Booked
from tests.adapters.sql.tampering import ALL, Original, codes, first, intruder, look, loosen, named

TAMPERINGS = int(os.environ.get("ALLOT_TAMPERINGS", "60"))
FILLED = sorted(ALL)
ROWS_EACH = 6
"""As many attempts as `booked` makes under a head: no table has fewer rows there."""


# --- what is as it was -----------------------------------------------------------------------------------------------


def test_an_untouched_database_passes_and_says_what_is_not_anchored_yet(original: Original) -> None:
    found = look(original.database, original.heads)
    assert (found.is_ok, list(found.findings), found.first_bad_row) == (True, [], None)
    assert (found.heads, found.trees["transactions"].rows, found.trees["transactions"].anchored) == (2, 36, 24)
    assert found.trees["entries"].unanchored == 24
    assert [name for name, tree in found.trees.items() if tree.rows == 0] == [], "every table has rows to tamper with"


def test_the_key_can_be_pinned(original: Original, tmp_path: Path) -> None:
    key = open_key(original.heads.parent / "signing.pem").public_key
    found = look(original.database, original.heads, key)
    assert (found.is_ok, found.is_pinned, found.key) == (True, True, key.hex())
    stranger = open_key(tmp_path / "other.pem").public_key
    assert codes(look(original.database, original.heads, stranger)) == {FindingCode.HEAD_FORGED}


# --- rows ------------------------------------------------------------------------------------------------------------


@st.composite
def changes(draw: st.DrawFn) -> tuple[Relation, int, str, str, int]:
    relation = ALL[draw(st.sampled_from(FILLED))]
    column = draw(st.sampled_from((*relation.columns, *relation.may_change)))
    how = draw(st.sampled_from(["bit", "NULL", "text", "real", "blob"]))
    return relation, draw(st.integers(0, 5)), column, how, draw(st.integers(0, 400))


def changed(value: object, how: str, bit: int) -> object:
    """Another value: one bit of it turned over, or its like in another type."""
    if how == "NULL":
        return None
    if how == "text":
        return str(value) if not isinstance(value, str) else value + " "
    if how == "blob":
        return str(value).encode()
    if how == "real":
        return float(value) if isinstance(value, int) and abs(value) < 2**53 else 0.5
    if isinstance(value, int):
        return value ^ (1 << bit % 62)
    content = bytearray(str(value).encode())
    if not content:
        return "\x01"
    content[bit // 8 % len(content)] ^= 1 << bit % 7
    return content.decode("utf-8", "surrogateescape")


@settings(max_examples=TAMPERINGS, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(change=changes())
def test_one_value_changed_anywhere_is_found_and_its_row_named(
    original: Original, tmp_path: Path, change: tuple[Relation, int, str, str, int]
) -> None:
    relation, place, column, how, bit = change
    database = tmp_path / "changed.db"
    shutil.copy(original.database, database)
    with closing(intruder(database)) as connection:
        if how != "bit":
            loosen(connection, relation.name)
        keys = connection.execute(named("SELECT {} FROM {} ORDER BY 1", relation.key, relation.name)).fetchall()
        (key,) = keys[place]
        query = named("SELECT {} FROM {} WHERE {} = ?", column, relation.name, relation.key)
        (value,) = connection.execute(query, (key,)).fetchone()
        other = changed(value, how, bit)
        assume(type(other) is not type(value) or other != value)
        if isinstance(other, str) and not other.isascii():
            other = other.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
            assume(other != value)
        try:
            update = named("UPDATE {} SET {} = ? WHERE {} = ?", relation.name, column, relation.key)
            connection.execute(update, (other, key))
        except sqlite3.IntegrityError:
            assume(False)
    found = look(database, original.heads)
    assert not found.is_ok
    if column == relation.key:  # the row is gone under its key, and there is another
        assert first(found)[0] == relation.name
    else:
        assert first(found) == (relation.name, key)


def columns_of(relation: Relation) -> list[tuple[str, ...]]:
    """Its columns but the key, some at a time: each of them is changed in a row of its own."""
    columns = [name for name in (*relation.columns, *relation.may_change) if name != relation.key]
    return [tuple(columns[at : at + ROWS_EACH]) for at in range(0, len(columns), ROWS_EACH)]


def test_one_bit_in_every_column_of_every_table_is_found_and_its_row_named(
    original: Original, tmp_path: Path
) -> None:
    """All tables at a time but `seals`, which say what others should be; each column of each in another row."""
    tables = {name: columns_of(relation) for name, relation in ALL.items()}
    seals = tables.pop(SEALS.name)
    passes = [
        {name: parts[turn] for name, parts in tables.items() if turn < len(parts)}
        for turn in range(max(map(len, tables.values())))
    ]
    seen: set[tuple[str, str]] = set()
    for number, chosen in enumerate([*passes, *({SEALS.name: part} for part in seals)]):
        database = tmp_path / f"{number}.db"
        shutil.copy(original.database, database)
        with closing(intruder(database)) as connection:
            for name in chosen:
                loosen(connection, name)
            flipped = {
                (name, one_bit(connection, ALL[name], column, place)): column
                for name, columns in chosen.items()
                for place, column in enumerate(columns)
            }
        named_rows = {(each.table, each.row) for each in look(database, original.heads).findings}
        missed = {f"{row[0]}.{column}" for row, column in flipped.items() if row not in named_rows}
        assert missed == set()
        seen |= {(name, column) for (name, _), column in flipped.items()}
    every = {(name, column) for name, r in ALL.items() for column in (*r.columns, *r.may_change) if column != r.key}
    assert seen == every, "no column was left out; keys are the tests of deleted rows"


def one_bit(connection: sqlite3.Connection, relation: Relation, column: str, place: int) -> object:
    """Turn one bit over in this column of the row at that place; returns the row's key. NULL becomes 0."""
    query = named("SELECT {}, {} FROM {} ORDER BY 1", relation.key, column, relation.name)
    key, value = connection.execute(query).fetchall()[place]
    other = 0 if value is None else changed(value, "bit", 0)
    update = named("UPDATE {} SET {} = ? WHERE {} = ?", relation.name, column, relation.key)
    assert connection.execute(update, (other, key)).rowcount == 1
    return key


@pytest.mark.parametrize("table", FILLED)
@pytest.mark.parametrize("place", [0, 4])
def test_a_deleted_row_is_named(copy: Original, open_copy: sqlite3.Connection, table: str, place: int) -> None:
    relation = ALL[table]
    query = named("SELECT {} FROM {} ORDER BY 1 LIMIT 1 OFFSET ?", relation.key, table)
    (key,) = open_copy.execute(query, (place,)).fetchone()
    open_copy.execute(named("DELETE FROM {} WHERE {} = ?", table, relation.key), (key,))
    assert first(look(copy.database, copy.heads)) == (table, key)


@pytest.mark.parametrize("tree", [tree.name for tree in TREES])
def test_a_tail_cut_off_below_a_head_is_named_by_its_first_row(
    copy: Original, open_copy: sqlite3.Connection, tree: str
) -> None:
    last_head = json.loads((copy.heads / "head-00000002.json").read_text())
    size = last_head["trees"][tree]["size"]
    open_copy.execute(named("DELETE FROM {} WHERE {} >= ?", tree, ALL[tree].key), (size,))
    assert first(look(copy.database, copy.heads)) == (tree, size)


def test_rows_that_changed_places_are_named(copy: Original, open_copy: sqlite3.Connection) -> None:
    for before, after in ((3, -1), (4, 3), (-1, 4)):
        open_copy.execute("UPDATE transactions SET seq = ? WHERE seq = ?", (after, before))
    found = look(copy.database, copy.heads)
    assert first(found) == ("transactions", 3)
    assert {f.row for f in found.findings if f.table == "transactions" and f.row} == {3, 4}


def test_rows_inserted_in_the_middle_are_named(copy: Original, open_copy: sqlite3.Connection) -> None:
    open_copy.execute("UPDATE audit_events SET seq = -seq - 1 WHERE seq >= 3")
    open_copy.execute("UPDATE audit_events SET seq = -seq WHERE seq < 0")
    open_copy.execute(
        "INSERT INTO audit_events SELECT 3, at, actor, role, verb, 'x', request_id, before, after "
        "FROM audit_events WHERE seq = 1"
    )
    assert first(look(copy.database, copy.heads)) == ("audit_events", 3)


@pytest.mark.parametrize("number", [0, -1])
def test_a_row_numbered_before_the_first_is_named(number: int, copy: Original, open_copy: sqlite3.Connection) -> None:
    open_copy.execute(
        "INSERT INTO audit_events SELECT ?, at, actor, role, verb, 'x', request_id, before, after "
        "FROM audit_events WHERE seq = 1",
        (number,),
    )
    found = look(copy.database, copy.heads)
    assert first(found) == ("audit_events", number)
    assert FindingCode.ROW_INSERTED in codes(found)


def test_a_row_that_nobody_sealed_is_named(copy: Original, open_copy: sqlite3.Connection) -> None:
    loosen(open_copy, "pods")
    open_copy.execute("INSERT INTO pods SELECT * FROM pods WHERE pod_uid = 'p-1'")
    open_copy.execute("UPDATE pods SET pod_uid = 'p-x' WHERE rowid = 10")
    found = look(copy.database, copy.heads)
    assert first(found) == ("pods", "p-x")
    assert FindingCode.ROW_UNSEALED in codes(found)


def test_a_seal_changed_along_with_its_row_is_named(copy: Original, open_copy: sqlite3.Connection) -> None:
    open_copy.execute("UPDATE attempts SET weight = 1 WHERE id = 't-1'")
    open_copy.execute("UPDATE seals SET digest = ? WHERE key = 't-1'", ("0" * 64,))
    assert first(look(copy.database, copy.heads))[0] == "seals"


def test_history_rewritten_with_its_own_heads_does_not_pass_the_published_ones(
    copy: Original, open_copy: sqlite3.Connection
) -> None:
    """Everything in the database agrees with itself again: the heads outside do not."""
    open_copy.execute("UPDATE transactions SET memo = 'another' WHERE seq = 1")
    open_copy.execute("UPDATE heads SET body = replace(body, '1', '2')")
    found = look(copy.database, copy.heads)
    assert first(found) == ("transactions", 1)
    assert FindingCode.HEAD_CHANGED in codes(found)


# --- balances --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("column", ["balance", "floor"])
def test_a_balance_or_a_floor_that_does_not_follow_is_named(
    copy: Original, open_copy: sqlite3.Connection, column: str
) -> None:
    open_copy.execute(named("UPDATE accounts SET {} = {} - 1 WHERE id = 2", column, column))
    assert first(look(copy.database, copy.heads)) == ("accounts", 2)


def test_an_open_hold_that_the_journal_knows_nothing_of_is_found(
    copy: Original, open_copy: sqlite3.Connection
) -> None:
    open_copy.execute(
        "INSERT INTO holds SELECT 'h-x', workload_id, allowance_id, 1, 5, 0, NULL, 0, 'open', NULL, NULL "
        "FROM holds WHERE id = 'h-1'"
    )
    found = look(copy.database, copy.heads)
    assert codes(found) - {FindingCode.GUARD_MISSING} == {
        FindingCode.BALANCE_DIFFERS,
        FindingCode.ROW_UNSEALED,
    }


# --- what goes on still ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Original:
    """Two attempts that run, with open holds, under a head; and one that came after it."""
    folder = tmp_path_factory.mktemp("running")
    store = open_store(f"sqlite:///{folder}/running.db")
    made = Booked(store, folder)
    made.run()
    made.run()
    made.publish()
    made.run()
    store.close()
    return Original(folder / "running.db", made.heads)


def test_what_runs_is_proven_while_it_runs(running: Original) -> None:
    """But for the attempt that came after the last head."""
    found = look(running.database, running.heads)
    assert (list(found.findings), found.trees["holds"]) == ([], TreeReport(3, 2))
    assert (found.trees["seals"].rows, found.trees["seals"].anchored) == (21, 14)


@pytest.mark.parametrize(
    ("statements", "row"),
    [
        (["UPDATE holds SET amount = amount + 1 WHERE id = 'h-1'"], ("holds", "h-1")),
        (["UPDATE holds SET attempt_id = 't-2' WHERE id = 'h-1'"], ("holds", "h-1")),
        (["UPDATE holds SET charged = charged + 7 WHERE id = 'h-3'"], ("holds", "h-3")),
        (["UPDATE holds SET state = 'resolved', resolved_at = 5 WHERE id = 'h-2'"], ("holds", "h-2")),
        (["UPDATE attempts SET started_at = started_at + 1 WHERE id = 't-1'"], ("attempts", "t-1")),
        (["UPDATE attempts SET weight = 1 WHERE id = 't-3'"], ("attempts", "t-3")),
        (["UPDATE attempts SET charged = 0 WHERE id = 't-2'"], ("attempts", "t-2")),
        (["UPDATE pods SET started_at = started_at + 1 WHERE pod_uid = 'p-1'"], ("pods", "p-1")),
        (["UPDATE pods SET gpus = 0 WHERE pod_uid = 'p-3'"], ("pods", "p-3")),
        (["UPDATE workloads SET spec = replace(spec, '{', '{ ') WHERE id = 'w-1'"], ("workloads", "w-1")),
        (["DELETE FROM pods WHERE pod_uid = 'p-2'"], ("pods", "p-2")),
        (  # what one hold loses another has: every balance still adds up
            [
                "UPDATE holds SET allowance_id = 'a-1', amount = amount + 5 WHERE id = 'h-1'",
                "UPDATE holds SET charged = charged + 5 WHERE id = 'h-1'",
            ],
            ("holds", "h-1"),
        ),
    ],
)
def test_a_change_to_what_runs_is_named(
    running: Original, tmp_path: Path, statements: list[str], row: tuple[str, str]
) -> None:
    database = tmp_path / "changed.db"
    shutil.copy(running.database, database)
    with closing(intruder(database)) as connection:
        for statement in statements:
            assert connection.execute(statement).rowcount == 1
    assert first(look(database, running.heads)) == row


@pytest.mark.parametrize(
    ("table", "key", "change"),
    [
        ("attempts", "t-1", "gpu_class = 'cheap'"),
        ("pods", "p-1", "gpus = 0"),
        ("allowances", "a-1", "expires_at = 9"),
    ],
)
def test_a_row_that_was_changed_and_sealed_anew_after_the_last_head_is_not_anchored_any_more(
    copy: Original, open_copy: sqlite3.Connection, table: str, key: str, change: str
) -> None:
    """The books write such seals themselves, so it is no finding; but nothing published proves the row as it is now."""
    before = look(copy.database, copy.heads).trees[table]
    relation = ALL[table]
    open_copy.execute(f"UPDATE {table} SET {change} WHERE {relation.key} = ?", (key,))  # noqa: S608  # ours
    columns = ", ".join(f'"{name}"' for name in relation.columns)
    query = f"SELECT {columns} FROM {table} WHERE {relation.key} = ?"  # noqa: S608  # ours
    (digest,) = digests_of(relation, [open_copy.execute(query, (key,)).fetchone()])
    open_copy.execute("INSERT INTO seals SELECT max(seq) + 1, ?, ?, ? FROM seals", (table, key, digest))
    found = look(copy.database, copy.heads)
    assert codes(found) == {FindingCode.GUARD_MISSING}, "the intruder took the triggers off"
    assert found.trees[table] == TreeReport(before.rows, before.anchored - 1)


def test_an_open_row_of_before_seals_were_made_for_them_is_sealed_by_the_migration(
    running: Original, tmp_path: Path
) -> None:
    database = tmp_path / "old.db"
    shutil.copy(running.database, database)
    with closing(intruder(database)) as connection:
        connection.execute("DELETE FROM seals")
        connection.execute("DELETE FROM heads")
    engine = create_engine(parse(f"sqlite:///{database}"))
    with engine.begin() as opened, Operations.context(MigrationContext.configure(opened)):
        v0009_open_rows.upgrade()
    engine.dispose()
    found = look(database, tmp_path / "none")
    assert codes(found) & {FindingCode.ROW_UNSEALED, FindingCode.ROW_CHANGED} == set()
    assert found.trees["seals"].rows == 15
