"""A recording's columns and what their cells may hold, whatever file they came in. An empty cell is absent, never 0."""

import math
import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final

from scheduler.domain.periods import to_instant
from scheduler.domain.units import AttemptId, GpuUuid, Instant
from scheduler.metering.fields import invalid
from scheduler.metering.recorded import Recorded

REQUIRED = ("timestamp", "gpu_uuid")
OPTIONAL = (
    "utilization_percent",
    "memory_used_bytes",
    "memory_total_bytes",
    "power_watts",
    "energy_joules",
    "process_count",
    "attempt",
    "cpu_cores",
)
COLUMNS = (*REQUIRED, *OPTIONAL)
PERCENT = COLUMNS.index("utilization_percent")

FIGURE_MAX = 9.0e15
"""In thousandths it is a number of 64 bits."""
INSTANT_MAX = 253_402_300_799_999
"""The last millisecond of the year 9999: what lies beyond is no time but a mistaken unit."""

NUMBER_MAX = 7_258_118_399_999
"""The last millisecond of the year 2199: a number beyond is no time in any unit, but a date as 20261120120000."""

CACHE_CELLS = 1 << 16
"""Recordings repeat themselves: a time stands in a row of every GPU, and most figures are a few."""

_ABSENT = frozenset(
    {"", "-", "na", "n/a", "nan", "nat", "null", "none", "[n/a]", "<na>", "[not supported]", "[unknown error]"}
)
"""As exporters, data frames and nvidia-smi write what they do not have."""

_REPLICA = re.compile(r"::\d+$")
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_ZONE = re.compile(r"\s*(?:Z|z|UTC|GMT)$|\s+(?=[+-]\d{2}:?\d{2}$)")
_TIME = "a time such as 2026-11-20T12:00:00Z, or seconds since 1970"
_FIGURE = "a number of 0 or more, or an empty cell"


class BrokenCell(ValueError):
    """A cell that holds what its column may not."""

    def __init__(self, found: str, expected: str) -> None:
        super().__init__(found)
        self.found = found
        self.expected = expected


def recorded(cells: Sequence[Any], where: Callable[[], str]) -> Recorded:
    """A row, by its cells in the order of COLUMNS: text as a file has it, or values that are typed already, or None.

    Raises InvalidInput with `where()` and the column of the first cell that is broken.
    """
    values: list[Any] = []
    try:
        for cell, parse in zip(cells, PARSERS, strict=True):
            values.append(parse(cell))
    except BrokenCell as broken:
        raise invalid(f"{where()}: {COLUMNS[len(values)]}", broken.found, broken.expected) from broken
    at, uuid, percent, _, memory, watts, joules, processes, attempts, cores = values
    return Recorded(at, uuid, attempts, percent, watts, joules, processes, cores, memory)


class Shares:
    """Whether utilisation is written as a share of 1 and not in percent: no cell above 1, and some between 0 and 1. Nothing
    tells such a file from one of GPUs that are hardly used, and a hundredth of their use would be taken for rest, unless
    `any_use_counts`: then what is above 0 is use in either."""

    def __init__(self, *, any_use_counts: bool = False) -> None:
        self._any_use_counts = any_use_counts
        self._most = 0.0
        self._has_part = False

    def see(self, cell: Any) -> None:
        """One that is no number is left to whoever reads it."""
        try:
            figure = _figure(cell) or 0.0
        except BrokenCell:
            return
        self._most = max(self._most, figure)
        self._has_part = self._has_part or 0 < figure < 1

    def check(self, file: str) -> None:
        if self._has_part and self._most <= 1 and not self._any_use_counts:
            raise invalid(
                f"{file}: {COLUMNS[PERCENT]}",
                "no figure above 1: shares, or less than a percent",
                "0 to 100, or whole",
            )


def _text(cell: Any) -> str | None:
    if cell is None:
        return None
    text = str(cell).strip()
    return None if text.lower() in _ABSENT else text


