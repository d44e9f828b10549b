"""Prices beside arithmetic of the test's own: each minute at the price of its hour on the wall clock, floored once."""

from datetime import UTC, datetime
from fractions import Fraction
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.domain.units import Instant
from scheduler.finance.prices.price_book import OffPeak
from scheduler.finance.prices.rating import Rating, charged_micro
from tests.finance.build import H100, RESEARCH, at, book, rate

MINUTE = 60_000
NIGHT = OffPeak(hours=frozenset({22, 23, 0, 1, 2, 3, 4, 5}), weekdays=frozenset({5, 6}))
DEAR, CHEAP = 2_333_333, 1_777_777
CHANGES = {
    "Europe/Berlin": ("2026-03-29T01:00", "2026-10-25T01:00"),
    "America/New_York": ("2026-03-08T07:00", "2026-11-01T06:00"),
    "Asia/Kolkata": ("2026-03-29T01:00", "2026-10-24T18:30"),
    "Australia/Lord_Howe": ("2026-04-04T15:00", "2026-10-03T15:30"),
}
"""The instants at which clocks change there, by half an hour on Lord Howe; in Kolkata, half an hour off, they never do."""


def rating(zone: str) -> Rating:
    prices = rate("2026-01-01", None, "2.333333", off_peak="1.777777")
    return Rating(book(prices, off_peak=NIGHT, time_zone=zone))


def by_the_minute(zone: str, gpus: int, start: int, minutes: int) -> int:
    exact = Fraction(0)
    for minute in range(minutes):
        local = datetime.fromtimestamp((start + minute * MINUTE) / 1000, UTC).astimezone(ZoneInfo(zone))
        is_night = local.hour >= 22 or local.hour < 6 or local.isoweekday() >= 6
        exact += Fraction((CHEAP if is_night else DEAR) * gpus, 60)
    return int(exact)


@pytest.mark.parametrize("zone", CHANGES)
@given(
    which=st.integers(0, 1),
    begins=st.integers(-30 * 60, 30 * 60),
    minutes=st.integers(1, 1_800),
    gpus=st.integers(1, 64),
)
def test_a_posting_over_a_change_of_clocks_costs_each_minute_at_its_own_price(
    zone: str, which: int, begins: int, minutes: int, gpus: int
) -> None:
    start = at(CHANGES[zone][which]) + begins * MINUTE
    end = start + minutes * MINUTE
    parts = rating(zone).parts(H100, RESEARCH, gpus, gpus * minutes * MINUTE, Instant(end - 1))
    assert charged_micro(parts) == by_the_minute(zone, gpus, start, minutes)


@pytest.mark.parametrize(
    ("day", "dear_hours"), [("2026-03-30", 16), ("2026-03-29", 0), ("2026-10-25", 0), ("2026-10-26", 16)]
)
def test_a_day_of_berlin_has_the_hours_that_its_clocks_have(day: str, dear_hours: int) -> None:
    """The nights of both changes are at a weekend, cheap all day: 23 hours in March, 25 in October."""
    zone = ZoneInfo("Europe/Berlin")
    starts = datetime.fromisoformat(day).replace(tzinfo=zone)
    ends = starts.replace(day=starts.day + 1)
    hours = {"2026-03-29": 23, "2026-10-25": 25}.get(day, 24)
    start, end = (int(each.timestamp() * 1000) for each in (starts, ends))
    parts = rating("Europe/Berlin").parts(H100, RESEARCH, 1, end - start, Instant(end - 1))
    assert charged_micro(parts) == dear_hours * DEAR + (hours - dear_hours) * CHEAP
