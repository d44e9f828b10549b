"""Windows of spend guards, and what falls into them."""

from dataclasses import replace
from datetime import UTC, datetime

from scheduler.domain.guards import GuardWindow, PastSpend, used_in, weekend_from, window_at
from scheduler.domain.periods import Period, iso, to_instant
from scheduler.domain.units import MS_PER_HOUR, Instant
from scheduler.domain.workloads import Attempt
from tests.decision.builders import attempt

FRIDAY, SATURDAY, MONDAY = 20, 21, 23


def at(day: int, hour: int) -> Instant:
    return to_instant(datetime(2026, 11, day, hour, tzinfo=UTC))


def the_day(day: int) -> Period:
    found = window_at(GuardWindow.DAY, at(day, 3), "UTC")
    assert found is not None
    return found


def ran(starts_at: Instant, ends_at: Instant) -> Attempt:
    return replace(attempt("r", "n1", gpus=2), started_at=starts_at, launched_at=starts_at, ended_at=ends_at)


def test_a_weekend_is_saturday_and_sunday_in_the_time_zone_of_the_policy() -> None:
    assert window_at(GuardWindow.WEEKEND, at(FRIDAY, 23), "UTC") is None
    berlin = window_at(GuardWindow.WEEKEND, at(FRIDAY, 23), "Europe/Berlin")
    assert berlin is not None
    assert (iso(berlin.starts_at), iso(berlin.ends_at)) == ("2026-11-20T23:00:00Z", "2026-11-22T23:00:00Z")
    assert window_at(GuardWindow.WEEKEND, at(MONDAY, 0), "UTC") is None


def test_an_hour_and_a_day_are_those_of_the_clock() -> None:
    hour = window_at(GuardWindow.HOUR, Instant(at(FRIDAY, 11) + 1), "UTC")
    assert hour is not None
    assert (hour.starts_at, hour.ends_at) == (at(FRIDAY, 11), at(FRIDAY, 12))
    assert (the_day(FRIDAY).starts_at, the_day(FRIDAY).ends_at) == (at(FRIDAY, 0), at(SATURDAY, 0))


def test_the_weekend_from_a_day_on_is_the_one_that_it_is_in_or_else_the_next() -> None:
    this, next_one = ((at(day, 0), at(day + 2, 0)) for day in (SATURDAY, SATURDAY + 7))
    for now, expected in (
        (at(FRIDAY, 10), this),
        (at(SATURDAY, 0), this),
        (Instant(at(MONDAY, 0) - 1), this),
        (at(MONDAY, 0), next_one),
    ):
        found = weekend_from(now, "UTC")
        assert (found.starts_at, found.ends_at) == expected


def test_what_ended_counts_in_the_window_in_which_it_ended_and_only_its_part_of_it() -> None:
    over = PastSpend()
    for ends_at in (at(FRIDAY, 23), at(SATURDAY, 2)):
        over = over.and_of(ran(at(FRIDAY, 22), ends_at), [GuardWindow.DAY], "UTC")
    assert over.of(GuardWindow.DAY, the_day(SATURDAY)) == 4 * MS_PER_HOUR
    assert over.of(GuardWindow.DAY, the_day(FRIDAY)) == 0


def test_a_late_report_of_an_earlier_end_takes_nothing_back() -> None:
    known = PastSpend(((GuardWindow.DAY, the_day(SATURDAY).starts_at, 7),))
    assert known.and_of(ran(at(FRIDAY, 1), at(FRIDAY, 2)), [GuardWindow.DAY], "UTC") == known


def test_nothing_falls_into_a_window_that_it_does_not_meet() -> None:
    assert used_in(the_day(FRIDAY), 1_000_000, at(SATURDAY, 0), at(SATURDAY, 5)) == 0
    assert used_in(the_day(FRIDAY), 2_000_000, at(FRIDAY, 23), at(SATURDAY, 5)) == 2 * MS_PER_HOUR
