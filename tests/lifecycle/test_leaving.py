"""Somebody leaves: what vested stays, the rest is taken back, and nobody is granted anything any more."""

from collections.abc import Iterator

import pytest

from scheduler.domain.people import Caller, Role
from scheduler.domain.periods import period_named
from scheduler.domain.units import MS_PER_DAY, MS_PER_HOUR, Instant
from scheduler.ledger.journal import Account, AccountKind
from scheduler.lifecycle.awarding.awards import Awards
from scheduler.lifecycle.awarding.compensate import Package, vest_due
from scheduler.lifecycle.awarding.periodic import grant_period
from scheduler.lifecycle.governance.access import Access
from tests.lifecycle.build import NOON, OPERATOR, Company

PEOPLE = Caller("pat", frozenset({Role.PEOPLE}))
DECEMBER = period_named("2026-12", "UTC")


@pytest.fixture
def company() -> Iterator[Company]:
    made = Company()
    yield made
    made.close_in_balance()


def granted_in_december(company: Company) -> set[str]:
    """Whose tier granted them something."""
    with company.changing() as batch:
        grant_period(batch, DECEMBER)
    return {person for person in company.world.people if f"tier/{person}/2026-12" in company.world.balances}


def test_who_left_and_was_forgotten_is_granted_nothing_and_keeps_what_vested(company: Company) -> None:
    ada = company.engineer("ada").id
    awards = Awards(company.store, company.world, company.ids)
    asked = Package(ada, 49 * MS_PER_HOUR, months=12, cliff_months=0, reason="pay")
    package = awards.compensate(PEOPLE, asked, now=NOON)
    left_at = Instant(NOON + 100 * MS_PER_DAY)
    (taken,) = awards.claw_back(PEOPLE, ada, "left", now=left_at)
    whole, vested = 49 * MS_PER_HOUR, 49 * MS_PER_HOUR * 3 // 12
    assert (package.amount, taken.taken) == (whole, whole - vested)
    assert awards.claw_back(PEOPLE, ada, "left", now=left_at) == []

    Access(company.store, company.world).forget(OPERATOR, "ada", now=left_at)
    assert granted_in_december(company) == {company.engineer("bob").id}
    company.now = Instant(NOON + 800 * MS_PER_DAY)
    with company.changing() as batch:
        assert vest_due(batch) == 0
    with company.store.reading() as books:
        kinds = (AccountKind.PROMISED, AccountKind.FORFEITED, AccountKind.ALLOWANCE)
        sums = [books.journal.balance(Account(kind, package.id)) for kind in kinds]
    assert sums == [0, whole - vested, vested]
