from dataclasses import replace

import pytest

from scheduler.domain.allowances import Allowance, Holder, HolderKind
from scheduler.domain.errors import Conflict, InvalidInput, RefusalCode
from scheduler.domain.units import Instant, Unit
from scheduler.ledger.journal import Account, AccountKind, Entry, Transaction, TransactionKind
from scheduler.ledger.transfers import extend_expiry, roll_over, transfer
from tests.ledger.build import allowance

TOKENS = Unit("tokens")
OLD = replace(allowance(100, unit=TOKENS), period="2026-11")
NEW = replace(allowance(100, name="a-2", unit=TOKENS), period="2026-12")
BOBS = replace(NEW, holder=Holder(HolderKind.ENGINEER, "e-bob"))


def moved(amount: int) -> tuple[Entry, Entry]:
    return (
        Entry(Account(AccountKind.ALLOWANCE, "a-1"), -amount, TOKENS),
        Entry(Account(AccountKind.ALLOWANCE, "a-2"), amount, TOKENS),
    )


def test_what_is_left_rolls_over_once_and_says_how_much_of_what_into_which_period() -> None:
    assert roll_over(OLD, NEW, 40, Instant(50)) == Transaction(
        id="rollover:a-1",
        kind=TransactionKind.ROLLOVER,
        at=Instant(50),
        entries=moved(40),
        memo="40 tokens of a-1 into 2026-12",
    )


def test_what_is_extended_twice_in_the_same_moment_is_told_apart_by_when_it_was_found() -> None:
    first, second = (extend_expiry(OLD, NEW, 40, Instant(50), taken_at=Instant(at), memo="waited") for at in (60, 61))
    assert first == Transaction(
        id="extension:a-1:60", kind=TransactionKind.TRANSFER, at=Instant(50), entries=moved(40), memo="waited"
    )
    assert second == replace(first, id="extension:a-1:61")


def test_hours_are_transferred_to_somebody_else() -> None:
    assert transfer(OLD, BOBS, 40, Instant(50), transfer_id="x-1", actor="e-ada", memo="thanks") == Transaction(
        id="transfer:x-1",
        kind=TransactionKind.TRANSFER,
        at=Instant(50),
        entries=moved(40),
        actor="e-ada",
        memo="thanks",
    )


@pytest.mark.parametrize(
    "target",
    [NEW, replace(BOBS, id=OLD.id)],
    ids=["another allowance of the same holder", "the same allowance under another holder"],
)
def test_nothing_is_transferred_from_a_holder_to_the_same(target: Allowance) -> None:
    with pytest.raises(InvalidInput) as refused:
        transfer(OLD, target, 40, Instant(50), transfer_id="x-1", actor="e-ada", memo="")
    assert refused.value.code is RefusalCode.TRANSFER_TO_SELF


def test_units_are_never_exchanged_for_one_another() -> None:
    hours = replace(BOBS, unit=allowance(1).unit)
    with pytest.raises(Conflict, match="a-1 is in tokens, a-2 in standard") as refused:
        transfer(OLD, hours, 40, Instant(50), transfer_id="x-1", actor="e-ada", memo="")
    assert refused.value.code is RefusalCode.UNIT_MISMATCH
