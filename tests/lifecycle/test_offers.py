"""What an offer says of hours, tokens and money, and how long starts of its tier waited."""

from dataclasses import replace

import pytest

from scheduler.domain.money import Micro
from scheduler.domain.people import Caller, Engineer, Role
from scheduler.domain.quantities import TOKENS
from scheduler.domain.units import (
    MS_PER_DAY,
    MS_PER_HOUR,
    MS_PER_MINUTE,
    AttemptId,
    EngineerId,
    Instant,
    TeamName,
    TierName,
    Unit,
    WorkloadId,
)
from scheduler.domain.workloads import Attempt, AttemptState
from scheduler.finance.prices.price_book import TokenRate, UnitPrice
from scheduler.lifecycle.awarding.compensate import Package
from scheduler.lifecycle.views.money import MoneyViews
from scheduler.lifecycle.views.offers import OfferView
from tests.ledger.build import attempt
from tests.lifecycle.build import NOON, OPERATOR, Company
from tests.lifecycle.priced import EUR, euros

FINANCE = Caller("fin", frozenset({Role.FINANCE}))
MINUTE = MS_PER_MINUTE


def offer(company: Company, *, tier: str = "staff", **asked: object) -> OfferView:
    package = replace(Package(EngineerId(""), 480 * MS_PER_HOUR), **asked)  # type: ignore[arg-type]  # by name
    return MoneyViews(company.store, company.world).offer(FINANCE, package, tier, NOON)


def started(company: Company, job: int, waited: int, *, owner: str = "ada", **fields: object) -> Attempt:
    """A first attempt that started a day ago, after it had waited for so long, and ended an hour later."""
    at = Instant(NOON - MS_PER_DAY)
    plain = replace(
        attempt(),
        id=AttemptId(f"w-{job}.1"),
        workload_id=WorkloadId(f"w-{job}"),
        owner=company.engineer(owner).id,
        submitted_at=Instant(at - waited),
        launched_at=at,
        started_at=at,
        ended_at=Instant(at + MS_PER_HOUR),
        state=AttemptState.ENDED,
    )
    return replace(plain, **fields)  # type: ignore[arg-type]  # by name


def book(company: Company, *attempts: Attempt) -> None:
    workload = company.submit("ada")
    with company.store.writing() as books:
        books.workloads.add([replace(workload, id=each.workload_id, job_name=each.workload_id) for each in attempts])
        books.attempts.add(attempts)


@pytest.fixture
def granted(company: Company) -> Company:
    company.grant("ada", 100)
    return company


@pytest.mark.parametrize(("starts", "p95"), [(1, 1), (19, 19), (20, 19), (21, 20), (40, 38)])
def test_95_of_100_starts_waited_at_most_so_long(granted: Company, starts: int, p95: int) -> None:
    book(granted, *(started(granted, n, (starts - n) * MINUTE) for n in range(starts)))
    found = offer(granted)
    assert (found.wait_of_starts, found.wait_p95_ms) == (starts, p95 * MINUTE)


def test_starts_of_the_last_four_weeks_by_people_of_the_tier_count_and_what_still_runs(granted: Company) -> None:
    intern = Engineer(EngineerId(""), "ines", TeamName("research"), TierName("intern"), "Ines")
    granted.administration.apply_people(OPERATOR, [intern], now=NOON)
    old = Instant(NOON - 29 * MS_PER_DAY)
    book(
        granted,
        started(granted, 1, 3 * MINUTE),
        started(granted, 2, 7 * MINUTE, state=AttemptState.RUNNING, ended_at=None),
        started(granted, 3, 90 * MINUTE, owner="ines"),
        started(granted, 4, 91 * MINUTE, number=2),
        started(granted, 5, 92 * MINUTE, started_at=old, launched_at=old, submitted_at=Instant(old - 92 * MINUTE)),
        started(granted, 6, 93 * MINUTE, started_at=None),
    )
    found = offer(granted)
    assert (found.wait_of_starts, found.wait_p95_ms) == (2, 7 * MINUTE)
    assert offer(granted, tier="").wait_p95_ms is None


def test_an_offer_of_tokens_says_how_many_a_year_and_what_they_are_worth(company: Company) -> None:
    company.world.price_book = euros()
    found = offer(company, unit=Unit("tokens/llama"), amount=10_000_000, is_annual=True, every_months=3)
    assert (found.unit, found.total_text, found.a_year_text) == (
        "tokens/llama",
        "40 000 000 tokens of llama",
        "10 000 000 tokens of llama a year",
    )
    assert found.schedule == "every quarter over 48 months, nothing before 12 months"
    assert sum(part.quantity for part in found.parts) == found.total_quantity == 40_000_000
    assert found.parts[0].text == "10 000 000 tokens of llama"
    assert (found.value_today.value_micro, found.value_today.basis) == (
        None,
        "no price of tokens of llama on 2026-11-20",
    )
    million = TokenRate("llama", Instant(0), None, UnitPrice(Micro(500_000), Micro(400_000), Micro(300_000)))
    company.world.price_book = replace(euros(), token_rates=(million,))
    priced = offer(company, unit=Unit("tokens/llama"), amount=10_000_000, is_annual=True, every_months=3).value_today
    assert (priced.value_micro, priced.basis) == (20_000_000, "list price of tokens of llama on 2026-11-20, prices")
    assert offer(company, unit=TOKENS, amount=1_000, months=0, cliff_months=0).a_year_text == ""


def test_an_offer_of_money_is_worth_itself(company: Company) -> None:
    company.world.price_book = euros()
    found = offer(company, unit=EUR, amount=60_000_000_000, is_annual=True)
    assert (found.unit, found.total_text, found.a_year_text) == ("EUR", "240000.00 EUR", "60000.00 EUR a year")
    assert len(found.parts) == 37
    assert found.parts[0].quantity == 60_000_000_000
    assert sum(part.quantity for part in found.parts) == 240_000_000_000
    assert (found.value_today.value_micro, found.value_today.currency) == (Micro(240_000_000_000), "EUR")


def test_an_offer_of_hours_is_worth_the_list_price_of_the_day(company: Company) -> None:
    company.world.price_book = euros()
    found = offer(company)
    assert found.value_today.value_micro == 480 * 6_000_000
    assert found.a_year_text == "120.0 h a year"
