"""The time axis of a replay's charts."""

from datetime import UTC, datetime
from itertools import pairwise

import pytest

from scheduler.domain.periods import to_instant
from scheduler.domain.units import MS_PER_DAY, MS_PER_HOUR, MS_PER_MINUTE
from scheduler.entrypoints.replay_page.axis import time_ticks

FRIDAY = int(to_instant(datetime(2026, 11, 20, tzinfo=UTC)))


def read(starts_at: int, length_ms: int) -> list[str]:
    return [" ".join(filter(None, (tick.label, tick.below))) for tick in time_ticks(starts_at, starts_at + length_ms)]


def test_two_days_are_told_in_hours_with_each_date_once() -> None:
    assert read(FRIDAY, 2 * MS_PER_DAY) == [
        *("00:00 20 Nov", "06:00", "12:00", "18:00"),
        *("00:00 21 Nov", "06:00", "12:00", "18:00"),
        "00:00 22 Nov",
    ]


def test_hours_within_a_day_are_round_ones_though_the_replay_begins_between_them() -> None:
    found = read(FRIDAY + 9 * MS_PER_HOUR + 7 * MS_PER_MINUTE, 10 * MS_PER_HOUR)
    assert found == ["10:00 20 Nov", "12:00", "14:00", "16:00", "18:00"]


def test_weeks_are_told_in_dates_at_midnights_and_every_other_has_room_on_a_phone() -> None:
    begun = FRIDAY + 9 * MS_PER_HOUR
    ticks = time_ticks(begun, begun + 14 * MS_PER_DAY)
    assert [tick.label for tick in ticks] == [
        "21 Nov 2026",
        "24 Nov 2026",
        "27 Nov 2026",
        "30 Nov 2026",
        "3 Dec 2026",
    ]
    assert [tick.is_between for tick in ticks] == [False, True, False, True, False]
    assert ticks[0].share == 15 / (14 * 24)


@pytest.mark.parametrize("offset_ms", [0, 1, 37 * MS_PER_MINUTE, 23 * MS_PER_HOUR])
@pytest.mark.parametrize(
    "length_ms",
    [
        *(each * MS_PER_MINUTE for each in (1, 20, 59, 90, 299)),
        *(each * MS_PER_HOUR for each in (5, 6, 12, 25, 47, 49, 60, 61, 72)),
        *(each * MS_PER_DAY for each in (4, 5, 6, 30, 365, 3000)),
    ],
)
def test_however_long_it_lasts_a_few_ticks_say_each_something_of_their_own(offset_ms: int, length_ms: int) -> None:
    ticks = time_ticks(FRIDAY + offset_ms, FRIDAY + offset_ms + length_ms)
    assert 1 <= len(ticks) <= 9
    assert all(0 <= tick.share <= 1 for tick in ticks)
    dates = [tick.below or tick.label for tick in ticks if tick.below or ":" not in tick.label]
    assert dates
    assert len(set(dates)) == len(dates)
    gaps = [later.share - tick.share for tick, later in pairwise(ticks)]
    assert all(gap >= 0.09 for gap in gaps)
