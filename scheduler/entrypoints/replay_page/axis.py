"""The time axis of the page's charts, in UTC: dates over days; hours, with each date once, over less."""

from dataclasses import dataclass

from scheduler.domain.periods import to_datetime
from scheduler.domain.units import MS_PER_DAY, MS_PER_HOUR, MS_PER_MINUTE, Instant

_HOURS_MAX, _DATES_MAX = 8, 5
"""How many parts, so that the labels stand apart; of dates a phone shows every other."""
_WITHIN_DAYS_MS = tuple(minutes * MS_PER_MINUTE for minutes in (1, 2, 5, 10, 15, 30)) + tuple(
    each * MS_PER_HOUR for each in (1, 2, 3, 6, 12)
)


@dataclass(frozen=True, slots=True)
class Tick:
    """A label at a share of the width, and one below it. `is_between`: there is no room for it on a phone."""

    share: float
    label: str
    below: str = ""
    is_between: bool = False


def time_ticks(starts_at: int, ends_at: int) -> tuple[Tick, ...]:
    """A handful, on round hours or at midnights, none of which says the same as the one before it."""
    length = max(1, ends_at - starts_at)
    step = next((each for each in _WITHIN_DAYS_MS if length <= _HOURS_MAX * each), 0)
    step = step or -(-length // (_DATES_MAX * MS_PER_DAY)) * MS_PER_DAY
    first = -(-starts_at // step) * step if step < MS_PER_DAY else -(-starts_at // MS_PER_DAY) * MS_PER_DAY
    instants = range(first, ends_at + 1, step)
    shares = [(at - starts_at) / length for at in instants]
    if step >= MS_PER_DAY:
        dates = [day(at) for at in instants]
        return tuple(Tick(*each, is_between=n % 2 == 1) for n, each in enumerate(zip(shares, dates, strict=True)))
    days = [at // MS_PER_DAY for at in instants]
    is_new = [number == 0 or days[number - 1] != each for number, each in enumerate(days)]
    return tuple(
        Tick(share, f"{to_datetime(Instant(at)):%H:%M}", _short(at) if begins else "")
        for share, at, begins in zip(shares, instants, is_new, strict=True)
    )


def day(at_ms: int) -> str:
    """`20 Nov 2026`, in UTC."""
    return f"{_short(at_ms)} {to_datetime(Instant(at_ms)):%Y}"


def _short(at_ms: int) -> str:
    moment = to_datetime(Instant(at_ms))
    return f"{moment.day} {moment:%b}"
