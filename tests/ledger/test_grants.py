from dataclasses import replace

import pytest

from scheduler.domain.allowances import Allowance, Holder, HolderKind
from scheduler.domain.errors import InvalidInput, RefusalCode
from scheduler.domain.units import AMOUNT_MAX, CommandId, Instant, Unit
from scheduler.ledger.grants import (
    expire,
    grant,
    project_allowance_id,
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
