"""What counts as spent of a period's plan, and what only went elsewhere."""

from dataclasses import replace

from scheduler.domain.allowances import AllowanceBalance, AllowanceSource
from scheduler.domain.pace import pace_of
from scheduler.domain.periods import Period
from scheduler.domain.quantities import class_unit
from scheduler.domain.units import GpuClassName, Instant
from tests.ledger.build import allowance

PERIOD = Period("2026-11", Instant(0), Instant(1000))
HALFWAY = Instant(500)
MINE = replace(allowance(100), period=PERIOD.name)


def pace(available: int, held: int = 0, passed_on: int = 0, *, is_frozen: bool = False) -> int:
    mine = AllowanceBalance(MINE, available, held, is_frozen=is_frozen, passed_on=passed_on)
    return pace_of([mine], PERIOD, HALFWAY)


def test_what_is_used_and_what_is_held_is_spent() -> None:
    assert (pace(100), pace(50), pace(0)) == (500, 0, -500)
    assert pace(20, held=30) == pace(20)


def test_what_went_elsewhere_unused_is_not_spent() -> None:
    assert pace(0, passed_on=100) == pace(100)
    assert pace(0, passed_on=50) == pace(50)


def test_what_is_frozen_is_not_spent() -> None:
    assert pace(100, is_frozen=True) == pace(100)


def test_what_came_by_a_transfer_is_used_before_the_plan() -> None:
    assert pace(150) == pace(100)
    assert pace(90) == 400


def test_who_has_no_plan_has_no_pace() -> None:
    assert pace_of([], PERIOD, HALFWAY) == 0


def test_hours_beside_the_tiers_of_the_period_belong_to_no_plan() -> None:
    spent, whole = AllowanceBalance(MINE, 0), AllowanceBalance(MINE, 100)
    for beside in (
        replace(MINE, source=AllowanceSource.AD_HOC),
        replace(MINE, unit=class_unit(GpuClassName("h100"))),
        replace(MINE, period="2026-10"),
    ):
        for other in (spent, whole):
            assert pace_of([spent, replace(other, allowance=beside)], PERIOD, HALFWAY) == pace(0)
