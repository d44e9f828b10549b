"""Instants as people type them: with their offset from UTC, or in UTC, as the command line prints all of them.

In UTC are a day, a day and a time, and the words of Slurm's `--begin`. Its days in numbers (`12/01`, `120126`) are refused:
half of the world reads them the other way round.
"""

import re
from collections.abc import Callable
from datetime import UTC, datetime, time, timedelta

from scheduler.domain.errors import InvalidInput, RefusalCode
from scheduler.domain.units import MS_PER_DAY, MS_PER_HOUR, MS_PER_MINUTE, MS_PER_SECOND
from scheduler.entrypoints.cli.durations import DURATION_MS_MAX, milliseconds_of

Clock = Callable[[], datetime]
"""The server's now, with its offset: asked only for what is said by it, for it costs a request."""

TIMES = "now+2hours; 22:00, tomorrow or 2026-12-01T09:00 in UTC; 2026-12-01T09:00:00+01:00"
DAYS = "2027-01-01 (in UTC), now+30d, or 2027-01-01T00:00:00+01:00"
BACK = "2026-10-01, yesterday, now-7days, or 2026-10-01T09:00:00+02:00"
"""For the help of options: of one for hours ahead, one for days ahead, and one for what was."""

_EXPECTED = (
    "an instant such as 2026-12-01T09:00:00+01:00; or in UTC 2026-12-01, 22:00, 10:00pm, noon, midnight, tomorrow 08:00, "
    "yesterday, now, now+2hours, now+1h30m or now-7days"
)
_SHOWN_MAX = 40

_DAYS_AHEAD = {"yesterday": -1, "today": 0, "tomorrow": 1}
DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_NAMED_TIMES = {"midnight": time(0), "elevenses": time(11), "noon": time(12), "fika": time(15), "teatime": time(16)}
_TIME_OF_DAY = re.compile(r"([0-9]{1,2}):([0-9]{2})(?::([0-9]{2}))? ?(am|pm)?")
_FROM_NOW = re.compile(r"now ?([+-]) ?(.+)")
_COUNT = re.compile(r"([0-9]{1,9}) ?(?:(second|minute|hour|day|week)s?)?")
_UNIT_MS = {
    "second": MS_PER_SECOND,
    "minute": MS_PER_MINUTE,
    "hour": MS_PER_HOUR,
    "day": MS_PER_DAY,
    "week": 7 * MS_PER_DAY,
}


def parse_instant(text: str | None, where: str, clock: Clock) -> str | None:
    """As the API reads it. Refuses, in the name of the option, what is no instant."""
    if text is None:
        return None
    words = " ".join(text.lower().split())
    moment = _written_out(text) or _from_now(words, clock) or _of_the_day(words, clock)
    if moment is None:
        shown = text if len(text) <= _SHOWN_MAX else f"{text[: _SHOWN_MAX - 1]}…"
        raise InvalidInput(
            f"{shown!r} cannot be read", where=where, code=RefusalCode.INVALID_VALUE, expected=_EXPECTED
        )
    return moment.isoformat()


def parse_day(text: str | None, where: str, clock: Clock) -> str | None:
    """A day alone stays one, for the API to read in the policy's time zone; anything else is an instant."""
    words = " ".join((text or "").lower().split())
    if words in _DAYS_AHEAD:
        return f"{clock().astimezone(UTC) + timedelta(days=_DAYS_AHEAD[words]):%Y-%m-%d}"
    instant = parse_instant(text, where, clock)
    return words if DAY.fullmatch(words) else instant


def _written_out(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def _from_now(words: str, clock: Clock) -> datetime | None:
    """`now`, or so long from it, as Slurm counts (`now+2hours`; `now+60` is a minute) or as durations are typed here."""
    if words == "now":
        return clock()
    said = _FROM_NOW.fullmatch(words)
    if said is None:
        return None
    counted = _COUNT.fullmatch(said[2])
    length_ms = int(counted[1]) * _UNIT_MS[counted[2] or "second"] if counted else milliseconds_of(said[2])
    if length_ms is None or length_ms > DURATION_MS_MAX:
        return None
    length = timedelta(milliseconds=length_ms)
    return clock() + length if said[1] == "+" else clock() - length


def _of_the_day(words: str, clock: Clock) -> datetime | None:
    """A time of a named day; without a day the next such time, which is tomorrow's where today's is over."""
    day, _, rest = words.partition(" ")
    has_day = day in _DAYS_AHEAD
    at = _time_of_day((rest or "midnight") if has_day else words)
    if at is None:
        return None
    now = clock().astimezone(UTC)
    moment = datetime.combine(now, at, UTC) + timedelta(days=_DAYS_AHEAD.get(day, 0))
    return moment if has_day or moment > now else moment + timedelta(days=1)


def _time_of_day(words: str) -> time | None:
    found = _TIME_OF_DAY.fullmatch(words)
    if found is None:
        return _NAMED_TIMES.get(words)
    hour, half = int(found[1]), found[4]
    if half and not 1 <= hour <= 12:
        return None
    try:
        return time(hour % 12 + (12 if half == "pm" else 0) if half else hour, int(found[2]), int(found[3] or 0))
    except ValueError:
        return None
