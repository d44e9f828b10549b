"""Posting: all or nothing, once per id, never below a floor; and the journal read back."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import Connection, text

from scheduler.adapters.sql.store import SqlStore
from scheduler.domain.errors import Conflict, Exhausted, InvalidInput, RefusalCode
from scheduler.domain.units import AMOUNT_MAX, STANDARD_GPU, AttemptId, CommandId, Instant, Unit
from scheduler.ledger.books import BalanceDifference
from scheduler.ledger.grants import grant
from scheduler.ledger.journal import (
    Account,
    AccountKind,
    Entry,
    PostedEntry,
    PostedSum,
    Transaction,
    TransactionKind,
    transfer_entries,
)
from scheduler.ports import Books
from tests.adapters.sql.invariants import violations
from tests.ledger.build import allowance

NOW = Instant(1_000)
TOKENS = Unit("tokens")
ISSUED = Account(AccountKind.ISSUED, "tier")


def account(kind: AccountKind = AccountKind.ALLOWANCE, owner: str = "a-1") -> Account:
    return Account(kind, owner)


HELD = account(AccountKind.HELD)


def moved(
    amount: int,
    source: Account | None = None,
    target: Account = HELD,
    *,
    name: str = "t-1",
    at: int = 5,
    unit: Unit = STANDARD_GPU,
    attempt: str | None = None,
) -> Transaction:
    return Transaction(
        id=name,
        kind=TransactionKind.HOLD,
        at=Instant(at),
        entries=transfer_entries(source or account(), target, amount, unit=unit, gpu_ms=amount // 2),
        attempt_id=None if attempt is None else AttemptId(attempt),
        command_id=CommandId("c-1"),
        actor="e-1",
        memo="why",
    )


@contextmanager
def granted(store: SqlStore, amount: int, *, overdraft: int = 0) -> Iterator[Books]:
    with store.writing() as books:
        awarded = allowance(amount, overdraft=overdraft)
        books.allowances.add(awarded)
        books.journal.post([grant(awarded, actor="e-9")], NOW)
        yield books


def test_balances_follow_the_postings(store: SqlStore) -> None:
    with granted(store, 100) as books:
        books.journal.post([moved(30), moved(20, name="t-2")], NOW)
        assert books.journal.balance(account()) == 50
        assert books.journal.balance(HELD) == 50
        assert books.journal.balance(ISSUED) == -100
        assert books.journal.balance(account(owner="a-9")) == 0
        assert books.journal.balance(account(), TOKENS) == 0
    with store.reading() as books:
        found = books.allowances.get(allowance(100).id)
        assert found is not None
        assert (found.available, found.held) == (50, 50)


def test_the_same_id_with_the_same_body_is_passed_over(store: SqlStore) -> None:
    with granted(store, 100) as books:
        books.journal.post([moved(30), moved(30)], NOW)
        books.journal.post([moved(30)], Instant(9_999))
        assert books.journal.balance(HELD) == 30
    with store.writing() as books:
        books.journal.post([moved(30)], NOW)
        assert [entry.recorded_at for entry in books.journal.entries(accounts=[HELD])] == [NOW]


@pytest.mark.parametrize("is_in_one_batch", [True, False])
def test_the_same_id_with_another_body_is_a_conflict(store: SqlStore, is_in_one_batch: bool) -> None:
    first, other = moved(30), moved(31)
    with granted(store, 100) as books:
        if not is_in_one_batch:
            books.journal.post([first], NOW)
        with pytest.raises(Conflict, match="another body") as refused:
            books.journal.post([first, other] if is_in_one_batch else [other], NOW)
        assert refused.value.code is RefusalCode.IDEMPOTENCY_CONFLICT
        assert books.journal.balance(HELD) == (0 if is_in_one_batch else 30)


def test_an_allowance_goes_down_to_its_overdraft_and_no_further(store: SqlStore) -> None:
    with granted(store, 100, overdraft=20) as books:
        books.journal.post([moved(120)], NOW)
        with pytest.raises(Exhausted, match=r"allowance:a-1 would be 0\.01 GPU-hours short after t-2") as refused:
            books.journal.post([moved(1, name="t-2")], NOW)
        assert refused.value.code is RefusalCode.ALLOWANCE_SHORT
        assert books.journal.balance(account()) == -20


def test_an_account_that_was_never_used_has_nothing_to_give(store: SqlStore) -> None:
    with store.writing() as books, pytest.raises(Exhausted):
        books.journal.post([moved(1, account(owner="a-new"))], NOW)


@pytest.mark.parametrize("kind", [AccountKind.HELD, AccountKind.CHARGED, AccountKind.EXPIRED])
def test_held_charged_and_expired_never_go_below_zero(store: SqlStore, kind: AccountKind) -> None:
    with granted(store, 100, overdraft=100) as books, pytest.raises(Exhausted):
        books.journal.post([moved(1, account(kind), account())], NOW)


def test_a_batch_is_posted_in_order_and_all_or_none_of_it(store: SqlStore) -> None:
    back_first = [moved(100), moved(100, HELD, account(), name="t-2"), moved(70, name="t-3")]
    with granted(store, 100) as books:
        books.journal.post(back_first, NOW)
        assert books.journal.balance(account()) == 30
        too_early = [moved(31, name="t-4"), moved(31, HELD, account(), name="t-5")]
        with pytest.raises(Exhausted):
            books.journal.post(too_early, NOW)
        assert books.journal.balance(account()) == 30
        assert [entry.transaction_id for entry in books.journal.entries(accounts=[HELD])] == ["t-1", "t-2", "t-3"]


def test_an_overdraft_that_was_lowered_refuses_no_credit(store: SqlStore, raw: Connection) -> None:
    with granted(store, 100, overdraft=50) as books:
        books.journal.post([moved(150)], NOW)
    if raw.dialect.name == "sqlite":
        raw.execute(text("PRAGMA ignore_check_constraints = ON"))
    else:
        raw.execute(text("ALTER TABLE accounts DROP CONSTRAINT accounts_not_below_floor"))
    raw.execute(text("UPDATE accounts SET floor = -10 WHERE kind = 'allowance'"))
    with pytest.raises(Exhausted), store.writing() as books:
        books.journal.post([moved(1, name="t-2")], NOW)


def test_a_balance_that_no_column_could_hold_is_refused(store: SqlStore) -> None:
    huge = AMOUNT_MAX - 1
    with store.writing() as books:
        books.journal.post([moved(huge, ISSUED, account())], NOW)
        with pytest.raises(InvalidInput) as refused:
            books.journal.post([moved(1, ISSUED, account(), name="t-2")], NOW)
        assert refused.value.code is RefusalCode.INVALID_AMOUNT
        assert books.journal.balance(account()) == huge


def test_units_are_never_added(store: SqlStore) -> None:
    with granted(store, 100) as books:
        books.journal.post([moved(7, ISSUED, account(), unit=TOKENS)], NOW)
        with pytest.raises(Exhausted, match="short after t-2"):
            books.journal.post([moved(8, unit=TOKENS, name="t-2")], NOW)
        assert (books.journal.balance(account()), books.journal.balance(account(), TOKENS)) == (100, 7)
        assert books.journal.totals(ends_at=NOW, accounts=[account()], unit=TOKENS) == {account(): 7}


def test_an_entry_comes_back_with_its_transaction(store: SqlStore) -> None:
    with granted(store, 100) as books:
        books.journal.post([moved(30, attempt="w-1.1")], NOW)
        assert list(books.journal.entries(accounts=[HELD])) == [
            PostedEntry(
                seq=4,
                transaction_id="t-1",
                kind=TransactionKind.HOLD,
                at=Instant(5),
                recorded_at=NOW,
                account=HELD,
                unit=STANDARD_GPU,
                amount=30,
                gpu_ms=15,
                attempt_id=AttemptId("w-1.1"),
                memo="why",
            )
        ]


def test_entries_are_selected_by_account_kind_attempt_and_half_open_period(store: SqlStore) -> None:
    with granted(store, 100) as books:
        postings = [moved(n, name=f"t-{n}", at=n * 10, attempt=f"w-{n % 2}.1") for n in range(1, 5)]
        books.journal.post(postings, NOW)

        def ids(entries: Iterator[PostedEntry]) -> list[str]:
            return [entry.transaction_id for entry in entries]

        journal = books.journal
        assert ids(journal.entries()) == ["grant:a-1"] * 2 + [f"t-{n}" for n in (1, 1, 2, 2, 3, 3, 4, 4)]
        assert ids(journal.entries(accounts=[HELD, ISSUED])) == ["grant:a-1", "t-1", "t-2", "t-3", "t-4"]
        assert ids(journal.entries(accounts=[])) == []
        assert ids(journal.entries(kinds=[AccountKind.HELD])) == ["t-1", "t-2", "t-3", "t-4"]
        assert ids(journal.entries(kinds=[AccountKind.EXPIRED])) == []
        period = journal.entries(accounts=[HELD], starts_at=Instant(20), ends_at=Instant(40))
        assert ids(period) == ["t-2", "t-3"]
        assert ids(journal.entries(attempt_id=AttemptId("w-1.1"), accounts=[HELD])) == ["t-1", "t-3"]


def test_sums_are_the_entries_added_up_by_account_and_attempt(store: SqlStore) -> None:
    with granted(store, 100) as books:
        postings = [moved(n, name=f"t-{n}", at=n * 10, attempt=f"w-{n % 2}.1") for n in range(1, 5)]
        books.journal.post([*postings, moved(9, name="t-9", at=20)], NOW)
        period = books.journal.sums(kinds=[AccountKind.HELD], starts_at=Instant(20), ends_at=Instant(40))
        assert sorted(period, key=lambda posted: str(posted.attempt_id)) == [
            PostedSum(HELD, STANDARD_GPU, None, 9, 4),
            PostedSum(HELD, STANDARD_GPU, AttemptId("w-0.1"), 2, 1),
            PostedSum(HELD, STANDARD_GPU, AttemptId("w-1.1"), 3, 1),
        ]
        whole = list(books.journal.sums(kinds=list(AccountKind)))
        assert sum(posted.amount for posted in whole) == 0
        assert sum(posted.amount for posted in whole if posted.account == HELD) == 19
        assert list(books.journal.sums(kinds=[])) == []


def test_totals_are_the_balances_of_a_day(store: SqlStore) -> None:
    with granted(store, 100) as books:
        books.journal.post([moved(10, at=10), moved(20, name="t-2", at=20)], NOW)
        for ends_at, left, held in ((0, 0, 0), (10, 100, 0), (11, 90, 10), (20, 90, 10), (21, 70, 30)):
            never_used = account(owner="a-9")
            totals = books.journal.totals(ends_at=Instant(ends_at), accounts=[account(), HELD, never_used])
            assert totals == {account(): left, HELD: held, never_used: 0}


def test_a_balance_that_was_tampered_with_shows_and_is_not_repaired(store: SqlStore, raw: Connection) -> None:
    with granted(store, 100) as books:
        books.journal.post([moved(30)], NOW)
        assert books.journal.differences() == []
    assert violations(raw) == {"I4 what an allowance holds is what its open holds have left": ["a-1"]}
    raw.execute(text("UPDATE accounts SET balance = 71 WHERE kind = 'allowance'"))
    with store.reading() as books:
        assert books.journal.differences() == [BalanceDifference(account(), STANDARD_GPU, cached=71, rebuilt=70)]
        assert books.journal.differences() != []
    assert violations(raw)["I9 cached balances are the journal rebuilt"] == ["allowance:a-1"]


def test_an_overdraft_counts_for_an_account_that_was_used_before_its_award_was_recorded(store: SqlStore) -> None:
    with store.writing() as books:
        awarded = allowance(100, overdraft=20)
        books.journal.post([grant(awarded, actor="e-9")], NOW)
        books.allowances.add(awarded)
        books.journal.post([moved(120)], NOW)
        assert books.journal.balance(account()) == -20


def test_nothing_to_post_is_no_error(store: SqlStore) -> None:
    with store.writing() as books:
        books.journal.post([], NOW)
        assert list(books.journal.entries()) == []


def test_a_large_batch_goes_through_in_pieces(store: SqlStore, raw: Connection) -> None:
    postings = [moved(1, account(owner=f"a-{n}"), HELD, name=f"t-{n}") for n in range(6_000)]
    grants = [moved(1, ISSUED, account(owner=f"a-{n}"), name=f"g-{n}") for n in range(6_000)]
    with store.writing() as books:
        books.allowances.add(allowance(0))
        books.journal.post(grants, NOW)
        books.journal.post([*postings, *grants], NOW)
        assert books.journal.balance(HELD) == 6_000
    assert list(violations(raw)) == ["I4 what an allowance holds is what its open holds have left"]


def test_a_transaction_may_name_an_account_more_than_once(store: SqlStore) -> None:
    entries = (Entry(account(), -5), Entry(account(), -6), Entry(HELD, 11))
    with granted(store, 10) as books:
        with pytest.raises(Exhausted):
            books.journal.post([Transaction("t-1", TransactionKind.HOLD, NOW, entries)], NOW)
        books.journal.post([moved(10)], NOW)
