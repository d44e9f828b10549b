import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.domain.quantities import money_unit
from scheduler.domain.units import STANDARD_GPU, AllowanceId, AttemptId, EngineerId, Instant
from scheduler.ledger.journal import (
    Account,
    AccountKind,
    Entry,
    PostedEntry,
    Transaction,
    TransactionKind,
    charged_beyond,
    charged_to,
    transfer_entries,
)
from scheduler.ledger.statement import Released, StatementLine, accounts_of, in_time, lines_of, statement
from tests.ledger.folding import folded

A1 = AllowanceId("a-1")
ADA = EngineerId("e-ada")
HAD = Account(AccountKind.ALLOWANCE, A1)
PROMISED = Account(AccountKind.PROMISED, "a-1")
HELD = Account(AccountKind.HELD, A1)
OVERRUN = Account(AccountKind.OVERRUN, ADA)
UNFUNDED = Account(AccountKind.UNFUNDED, ADA)
ISSUED = Account(AccountKind.ISSUED, "tier")
REFUNDS = Account(AccountKind.REFUNDS, "platform")
EXPIRED = Account(AccountKind.EXPIRED, A1)
ACCOUNTS = accounts_of([A1], [ADA])


def posted(*transactions: Transaction) -> list[PostedEntry]:
    """The entries as the journal would give them for the statement's accounts."""
    return [
        PostedEntry(
            seq=0,
            transaction_id=transaction.id,
            kind=transaction.kind,
            at=transaction.at,
            recorded_at=transaction.at,
            account=entry.account,
            unit=STANDARD_GPU,
            amount=entry.amount,
            gpu_ms=entry.gpu_ms,
            attempt_id=transaction.attempt_id,
            memo=transaction.memo,
        )
        for transaction in transactions
        for entry in transaction.entries
        if entry.account in ACCOUNTS
    ]


def moved(
    kind: TransactionKind, entries: tuple[Entry, ...], *, at: int = 0, name: str = "t", attempt: str | None = None
) -> Transaction:
    return Transaction(name, kind, Instant(at), entries, None if attempt is None else AttemptId(attempt), memo="m")


def test_a_correction_of_money_is_no_line_of_hours() -> None:
    corrected = moved(TransactionKind.CORRECTION, transfer_entries(ISSUED, HAD, 7))
    (entry,) = posted(corrected)
    money = entry._replace(account=Account(AccountKind.CORRECTED, A1), unit=money_unit("EUR"))
    assert lines_of([money]) == ([], [])
    assert len(lines_of([entry])[0]) == 1


def test_the_accounts_of_a_statement_are_what_was_had_and_what_was_used_beyond_it() -> None:
    assert set(ACCOUNTS) == {HAD, HELD, PROMISED, OVERRUN, UNFUNDED}
    assert accounts_of([]) == ()


def test_a_statement_of_nothing_closes_as_it_opened() -> None:
    balances = {HAD: 70, HELD: 30, OVERRUN: -9}
    made = statement(balances, balances, [])
    assert (made.opening, made.available, made.held, made.lines) == (100, 70, 30, ())


@pytest.mark.parametrize("order", [1, -1], ids=["as posted", "the last first"])
def test_a_line_is_named_by_its_first_entry_and_dated_by_its_last_in_whatever_order_they_are_read(order: int) -> None:
    charges = [
        moved(TransactionKind.CHARGE, transfer_entries(HELD, charged_to(A1), 10), at=at, name=name, attempt="w-1.1")
        for name, at in (("first", 5), ("second", 9), ("third", 7))
    ]
    entries = [entry._replace(seq=seq) for seq, entry in enumerate(posted(*charges), 1)]
    (line,), _ = lines_of(entries[::order])
    assert (line.transaction_id, line.at, line.amount) == ("first", 9, -30)


