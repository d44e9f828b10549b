"""Spend guards: how many standard GPU-hours an engineer or a team may use per hour, day or weekend.

Beside the allowance, which says how much in all: a guard bounds how fast. Nothing that runs is stopped by one, so what
starts is held against every window that its time limit lets it reach.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from zoneinfo import ZoneInfo

from scheduler.domain.allowances import Holder, HolderKind
from scheduler.domain.periods import Period, PeriodLength, period_at, to_datetime, to_instant
from scheduler.domain.sizes import stretches
from scheduler.domain.units import MS_PER_DAY, MS_PER_HOUR, MS_PER_SECOND, Instant
from scheduler.domain.workloads import Attempt

_SATURDAY = 5


class GuardWindow(StrEnum):
    HOUR = "hour"
    DAY = "day"
    WEEKEND = "weekend"


class GuardOf(StrEnum):
    ENGINEER = "engineer"
    TEAM = "team"


@dataclass(frozen=True, slots=True)
class SpendGuard:
    """Standard GPU-milliseconds per window: beyond `soft` a warning, beyond `hard` nothing more starts."""

    name: str
    of: GuardOf
    window: GuardWindow
    soft: int | None = None
    hard: int | None = None

    def holder(self, owner: str, team: str) -> Holder:
        """Whose use it counts."""
        return Holder(HolderKind.ENGINEER, owner) if self.of is GuardOf.ENGINEER else Holder(HolderKind.TEAM, team)


LOOKS_AHEAD_MS = 366 * MS_PER_DAY
"""By then a calendar has shown its longest day, and its longest weekend: clocks are changed every year."""


def windows_from(window: GuardWindow, at: Instant, time_zone: str) -> tuple[Period, ...]:
    """The window that contains `at`, for the weekend that or the coming one; the one after; and of those that follow
    each that is longer than all whole ones before it, as a day of 25 hours is.

    These stand for all: of what runs and is planned at `at`, a later window that is no longer gets no more.
    """
    return _windows_from(window, _next_window(window, at, time_zone), time_zone)


@lru_cache(maxsize=256)
def _windows_from(window: GuardWindow, first: Period, time_zone: str) -> tuple[Period, ...]:
    found = [first]
    longest, each = 0, first
    while each.ends_at < first.ends_at + LOOKS_AHEAD_MS:
        each = _next_window(window, each.ends_at, time_zone)
        if each.ends_at - each.starts_at > longest:
            longest = each.ends_at - each.starts_at
            found.append(each)
        if window is GuardWindow.HOUR:
            break  # all are as long
    return tuple(found)


def _next_window(window: GuardWindow, at: Instant, time_zone: str) -> Period:
    """The one that contains `at`, or for the weekend else the next."""
    found = weekend_from(at, time_zone) if window is GuardWindow.WEEKEND else window_at(window, at, time_zone)
    assert found is not None, "every instant is in an hour and a day"
    return found


def window_at(window: GuardWindow, now: Instant, time_zone: str) -> Period | None:
    """The window that contains `now`; None on weekdays for the weekend, which is Saturday and Sunday."""
    if window is GuardWindow.HOUR:
        starts_at = Instant(now - now % MS_PER_HOUR)
        return Period(window.value, starts_at, Instant(starts_at + MS_PER_HOUR))
    if window is GuardWindow.DAY:
        return period_at(now, PeriodLength.DAY, time_zone)
    return weekend_at(now, time_zone)


def weekend_at(now: Instant, time_zone: str) -> Period | None:
    """The weekend that contains `now`, from Saturday's midnight to Monday's."""
    found = weekend_from(now, time_zone)
    return found if found.starts_at <= now else None


def weekend_from(now: Instant, time_zone: str) -> Period:
    """The weekend that contains `now`, or else the next."""
    zone = ZoneInfo(time_zone)
    local = to_datetime(now).astimezone(zone)
    saturday = local.date() + timedelta(days=_SATURDAY - local.weekday())
    return Period(GuardWindow.WEEKEND.value, _midnight(saturday, zone), _midnight(saturday + timedelta(days=2), zone))


def _midnight(day: date, zone: ZoneInfo) -> Instant:
    return to_instant(datetime(day.year, day.month, day.day, tzinfo=zone))


def used_in(period: Period, rate_per_million: int, starts_at: int, ends_at: int) -> int:
    """Standard GPU-milliseconds that fall into the period, of what runs at a rate (GPUs × weight × class factor)."""
    return max(0, min(ends_at, period.ends_at) - max(starts_at, period.starts_at)) * rate_per_million // 1_000_000


def used_by(attempt: Attempt, period: Period) -> int:
    """What falls into the period of an attempt, by the sizes that it had, and has from now on."""
    price = attempt.weight * attempt.class_factor
    found = stretches(attempt, *_span_of(attempt))
    return sum(used_in(period, each.gpus * price, each.start, each.end) for each in found)


def _span_of(attempt: Attempt) -> tuple[Instant, Instant]:
    """From its start, or launch, to its end, or the latest that its time limit and grace let it have."""
    starts_at = attempt.started_at if attempt.started_at is not None else attempt.launched_at
    if attempt.ended_at is not None:
        return starts_at, attempt.ended_at
    return starts_at, Instant(starts_at + attempt.time_limit_ms + attempt.grace_seconds * MS_PER_SECOND)


@dataclass(frozen=True, slots=True)
class PastSpend:
    """What attempts that are over used in the latest window of each kind: (window, its start, amount)."""

    windows: tuple[tuple[GuardWindow, Instant, int], ...] = ()

    def of(self, window: GuardWindow, period: Period) -> int:
        return sum(amount for kind, at, amount in self.windows if kind is window and at == period.starts_at)

    def and_of(self, attempt: Attempt, kinds: Iterable[GuardWindow], time_zone: str) -> "PastSpend":
        """With that of an attempt that has ended. Of each kind the latest window is kept that anything ended in."""
        latest = {kind: at for kind, at, _ in self.windows}
        windows: list[tuple[GuardWindow, Instant, int]] = []
        for kind in kinds:
            # A window is half-open: what ended at its end ended in it.
            at = max(latest.get(kind, Instant(0)), Instant((attempt.ended_at or 1) - 1))
            period = window_at(kind, at, time_zone)
            if period is not None:
                used = self.of(kind, period) + used_by(attempt, period)
                windows.append((kind, period.starts_at, used))
        return PastSpend(tuple(windows))
