"""Pace: who is behind their allowance's plan, and who burns it fast."""

from collections.abc import Iterable

from scheduler.domain.allowances import AllowanceBalance, AllowanceSource
from scheduler.domain.periods import Period
from scheduler.domain.units import STANDARD_GPU, Instant

BANDS = 10


def pace_per_mille(left: int, granted: int, period: Period, now: Instant) -> int:
    """Share of the period's allowance left minus share of the period left, in per mille (−1000 … 1000).

    Above 0 is behind plan (hours unused), below 0 is burning fast. Who has no allowance has no pace: 0.
    """
    if granted <= 0:
        return 0
    return _hours_left(left, granted) - _time_left(period, now)


def _hours_left(left: int, granted: int) -> int:
    return max(0, min(1000, 1000 * left // granted))


def _time_left(period: Period, now: Instant) -> int:
    length = period.ends_at - period.starts_at
    return 1000 * max(0, min(length, period.ends_at - now)) // length


def pace_band(pace: int) -> int:
    """One of ten bands, 0 (burning fastest) to 9 (furthest behind plan): a second's use reorders no queue."""
    return min(BANDS - 1, (pace + 1000) * BANDS // 2000)


def plan_of(balances: Iterable[AllowanceBalance], period: Period) -> tuple[int, int]:
    """(left, granted) over the tier grants of the period in standard hours: held counts as spent, and so does what was
    charged and not given back. What was passed on, moved to a later end or expired was not used, and is left; ad-hoc
    grants, what came by a transfer and what is in other units do not count."""
    left = granted = 0
    for balance in balances:
        allowance = balance.allowance
        is_plan = allowance.source is AllowanceSource.TIER and allowance.unit == STANDARD_GPU
        if is_plan and allowance.period == period.name:
            left += balance.available + balance.passed_on
            granted += allowance.amount
    return left, granted


def pace_of(balances: Iterable[AllowanceBalance], period: Period, now: Instant) -> int:
    """The pace over the tier grants of the period."""
    left, granted = plan_of(balances, period)
    return pace_per_mille(left, granted, period, now)


def band_until(left: int, granted: int, period: Period, now: Instant) -> tuple[int, Instant | None]:
    """The band of a pace, and the first instant after `now` at which it is another if nothing is spent until then; None:
    in no instant of this period."""
    if granted <= 0:
        return pace_band(0), None
    hours_left = _hours_left(left, granted)
    band = pace_band(hours_left - _time_left(period, now))
    if band == BANDS - 1:
        return band, None
    length = period.ends_at - period.starts_at
    # The band rises when time left falls to this many per mille; that is when 1000 × time < (that + 1) × length.
    time_left = hours_left + 1000 - (band + 1) * 2000 // BANDS
    if time_left < 0:
        return band, None
    change = Instant(period.ends_at - ((time_left + 1) * length - 1) // 1000)
    return band, change if now < change < period.ends_at else None
