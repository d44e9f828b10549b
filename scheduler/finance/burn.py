"""Burn rate: what goes a day, until when what is left lasts, and when it jumped.

The rate is over whole days up to now. The run-out is a band between the mean of the last seven days and that of the
last twenty-eight (or as many as there are): a forecast is no line. A day that is more than three times the median of
the days before it, and more than a floor, is a jump: a weekend batch that eats a month.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from scheduler.domain.units import MS_PER_DAY, MS_PER_HOUR, Instant

SHORT_DAYS, LONG_DAYS = 7, 28
JUMP_FACTOR = 3
JUMP_FLOOR = 24 * MS_PER_HOUR
"""GPU-milliseconds a day: below a GPU for a day nothing is a jump."""

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


def jumps(used: Sequence[int], first_day: Instant) -> tuple[Jump, ...]:
    """Each day that jumped, judged by at most twenty-eight days before it."""
    found = []
    for place in range(DAYS_BEFORE_MIN, len(used)):
        before = sorted(used[max(0, place - LONG_DAYS) : place])
        usual = before[len(before) // 2]
        if used[place] > max(JUMP_FLOOR, JUMP_FACTOR * usual):
            found.append(Jump(Instant(first_day + place * MS_PER_DAY), used[place], usual))
    return tuple(found)
