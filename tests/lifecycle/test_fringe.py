"""Fringe benefits: what a person's own compute was worth in a year, by purpose, and who attested it."""

from collections.abc import Iterator
from typing import cast

import pytest

from scheduler.adapters.sql.store import SqlStore
from scheduler.domain.errors import InvalidInput, NotFound, NotPermitted
from scheduler.domain.money import Currency
from scheduler.domain.units import MS_PER_HOUR, EngineerId
from scheduler.domain.workloads import Activity, AttestedUse
from scheduler.ledger.payments import payment
from scheduler.lifecycle.views.fringe import FringeView
from scheduler.lifecycle.views.money import MoneyViews
from tests.finance.build import at, book, rate
from tests.lifecycle.booked import Booked
from tests.lifecycle.october import ADA, FINANCE, LEAD, research_world
from tests.plugins.migrated import open_migrated

PRICES = book(rate("2026-01-01", None, "2.00"))


@pytest.fixture
def money() -> Iterator[MoneyViews]:
    opened: SqlStore = open_migrated()
    booked = Booked(opened)
    own = booked.allowance("e-ada", 300, at("2026-02-01"))
    learning, business = (Activity.LEARNING, AttestedUse.PERSONAL), (Activity.FINE_TUNING, AttestedUse.BUSINESS)
    for name, day, (activity, use), project in (
        ("a", 2, learning, None),
        ("b", 3, business, "aurora"),
        ("c", 4, (None, None), "aurora"),
        ("d", 5, (None, None), None),
    ):
        start = at(f"2026-02-0{day}T10:00")
        attempt = booked.start(name, "e-ada", start, (own, 4), project=project, activity=activity, attested_use=use)
        booked.run(attempt, at(f"2026-02-0{day}T12:00"))
    free = booked.start("free", "e-ada", at("2026-02-06"), project=None)
    booked.run(free, at("2026-02-06T01:00"))
    late = booked.start("late", "e-ada", at("2027-01-02"), (own, 4), project=None)
    booked.run(late, at("2027-01-02T01:00"))
    world = research_world()
    world.price_book = PRICES
    yield MoneyViews(opened, world)
    opened.close()


def of(money: MoneyViews) -> FringeView:
    return money.fringe(ADA, "2026")


def test_rows_are_by_use_activity_and_attestation(money: MoneyViews) -> None:
    found = of(money)
    assert [(row.use, row.activity, row.attested_by, row.excluded_micro > 0) for row in found.rows] == [
        ("business", "fine-tuning", "e-ada", True),
        ("business", "not said", "", False),
        ("personal", "learning", "e-ada", False),
        ("personal", "not said", "", False),
    ]
    assert all(row.gpu_ms == 2 * MS_PER_HOUR and row.value_micro == 4_000_000 for row in found.rows)


def test_value_is_excluded_on_a_basis_or_includable(money: MoneyViews) -> None:
    found = of(money)
    assert found.value_micro == found.excluded_micro + found.includable_micro + found.paid_micro == 16_000_000
    assert all((row.basis != "") == (row.excluded_micro > 0) for row in found.rows)


def test_a_rate_names_its_source_and_date_and_counsel_decides(money: MoneyViews) -> None:
    found = of(money)
    assert {(row.rate_micro, row.rate_since) for row in found.rows} == {(2_000_000, "2026-01-01")}
    assert all("prices.yaml" in row.rate_source for row in found.rows)
    assert "counsel" in found.notice


def test_what_ran_unfunded_or_in_another_year_is_no_part_of_it(money: MoneyViews) -> None:
    assert of(money).gpu_ms == 8 * MS_PER_HOUR
    assert money.fringe(ADA, "2027").gpu_ms == MS_PER_HOUR


def test_benefits_are_a_person_s_and_pay_data(money: MoneyViews) -> None:
    assert money.fringe(FINANCE, "2026", "ada").gpu_ms == 8 * MS_PER_HOUR
    with pytest.raises(InvalidInput):
        money.fringe(FINANCE, "2026", "research")
    with pytest.raises(NotPermitted):
        money.fringe(LEAD, "2026", "ada")


def test_what_was_paid_is_taken_off_personal_use_first_and_makes_nothing_negative(money: MoneyViews) -> None:
    pay(money, 9_000_000)
    found = of(money)
    assert [
        (row.use, row.activity, row.paid_micro, row.excluded_micro, row.includable_micro) for row in found.rows
    ] == [
        ("business", "fine-tuning", 0, 4_000_000, 0),
        ("business", "not said", 1_000_000, 0, 3_000_000),
        ("personal", "learning", 4_000_000, 0, 0),
        ("personal", "not said", 4_000_000, 0, 0),
    ]
    assert (found.paid_micro, found.paid_beyond_micro) == (9_000_000, 0)
    pay(money, 4_000_000)
    found = of(money)
    assert (found.paid_micro, found.includable_micro, found.paid_beyond_micro) == (12_000_000, 0, 1_000_000)
    assert found.value_micro == found.excluded_micro + found.includable_micro + found.paid_micro


def pay(money: MoneyViews, micro: int) -> None:
    paid = payment(f"y-{micro}", EngineerId("e-ada"), micro, Currency("EUR"), at("2026-06-01"), actor="f", memo="")
    with money._store.writing() as books:
        books.journal.post([paid], at("2026-06-01"))


def test_an_hour_of_somebody_else_s_without_a_price_keeps_nobody_from_their_statement(money: MoneyViews) -> None:
    booked = Booked(cast("SqlStore", money._store))
    others = booked.allowance("e-bob", 300, at("2026-02-01"))
    unpriced = booked.start("bobs", "e-bob", at("2026-03-01"), (others, 4), gpu_class="a100", project=None)
    booked.run(unpriced, at("2026-03-01T01:00"))
    assert of(money).value_micro == 16_000_000
    with pytest.raises(NotFound, match="a100"):
        money.fringe(FINANCE, "2026", "bob")
