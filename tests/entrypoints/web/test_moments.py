"""Instants as people read them, on the policy's wall clock."""

from zoneinfo import ZoneInfo

import pytest

from scheduler.domain.units import Instant
from scheduler.entrypoints.web.moments import Moments
from tests.entrypoints.web.sample_people import DAY, MIN, NOW, H

BERLIN = Moments(NOW, ZoneInfo("Europe/Berlin"))


def test_the_wall_clock_is_that_of_the_policy() -> None:
    assert BERLIN.full(NOW) == "20 Nov 2026, 15:32:11 CET"
    assert Moments(NOW, ZoneInfo("UTC")).full(NOW) == "20 Nov 2026, 14:32:11 UTC"


@pytest.mark.parametrize(
    ("instant", "text"),
    [
        (NOW + 68 * MIN, "16:40"),
        (NOW + DAY, "Sat 15:32"),
        (NOW + 8 * DAY, "28 Nov"),
        (NOW - 400 * DAY, "16 Oct 2025"),
    ],
)
def test_an_instant_is_as_short_as_it_can_be(instant: int, text: str) -> None:
    assert BERLIN.near(Instant(instant)) == text


def test_a_verdict_of_today_is_told_to_the_second_and_an_older_one_with_its_day() -> None:
    fallen = [BERLIN.fell(Instant(at)) for at in (NOW, NOW - DAY, NOW - 8 * DAY, NOW - 400 * DAY)]
    assert fallen == ["15:32:11", "Thu 15:32", "12 Nov", "16 Oct 2025"]


def test_instants_that_programs_wrote_are_told_on_the_wall_clock() -> None:
    told = BERLIN.told("from 2026-11-20T14:32:11.994Z to 2026-11-21T00:00:00Z, not 2026-11-20")
    assert told == "from Fri 20 Nov, 15:32 to Sat 21 Nov, 01:00, not 2026-11-20"
    assert BERLIN.told("ends 2028-12-31T23:00:00Z") == "ends 1 Jan 2029, 00:00"


def test_a_period_is_told_by_its_first_day_and_its_last() -> None:
    midnight = Instant(NOW - 14 * H - 32 * MIN - 11_000)
    utc = Moments(NOW, ZoneInfo("UTC"))
    assert utc.days(midnight, Instant(midnight + 7 * DAY)) == "20 Nov 2026 to 26 Nov 2026"
    assert utc.days(midnight, Instant(midnight + DAY)) == "20 Nov 2026"


@pytest.mark.parametrize(
    ("earliest", "latest", "text"),
    [
        (NOW + 8 * DAY, NOW + 10 * DAY, "28 – 30 Nov"),
        (NOW + 8 * DAY, NOW + 13 * DAY, "28 Nov – 3 Dec"),
        (NOW + H, NOW + 3 * H, "today, 16:32 – 18:32"),
        (NOW + DAY, NOW + DAY, "21 Nov"),
        (NOW, NOW, "today"),
    ],
)
def test_a_forecast_is_a_band(earliest: int, latest: int, text: str) -> None:
    assert BERLIN.band(Instant(earliest), Instant(latest)) == text


def test_relative_times_are_absolute_on_hover() -> None:
    html = BERLIN.html_ago(Instant(NOW - 12 * MIN))
    assert html == '<time datetime="2026-11-20T14:20:11Z" title="20 Nov 2026, 15:20:11 CET">12 min ago</time>'


def test_what_is_ahead_is_in_and_not_ago() -> None:
    assert BERLIN.ago(Instant(NOW + 5 * MIN)) == "in 5 min"
    assert BERLIN.ago(Instant(NOW - 62 * MIN)) == "1 h ago"


@pytest.mark.parametrize(
    ("name", "text"),
    [("2026-11", "November 2026"), ("2026-W07", "week 7 of 2026"), ("2026-Q4", "2026-Q4"), ("2026", "2026")],
)
def test_a_period_is_called_as_people_call_it(name: str, text: str) -> None:
    assert BERLIN.period(name, NOW) == text


def test_a_window_says_its_day_once_unless_it_goes_over_midnight() -> None:
    assert BERLIN.window(NOW, Instant(NOW + 4 * H)) == "Fri 20 Nov, 15:32 – 19:32"
    assert BERLIN.window(NOW, Instant(NOW + 12 * H)) == "Fri 20 Nov, 15:32 – Sat 21 Nov, 03:32"
