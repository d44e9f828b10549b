"""Verification of the heads themselves, and of databases whose schema is not what it was."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scheduler.adapters.sql.store import open_store
from scheduler.finance.proving.findings import FindingCode
from tests.adapters.sql.booked import Booked
from tests.adapters.sql.tampering import ALL, Original, codes, first, look, rewrite

# --- heads -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [f"head-0000000{n}.{kind}" for n in "12" for kind in ("json", "leaves")])
@pytest.mark.parametrize("how", ["deleted", "one bit", "empty", "cut"])
def test_a_head_that_is_not_what_was_published_is_found(copy: Original, name: str, how: str) -> None:
    file = copy.heads / name
    content = file.read_bytes()
    if how == "deleted":
        file.unlink()
    elif how == "one bit":
        rewrite(file, content[:99] + bytes([content[99] ^ 1]) + content[100:])
    else:
        rewrite(file, content[:-1] if how == "cut" else b"")
    found = look(copy.database, copy.heads)
    assert not found.is_ok
    assert {FindingCode.HEAD_MISSING, FindingCode.HEAD_FORGED, FindingCode.LEAVES_CHANGED} & codes(found)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7), number=st.integers(1, 2), is_leaf=st.booleans()
)
def test_one_bit_of_any_published_file_is_found(
    original: Original, tmp_path: Path, place: float, bit: int, number: int, is_leaf: bool
) -> None:
    heads = tmp_path / "heads"
    shutil.rmtree(heads, ignore_errors=True)
    shutil.copytree(original.heads, heads)
    file = heads / f"head-{number:08d}.{'leaves' if is_leaf else 'json'}"
    content = bytearray(file.read_bytes())
    content[int(place * len(content))] ^= 1 << bit
    rewrite(file, bytes(content))
    assert not look(original.database, heads).is_ok


def test_a_head_signed_by_another_is_found(copy: Original, tmp_path: Path) -> None:
    """An intruder with a key of their own makes a chain that holds, over a history of their own."""
    other = open_store(f"sqlite:///{tmp_path}/other.db")
    (tmp_path / "other").mkdir()
    forged = Booked(other, tmp_path / "other")
    forged.work(1)
    forged.publish()
    other.close()
    rewrite(copy.heads / "head-00000002.json", (forged.heads / "head-00000001.json").read_bytes())
    rewrite(copy.heads / "head-00000002.leaves", (forged.heads / "head-00000001.leaves").read_bytes())
    assert FindingCode.HEAD_FORGED in codes(look(copy.database, copy.heads))
    assert FindingCode.HEAD_CHANGED in codes(look(copy.database, forged.heads))


def test_without_heads_nothing_is_proven(copy: Original, tmp_path: Path) -> None:
    assert codes(look(copy.database, tmp_path / "nowhere")) == {FindingCode.NO_HEADS, FindingCode.HEAD_MISSING}


def test_a_head_that_the_database_forgot_is_found(copy: Original, open_copy: sqlite3.Connection) -> None:
    open_copy.execute("DELETE FROM heads WHERE seq = 2")
    assert FindingCode.HEAD_CHANGED in codes(look(copy.database, copy.heads))


# --- schemas ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("table", [*sorted(ALL), "heads"])
@pytest.mark.parametrize(
    "statement",
    [
        'DROP TABLE "{}"',
        'ALTER TABLE "{}" RENAME TO elsewhere',
        'CREATE TABLE o AS SELECT * FROM "{}"; DROP TABLE "{}"; CREATE VIEW "{}" AS SELECT * FROM o',
        'CREATE TABLE o (a BLOB, b REAL); DROP TABLE "{}"; ALTER TABLE o RENAME TO "{}"',
        'ALTER TABLE "{}" ADD COLUMN note TEXT',
    ],
    ids=["dropped", "renamed", "a view", "another table", "another column"],
)
def test_an_altered_schema_is_a_finding_and_never_an_error(
    copy: Original, open_copy: sqlite3.Connection, table: str, statement: str
) -> None:
    open_copy.executescript(statement.replace("{}", table))
    found = look(copy.database, copy.heads)
    assert FindingCode.SCHEMA_CHANGED in codes(found)


def test_a_trigger_that_was_dropped_is_a_finding(copy: Original) -> None:
    with closing(sqlite3.connect(copy.database)) as connection:
        connection.execute("DROP TRIGGER entries_no_update")
    found = look(copy.database, copy.heads)
    assert [(f.code, f.table) for f in found.findings] == [(FindingCode.GUARD_MISSING, "entries")]


def test_text_that_is_no_text_is_a_finding(copy: Original, open_copy: sqlite3.Connection) -> None:
    open_copy.execute("UPDATE transactions SET memo = CAST(x'ff00fe' AS TEXT) WHERE seq = 7")
    assert first(look(copy.database, copy.heads)) == ("transactions", 7)
