"""Vesting: when which part of a promised amount becomes the holder's, on the wall clock of a stated time zone.

The one rounding rule: of n equal steps, ⌊amount × k ÷ n⌋ has vested after k of them, and each part is the difference
to the one before. So the parts sum to the amount exactly, whatever it is. What the cliff keeps back vests at the cliff,
together.
"""

from calendar import monthrange
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from itertools import pairwise
from zoneinfo import ZoneInfo

from scheduler.domain.errors import InvalidInput, RefusalCode
from scheduler.domain.periods import to_datetime, to_instant
from scheduler.domain.quantities import exact_text
from scheduler.domain.units import STANDARD_GPU, Instant, Unit
from scheduler.domain.wording import counted

MONTHS_MAX = 240
PARTS_MAX = 480


class PackageKind(StrEnum):
    """What an amount of compensation is for, as an offer letter says."""

    ANNUAL = "annual"
    SIGNING = "signing"
    REFRESH = "refresh"


@dataclass(frozen=True, slots=True)
class VestingTerms:
    """Equal steps every `every_months` over `months`; `months` 0 is all at once, at the start.

    Nothing vests before `cliff_months` have passed.
    """

    starts_at: Instant
    time_zone: str
    months: int = 0
    cliff_months: int = 0
    every_months: int = 1


@dataclass(frozen=True, slots=True)
class VestingPart:
    """So much, in the allowance's unit, at this instant."""

    at: Instant
    amount: int


@dataclass(frozen=True, slots=True)
class Vesting:
    """A package's schedule as it was promised: it never changes."""

    kind: PackageKind
    time_zone: str
    parts: tuple[VestingPart, ...]

    @property
    def amount(self) -> int:
        return sum(part.amount for part in self.parts)

    def has_part_within(self, after: Instant, until: Instant) -> bool:
        """Whether a part is due between them, at the later one too."""
        return any(after < part.at <= until for part in self.parts)

    def due(self, vested: int, now: Instant) -> list[tuple[int, VestingPart]]:
        """The parts that are due by `now` and not among the first `vested` of the amount, each with its number from 1."""
        due, total = [], 0
        for number, part in enumerate(self.parts, start=1):
            total += part.amount
            if total > vested and part.at <= now:
                due.append((number, part))
        return due


def vesting_parts(amount: int, terms: VestingTerms) -> tuple[VestingPart, ...]:
    """The parts of an amount by these terms. Raises InvalidInput (`invalid-schedule`)."""
    _require_terms(terms)
    if terms.months == 0:
        return (VestingPart(terms.starts_at, amount),)
    steps = terms.months // terms.every_months
    parts: list[VestingPart] = []
    vested = 0
    for step in range(1, steps + 1):
        month = step * terms.every_months
        until = amount * step // steps
        if month >= terms.cliff_months and until > vested:
            parts.append(VestingPart(months_later(terms.starts_at, month, terms.time_zone), until - vested))
            vested = until
    return tuple(parts)


def require_parts(
    amount: int, parts: Sequence[VestingPart], starts_at: Instant, unit: Unit = STANDARD_GPU
) -> tuple[VestingPart, ...]:
    """A schedule that was given by its parts. Raises InvalidInput: `schedule-sum` where they are not the amount,
    `invalid-schedule` where one is nothing, comes before the one before it, or before the start."""
    if not parts or len(parts) > PARTS_MAX:
        raise _invalid(f"a schedule has {counted(len(parts), 'part')}", f"1 to {PARTS_MAX}")
    if any(part.amount <= 0 for part in parts):
        raise _invalid("a part of the schedule is nothing, or less", "parts above zero")
    instants = [part.at for part in parts]
    if instants[0] < starts_at or any(later <= earlier for earlier, later in pairwise(instants)):
        raise _invalid("the parts of the schedule are not in the order of time", "each later than the one before")
    total = sum(part.amount for part in parts)
    if total != amount:
        raise InvalidInput(
            f"the parts of the schedule sum to {exact_text(total, unit)}, and the amount is {exact_text(amount, unit)}",
            where="parts",
            code=RefusalCode.SCHEDULE_SUM,
            expected="parts that sum to the amount exactly",
        )
    return tuple(parts)


def months_later(start: Instant, months: int, time_zone: str) -> Instant:
    """Local midnight of the same day so many months later, or of the last day of a month that is too short.

    The day is always that of the start: 31 January, 28 February, 31 March. Where midnight falls into the hour that a
    clock change leaves out, it is the instant of the change.
    """
    zone = ZoneInfo(time_zone)
    local = to_datetime(start).astimezone(zone)
    index = local.year * 12 + local.month - 1 + months
    year, month = index // 12, index % 12 + 1
    day = min(local.day, monthrange(year, month)[1])
    return to_instant(datetime(year, month, day, tzinfo=zone))


def _require_terms(terms: VestingTerms) -> None:
    if terms.every_months not in {1, 3}:
        raise _invalid(f"parts every {terms.every_months} months", "monthly or quarterly")
    if not 0 <= terms.months <= MONTHS_MAX or terms.months % terms.every_months:
        raise _invalid(f"a schedule over {terms.months} months", f"whole steps, up to {MONTHS_MAX} months")
    if not 0 <= terms.cliff_months <= terms.months:
        raise _invalid(f"a cliff at {terms.cliff_months} of {terms.months} months", "a cliff within the schedule")


def _invalid(what: str, expected: str) -> InvalidInput:
    return InvalidInput(what, where="schedule", code=RefusalCode.INVALID_SCHEDULE, expected=expected)
