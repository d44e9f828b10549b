"""Statements of anybody, in hours and money: what they add up to, who may see them, and their CSV."""

import csv
import io
from collections.abc import Iterator
from dataclasses import replace

import pytest

from scheduler.adapters.sql.store import SqlStore
from scheduler.domain.errors import NotFound, NotPermitted, RefusalCode
from scheduler.domain.people import Caller
from scheduler.domain.periods import period_named
from scheduler.finance.csv_text import csv_lines
from scheduler.finance.prices.rating import Rating
from scheduler.finance.prices.valuation import Valuation
from scheduler.lifecycle.views.reader import Views
from scheduler.lifecycle.views.statement_rows import HEADER, statement_rows
from scheduler.lifecycle.views.statement_shapes import StatementView
from tests.finance.build import at, book, rate
from tests.lifecycle.october import (
    ADA,
    FINANCE,
    LEAD,
    NOVEMBER,
    OCTOBER,
    a_month,
    ledger_micro,
    research_world,
    rows_of,
    total,
)
from tests.plugins.migrated import open_migrated


@pytest.fixture
def store() -> Iterator[SqlStore]:
    opened = open_migrated()
    a_month(opened)
    yield opened
    opened.close()


@pytest.fixture
def views(store: SqlStore) -> Views:
    return Views(store, research_world())


def of(views: Views, owner: str | None, caller: Caller = FINANCE, period: str = "2026-10") -> StatementView:
    return views.statement(caller, period, NOVEMBER, owner)


@pytest.mark.parametrize(
    "owner", ["ada", "e-ada", "research", "team:research", "aurora", "project:aurora", "company"]
)
def test_a_statement_of_anybody_adds_up(views: Views, owner: str) -> None:
    found = of(views, owner)
    assert (
        found.opening + found.granted - found.charged + found.refunded - found.expired + found.transferred
        == found.closing + found.held
    )
    assert found.cost_micro == sum(line.cost_micro or 0 for line in found.lines)
    assert found.granted > 0


def test_the_company_costs_what_the_export_says(views: Views, store: SqlStore) -> None:
    found = of(views, "company")
    assert found.cost_micro == sum(ledger_micro(store).values()) == total(rows_of(store), "BilledCost") * 1_000_000
    assert found.cost_micro == of(views, "team:research").cost_micro


def test_a_company_s_lines_say_whose_each_grant_is_and_who_used_what(views: Views) -> None:
    said = [(line.kind, line.holder, line.who) for line in of(views, "company").lines]
    assert said[:3] == [
        ("grant", "engineer:e-ada", "Ada"),
        ("grant", "team:research", "team research"),
        ("grant", "project:aurora", "project aurora"),
    ]
    assert {(kind, holder, who) for kind, holder, who in said[3:]} == {
        ("charge", "", "Ada"),
        ("charge", "", "Bob"),
        ("refund", "", "Ada"),
    }


def test_a_grant_of_somebody_forgotten_is_that_of_their_opaque_id(store: SqlStore) -> None:
    world = research_world()
    world.people.clear()
    assert of(Views(store, world), "company").lines[0].who == "e-ada"


def test_what_begins_later_was_not_outstanding_before(views: Views) -> None:
    assert views.month(FINANCE, "2026-10", NOVEMBER).outstanding > 0
    assert views.month(FINANCE, "2020-10", NOVEMBER).outstanding == 0


def test_a_year_is_the_sum_of_its_months(views: Views) -> None:
    year = of(views, "company", period="2026")
    months = [of(views, "company", period=f"2026-{month:02d}") for month in range(1, 13)]
    assert year.cost_micro == sum(month.cost_micro or 0 for month in months)
    assert year.charged == sum(month.charged for month in months)
    assert months[9].closing + months[9].held == months[10].opening


def test_what_a_company_s_statement_leaves_out_is_counted_and_in_its_sums(views: Views) -> None:
    whole = of(views, "company")
    cut = views.statement(FINANCE, "2026-10", NOVEMBER, "company", 1)
    assert cut.lines == whole.lines[:1]
    assert cut.lines_left_out == len(whole.lines) - 1 > 1
    assert replace(cut, lines=whole.lines, lines_left_out=0) == whole


def test_a_period_from_one_instant_to_another_has_what_falls_into_it(views: Views) -> None:
    found = of(views, "e-ada", period="2026-10-05T00:00:00Z/2026-10-06")
    assert {line.attempt_id for line in found.lines} == {"w-train.1"}


