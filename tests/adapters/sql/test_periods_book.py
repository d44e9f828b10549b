"""Closed periods in both databases: the book refuses what is dated inside, and so does the database itself."""

from dataclasses import replace

import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from scheduler.adapters.sql.store import SqlStore
from scheduler.domain.errors import Conflict, RefusalCode
from scheduler.domain.units import Instant
from scheduler.finance.reconciling.closing import Closing, ClosingState
from scheduler.finance.reconciling.reconciliation import Difference, DifferenceKind, Settlement, SettlementKind
from scheduler.ledger.corrections import into_open_period
from scheduler.ledger.grants import grant
from scheduler.ledger.journal import Transaction
from tests.ledger.build import allowance

STEP = Closing(
    "2026-10", Instant(1_000), Instant(2_000), ClosingState.PROVISIONAL, Instant(3_000), "e-1", "finance", "r-1", "{}"
)
CLOSED = replace(STEP, state=ClosingState.CLOSED)


def granted(at: int) -> Transaction:
    made = grant(allowance(100), actor="e-1")
    return Transaction(f"grant:{at}", made.kind, Instant(at), made.entries)


@pytest.fixture
def closed(store: SqlStore) -> SqlStore:
    with store.writing() as books:
        books.allowances.add(allowance(100))
        books.periods.add_step(STEP)
        books.periods.add_step(CLOSED)
    return store


def test_steps_come_back_in_order_and_a_provisional_period_is_not_closed(store: SqlStore) -> None:
    with store.writing() as books:
        books.periods.add_step(STEP)
        assert books.periods.closed() == []
        books.periods.add_step(CLOSED)
        assert books.periods.closed() == [(1_000, 2_000)]
        assert [(step.seq, step.state.value) for step in books.periods.steps()] == [(1, "provisional"), (2, "closed")]


@pytest.mark.parametrize(("at", "is_refused"), [(999, False), (1_000, True), (1_999, True), (2_000, False)])
def test_a_posting_into_a_closed_period_is_refused_and_nothing_is_written(
    closed: SqlStore, at: int, is_refused: bool
) -> None:
    if not is_refused:
        with closed.writing() as books:
            books.journal.post([granted(at)], Instant(5_000))
        return
    with pytest.raises(Conflict) as refused, closed.writing() as books:
        books.journal.post([granted(500), granted(at)], Instant(5_000))
    assert refused.value.code is RefusalCode.PERIOD_CLOSED
    with closed.reading() as books:
        assert list(books.journal.entries()) == []


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO transactions (seq, id, kind, at, recorded_at, actor, memo, body_hash) "
        "VALUES (9, 'x', 'grant', 1500, 1, '', '', '')",
        "INSERT INTO entries (seq, transaction_seq, account_id, at, amount, gpu_ms) VALUES (9, 1, 1, 1500, 0, 0)",
    ],
)
def test_the_database_refuses_it_too(closed: SqlStore, raw: Connection, statement: str) -> None:
    with closed.writing() as books:
        books.journal.post([granted(500)], Instant(5_000))
    with pytest.raises(DBAPIError, match="closed for that period"):
        raw.execute(text(statement))
    raw.execute(text(statement.replace("1500", "2500")))


def test_what_was_posted_before_is_the_same_transaction_once_its_period_is_closed(store: SqlStore) -> None:
    with store.writing() as books:
        books.allowances.add(allowance(100))
        books.journal.post([granted(1_500)], Instant(1_600))
        books.periods.add_step(CLOSED)
        again = into_open_period(granted(1_500), books.periods.closed(), Instant(5_000))
        books.journal.post([again], Instant(5_000))
        (entry, _) = books.journal.entries()
    assert (entry.at, entry.corrects_at) == (1_500, None)


def test_settlements_and_differences_come_back_by_period(store: SqlStore) -> None:
    found = Difference("2026-10/overhead/a-1:ending", "2026-10", DifferenceKind.OVERHEAD, "a-1:ending", 7, "x")
    made = Settlement(found.id, 7, SettlementKind.OWNER, "platform", "why", "e-1", Instant(5), "r-1")
    other = Settlement("2026-1_/overhead/a", 7, SettlementKind.OWNER, "platform", "why", "e-1", Instant(5))
    with store.writing() as books:
        books.periods.add_differences([found], Instant(5))
        books.periods.add_settlements([made, other])
        (back,) = books.periods.settlements("2026-10")
        assert books.periods.settlements("2026-1_") != []
    assert (back.difference_id, back.kind, back.owner, back.seq) == (found.id, made.kind, "platform", 1)
