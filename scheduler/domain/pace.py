"""Pace: who is behind their allowance's plan, and who burns it fast."""

from collections.abc import Iterable

from scheduler.domain.allowances import AllowanceBalance, AllowanceSource
from scheduler.domain.periods import Period
from scheduler.domain.units import Instant

BANDS = 10


def pace_per_mille(left: int, granted: int, period: Period, now: Instant) -> int:
    """Share of the period's allowance left minus share of the period left, in per mille (−1000 … 1000).

    Above 0 is behind plan (hours unused), below 0 is burning fast. Who has no allowance has no pace: 0.
    """
    if granted <= 0:
        return 0
    length = period.ends_at - period.starts_at
    time_left = 1000 * max(0, min(length, period.ends_at - now)) // length
    hours_left = max(0, min(1000, 1000 * left // granted))
    return hours_left - time_left


def pace_band(pace: int) -> int:
    """One of ten bands, 0 (burning fastest) to 9 (furthest behind plan): a second's use reorders no queue."""
    return min(BANDS - 1, (pace + 1000) * BANDS // 2000)


def pace_of(balances: Iterable[AllowanceBalance], period: Period, now: Instant) -> int:
    """The pace over the tier grants of the period: held counts as spent; transfers and ad-hoc grants do not count."""
    left = granted = 0
    for balance in balances:
        allowance = balance.allowance
        if allowance.source is AllowanceSource.TIER and allowance.period == period.name:
            left += balance.available
            granted += allowance.amount
    return pace_per_mille(left, granted, period, now)
