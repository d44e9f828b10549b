"""What a period cost is told from what was there then: its hardware, its tariffs, and the one currency of the books."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from scheduler.adapters.sql.store import SqlStore
from scheduler.domain.allowances import Holder, HolderKind
from scheduler.domain.awards import Award
from scheduler.domain.cluster import NodeSpan
from scheduler.domain.errors import Refusal, RefusalCode
from scheduler.domain.money import Currency
from scheduler.domain.people import Caller, Role
from scheduler.domain.quantities import money_unit
from scheduler.domain.units import MS_PER_DAY, MS_PER_HOUR, Instant, NodeName
from scheduler.finance.prices.price_book import PriceBook
from scheduler.finance.reconciling.closing import Closing, ClosingState
from scheduler.lifecycle.accounting.price import Pricing
from scheduler.lifecycle.memory.world import World
from scheduler.lifecycle.views.money import MoneyViews
from tests.entrypoints.written import rows
from tests.finance.build import H100, at, hardware, tariff
from tests.lifecycle.build import NOON, Company
from tests.lifecycle.october import BOOK, FINANCE, OCTOBER, a_month, research_world
from tests.lifecycle.priced import euros
from tests.plugins.migrated import open_migrated

NOW = at("2026-11-10")
BOUGHT = hardware("30000", 40_000)  # 0.75 an hour
KNOWN = replace(BOOK, tariffs=(tariff((200_000,) * 24),), hardware=(BOUGHT,))
USD = Currency("USD")
HOURS_OF_OCTOBER = (OCTOBER.ends_at - OCTOBER.starts_at) // MS_PER_HOUR


@pytest.fixture
def store() -> Iterator[SqlStore]:
    opened = open_migrated()
    a_month(opened)
    yield opened
    opened.close()


@pytest.fixture
def world() -> World:
    made = research_world()
    made.price_book = KNOWN
    return made


def close_october(store: SqlStore) -> None:
    with store.writing() as books:
        step = Closing("2026-10", OCTOBER.starts_at, OCTOBER.ends_at, ClosingState.CLOSED, NOW, "fin", "finance")
        books.periods.add_step(step)


def offer(store: SqlStore, name: str, gpus: int, starts_at: Instant, ends_at: Instant | None = None) -> None:
    with store.writing() as books:
        books.capacity.change(ended=[], begun=[NodeSpan(NodeName(name), H100, starts_at, None, gpus, 0, True)])
        if ends_at is not None:
            span = NodeSpan(NodeName(name), H100, starts_at, ends_at, gpus, 0, True)
            books.capacity.change(ended=[span], begun=[])


def depreciation(store: SqlStore, world: World, now: Instant = NOW) -> int:
    found = MoneyViews(store, world).general_ledger(FINANCE, "2026-10", now)
    return sum(line.debit_micro for line in found.lines if line.account == "depreciation")


def apply(store: SqlStore, world: World, book: PriceBook, *, corrects: bool = False) -> None:
    Pricing(store, world).apply(FINANCE, "text", replace(book, hash="9" * 64), now=NOW, corrects=corrects)


def test_hardware_is_written_off_for_as_long_as_a_node_had_it(store: SqlStore, world: World) -> None:
    offer(store, "all-month", 8, Instant(OCTOBER.starts_at - MS_PER_DAY))
    offer(store, "ten-days", 4, at("2026-10-11"), at("2026-10-21"))
    gpu_hours = 8 * HOURS_OF_OCTOBER + 4 * 240
    assert depreciation(store, world) == gpu_hours * 750_000


def test_a_node_that_comes_later_changes_nothing_of_a_month_that_is_over(store: SqlStore, world: World) -> None:
    offer(store, "all-month", 8, Instant(OCTOBER.starts_at))
    before = depreciation(store, world)
    offer(store, "new", 64, at("2026-11-02"))
    assert depreciation(store, world) == before == 8 * HOURS_OF_OCTOBER * 750_000


def test_of_a_month_that_runs_what_has_passed_is_written_off(store: SqlStore, world: World) -> None:
    offer(store, "all-month", 2, Instant(OCTOBER.starts_at))
    now = Instant(OCTOBER.starts_at + 36 * MS_PER_HOUR + 1)
    assert depreciation(store, world, now) == 2 * (36 * MS_PER_HOUR + 1) * 750_000 // MS_PER_HOUR


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"hardware": (hardware("60000", 40_000),)}, "hardware of h100"),
        ({"hardware": ()}, "hardware of h100"),
        ({"tariffs": (tariff((200_000,) * 23 + (200_001,)),)}, "electricity"),
        ({"tariffs": ()}, "electricity"),
    ],
    ids=["dearer hardware", "no hardware", "one hour of the tariff", "no tariff"],
)
def test_what_a_closed_period_cost_is_not_changed_and_a_correction_leaves_it(
    store: SqlStore, world: World, changes: dict[str, object], said: str
) -> None:
    offer(store, "all-month", 8, Instant(OCTOBER.starts_at))
    close_october(store)
    written_off, before = depreciation(store, world), rows(store)
    later = replace(KNOWN, **changes)  # type: ignore[arg-type]
    with pytest.raises(Refusal, match=said) as refused:
        apply(store, world, later)
    assert refused.value.code is RefusalCode.RATE_CLOSED
    assert rows(store) == before
    apply(store, world, later, corrects=True)
    assert depreciation(store, world) == written_off
    assert world.price_book is not None
    assert world.price_book.micro_per_kwh(Instant(OCTOBER.starts_at)) == 200_000


def test_books_with_anything_charged_keep_their_currency(store: SqlStore, world: World) -> None:
    before = rows(store)
    for corrects in (False, True):
        with pytest.raises(Refusal) as refused:
            apply(store, world, replace(KNOWN, currency=USD), corrects=corrects)
        assert (refused.value.code, refused.value.expected) == (RefusalCode.UNKNOWN_CURRENCY, "EUR")
    assert rows(store) == before
    assert world.price_book is KNOWN


def test_books_with_nothing_but_an_allowance_in_money_keep_its_currency() -> None:
    company = Company()
    company.world.price_book = euros()
    dollars = replace(euros(), currency=USD, hash="2" * 64)
    pricing = Pricing(company.store, company.world)
    pricing.apply(FINANCE, "text", dollars, now=NOON)
    pricing.apply(FINANCE, "text", euros(), now=NOON)
    ada = Holder(HolderKind.ENGINEER, company.engineer("ada").id)
    finance = Caller("fin", frozenset({Role.FINANCE}))
    company.commands.grant(finance, Award(ada, 1, unit=money_unit("EUR"), reason="x"), now=NOON)
    with pytest.raises(Refusal) as refused:
        pricing.apply(FINANCE, "text", dollars, now=NOON)
    assert refused.value.code is RefusalCode.UNKNOWN_CURRENCY
    company.close()
