from dataclasses import replace

import pytest

from scheduler.domain.errors import Exhausted
from scheduler.domain.units import Instant
from scheduler.ledger.journal import Account, AccountKind, Entry, Transaction
from scheduler.ledger.reissue import reissue
from tests.ledger.build import allowance

OLD, NEW = Account(AccountKind.ALLOWANCE, "old"), Account(AccountKind.ALLOWANCE, "new")


def on_other_terms(amount: int, available: int) -> Transaction:
    new = replace(allowance(40, name="new"), amount=amount)
    return reissue(allowance(100, name="old"), new, available, Instant(9), actor="fin", memo="another class")


@pytest.mark.parametrize("amount", [1, 40])
def test_what_is_left_may_go_on_to_the_last_of_it(amount: int) -> None:
    made = on_other_terms(amount, available=40)
    assert (made.id, made.entries) == ("reissue:new", (Entry(OLD, -amount), Entry(NEW, amount)))


@pytest.mark.parametrize("amount", [0, 41])
def test_nothing_and_more_than_is_left_cannot_go_on(amount: int) -> None:
    with pytest.raises(Exhausted):
        on_other_terms(amount, available=40)
