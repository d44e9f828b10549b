"""Prices of closed periods: refused to change, or corrected by postings in the open one."""

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal

import pytest

from scheduler.adapters.sql.store import SqlStore
from scheduler.domain.errors import Conflict, NotPermitted, RefusalCode
from scheduler.domain.people import Caller, Role
from scheduler.domain.units import Instant
from scheduler.finance.prices.price_book import PriceBook, in_force
from scheduler.finance.prices.rating import Rating
from scheduler.finance.reconciling.closing import Closing, ClosingState
from scheduler.lifecycle.accounting.price import Pricing
from scheduler.lifecycle.memory.world import World
from scheduler.lifecycle.views.money import MoneyViews
from scheduler.lifecycle.views.reader import Views
from scheduler.lifecycle.views.statement_rows import HEADER, statement_rows
from tests.finance.build import H100, RESEARCH, at, book, rate
from tests.lifecycle.october import ADA, BOOK, FINANCE, OCTOBER, a_month, ledger_micro, research_world
from tests.plugins.migrated import open_migrated

CLOSED_AT = at("2026-11-05")
NOW = at("2026-11-10")
DEARER = replace(book(rate("2026-01-01", None, "3.00")), hash="1" * 64)
LATER = replace(DEARER, hash="2" * 64)


@pytest.fixture
def store() -> Iterator[SqlStore]:
    opened = open_migrated()
    a_month(opened)
    with opened.writing() as books:
        step = Closing(
            "2026-10", OCTOBER.starts_at, OCTOBER.ends_at, ClosingState.CLOSED, CLOSED_AT, "fin", "finance"
        )
        books.periods.add_step(step)
    yield opened
    opened.close()


@pytest.fixture
def world() -> World:
    return research_world()


def apply(
    store: SqlStore, world: World, prices: PriceBook, *, corrects: bool = False, caller: Caller = FINANCE
) -> None:
    Pricing(store, world).apply(caller, "text", prices, now=NOW, corrects=corrects)


def cost(store: SqlStore, world: World, period: str) -> tuple[int | None, int | None]:
    found = Views(store, world).statement(FINANCE, period, NOW, "company")
    return found.cost_micro, found.corrected_micro


def test_a_rate_change_inside_a_closed_period_is_refused(store: SqlStore, world: World) -> None:
    with pytest.raises(Conflict, match="2026-10-01T00:00:00Z") as refused:
        apply(store, world, DEARER)
    assert refused.value.code is RefusalCode.RATE_CLOSED
    assert world.price_book is BOOK
    with store.reading() as books:
        assert books.prices.versions() == []


def test_a_change_after_it_is_taken(store: SqlStore, world: World) -> None:
    november = book(
        replace(BOOK.rates[0], ends_at=OCTOBER.ends_at), rate("2026-11-01", None, "3.00"), off_peak=BOOK.off_peak
    )
    before = cost(store, world, "2026-10")
    apply(store, world, november)
    assert cost(store, world, "2026-10") == before


def test_a_correction_leaves_the_closed_period_and_counts_in_the_open_one(store: SqlStore, world: World) -> None:
    old, _ = cost(store, world, "2026-10")
    apply(store, world, DEARER, corrects=True)
    assert cost(store, world, "2026-10") == (old, 0)
    _, corrected = cost(store, world, "2026-11")
    assert old is not None
    assert corrected == sum(ledger_micro(store, DEARER).values()) - old > 0


def test_corrected_twice_it_comes_to_the_last_prices_once(store: SqlStore, world: World) -> None:
    old, _ = cost(store, world, "2026-10")
    apply(store, world, DEARER, corrects=True)
    apply(store, world, DEARER, corrects=True)
    apply(store, world, replace(BOOK, hash="3" * 64), corrects=True)
    assert cost(store, world, "2026-10") == (old, 0)
    assert cost(store, world, "2026-11")[1] == 0


def test_a_restart_reads_the_same_prices_from_what_was_applied() -> None:
    first, second = BOOK, DEARER
    closing = (CLOSED_AT, OCTOBER.starts_at, OCTOBER.ends_at)
    found = in_force([(Instant(0), first), (NOW, second)], [closing])
    assert found is not None
    inside = Rating(found).price_at(H100, RESEARCH, at("2026-10-10T12:00"))
    after = Rating(found).price_at(H100, RESEARCH, at("2026-11-10T12:00"))
    assert inside is not None
    assert after is not None
    assert (inside.unit.effective, after.unit.effective) == (2_333_333, 3_000_000)
    assert in_force([], []) is None


def test_only_finance_applies_prices(store: SqlStore, world: World) -> None:
    for caller in (ADA, Caller("olga", frozenset({Role.OPERATOR}))):
        with pytest.raises(NotPermitted):
            apply(store, world, LATER, caller=caller)


def test_corrected_to_prices_that_were_in_force_before_it_comes_to_these(store: SqlStore, world: World) -> None:
    apply(store, world, DEARER, corrects=True)
    _, once = cost(store, world, "2026-11")
    apply(store, world, replace(BOOK, hash="3" * 64), corrects=True)
    apply(store, world, DEARER, corrects=True)
    assert cost(store, world, "2026-11")[1] == once != 0


def test_a_statement_has_a_line_for_what_was_corrected_and_its_costs_add_up(store: SqlStore, world: World) -> None:
    apply(store, world, DEARER, corrects=True)
    for owner in ("company", "ada"):
        found = Views(store, world).statement(FINANCE, "2026-11", NOW, owner)
        (corrected,) = found.corrections
        assert corrected.text == "Corrected: prices of 2026-10-01T00:00:00Z/2026-11-01T00:00:00Z by prices.yaml"
        assert (corrected.at, corrected.cost_micro) == (NOW, found.corrected_micro)
        rows = [dict(zip(HEADER, row, strict=True)) for row in statement_rows(found)]
        sums = [sum(Decimal(row[side] or 0) for row in rows) for side in ("cost", "credit")]
        assert found.cost_micro is not None
        assert sums[0] - sums[1] == Decimal(found.cost_micro).scaleb(-6) != 0
        assert [row["kind"] for row in rows if row["text"].startswith("Corrected")] == ["correction"]
    assert Views(store, world).statement(FINANCE, "2026-10", NOW, "company").corrections == ()
    lead = Caller("lea", frozenset({Role.LEAD}), team=ADA.team)
    assert Views(store, world).statement(lead, "2026-11", NOW, "team:research").corrections == ()


def test_what_was_corrected_is_recharged_to_the_team_of_who_paid_as_its_statement_says(
    store: SqlStore, world: World
) -> None:
    apply(store, world, DEARER, corrects=True)
    _, corrected = cost(store, world, "2026-11")
    made = MoneyViews(store, world).general_ledger(FINANCE, "2026-11", NOW)
    given_back = [line for line in made.lines if line.entry == "given back and corrected"]
    expenses = [line for line in given_back if line.account == "compute-expense"]
    assert [(line.cost_centre, line.debit_micro - line.credit_micro) for line in expenses] == [
        ("research", corrected)
    ]
    assert Views(store, world).statement(FINANCE, "2026-11", NOW, "team:research").corrected_micro == corrected
