from dataclasses import replace

import pytest

from scheduler.domain.allowances import AllowanceSource
from scheduler.domain.errors import InvalidInput, RefusalCode
from scheduler.domain.units import Instant
from scheduler.domain.vesting import PackageKind, Vesting, VestingPart
from scheduler.ledger.journal import TransactionKind
from scheduler.ledger.vesting import claw_back, promise, vest
from tests.ledger.build import allowance


def test_each_part_is_dated_when_it_vests_and_never_before_its_grant() -> None:
    package = replace(allowance(60), granted_at=Instant(1_000))
    due = [(1, VestingPart(Instant(999), 20)), (2, VestingPart(Instant(1_001), 40))]
    made = vest(package, due)
    assert [(each.id, each.kind, each.at) for each in made] == [
        ("vest:a-1:1", TransactionKind.VEST, Instant(1_000)),
        ("vest:a-1:2", TransactionKind.VEST, Instant(1_001)),
    ]
    assert [(str(e.account), e.amount) for each in made for e in each.entries] == [
        ("promised:a-1", -20),
        ("allowance:a-1", 20),
        ("promised:a-1", -40),
        ("allowance:a-1", 40),
    ]


PARTS = (VestingPart(Instant(2_000), 20), VestingPart(Instant(3_000), 40))
PACKAGE = replace(
    allowance(60, starts_at=1_000),
    source=AllowanceSource.COMPENSATION,
    granted_at=Instant(500),
    vesting=Vesting(PackageKind.ANNUAL, "UTC", PARTS),
)


def test_all_of_a_package_is_promised_when_it_is_granted_which_may_be_before_it_begins() -> None:
    made = promise(PACKAGE, actor="e-pam", memo="the offer")
    assert (made.id, made.kind, made.at, made.actor, made.memo) == (
        *("promise:a-1", TransactionKind.PROMISE, Instant(500), "e-pam", "the offer"),
    )
    assert [(str(entry.account), entry.amount) for entry in made.entries] == [
        ("issued:compensation", -60),
        ("promised:a-1", 60),
    ]


@pytest.mark.parametrize("expires_at", [2_999, 3_000])
def test_a_package_that_ends_before_its_last_part_or_with_it_is_refused(expires_at: int) -> None:
    with pytest.raises(InvalidInput, match="before its last part vests") as refused:
        promise(replace(PACKAGE, expires_at=Instant(expires_at)), actor="e-pam")
    assert refused.value.code is RefusalCode.EXPIRY_BEFORE_GRANT
    assert promise(replace(PACKAGE, expires_at=Instant(3_001)), actor="e-pam").id == "promise:a-1"


def test_what_has_not_vested_is_forfeited_once() -> None:
    made = claw_back(PACKAGE, 40, Instant(2_500), actor="e-pam", memo="left")
    assert (made.id, made.kind, made.at) == ("clawback:a-1", TransactionKind.CLAWBACK, Instant(2_500))
    assert [(str(entry.account), entry.amount) for entry in made.entries] == [
        ("promised:a-1", -40),
        ("forfeited:a-1", 40),
    ]
