"""FOCUS as Parquet, with types: decimals as decimal128, instants as UTC timestamps, JSON as text."""

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from scheduler.adapters.exports.focus_files import Rows, whole
from scheduler.finance.focus.columns import COLUMNS, COST_PLACES, ColumnKind

ROWS_A_GROUP = 20_000
"""A row group of Parquet is what is in memory at a time."""

_TYPES = {
    ColumnKind.TEXT: pa.string(),
    ColumnKind.JSON: pa.string(),
    ColumnKind.DECIMAL: pa.decimal128(38, COST_PLACES),
    ColumnKind.TIME: pa.timestamp("ms", tz="UTC"),
    ColumnKind.WHOLE: pa.int64(),
}
SCHEMA = pa.schema([pa.field(column.name, _TYPES[column.kind]) for column in COLUMNS])


def write_parquet(path: Path, rows: Rows) -> None:
    """The whole file, or none."""
    with whole(path) as part, pq.ParquetWriter(part, SCHEMA, compression="zstd") as writer:
        rest = iter(rows)
        while group := list(islice(rest, ROWS_A_GROUP)):
            columns = [
                pa.array([_VALUES[column.kind](row[place]) for row in group], type=_TYPES[column.kind])
                for place, column in enumerate(COLUMNS)
            ]
            writer.write_table(pa.Table.from_arrays(columns, schema=SCHEMA))


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
