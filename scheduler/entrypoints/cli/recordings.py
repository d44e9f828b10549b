"""Recordings of GPUs, CSV or Parquet: files of readings, told apart by their first bytes and read strictly."""

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from scheduler.entrypoints.cli.parquet_recordings import MAGIC, parquet_rows
from scheduler.entrypoints.cli.recorded_cells import COLUMNS, OPTIONAL, PERCENT, REQUIRED, Shares, recorded
from scheduler.metering.fields import invalid
from scheduler.metering.recorded import Recorded

GZIP_MAGIC: Final = b"\x1f\x8b"


def recorded_rows(file: Path, *, any_use_counts: bool = False) -> Iterator[Recorded]:
    """Every row, as it is read. Raises InvalidInput with the file, the line (of Parquet, the row) and the column of the
    first cell that is broken. `any_use_counts`: whether a part of a percent is above the rule's threshold."""
    shares = Shares(any_use_counts=any_use_counts)
    with file.open("rb") as raw:
        head = raw.read(len(MAGIC))
    if head.startswith(GZIP_MAGIC):
        raise invalid(str(file), "a gzip file", "it unpacked: CSV or Parquet")
    return parquet_rows(file, shares) if head == MAGIC else _csv_rows(file, shares)


def columns_of(file: str, names: Sequence[str]) -> list[int | None]:
    """Where each of COLUMNS stands among the names, None where it does not."""
    columns = [name.strip() for name in names]
    missing = [name for name in REQUIRED if name not in columns]
    if missing:
        told = f", but {','.join(columns)[:60]!r}" if columns else " and no line at all"
        raise invalid(file, f"no column {missing[0]}{told}", ", ".join((*REQUIRED, *OPTIONAL)))
    if len(set(columns)) < len(columns):
        raise invalid(file, "a column that is named twice", "each column once")
    return [columns.index(name) if name in columns else None for name in COLUMNS]


def _csv_rows(file: Path, shares: Shares) -> Iterator[Recorded]:
    with file.open(newline="", encoding="utf-8-sig", errors="strict") as text:
        reader = csv.reader(text, strict=True)
        try:
            header = next(reader, [])
            places = columns_of(f"{file}:1", header)
            percent = places[PERCENT]
            for row in reader:
                if row:
                    yield _csv_row(row, header, places, f"{file}:{reader.line_num}")
                    shares.see(row[percent] if percent is not None else None)
            shares.check(str(file))
        except (csv.Error, UnicodeDecodeError) as error:
            line = reader.line_num + 1 if isinstance(error, csv.Error) else _first_undecoded(file)
            raise invalid(f"{file}:{line}", f"no CSV in UTF-8 ({error})", "rows of comma-separated values") from error


def _first_undecoded(file: Path) -> int:
    """The line of the first bytes that are no UTF-8: text is decoded a block at a time, long before its rows are read."""
    number = 1
    with file.open("rb") as raw:
        for line in raw:
            try:
                line.decode()
            except UnicodeDecodeError:
                break
            number += 1
    return number


def _csv_row(row: list[str], header: Sequence[str], places: Sequence[int | None], where: str) -> Recorded:
    if len(row) > len(header):
        raise invalid(where, "more cells than columns", "a cell for each column")
    if len(row) < len(header):
        raise invalid(f"{where}: {header[len(row)].strip()}", "no cell", "a cell for each column, be it empty")
    cells: list[Any] = [None if place is None else row[place] for place in places]
    return recorded(cells, lambda: where)