def test_every_kind_of_posting_shows_in_its_own_sum() -> None:
    attempt = "w-1.1"
    kind = TransactionKind
    made = folded(
        {HAD: 100, HELD: 0},
        posted(
            moved(kind.GRANT, transfer_entries(ISSUED, HAD, 1_000), name="g"),
            moved(kind.HOLD, transfer_entries(HAD, HELD, 500), name="h", attempt=attempt),
            moved(
                kind.CHARGE, transfer_entries(HELD, charged_to(A1), 200, gpu_ms=100), at=5, name="c1", attempt=attempt
            ),
            moved(
                kind.CHARGE,
                (
                    *transfer_entries(HELD, charged_to(A1), 100, gpu_ms=50),
                    *transfer_entries(OVERRUN, charged_beyond(AccountKind.OVERRUN, ADA), 20, gpu_ms=10),
                ),
                at=9,
                name="c2",
                attempt=attempt,
            ),
            moved(kind.RELEASE, transfer_entries(HELD, HAD, 150), name="r", attempt=attempt),
            moved(
                kind.REFUND,
                (*transfer_entries(REFUNDS, OVERRUN, 5, gpu_ms=3), *transfer_entries(REFUNDS, HAD, 7, gpu_ms=4)),
                at=10,
                name="f",
                attempt=attempt,
            ),
            moved(
                kind.CHARGE,
                transfer_entries(UNFUNDED, charged_beyond(AccountKind.UNFUNDED, ADA), 40, gpu_ms=40),
                at=11,
                name="u",
                attempt="w-2.1",
            ),
            moved(kind.EXPIRY, transfer_entries(HAD, EXPIRED, 60), at=12, name="x"),
            moved(kind.TRANSFER, transfer_entries(HAD, Account(AccountKind.ALLOWANCE, "a-2"), 11), at=13, name="t"),
            moved(kind.CORRECTION, transfer_entries(charged_to(A1), HAD, 2), at=14, name="k"),
        ),
    )
    assert (made.opening, made.granted, made.charged, made.refunded) == (100, 1_000, 300, 7)
    assert (made.expired, made.transferred, made.corrected) == (60, -11, 2)
    assert (made.overrun, made.unfunded) == (15, 40)
    assert (made.available, made.held) == (100 + 1_000 - 500 + 150 + 7 - 60 - 11 + 2, 50)
    assert made.lines == (
        StatementLine(kind.GRANT, Instant(0), None, 1_000, memo="m", transaction_id="g"),
        StatementLine(
            kind.CHARGE, Instant(9), AttemptId(attempt), -300, gpu_ms=160, overrun=20, memo="m", transaction_id="c1"
        ),
        StatementLine(
            kind.REFUND, Instant(10), AttemptId(attempt), 7, gpu_ms=7, overrun=-5, memo="m", transaction_id="f"
        ),
        StatementLine(
            kind.CHARGE, Instant(11), AttemptId("w-2.1"), 0, gpu_ms=40, unfunded=40, memo="m", transaction_id="u"
        ),
        StatementLine(kind.EXPIRY, Instant(12), None, -60, memo="m", transaction_id="x"),
        StatementLine(kind.TRANSFER, Instant(13), None, -11, memo="m", transaction_id="t"),
        StatementLine(kind.CORRECTION, Instant(14), None, 2, memo="m", transaction_id="k"),
    )


Moves = st.lists(
    st.tuples(
        st.sampled_from(
            [
                (TransactionKind.GRANT, ISSUED, HAD),
                (TransactionKind.HOLD, HAD, HELD),
                (TransactionKind.RELEASE, HELD, HAD),
                (TransactionKind.CHARGE, HELD, charged_to(A1)),
                (TransactionKind.REFUND, REFUNDS, HAD),
                (TransactionKind.EXPIRY, HAD, EXPIRED),
                (TransactionKind.TRANSFER, HAD, Account(AccountKind.ALLOWANCE, "a-2")),
                (TransactionKind.CORRECTION, charged_to(A1), HAD),
            ]
        ),
        st.integers(1, 1_000),
    ),
    max_size=30,
)


@given(Moves, st.integers(0, 100), st.integers(0, 100))
def test_what_was_had_and_what_came_less_what_went_is_what_is_left(
    moves: list[tuple[tuple[TransactionKind, Account, Account], int]], available: int, held: int
) -> None:
    transactions = [
        moved(kind, transfer_entries(source, target, amount), name=str(n))
        for n, ((kind, source, target), amount) in enumerate(moves)
    ]
    made = folded({HAD: available, HELD: held}, posted(*transactions))
    came = made.granted + made.refunded + made.transferred + made.corrected
    assert made.opening + came - made.charged - made.expired == made.available + made.held
    assert made.opening == available + held


def test_what_came_back_is_read_in_the_order_of_time() -> None:
    came = [("a-1", 17), ("a-2", 11), ("a-3", 17), ("a-0", 17)]
    returned = [Released(AttemptId(attempt), STANDARD_GPU, Instant(at), 1) for attempt, at in came]
    assert [each.attempt_id for each in in_time(returned)] == ["a-2", "a-0", "a-1", "a-3"]
