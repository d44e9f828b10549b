"""What a price book does not tell of electricity and hardware is said where its cost would stand, and never left out."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from scheduler.adapters.sql.store import SqlStore
from scheduler.domain.cluster import NodeSpan
from scheduler.domain.errors import Refusal, RefusalCode
from scheduler.domain.units import MS_PER_HOUR, AttemptId, GpuClassName, Instant, NodeName
from scheduler.finance.prices.price_book import PriceBook
from scheduler.finance.reconciling.closing import Closing, ClosingState
from scheduler.lifecycle.accounting.price import Pricing
from scheduler.lifecycle.memory.world import World
from scheduler.lifecycle.views.money import MoneyViews
from scheduler.lifecycle.views.reader import Views
from scheduler.lifecycle.views.statement_rows import HEADER, statement_rows
from tests.entrypoints.written import rows
from tests.finance.build import H100, at, hardware, tariff
from tests.lifecycle.booked import Booked
from tests.lifecycle.october import BOOK, FINANCE, OCTOBER, a_month, research_world
from tests.plugins.migrated import open_migrated

NOW = at("2026-11-10")
POWER = tariff((200_000,) * 24)
BOUGHT = hardware("30000", 40_000)  # 0.75 an hour
KNOWN = replace(BOOK, tariffs=(POWER,), hardware=(BOUGHT,))
LATER = at("2026-10-06")


@pytest.fixture
def store() -> Iterator[SqlStore]:
    """Two GPUs drew 500 W each in the hour from 21:00 on the 5th; eight stand in a node all month."""
    opened = open_migrated()
    a_month(opened)
    with opened.writing() as books:
        span = NodeSpan(NodeName("n0"), H100, OCTOBER.starts_at, None, 8, 0, True)
        books.capacity.change(ended=[], begun=[span])
    yield opened
    opened.close()


@pytest.fixture
def world() -> World:
    made = research_world()
    made.price_book = KNOWN
    return made


def told(store: SqlStore, world: World, book: PriceBook) -> list[tuple[str, Instant, str]]:
    """What is not known of October, by both views and in the lines of the export."""
    world.price_book = book
    views = MoneyViews(store, world)
    ledger, cost = views.general_ledger(FINANCE, "2026-10", NOW), views.cost(FINANCE, "2026-10", NOW)
    assert cost.unknown == ledger.unknown
    assert cost.unrecovered_micro == ledger.unrecovered_micro
    noted = [line for line in ledger.lines if line.entry == "not known"]
    assert [(line.account, line.cost_centre) for line in noted] == [(e.account, "platform") for e in ledger.unknown]
    assert all(line.debit_micro == line.credit_micro == 0 for line in noted)
    assert all(each.what in line.text for each, line in zip(ledger.unknown, noted, strict=True))
    return [(each.account, each.since, each.what) for each in ledger.unknown]


def costs(store: SqlStore, world: World) -> dict[str, int]:
    return {each.account: each.cost_micro for each in MoneyViews(store, world).cost(FINANCE, "2026-10", NOW).costs}


def test_where_everything_has_a_cost_nothing_is_unknown(store: SqlStore, world: World) -> None:
    assert told(store, world, KNOWN) == []
    assert costs(store, world)["electricity"] == 200_000


def test_energy_before_the_first_tariff_is_told_with_its_first_hour(store: SqlStore, world: World) -> None:
    book = replace(KNOWN, tariffs=(replace(POWER, starts_at=LATER),))
    assert told(store, world, book) == [("electricity", at("2026-10-05T21:00"), "1.0 kWh have no tariff")]
    assert "electricity" not in costs(store, world)


def test_hours_that_have_a_tariff_keep_their_cost_beside_those_that_have_none(store: SqlStore, world: World) -> None:
    Booked(store).read(AttemptId("w-over.1"), at("2026-10-06T10:00"), "GPU-c")
    book = replace(KNOWN, tariffs=(replace(POWER, starts_at=LATER),))
    assert told(store, world, book) == [("electricity", at("2026-10-05T21:00"), "1.0 kWh have no tariff")]
    assert costs(store, world)["electricity"] == 100_000


@pytest.mark.parametrize("year", ["2026-10", "2026-09"])
def test_a_book_without_electricity_says_so_whether_any_was_measured_or_not(
    store: SqlStore, world: World, year: str
) -> None:
    world.price_book = replace(KNOWN, tariffs=())
    unknown = MoneyViews(store, world).cost(FINANCE, year, NOW).unknown
    assert [(each.account, each.what) for each in unknown] == {
        "2026-10": [("electricity", "1.0 kWh have no tariff")],
        "2026-09": [("electricity", "the price book has no electricity")],
    }[year]


@pytest.mark.parametrize(
    ("bought", "since", "hours"),
    [
        ((), "2026-10-01", 8 * 744),
        ((replace(BOUGHT, starts_at=LATER),), "2026-10-01", 8 * 120),
        ((replace(BOUGHT, ends_at=LATER),), "2026-10-06", 8 * 624),
        ((replace(BOUGHT, gpu_class=GpuClassName("a100")),), "2026-10-01", 8 * 744),
    ],
    ids=["none at all", "bought later", "written off", "of another class"],
)
def test_gpus_without_hardware_are_told_with_their_hours(
    store: SqlStore, world: World, bought: tuple[object, ...], since: str, hours: int
) -> None:
    book = replace(KNOWN, hardware=bought)  # type: ignore[arg-type]
    what = f"{hours}.0 GPU-hours of h100 have no hardware"
    assert told(store, world, book) == [("depreciation", at(since), what)]
    assert costs(store, world).get("depreciation", 0) == (8 * 744 - hours) * 750_000


def test_a_statement_names_the_first_hour_without_a_tariff_beside_the_line(store: SqlStore, world: World) -> None:
    def cells(book: PriceBook) -> list[tuple[str, str]]:
        world.price_book = book
        view = Views(store, world).statement(FINANCE, "2026-10", NOW, "company")
        found = [dict(zip(HEADER, row, strict=True)) for row in statement_rows(view)]
        return [(r["electricity_cost"], r["electricity_unknown_from"]) for r in found if r["energy_kwh"]]

    assert cells(KNOWN) == [("0.2", "")]
    assert cells(replace(KNOWN, tariffs=())) == [("", "2026-10-05T21:00:00Z")]


GAPS: dict[str, tuple[PriceBook, str]] = {
    "electricity from later on than prices": (
        replace(KNOWN, tariffs=(replace(POWER, starts_at=LATER),)),
        "electricity in the hour from 2026-01-01T00:00:00Z",
    ),
    "electricity that ends before prices do": (
        replace(KNOWN, tariffs=(replace(POWER, ends_at=LATER),)),
        "electricity in the hour from 2026-10-06T00:00:00Z",
    ),
    "hardware from later on than prices": (
        replace(KNOWN, hardware=(replace(BOUGHT, starts_at=LATER),)),
        "hardware of h100 in the hour from 2026-01-01T00:00:00Z",
    ),
    "hardware that ends before prices do": (
        replace(KNOWN, hardware=(replace(BOUGHT, ends_at=LATER),)),
        "hardware of h100 in the hour from 2026-10-06T00:00:00Z",
    ),
}


@pytest.mark.parametrize("case", GAPS)
def test_a_book_whose_costs_leave_out_hours_that_it_prices_is_refused(
    store: SqlStore, world: World, case: str
) -> None:
    book, said = GAPS[case]
    before = rows(store)
    with pytest.raises(Refusal, match=said) as refused:
        Pricing(store, world).apply(FINANCE, "text", replace(book, hash="9" * 64), now=NOW)
    assert refused.value.code is RefusalCode.PRICE_GAP
    assert rows(store) == before
    assert world.price_book is KNOWN


def test_costs_may_begin_after_what_is_closed(store: SqlStore, world: World) -> None:
    """What was closed without electricity stays so, and what comes after has it."""
    world.price_book = replace(KNOWN, tariffs=())
    with store.writing() as books:
        step = Closing("2026-10", OCTOBER.starts_at, OCTOBER.ends_at, ClosingState.CLOSED, NOW, "fin", "finance")
        books.periods.add_step(step)
    for starts_at, is_refused in ((Instant(OCTOBER.ends_at + MS_PER_HOUR), True), (OCTOBER.ends_at, False)):
        book = replace(KNOWN, tariffs=(replace(POWER, starts_at=starts_at),), hash="9" * 64)
        if is_refused:
            with pytest.raises(Refusal, match="2026-11-01T00:00:00Z"):
                Pricing(store, world).apply(FINANCE, "text", book, now=NOW)
        else:
            Pricing(store, world).apply(FINANCE, "text", book, now=NOW)


def test_a_book_that_has_neither_is_taken(store: SqlStore, world: World) -> None:
    Pricing(store, world).apply(FINANCE, "text", replace(BOOK, hash="9" * 64), now=NOW)
    assert list(BOOK.uncosted()) == []
