from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.domain.errors import InvalidInput, RefusalCode
from scheduler.domain.periods import iso, to_instant
from scheduler.domain.quantities import unit_named
from scheduler.domain.units import AMOUNT_MAX, Instant
from scheduler.domain.vesting import (
    PackageKind,
    Vesting,
    VestingPart,
    VestingTerms,
    months_later,
    require_parts,
    vesting_parts,
)

START = to_instant(datetime(2026, 12, 1, tzinfo=UTC))


def terms(
    months: int = 48, cliff: int = 12, every: int = 1, start: Instant = START, zone: str = "UTC"
) -> VestingTerms:
    return VestingTerms(start, zone, months, cliff, every)


def test_a_quarter_vests_at_the_cliff_and_the_rest_month_by_month() -> None:
    parts = vesting_parts(4_800, terms())
    assert len(parts) == 37
    assert (iso(parts[0].at), parts[0].amount) == ("2027-12-01T00:00:00Z", 1_200)
    assert (iso(parts[1].at), parts[1].amount) == ("2028-01-01T00:00:00Z", 100)
    assert iso(parts[-1].at) == "2030-12-01T00:00:00Z"


def test_a_signing_grant_is_there_at_once() -> None:
    assert vesting_parts(7, terms(months=0, cliff=0)) == (VestingPart(START, 7),)


def test_what_does_not_divide_is_floored_cumulatively() -> None:
    parts = vesting_parts(10, terms(months=12, cliff=0, every=3))
    assert [part.amount for part in parts] == [2, 3, 2, 3]


@given(
    amount=st.integers(1, AMOUNT_MAX - 1),
    steps=st.integers(0, 80),
    every=st.sampled_from([1, 3]),
    cliff=st.integers(0, 240),
    start=st.integers(0, 4_000_000_000_000),
    zone=st.sampled_from(["UTC", "Europe/Berlin", "America/Sao_Paulo", "Pacific/Apia"]),
)
def test_the_parts_sum_to_the_amount_whatever_it_is(
    amount: int, steps: int, every: int, cliff: int, start: int, zone: str
) -> None:
    months = steps * every
    if cliff > months or months > 240:
        return
    parts = vesting_parts(amount, terms(months, cliff, every, Instant(start), zone))
    assert sum(part.amount for part in parts) == amount
    assert require_parts(amount, parts, min(Instant(start), parts[0].at)) == parts


@pytest.mark.parametrize(
    ("start", "zone", "month", "later"),
    [
        ("2027-01-31", "UTC", 1, "2027-02-28T00:00:00Z"),
        ("2027-01-31", "UTC", 2, "2027-03-31T00:00:00Z"),
        ("2027-01-31", "UTC", 13, "2028-02-29T00:00:00Z"),
        ("2026-12-15", "Europe/Berlin", 3, "2027-03-14T23:00:00Z"),
        ("2026-12-15", "Europe/Berlin", 4, "2027-04-14T22:00:00Z"),
        ("2018-10-04", "America/Sao_Paulo", 1, "2018-11-04T03:00:00Z"),
    ],
    ids=[
        "a short month has its last day",
        "and the month after it the start's again",
        "a leap year",
        "before the clocks go forward",
        "after they went",
        "a midnight that the change leaves out",
    ],
)
def test_months_are_those_of_the_wall_clock(start: str, zone: str, month: int, later: str) -> None:
    begun = to_instant(datetime.fromisoformat(start).replace(tzinfo=ZoneInfo(zone)))
    assert iso(months_later(begun, month, zone)) == later


@pytest.mark.parametrize(
    "wrong",
    [
        terms(every=2),
        terms(months=49, every=3),
        terms(months=241),
        terms(cliff=49),
        terms(months=-1),
        terms(cliff=-1),
    ],
    ids=[
        "every two months",
        "no whole quarters",
        "too long",
        "a cliff after the end",
        "negative",
        "a negative cliff",
    ],
)
def test_terms_that_are_none_are_refused(wrong: VestingTerms) -> None:
    with pytest.raises(InvalidInput) as refused:
        vesting_parts(100, wrong)
    assert refused.value.code is RefusalCode.INVALID_SCHEDULE


@pytest.mark.parametrize(
    ("amounts", "code"),
    [
        ([(1, 50), (2, 49)], RefusalCode.SCHEDULE_SUM),
        ([(1, 50), (2, 51)], RefusalCode.SCHEDULE_SUM),
        ([], RefusalCode.INVALID_SCHEDULE),
        ([(1, 100), (2, 0)], RefusalCode.INVALID_SCHEDULE),
        ([(1, 101), (2, -1)], RefusalCode.INVALID_SCHEDULE),
        ([(2, 50), (1, 50)], RefusalCode.INVALID_SCHEDULE),
        ([(2, 50), (2, 50)], RefusalCode.INVALID_SCHEDULE),
        ([(-1, 100)], RefusalCode.INVALID_SCHEDULE),
    ],
    ids=["short", "over", "none", "nothing", "less than nothing", "out of order", "at once", "before the start"],
)
def test_parts_that_are_no_schedule_are_refused(amounts: list[tuple[int, int]], code: RefusalCode) -> None:
    with pytest.raises(InvalidInput) as refused:
        require_parts(100, [VestingPart(Instant(at), amount) for at, amount in amounts], Instant(0))
    assert refused.value.code is code


@pytest.mark.parametrize(
    ("unit", "said"),
    [
        ("standard", "the parts of the schedule sum to 4 h 59 min 59.999 s, and the amount is 5.0 h"),
        ("tokens", "the parts of the schedule sum to 17 999 999 tokens, and the amount is 18 000 000 tokens"),
        ("EUR", "the parts of the schedule sum to 17.999999 EUR, and the amount is 18.00 EUR"),
    ],
)
def test_parts_that_miss_the_amount_are_told_so_as_people_count(unit: str, said: str) -> None:
    amount = 5 * 3_600_000
    with pytest.raises(InvalidInput) as refused:
        require_parts(amount, [VestingPart(Instant(1), amount - 1)], Instant(0), unit_named(unit))
    assert refused.value.message == said


def test_what_is_due_is_what_has_come_and_has_not_vested() -> None:
    vesting = Vesting(PackageKind.ANNUAL, "UTC", tuple(VestingPart(Instant(at), 10) for at in (1, 2, 3)))
    assert vesting.amount == 30
    assert [number for number, _ in vesting.due(0, Instant(2))] == [1, 2]
    assert [number for number, _ in vesting.due(10, Instant(2))] == [2]
    assert vesting.due(30, Instant(9)) == []
