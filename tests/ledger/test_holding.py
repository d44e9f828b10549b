from dataclasses import replace

from scheduler.domain.funding import FundingShare
from scheduler.domain.units import AllowanceId, HoldId, Instant
from scheduler.ledger.holding import hold, holds_for, release
from scheduler.ledger.holds import Hold, HoldState
from scheduler.ledger.journal import Account, AccountKind, Entry, Transaction, TransactionKind
from tests.ledger.build import ATTEMPT, WORKLOAD
from tests.ledger.build import hold as a_hold

SHARES = (FundingShare(AllowanceId("a-1"), 30), FundingShare(AllowanceId("a-2"), 70))


def test_every_share_becomes_a_hold_in_funding_order() -> None:
    made = holds_for(SHARES, [HoldId("h-1"), HoldId("h-2")], WORKLOAD, ATTEMPT, Instant(9))
    assert made == [
        Hold(HoldId("h-1"), WORKLOAD, AllowanceId("a-1"), 0, 30, Instant(9), ATTEMPT),
        Hold(HoldId("h-2"), WORKLOAD, AllowanceId("a-2"), 1, 70, Instant(9), ATTEMPT),
    ]


def test_a_hold_sets_hours_aside_under_its_own_id() -> None:
    made = hold([replace(a_hold(30), opened_at=Instant(9))])
    assert made == [
        Transaction(
            id="hold:h-1",
            kind=TransactionKind.HOLD,
            at=Instant(9),
            entries=(Entry(Account(AccountKind.ALLOWANCE, "a-1"), -30), Entry(Account(AccountKind.HELD, "a-1"), 30)),
            attempt_id=ATTEMPT,
        )
    ]


def test_what_was_not_charged_is_released() -> None:
    made = release([a_hold(30, charged=10)], Instant(9))
    assert made == [
        Transaction(
            id="release:h-1",
            kind=TransactionKind.RELEASE,
            at=Instant(9),
            entries=(Entry(Account(AccountKind.HELD, "a-1"), -20), Entry(Account(AccountKind.ALLOWANCE, "a-1"), 20)),
            attempt_id=ATTEMPT,
        )
    ]


def test_the_last_millisecond_is_released_too() -> None:
    (made,) = release([a_hold(30, charged=29)], Instant(9))
    assert made.entries == (
        Entry(Account(AccountKind.HELD, "a-1"), -1),
        Entry(Account(AccountKind.ALLOWANCE, "a-1"), 1),
    )


def test_a_hold_that_is_used_up_or_resolved_releases_nothing() -> None:
    used_up = a_hold(30, charged=30)
    resolved = replace(a_hold(30), state=HoldState.RESOLVED)
    assert release([used_up, resolved], Instant(9)) == []