def test_a_charge_s_line_has_its_gpus_price_energy_and_efficiency(views: Views) -> None:
    line = next(line for line in of(views, "ada").lines if line.attempt_id == "w-train.1" and line.kind == "charge")
    assert (line.gpus, line.gpu_class, line.weight, line.class_factor) == (2, "h100", 1000, 1000)
    assert [price.effective_micro for price in line.prices] == [1_111_117, 2_333_333]
    assert line.energy_joules == 2 * 500 * 3600
    assert line.efficiency_permille == 533
    assert float(line.gpu_seconds) == line.gpu_ms / 1000


def test_what_ran_unfunded_is_shown_at_no_price_and_costs_nothing(views: Views) -> None:
    (line,) = of(views, "bob").lines
    assert ([(price.effective_micro, price.gpu_ms) for price in line.prices], line.cost_micro) == (
        [(0, 1_051_000)],
        0,
    )


def test_without_prices_hours_are_told_and_why_there_is_no_cost(views: Views) -> None:
    views._world.price_book = book(rate("2026-10-07", None, "1.00"))
    found = of(views, "company")
    assert found.charged > 0
    assert found.cost_micro is None
    assert "2026-10-05T20:00:00Z" in found.no_cost_because
    assert views.month(FINANCE, "2026-10", NOVEMBER).no_cost_because == found.no_cost_because


@pytest.mark.parametrize("order", [1, -1], ids=["as posted", "the other way round"])
def test_in_whatever_order_the_books_are_read_the_first_hour_without_a_price_is_named(
    store: SqlStore, order: int
) -> None:
    """A database may give rows in any order where none is asked for."""
    with store.reading() as books:
        paid = books.journal.stated(accounts=None, starts_at=OCTOBER.starts_at, ends_at=OCTOBER.ends_at)
        valuation = Valuation(Rating(book(rate("2026-10-07", None, "1.00"))), books.attempts.get)
        assert list(valuation.along(list(paid)[::order]))
        valuation.value(valuation.left)
    assert valuation.missing is not None
    assert valuation.missing.hour == at("2026-10-05T20:00:00")
    assert valuation.cost_micro is None


def test_an_engineer_sees_their_own_alone(views: Views) -> None:
    assert of(views, None, ADA).owner == "e-ada"
    for other in ("bob", "team:research", "company", "nobody"):
        with pytest.raises(NotPermitted) as refused:
            of(views, other, ADA)
        assert refused.value.code is RefusalCode.NOT_YOURS


def test_a_lead_sees_the_team_s_sums_and_no_lines(views: Views) -> None:
    found = of(views, "research", LEAD)
    assert found.charged > 0
    assert found.lines == ()
    with pytest.raises(NotPermitted):
        of(views, "ada", LEAD)


def test_books_of_nobody_are_not_found(views: Views) -> None:
    with pytest.raises(NotFound) as refused:
        of(views, "team:atlantis")
    assert refused.value.code is RefusalCode.UNKNOWN_OWNER


def test_the_csv_has_every_line_adds_up_and_holds_no_formula(views: Views) -> None:
    found = of(views, "ada")
    hostile = replace(found.lines[1], text="=HYPERLINK(0)", workload_name="@SUM(1)", project="+1")
    found = replace(found, lines=(found.lines[0], hostile, *found.lines[2:]))
    rows = list(csv.DictReader(io.StringIO("".join(csv_lines(HEADER, statement_rows(found))), newline="")))
    assert len(rows) == len(found.lines) + 3
    assert sum(int(row["in_ms"] or 0) - int(row["out_ms"] or 0) for row in rows) == 0
    assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r")) for row in rows for cell in row.values())
    assert rows[2]["text"] == "'=HYPERLINK(0)"
    assert [row["holder"] for row in rows[:3]] == ["", "engineer:e-ada", ""]


def test_periods_without_a_length_or_the_wrong_way_round_are_none() -> None:
    assert period_named("2026-10-01/2026-10-02", "Europe/Berlin").starts_at == at("2026-09-30T22:00")
    written = period_named("2026-10-01T00:00:00.250+02:00/2026-10-01T00:00:01.999999Z", "Europe/Berlin")
    assert (written.starts_at, written.ends_at) == (at("2026-09-30T22:00") + 250, at("2026-10-01T00:00") + 1_999)
