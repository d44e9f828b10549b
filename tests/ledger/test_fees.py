from scheduler.domain.units import Instant
from scheduler.ledger.fees import charge_fee
from scheduler.ledger.journal import Account, AccountKind, Entry
from tests.ledger.build import attempt, hold


def test_a_fee_is_charged_of_what_the_holds_have_left_in_their_order_and_no_time_stands_beside_it() -> None:
    holds = [hold(100, name="1", charged=70), hold(50, name="2", allowance="a-2"), hold(9, name="3")]
    posted, taken = charge_fee(attempt(), holds, 60, Instant(9))
    assert taken == {"h-1": 30, "h-2": 30}
    assert posted.entries == (
        Entry(Account(AccountKind.HELD, "a-1"), -30),
        Entry(Account(AccountKind.CHARGED, "a-1"), 30),
        Entry(Account(AccountKind.HELD, "a-2"), -30),
        Entry(Account(AccountKind.CHARGED, "a-2"), 30),
    )
