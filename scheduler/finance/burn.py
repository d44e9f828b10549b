"""Burn rate: what goes a day, until when what is left lasts, and when it jumped.

The rate is over whole days up to now. The run-out is a band between the mean of the last seven days and that of the
last twenty-eight (or as many as there are): a forecast is no line. A day that is more than three times the median of
the days before it, and more than a floor, is a jump: a weekend batch that eats a month. Policy says how many times.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from scheduler.domain.burning import BurnTerms
from scheduler.domain.units import MS_PER_DAY, Instant

SHORT_DAYS, LONG_DAYS = 7, 28

DAYS_BEFORE_MIN = 3
"""Fewer days before it tell nothing of a day."""


@dataclass(frozen=True, slots=True)
class Jump:
    """A day on which `used` was far above what is usual: the median of the days before."""

    day: Instant
    used: int
    usual: int


@dataclass(frozen=True, slots=True)
class RunOut:
    """Between these instants nothing is left, at the rates of the last `short_days` and `long_days`."""

    earliest: Instant
    latest: Instant
    short_days: int
    long_days: int


def per_day(used: Sequence[int], days: int) -> int:
    """The mean of the last so many days, or of as many as there are."""
    recent = used[-days:]
    return sum(recent) // len(recent) if recent else 0


def run_out(available: int, used: Sequence[int], now: Instant) -> RunOut | None:
    """From what was used on each whole day, the oldest first. None where nothing is used, or nothing is left."""
    rates = [rate for rate in (per_day(used, SHORT_DAYS), per_day(used, LONG_DAYS)) if rate > 0]
    if not rates or available <= 0:
        return None
    ends = sorted(now + available * MS_PER_DAY // rate for rate in rates)
    return RunOut(Instant(ends[0]), Instant(ends[-1]), min(SHORT_DAYS, len(used)), min(LONG_DAYS, len(used)))


def jumps(used: Sequence[int], first_day: Instant, terms: BurnTerms) -> tuple[Jump, ...]:
    """Each day that jumped, judged by at most twenty-eight days before it. The last may be a day that is not over: what it
    used so far can only grow. Where there is no floor, the first use after days without any is none."""
    found = []
    for place in range(DAYS_BEFORE_MIN, len(used)):
        before = sorted(used[max(0, place - LONG_DAYS) : place])
        usual = before[len(before) // 2]
        if (usual or terms.jump_floor) and used[place] > max(terms.jump_floor, terms.jump_factor * usual // 1000):
            found.append(Jump(Instant(first_day + place * MS_PER_DAY), used[place], usual))
    return tuple(found)


def spread_over_days(charged: Iterable[tuple[Instant, int]], starts_at: Instant, days: int) -> list[int]:
    """What was charged on each day from `starts_at` on; a day without a charge is 0."""
    used = [0] * days
    for day, amount in charged:
        used[(day - starts_at) // MS_PER_DAY] += amount
    return used


def since_first_use(used: Sequence[int]) -> int:
    """The place of the first day with any use: the days before it tell nothing of a pace."""
    return next((place for place, amount in enumerate(used) if amount), len(used))


def beginnings(found: Sequence[Jump]) -> tuple[Jump, ...]:
    """The first day of each jump: a batch over a weekend is one jump of two days."""
    days = {jump.day for jump in found}
    return tuple(jump for jump in found if jump.day - MS_PER_DAY not in days)
