from dataclasses import replace

import pytest

from scheduler.domain.allowances import Allowance, Holder, HolderKind
from scheduler.domain.errors import Conflict, InvalidInput, RefusalCode
from scheduler.domain.units import AMOUNT_MAX, CommandId, Instant, Unit
from scheduler.ledger.grants import (
    expire,
    grant,
    move_on,
    pass_on,
    project_allowance_id,
    roll_over,
    rollover_allowance_id,
    tier_allowance_id,
)
from scheduler.ledger.journal import Account, AccountKind, Entry, Transaction, TransactionKind
from tests.ledger.build import allowance

TOKENS = Unit("tokens")


def test_a_grant_brings_the_amount_when_the_allowance_starts() -> None:
    made = grant(allowance(100, starts_at=7, unit=TOKENS), actor="e-9", memo="why", command_id=CommandId("c-1"))
    assert made == Transaction(
        id="grant:a-1",
        kind=TransactionKind.GRANT,
        at=Instant(7),
        entries=(
            Entry(Account(AccountKind.ISSUED, "tier"), -100, TOKENS),
            Entry(Account(AccountKind.ALLOWANCE, "a-1"), 100, TOKENS),
        ),
        command_id=CommandId("c-1"),
        actor="e-9",
        memo="why",
    )


@pytest.mark.parametrize("amount", [0, -1, AMOUNT_MAX, 2**63])
def test_an_amount_that_cannot_be_granted_is_refused(amount: int) -> None:
    with pytest.raises(InvalidInput, match=f"an amount of {amount} cannot be posted") as refused:
        grant(allowance(amount), actor="e-9")
    assert refused.value.code is RefusalCode.INVALID_AMOUNT


@pytest.mark.parametrize("expires_at", [6, 7])
def test_an_allowance_that_expires_before_it_starts_is_refused(expires_at: int) -> None:
    with pytest.raises(InvalidInput, match="expire before it starts"):
        grant(allowance(1, starts_at=7, expires_at=expires_at), actor="e-9")


def test_what_is_left_of_an_allowance_expires() -> None:
    expired: Allowance = replace(allowance(100, expires_at=50), unit=TOKENS)
    assert expire(expired, 40, Instant(49), taken_at=Instant(60)) == Transaction(
        id="expiry:a-1:60",
        kind=TransactionKind.EXPIRY,
        at=Instant(49),
        entries=(
            Entry(Account(AccountKind.ALLOWANCE, "a-1"), -40, TOKENS),
            Entry(Account(AccountKind.EXPIRED, "a-1"), 40, TOKENS),
        ),
        memo="a-1",
    )


def test_the_id_of_a_periods_grant_makes_it_one_grant_only() -> None:
    assert tier_allowance_id("e-1", "2026-11") == "tier/e-1/2026-11"
    assert project_allowance_id("vision", "2026-11") == "project/vision/2026-11"
    assert tier_allowance_id("e-1", "2026-11", TOKENS) == "tier/e-1/2026-11/tokens"
    assert rollover_allowance_id(Holder(HolderKind.TEAM, "research"), "2026-12") == "rollover/research/2026-12"


def moved(amount: int) -> tuple[Entry, Entry]:
    return (
        Entry(Account(AccountKind.ALLOWANCE, "a-1"), -amount, TOKENS),
        Entry(Account(AccountKind.ALLOWANCE, "a-2"), amount, TOKENS),
    )


OLD = replace(allowance(100, unit=TOKENS), period="2026-11")
NEW = replace(allowance(100, name="a-2", unit=TOKENS), period="2026-12")
BOBS = replace(NEW, holder=Holder(HolderKind.ENGINEER, "e-bob"))


def test_what_is_left_rolls_over_once_and_says_how_much_of_what_into_which_period() -> None:
    assert roll_over(OLD, NEW, 40, Instant(50)) == Transaction(
        id="rollover:a-1",
        kind=TransactionKind.ROLLOVER,
        at=Instant(50),
        entries=moved(40),
        memo="40 tokens of a-1 into 2026-12",
    )


def test_what_is_moved_on_twice_in_the_same_moment_is_told_apart_by_when_it_was_found() -> None:
    first, second = (move_on(OLD, NEW, 40, Instant(50), taken_at=Instant(at), memo="waited") for at in (60, 61))
    assert first == Transaction(
        id="extension:a-1:60", kind=TransactionKind.TRANSFER, at=Instant(50), entries=moved(40), memo="waited"
    )
    assert second == replace(first, id="extension:a-1:61")


def test_hours_are_passed_on_to_somebody_else() -> None:
    assert pass_on(OLD, BOBS, 40, Instant(50), transfer_id="x-1", actor="e-ada", memo="thanks") == Transaction(
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
def test_nothing_is_passed_on_from_a_holder_to_the_same(target: Allowance) -> None:
    with pytest.raises(InvalidInput) as refused:
        pass_on(OLD, target, 40, Instant(50), transfer_id="x-1", actor="e-ada", memo="")
    assert refused.value.code is RefusalCode.TRANSFER_TO_SELF


def test_units_are_never_exchanged_for_one_another() -> None:
    hours = replace(BOBS, unit=allowance(1).unit)
    with pytest.raises(Conflict, match="a-1 is in tokens, a-2 in standard") as refused:
        pass_on(OLD, hours, 40, Instant(50), transfer_id="x-1", actor="e-ada", memo="")
    assert refused.value.code is RefusalCode.UNIT_MISMATCH
