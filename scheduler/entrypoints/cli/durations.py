"""Durations and hours as people type them: `8h`, `30m`, `1h30m`, `2d`. Whole numbers only.

A duration may also be written as Slurm's `--time` has it, where that says its units: `1-12`, `1-12:00`, `1-12:00:00` and
`12:00:00`. Its `30` (minutes) and `12:00` (minutes and seconds) are refused: most who type them here mean hours.
"""

import re
from typing import NoReturn

from scheduler.domain.errors import InvalidInput, RefusalCode
from scheduler.domain.units import AMOUNT_MAX, MS_PER_DAY, MS_PER_HOUR, MS_PER_MINUTE, MS_PER_SECOND

DURATION_MS_MAX = 100 * 366 * MS_PER_DAY

_PARTS = re.compile(
    r"(?:(?P<d>[0-9]{1,18})d)?(?:(?P<h>[0-9]{1,18})h)?(?:(?P<m>[0-9]{1,18})m)?(?:(?P<s>[0-9]{1,18})s)?", re.ASCII
)
_SLURM = re.compile(
    r"(?:(?P<d>[0-9]{1,18})-)?(?P<h>[0-9]{1,18})(?::(?P<m>[0-5]?[0-9])(?::(?P<s>[0-5]?[0-9]))?)?", re.ASCII
)
_UNIT_MS = {"d": MS_PER_DAY, "h": MS_PER_HOUR, "m": MS_PER_MINUTE, "s": MS_PER_SECOND}
_HOURS = re.compile(r"[0-9]{1,18}")


def parse_duration(text: str, where: str = "--time") -> int:
    """Milliseconds. Refuses with `invalid-time-limit` what is no duration, nothing, or more than a hundred years."""
    milliseconds = milliseconds_of(text) or _as_slurm(text)
    if milliseconds is None or not 0 < milliseconds <= DURATION_MS_MAX:
        expected = "a duration above zero, such as 30m, 8h, 1h30m or 2d, or 1-12:00:00 as in Slurm"
        _refuse(text, where, RefusalCode.INVALID_TIME_LIMIT, expected)
    return milliseconds


def parse_hours(text: str, where: str = "HOURS") -> int:
    """Milliseconds of GPU time: `40h`, `1h30m`, or whole hours as `40`. Refuses with `invalid-amount`."""
    plain = text.strip()
    milliseconds = int(plain) * MS_PER_HOUR if _HOURS.fullmatch(plain) else milliseconds_of(plain)
    if milliseconds is None or not 0 < milliseconds < AMOUNT_MAX:
        _refuse(text, where, RefusalCode.INVALID_AMOUNT, "GPU-hours above zero, such as 40h, 1h30m or 250")
    return milliseconds


def milliseconds_of(text: str) -> int | None:
    """Of a duration in units, such as `1h30m`; None where it is none."""
    found = _PARTS.fullmatch(text.strip().lower())
    return _sum(found) if found is not None and any(found.groups()) else None


def _as_slurm(text: str) -> int | None:
    found = _SLURM.fullmatch(text.strip())
    return _sum(found) if found is not None and (found["d"] or found["s"]) else None


def _sum(parts: re.Match[str]) -> int:
    return sum(int(number) * _UNIT_MS[unit] for unit, number in parts.groupdict().items() if number)


def _refuse(text: str, where: str, code: RefusalCode, expected: str) -> NoReturn:
    shown = text if len(text) <= 40 else f"{text[:39]}…"
    raise InvalidInput(f"{shown!r} cannot be read", where=where, code=code, expected=expected)