@lru_cache(CACHE_CELLS)
def _uuid(cell: Any) -> GpuUuid:
    """A time-sliced replica (`GPU-u::3`) is the GPU that it is a share of."""
    text = _text(cell)
    if text is None:
        raise BrokenCell("nothing", "the GPU's UUID")
    return GpuUuid(_REPLICA.sub("", text))


@lru_cache(CACHE_CELLS)
def _attempts(cell: Any) -> tuple[AttemptId, ...]:
    text = _text(cell)
    return () if text is None else (AttemptId(text),)


def _figure(cell: Any) -> float | None:
    text = _text(cell)
    if text is None:
        return None
    figure = float(text) if _NUMBER.fullmatch(text) else math.nan
    if not 0 <= figure <= FIGURE_MAX:
        raise BrokenCell(_shown(cell), _FIGURE)
    return figure


@lru_cache(CACHE_CELLS)
def _thousandths(cell: Any) -> int | None:
    figure = _figure(cell)
    return None if figure is None else round(figure * 1_000)


@lru_cache(CACHE_CELLS)
def _whole(cell: Any) -> int | None:
    figure = _figure(cell)
    return None if figure is None else round(figure)


@lru_cache(CACHE_CELLS)
def _percent(cell: Any) -> int | None:
    """Any use at all is use: a fraction of a percent is not rounded to nothing."""
    figure = _figure(cell)
    if figure is not None and figure > 100:
        raise BrokenCell(_shown(cell), "at most 100")
    return None if figure is None else math.ceil(figure)


@lru_cache(CACHE_CELLS)
def _count(cell: Any) -> int | None:
    figure = _figure(cell)
    if figure is not None and not figure.is_integer():
        raise BrokenCell(_shown(cell), "a whole number, or an empty cell")
    return None if figure is None else int(figure)


@lru_cache(CACHE_CELLS)
def _instant(cell: Any) -> Instant:
    """ISO 8601, in UTC where no offset is given; or seconds, milli-, micro- or nanoseconds since 1970."""
    if isinstance(cell, datetime):
        return _bounded(_utc(cell), cell)
    text = _text(cell)
    if text is None:
        raise BrokenCell("nothing", _TIME)
    if _NUMBER.fullmatch(text):
        since_ms = _since_1970_ms(text)
        return _bounded(since_ms if since_ms <= NUMBER_MAX else -1, cell)
    try:
        moment = datetime.fromisoformat(_ZONE.sub(_offset, text).replace("/", "-"))
    except ValueError as error:
        raise BrokenCell(_shown(cell), _TIME) from error
    return _bounded(_utc(moment), cell)


def _offset(zone: "re.Match[str]") -> str:
    return "+00:00" if zone[0].strip() else ""


def _utc(moment: datetime) -> int:
    return to_instant(moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC))


def _since_1970_ms(text: str) -> int:
    """Seconds of this century have ten digits, milliseconds thirteen, and so on."""
    number = int(text) if text.isdigit() else float(text)
    if abs(number) > INSTANT_MAX * 10**6:
        return -1  # out of bounds in any unit; 1e999 is infinite, which no whole number stands for
    for digits, per_ms in ((17, 10**6), (14, 10**3), (11, 1)):
        if number >= 10**digits:
            return int(number // per_ms)
    return math.floor(number * 1_000)


def _bounded(instant: int, cell: Any) -> Instant:
    if not 0 <= instant <= INSTANT_MAX:
        raise BrokenCell(_shown(cell), _TIME)
    return Instant(instant)


def _shown(cell: Any) -> str:
    return repr(str(cell).strip()[:40])


PARSERS: Final[tuple[Callable[[Any], Any], ...]] = (
    _instant,
    _uuid,
    _percent,
    _whole,
    _whole,
    _thousandths,
    _thousandths,
    _count,
    _attempts,
    _thousandths,
)
