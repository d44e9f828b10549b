"""FOCUS as files: CSV that no spreadsheet runs, and Parquet with types. Whole or not at all."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from scheduler.finance.csv_text import csv_lines, safe
from scheduler.finance.focus.columns import COLUMNS, COST_PLACES, NAMES, ColumnKind

ROWS_A_GROUP = 20_000
"""A row group of Parquet is what is in memory at a time."""

_TEXTS = frozenset(place for place, column in enumerate(COLUMNS) if column.kind is ColumnKind.TEXT)
_TYPES = {
    ColumnKind.TEXT: pa.string(),
    ColumnKind.JSON: pa.string(),
    ColumnKind.DECIMAL: pa.decimal128(38, COST_PLACES),
    ColumnKind.TIME: pa.timestamp("ms", tz="UTC"),
    ColumnKind.WHOLE: pa.int64(),
}
SCHEMA = pa.schema([pa.field(column.name, _TYPES[column.kind]) for column in COLUMNS])

Rows = Iterable[Sequence[str]]


def focus_csv(rows: Rows) -> Iterator[str]:
    """The file's text, piece by piece."""
    return csv_lines(NAMES, (_safe(row) for row in rows))


def write_csv(path: Path, rows: Rows) -> None:
    write_text(path, focus_csv(rows))


def write_text(path: Path, pieces: Iterable[str]) -> None:
    with _whole(path) as part, part.open("w", encoding="utf-8", newline="") as file:
        file.writelines(pieces)


def write_parquet(path: Path, rows: Rows) -> None:
    """Decimals as decimal128, instants as UTC timestamps, JSON as text."""
    with _whole(path) as part, pq.ParquetWriter(part, SCHEMA, compression="zstd") as writer:
        rest = iter(rows)
        while group := list(islice(rest, ROWS_A_GROUP)):
            columns = [
                pa.array([_VALUES[column.kind](row[place]) for row in group], type=_TYPES[column.kind])
                for place, column in enumerate(COLUMNS)
            ]
            writer.write_table(pa.Table.from_arrays(columns, schema=SCHEMA))


@contextmanager
def _whole(path: Path) -> Iterator[Path]:
    """A name to write under: it becomes the file when all is written, and is gone where writing failed."""
    part = path.with_name(f".{path.name}.part")
    try:
        yield part
        with part.open("rb") as written:
            os.fsync(written.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _safe(row: Sequence[str]) -> list[str]:
    return [safe(cell) if place in _TEXTS else cell for place, cell in enumerate(row)]


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _or_null(read: Callable[[str], Any]) -> Callable[[str], Any]:
    return lambda text: read(text) if text else None


_VALUES: dict[ColumnKind, Callable[[str], Any]] = {
    ColumnKind.TEXT: _or_null(str),
    ColumnKind.JSON: _or_null(str),
    ColumnKind.DECIMAL: _or_null(Decimal),
    ColumnKind.TIME: _or_null(_time),
    ColumnKind.WHOLE: _or_null(int),
}
