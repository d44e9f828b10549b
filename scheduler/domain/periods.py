"""Calendar periods in a stated time zone, as half-open intervals of UTC instants."""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from zoneinfo import ZoneInfo

from scheduler.domain.errors import InvalidInput
from scheduler.domain.units import Instant


class PeriodLength(StrEnum):
    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    QUARTER = "quarter"
    YEAR = "year"


@dataclass(frozen=True, slots=True)
class Period:
    """One calendar period: `name` (2026-11, 2026-W47, 2026-Q4, 2026-11-20, 2026) and its bounds, end exclusive."""

    name: str
    starts_at: Instant
    ends_at: Instant

    def contains(self, instant: Instant) -> bool:
        return self.starts_at <= instant < self.ends_at


def to_instant(moment: datetime) -> Instant:
    """The instant of an aware datetime, floored to the millisecond."""
    assert moment.tzinfo is not None, "an instant needs a time zone"
    return Instant((moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1))


def to_datetime(instant: Instant) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=instant)


def iso(instant: Instant) -> str:
    """RFC 3339 in UTC, with milliseconds only where there are any."""
    moment = to_datetime(instant)
    text = moment.isoformat(timespec="milliseconds" if instant % 1000 else "seconds")
    return text.replace("+00:00", "Z")


def period_at(instant: Instant, length: PeriodLength, time_zone: str) -> Period:
    """The period of that length that contains the instant, on the wall clock of `time_zone`.

    Days, months and so on begin at local midnight, so that a day of a clock change is 23 or 25 hours long.
    """
    return _period_around(to_datetime(instant).astimezone(ZoneInfo(time_zone)).date(), length, time_zone)


@lru_cache(maxsize=1_024)
def _period_around(local: date, length: PeriodLength, time_zone: str) -> Period:
    """The one that the local day is in: every charge asks for it twice, and nearly all in one day ask for the same."""
    zone = ZoneInfo(time_zone)
    start_year, start_month, start_day = local.year, local.month, local.day
    match length:
        case PeriodLength.DAY:
            name = f"{local:%Y-%m-%d}"
            end = _civil(local.year, local.month, local.day, days=1)
        case PeriodLength.WEEK:
            monday = local - timedelta(days=local.weekday())
            start_year, start_month, start_day = monday.year, monday.month, monday.day
            year, week, _ = local.isocalendar()
            name = f"{year}-W{week:02d}"
            end = _civil(start_year, start_month, start_day, days=7)
        case PeriodLength.MONTH:
            start_day = 1
            name = f"{local:%Y-%m}"
            end = _months_after(local.year, local.month, 1)
        case PeriodLength.QUARTER:
            quarter = (local.month - 1) // 3
            start_month, start_day = quarter * 3 + 1, 1
            name = f"{local.year}-Q{quarter + 1}"
            end = _months_after(local.year, start_month, 3)
        case PeriodLength.YEAR:
            start_month, start_day = 1, 1
            name = f"{local.year}"
            end = (local.year + 1, 1, 1)
    starts_at = to_instant(datetime(start_year, start_month, start_day, tzinfo=zone))
    return Period(name, starts_at, to_instant(datetime(*end, tzinfo=zone)))


YEARS = range(1970, 9000)
"""What a period may be of: instants begin in 1970, and a calendar ends with the year 9999."""

_NAMES: tuple[tuple[PeriodLength, str], ...] = (
    (PeriodLength.DAY, r"([0-9]{4})-([0-9]{2})-([0-9]{2})"),
    (PeriodLength.WEEK, r"([0-9]{4})-W([0-9]{2})"),
    (PeriodLength.QUARTER, r"([0-9]{4})-Q([1-4])"),
    (PeriodLength.MONTH, r"([0-9]{4})-([0-9]{2})"),
    (PeriodLength.YEAR, r"([0-9]{4})"),
)


def period_named(name: str, time_zone: str) -> Period:
    """The period of that name, or from one day or instant to another: `2026-10-01/2026-10-15`, the end exclusive.

    Raises InvalidInput for a name that is none, such as 2026-13.
    """
    if "/" in name:
        return _interval(name, time_zone)
    for length, pattern in _NAMES:
        match = re.fullmatch(pattern, name)
        if match is None:
            continue
        try:
            moment = _first_day(length, [int(part) for part in match.groups()])
        except ValueError:
            break
        if moment[0] not in YEARS:
            break
        noon = to_instant(datetime(*moment, 12, tzinfo=ZoneInfo(time_zone)))
        return period_at(noon, length, time_zone)
    raise _no_period(name)


def _interval(name: str, time_zone: str) -> Period:
    start, _, end = name.partition("/")
    starts_at, ends_at = _bound(start, time_zone), _bound(end, time_zone)
    if starts_at is None or ends_at is None:
        raise _no_period(name)
    if starts_at >= ends_at:
        raise InvalidInput(
            f"{name!r} ends no later than it begins",
            where="period",
            expected="an end after its begin",
        )
    return Period(name, starts_at, ends_at)


def _bound(text: str, time_zone: str) -> Instant | None:
    """Midnight of a day in the time zone, or an instant with an offset of its own, to the millisecond."""
    is_day = re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text) is not None
    if (
        not is_day
        and re.fullmatch(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2}(\.\d{1,6})?)?(Z|[+-]\d{2}:\d{2})", text) is None
    ):
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    if moment.year not in YEARS:
        return None
    return to_instant(moment.replace(tzinfo=ZoneInfo(time_zone)) if is_day else moment)


def _no_period(name: str) -> InvalidInput:
    return InvalidInput(
        f"{name[:60]!r} names no period",
        where="period",
        expected="such as 2026-11, 2026-W47, 2026-Q4, 2026-11-20, 2026 or 2026-11-01/2026-11-15",
    )


def _first_day(length: PeriodLength, parts: list[int]) -> tuple[int, int, int]:
    match length:
        case PeriodLength.DAY:
            first = date(parts[0], parts[1], parts[2])
        case PeriodLength.WEEK:
            first = date.fromisocalendar(parts[0], parts[1], 1)
        case PeriodLength.MONTH:
            first = date(parts[0], parts[1], 1)
        case PeriodLength.QUARTER:
            first = date(parts[0], parts[1] * 3 - 2, 1)
        case PeriodLength.YEAR:
            first = date(parts[0], 1, 1)
    return first.year, first.month, first.day


def _civil(year: int, month: int, day: int, *, days: int) -> tuple[int, int, int]:
    later = datetime(year, month, day, tzinfo=UTC) + timedelta(days=days)
    return later.year, later.month, later.day


def _months_after(year: int, month: int, months: int) -> tuple[int, int, int]:
    index = year * 12 + month - 1 + months
    return index // 12, index % 12 + 1, 1
