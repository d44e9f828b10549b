"""What was written stays: the database itself refuses to change it, whoever asks."""

import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError, IntegrityError

from scheduler.adapters.sql.store import SqlStore
from scheduler.domain.units import Instant
from scheduler.ledger.grants import grant
from scheduler.ledger.holding import hold, release
from tests.adapters.sql.invariants import violations
from tests.adapters.sql.values import ATTEMPT, EVENT, MOVE, POLICY, PROPOSAL, VERDICT, WORKLOAD
from tests.ledger.build import allowance
from tests.ledger.build import hold as a_hold

TABLES = ["transactions", "entries", "verdicts", "audit_events", "policies", "proposals", "proposal_moves"]


@pytest.fixture
def filled(store: SqlStore, raw: Connection) -> Connection:
    """One row or more in every table, and a hold that is resolved."""
    with store.writing() as books:
        books.workloads.add([WORKLOAD])
        books.attempts.add([ATTEMPT])
        books.allowances.add(allowance(100))
        made = a_hold(40)
        books.holds.open([made])
        books.journal.post([grant(allowance(100), actor="e-9"), *hold([made])], Instant(1))
        books.journal.post(release([made], Instant(2)), Instant(2))
        books.holds.resolve([made.id], Instant(2))
        books.verdicts.add([VERDICT])
        books.control.add_events([EVENT])
        books.control.add_policy(POLICY)
        books.approvals.add(PROPOSAL)
        books.approvals.move(MOVE)
    assert violations(raw) == {}
    return raw


def rows(connection: Connection, table: str) -> list[tuple[object, ...]]:
    return [tuple(row) for row in connection.execute(text(f"SELECT * FROM {table} ORDER BY 1"))]  # noqa: S608  # of TABLES


@pytest.mark.parametrize(
    "change", ["UPDATE {} SET seq = seq + 100", "DELETE FROM {}", "DELETE FROM {} WHERE seq = 1"]
)
def test_a_row_of_an_append_only_table_can_be_neither_changed_nor_deleted(filled: Connection, change: str) -> None:
    for table in TABLES:
        before = rows(filled, table)
        assert before
        with pytest.raises(IntegrityError, match=f"{table} is append-only"):
            filled.execute(text(change.format(table)))
        assert rows(filled, table) == before


def test_a_row_cannot_be_replaced_by_inserting_over_it(filled: Connection) -> None:
    is_sqlite = filled.dialect.name == "sqlite"
    replace = "INSERT OR REPLACE INTO {0} SELECT * FROM {0}" if is_sqlite else "INSERT INTO {0} SELECT * FROM {0}"
    for table in TABLES:
        before = rows(filled, table)
        with pytest.raises(IntegrityError):
            filled.execute(text(replace.format(table)))
        assert rows(filled, table) == before


def test_truncate_is_refused_where_there_is_one(filled: Connection) -> None:
    for table in TABLES:
        before = rows(filled, table)
        with pytest.raises(DBAPIError):
            filled.execute(text(f"TRUNCATE {table} CASCADE"))
        assert rows(filled, table) == before


def test_an_account_keeps_its_name_and_stays(filled: Connection) -> None:
    for change in (
        "UPDATE accounts SET owner = 'a-2'",
        "UPDATE accounts SET kind = 'held' WHERE kind = 'allowance'",
        "UPDATE accounts SET unit = 'tokens'",
        "DELETE FROM accounts",
    ):
        with pytest.raises(IntegrityError, match="an account keeps"):
            filled.execute(text(change))


def test_a_hold_that_is_resolved_changes_no_more(filled: Connection) -> None:
    for change in (
        "UPDATE holds SET state = 'open'",
        "UPDATE holds SET charged = 1",
        "UPDATE holds SET amount = 1",
        "DELETE FROM holds",
    ):
        with pytest.raises(IntegrityError, match="a hold keeps"):
            filled.execute(text(change))


def test_the_database_itself_keeps_a_balance_above_its_floor(filled: Connection) -> None:
    with pytest.raises(IntegrityError):
        filled.execute(text("UPDATE accounts SET balance = -1 WHERE kind = 'allowance'"))


def test_a_row_that_refers_to_nothing_is_refused(filled: Connection) -> None:
    if filled.dialect.name == "sqlite":
        filled.execute(text("PRAGMA foreign_keys = ON"))
    with pytest.raises(IntegrityError):
        filled.execute(text("INSERT INTO entries VALUES (99, 99, 99, 0, 0, 0)"))
