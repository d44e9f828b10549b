"""Fringe benefits, pure: rows of what a person used, and what they paid taken off them."""

from dataclasses import replace

from scheduler.domain.cluster import PodRequest
from scheduler.domain.money import Micro
from scheduler.domain.units import (
    MS_PER_HOUR,
    GpuClassName,
    Instant,
    PriorityClassName,
    ProjectName,
)
from scheduler.domain.workloads import Activity, AttestedUse, WorkloadKind, WorkloadSpec
from scheduler.finance.fringe import Fringe, FringeRow
from scheduler.finance.prices.price_book import TokenRate
from scheduler.finance.prices.rating import Part, Priced
from tests.finance.build import at, price
from tests.ledger.build import attempt

NOON = at("2026-10-01T12:00")
PERSONAL = WorkloadSpec(
    name="own",
    kind=WorkloadKind.JOB,
    project=None,
    gpu_classes=(GpuClassName("h100"),),
    priority_class=PriorityClassName("standard"),
    time_limit_ms=MS_PER_HOUR,
    pod=PodRequest(1, 1000, 1024),
)
BUSINESS = replace(PERSONAL, project=ProjectName("atlas"))


def used(gpu_hours: int, since: str = "2026-01-01", effective: str = "1.00") -> tuple[Part, ...]:
    """So many hours at one euro of list price, given back where they are below zero."""
    priced = Priced(price(effective, list_price=1_000_000), False, at(since))
    return (Part(NOON, Instant(NOON + 1), gpu_hours * MS_PER_HOUR, priced),)


def a_statement() -> Fringe:
    return Fringe("prices.yaml", lambda instant: f"day {instant // 86_400_000}")


def shown(rows: tuple[FringeRow, ...]) -> list[tuple[str, int, int, int]]:
    return [(row.use, row.value_micro, row.paid_micro, row.includable_micro) for row in rows]


def test_what_was_paid_is_taken_off_personal_use_first_and_never_makes_a_row_negative() -> None:
    made = a_statement()
    made.add(BUSINESS, attempt(), used(2))
    made.add(PERSONAL, attempt(), used(3))
    assert shown(made.rows(4_000_000)) == [
        ("business", 2_000_000, 1_000_000, 1_000_000),
        ("personal", 3_000_000, 3_000_000, 0),
    ]
    assert shown(made.rows(9_000_000)) == [
        ("business", 2_000_000, 2_000_000, 0),
        ("personal", 3_000_000, 3_000_000, 0),
    ]


def test_what_was_given_back_of_an_earlier_year_takes_nothing_of_what_was_paid() -> None:
    made = a_statement()
    made.add(replace(PERSONAL, activity=Activity.INFERENCE), attempt(), used(-1))
    made.add(replace(PERSONAL, activity=Activity.LEARNING), attempt(), used(3))
    assert shown(made.rows(2_000_000)) == [
        ("personal", -1_000_000, 0, -1_000_000),
        ("personal", 3_000_000, 2_000_000, 1_000_000),
    ]


def test_what_came_back_whole_has_no_row() -> None:
    made = a_statement()
    made.add(PERSONAL, attempt(), used(3))
    made.add(PERSONAL, attempt(), used(-3))
    assert made.rows() == ()


def test_a_row_is_excluded_only_where_its_owner_attested_that_it_was_business() -> None:
    made = a_statement()
    made.add(replace(BUSINESS, attested_use=AttestedUse.BUSINESS), attempt(), used(1))
    made.add(BUSINESS, attempt(), used(2))
    made.add(replace(BUSINESS, attested_use=AttestedUse.PERSONAL), attempt(), used(4))
    made.add(None, attempt(), used(8))
    found = {(row.use, row.attested_by): (row.excluded_micro, row.includable_micro) for row in made.rows()}
    assert found == {
        ("business", "e-ada"): (1_000_000, 0),
        ("business", ""): (0, 2_000_000),
        ("personal", "e-ada"): (0, 4_000_000),
        ("personal", ""): (0, 8_000_000),
    }


def test_use_is_valued_at_the_list_price_and_names_the_day_since_when_it_holds() -> None:
    made = a_statement()
    made.add(PERSONAL, attempt(), used(1, effective="0.10"))
    made.add(PERSONAL, attempt(), used(1, since="2026-01-02"))
    assert [(row.value_micro, row.rate_micro, row.rate_since, row.rate_source) for row in made.rows()] == [
        (1_000_000, 1_000_000, f"day {at(since) // 86_400_000}", "list price, prices.yaml")
        for since in ("2026-01-01", "2026-01-02")
    ]


def test_rows_are_in_the_order_of_use_then_of_activity_and_then_of_gpu_class() -> None:
    made = a_statement()
    h100, a100 = attempt(), replace(attempt(), gpu_class=GpuClassName("a100"))
    for activity, ran in ((Activity.LEARNING, h100), (Activity.INFERENCE, h100), (Activity.INFERENCE, a100)):
        made.add(replace(PERSONAL, activity=activity), ran, used(1))
        made.add(replace(BUSINESS, activity=activity), ran, used(1))
    kinds = [("inference", "a100"), ("inference", "h100"), ("learning", "h100")]
    assert [(row.use, row.activity, row.gpu_class) for row in made.rows()] == [
        (use, *kind) for use in ("business", "personal") for kind in kinds
    ]


def test_tokens_of_a_model_add_up_and_are_valued_by_the_million() -> None:
    made, rate = a_statement(), TokenRate("llama", at("2026-01-01"), None, price("0.50", list_price=2_000_000))
    for tokens in (1_000_000, 500_000):
        made.add_tokens("llama", tokens, rate, is_personal=True)
    made.add_tokens("llama", 1_000_000, rate, is_personal=False)
    assert [(row.use, row.tokens, row.gpu_ms, row.value_micro, row.excluded_micro) for row in made.rows()] == [
        ("business", 1_000_000, 0, Micro(2_000_000), 0),
        ("personal", 1_500_000, 0, Micro(3_000_000), 0),
    ]
