"""Recordings of GPUs: CSV files of readings, read strictly, an empty cell being absent and never zero."""

import csv
import math
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

from scheduler.domain.errors import InvalidInput, RefusalCode
from scheduler.domain.periods import to_instant
from scheduler.domain.units import AttemptId, GpuUuid, Instant
from scheduler.metering.judge import Recorded

REQUIRED = ("timestamp", "gpu_uuid")
OPTIONAL = (
    "utilization_percent",
    "memory_used_bytes",
    "memory_total_bytes",
    "power_watts",
    "energy_joules",
    "process_count",
    "attempt",
)
FIGURE_MAX = 2.0**62
_ABSENT = frozenset({"", "na", "n/a", "nan", "null", "none", "[n/a]"})
"""As exporters and nvidia-smi write what they do not have."""


def read_recording(file: Path) -> list[Recorded]:
    """Every row. Raises InvalidInput with the file, the line and the column of the first cell that is none."""
    with file.open(newline="", encoding="utf-8-sig", errors="strict") as text:
        try:
            return list(_rows(file, csv.DictReader(text, strict=True)))
        except (csv.Error, UnicodeDecodeError) as error:
            raise _invalid(str(file), f"no CSV in UTF-8 ({error})", "rows of comma-separated values") from error


def _rows(file: Path, reader: "csv.DictReader[str]") -> Iterator[Recorded]:
    columns = [name.strip() for name in reader.fieldnames or ()]
    reader.fieldnames = columns
    missing = [name for name in REQUIRED if name not in columns]
    if missing:
        raise _invalid(f"{file}:1", f"no column {missing[0]}", ", ".join((*REQUIRED, *OPTIONAL)))
    if len(set(columns)) < len(columns):
        raise _invalid(f"{file}:1", "a column that is named twice", "each column once")
    for row in reader:
        yield _recorded(row, f"{file}:{reader.line_num}")


def _recorded(row: Mapping[str | None, str | None], where: str) -> Recorded:
    if None in row:
        raise _invalid(where, "more cells than columns", "a cell for each column")
    uuid, attempt = _text(row, "gpu_uuid"), _text(row, "attempt")
    if uuid is None:
        raise _invalid(f"{where}: gpu_uuid", "nothing", "the GPU's UUID")
    watts, joules = _figure(row, "power_watts", where), _figure(row, "energy_joules", where)
    processes = _figure(row, "process_count", where)
    return Recorded(
        at=_instant(_text(row, "timestamp"), where),
        gpu_uuid=GpuUuid(uuid),
        attempt_id=None if attempt is None else AttemptId(attempt),
        percent=_percent(row, where),
        milliwatts=None if watts is None else round(watts * 1_000),
        energy_millijoules=None if joules is None else round(joules * 1_000),
        process_count=None if processes is None else int(processes),
    )


def _percent(row: Mapping[str | None, str | None], where: str) -> int | None:
    """Any use at all is use: a fraction of a percent is not rounded to nothing."""
    percent = _figure(row, "utilization_percent", where)
    if percent is None:
        return None
    if percent > 100:
        raise _invalid(f"{where}: utilization_percent", str(percent), "at most 100")
    return math.ceil(percent)


def _text(row: Mapping[str | None, str | None], column: str) -> str | None:
    cell = (row.get(column) or "").strip()
    return None if cell.lower() in _ABSENT else cell


def _figure(row: Mapping[str | None, str | None], column: str, where: str) -> float | None:
    cell = _text(row, column)
    if cell is None:
        return None
    try:
        figure = float(cell)
    except ValueError:
        figure = math.nan
    if not math.isfinite(figure) or not 0 <= figure <= FIGURE_MAX:
        raise _invalid(f"{where}: {column}", repr(cell[:40]), "a number of 0 or more, or an empty cell")
    return figure


def _instant(cell: str | None, where: str) -> Instant:
    """ISO 8601, in UTC where no offset is given, or seconds or milliseconds since 1970."""
    expected = "a time such as 2026-11-20T12:00:00Z, or seconds since 1970"
    if cell is None:
        raise _invalid(f"{where}: timestamp", "nothing", expected)
    try:
        number = float(cell)
    except ValueError:
        number = math.nan
    if math.isfinite(number):
        # Seconds of this century have ten digits, milliseconds thirteen.
        instant = round(number if abs(number) >= 10**11 else number * 1_000)
        if 0 <= instant < 2**53:
            return Instant(instant)
        raise _invalid(f"{where}: timestamp", repr(cell[:40]), expected)
    try:
        moment = datetime.fromisoformat(cell.replace("/", "-"))
    except ValueError as error:
        raise _invalid(f"{where}: timestamp", repr(cell[:40]), expected) from error
    return to_instant(moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC))


def _invalid(where: str, found: str, expected: str) -> InvalidInput:
    return InvalidInput(f"found {found}", code=RefusalCode.INVALID_SAMPLE, where=where, expected=expected)
