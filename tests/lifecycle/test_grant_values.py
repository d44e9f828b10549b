"""Ad-hoc grants on a statement: what they were worth when they were granted, and what they are worth now."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from scheduler.domain.allowances import Holder, HolderKind
from scheduler.domain.funding import FundingShare
from scheduler.domain.money import Micro
from scheduler.domain.people import Caller, Role
from scheduler.domain.quantities import TOKENS, class_unit
from scheduler.domain.units import MS_PER_DAY, MS_PER_HOUR, Instant, Unit
from scheduler.finance.prices.price_book import PriceBook, Rate, UnitPrice
from scheduler.lifecycle.awarding.periodic import grant_period
from scheduler.lifecycle.views.reader import Views
from scheduler.lifecycle.views.unit_shapes import GrantValueView
from tests.lifecycle.build import H100, NOON, Company, month
from tests.lifecycle.priced import EUR, euros

FINANCE = Caller("fin", frozenset({Role.FINANCE}))
LATER = Instant(NOON + 10 * MS_PER_DAY)
CHEAPER_FROM = Instant(NOON + 5 * MS_PER_DAY)


def falling() -> PriceBook:
    """6.00 list an hour of an H100 until it costs 4.50."""
    book = euros()
    first = replace(book.rates[0], ends_at=CHEAPER_FROM)
    lower = UnitPrice(Micro(4_500_000), Micro(4_000_000), Micro(2_000_000))
    return replace(book, rates=(first, Rate(H100, None, CHEAPER_FROM, None, lower)))


@pytest.fixture
def company() -> Iterator[Company]:
    made = Company()
    made.world.price_book = falling()
    yield made
    made.close()


def grants(company: Company, period: str = "2026-11", owner: str = "ada") -> tuple[GrantValueView, ...]:
    return Views(company.store, company.world).statement(FINANCE, period, LATER, owner).grants


@pytest.mark.parametrize(
    ("unit", "amount", "then", "now", "left"),
    [
        (None, 40 * MS_PER_HOUR, 240_000_000, 180_000_000, "40.0 h"),
        (class_unit(H100), 10 * MS_PER_HOUR, 60_000_000, 45_000_000, "10.0 h h100"),
        (EUR, 70_000_000, 70_000_000, 70_000_000, "70.00 EUR"),
        (TOKENS, 1_000, None, None, "1 000 tokens"),
    ],
    ids=["hours", "hours of a class", "money", "tokens"],
)
def test_a_grant_of_hours_is_worth_the_list_price_of_its_day_and_of_now_and_money_is_itself(
    company: Company, unit: Unit | None, amount: int, then: int | None, now: int | None, left: str
) -> None:
    terms: dict[str, object] = {"amount": amount, "reason": "x"} | ({} if unit is None else {"unit": unit})
    company.grant("ada", 0, **terms)
    (found,) = grants(company)
    assert (found.value_at_grant.value_micro, found.value_now.value_micro) == (then, now)
    assert (found.value_at_grant.at, found.value_now.at) == (NOON, LATER)
    assert (found.left, found.total) == (left, left)


def test_what_is_left_of_it_stands_beside_the_value_of_all_of_it(company: Company) -> None:
    allowance = company.grant("ada", 100)
    workload = company.submit("ada", time_limit_ms=2 * MS_PER_HOUR)
    assert company.launch(workload, FundingShare(allowance, 4 * MS_PER_HOUR)) == []
    (found,) = grants(company)
    assert (found.total, found.left) == ("100.0 h", "96.0 h")
    assert found.value_now.value_micro == 450_000_000


def test_grants_by_hand_that_could_be_spent_in_the_period_are_there_and_no_others(company: Company) -> None:
    early = company.grant("ada", 1, expires_at=Instant(NOON + MS_PER_DAY))
    late = company.grant("ada", 2)
    with company.changing() as batch:
        grant_period(batch, month(NOON))  # by policy: none of these
    company.grant("bob", 4)
    team = company.grant("ada", 5, holder=Holder(HolderKind.TEAM, "research"))
    assert [each.allowance_id for each in grants(company)] == [early, late]
    assert [each.allowance_id for each in grants(company, "2026-12")] == [late]
    assert grants(company, "2026-10") == ()
    assert [each.allowance_id for each in grants(company, owner="team:research")] == [team]
    assert grants(company, owner="company") == ()


def test_without_a_price_book_it_says_so(company: Company) -> None:
    company.world.price_book = None
    company.grant("ada", 1)
    (found,) = grants(company)
    assert (found.value_now.value_micro, found.value_now.basis) == (None, "there is no price book")
