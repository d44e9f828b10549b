from dataclasses import replace

from scheduler.domain.units import Instant
from scheduler.domain.vesting import VestingPart
from scheduler.ledger.journal import TransactionKind
from scheduler.ledger.vesting import vest
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
