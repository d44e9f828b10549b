"""Charts: what they draw follows from the numbers."""

import re
from zoneinfo import ZoneInfo

from scheduler.domain.units import Instant
from scheduler.entrypoints.web.charts import bar, hours_curve, segments, sparkline, stacked_bar
from scheduler.entrypoints.web.moments import Moments
from tests.entrypoints.web.sample_people import DAY, MONTH_END, MONTH_START, NOW, H
from tests.entrypoints.web.sample_values import balance

MOMENTS = Moments(NOW, ZoneInfo("UTC"))


def polygon_of(svg: str) -> list[tuple[int, int]]:
    found = re.search(r'<polygon class="band" points="([^"]+)"', svg)
    assert found, svg
    return [(int(x), int(y)) for x, y in (pair.split(",") for pair in found.group(1).split())]


def test_the_forecast_is_a_band_from_today_to_its_two_ends() -> None:
    svg = hours_curve(balance(runs_out=(Instant(NOW + 3 * DAY), Instant(NOW + 6 * DAY))), MOMENTS)
    here, first, last = polygon_of(svg)
    assert first[1] == last[1] == 1000
    assert here[0] < first[0] < last[0] < 1000


def test_a_forecast_beyond_the_period_is_cut_where_the_period_ends() -> None:
    svg = hours_curve(balance(runs_out=(Instant(NOW + 3 * DAY), Instant(MONTH_END + 30 * DAY))), MOMENTS)
    here, first, corner, last = polygon_of(svg)
    assert first[1] == 1000
    assert corner == (1000, 1000)
    assert last[0] == 1000
    assert here[1] < last[1] < 1000


def test_without_a_forecast_there_is_no_band() -> None:
    assert "polygon" not in hours_curve(balance(runs_out=None), MOMENTS)


def test_the_curve_of_somebody_without_hours_is_still_a_chart() -> None:
    svg = hours_curve(balance(available=0, granted=0, held=0, pace=0, runs_out=None, history=()), MOMENTS)
    assert 'aria-label="0.0 hours left of 0.0 granted for 2026-11"' in svg


def test_an_overdrawn_balance_stays_inside_the_chart() -> None:
    svg = hours_curve(balance(available=-9 * H, runs_out=None), MOMENTS)
    numbers = [int(number) for pair in re.findall(r'points="([^"]*)"', svg) for number in re.findall(r"-?\d+", pair)]
    assert all(0 <= number <= 1000 for number in numbers)


def test_today_never_covers_the_ends_of_the_axis() -> None:
    first_day = Moments(Instant(MONTH_START + 1), ZoneInfo("UTC"))
    svg = hours_curve(balance(runs_out=None, history=()), first_day)
    assert ">today<" in svg
    assert ">31 Oct<" not in svg  # where the period starts, today stands


def test_a_bar_shows_what_is_left_and_what_is_held() -> None:
    svg = bar(30, 100, 20)
    assert '<rect class="held" width="50%"' in svg
    assert '<rect class="part" width="30%"' in svg


def test_a_bar_of_nothing_is_empty_and_never_wider_than_its_ground() -> None:
    assert '<rect class="part" width="0%"' in bar(0, 0)
    assert '<rect class="part" width="100%"' in bar(500, 100)
    assert '<rect class="part" width="0%"' in bar(-5, 100)


def test_the_parts_of_a_stacked_bar_join_without_a_gap_and_fill_it() -> None:
    parts = segments((("charged", 700), ("free", 299), ("unattributed", 1)), 1000)
    drawn = re.findall(r'x="([\d.]+)%" width="([\d.]+)%"', stacked_bar(parts, 1000))
    ends = [float(x) + float(width) for x, width in drawn]
    assert [float(x) for x, _ in drawn] == [0.0, *ends[:-1]]
    assert ends[-1] == 100.0


def test_a_hostile_bucket_name_cannot_leave_its_attribute() -> None:
    parts = segments((('free" onload="x', 10),), 10)
    svg = stacked_bar(parts, 10)
    assert 'onload="' not in svg
    assert parts[0].key == "free--onload--x"


def test_a_sparkline_runs_from_left_to_right() -> None:
    svg = sparkline(((MONTH_START, 10 * H), (NOW, 5 * H)), MONTH_START, MONTH_END)
    assert 'points="0,0 ' in svg
