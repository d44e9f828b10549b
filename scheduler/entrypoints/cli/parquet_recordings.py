"""Recordings in Parquet: timestamps with or without a zone, text, dictionaries of text, integers, floats, and nulls."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import types

from scheduler.entrypoints.cli.recorded_cells import COLUMNS, PERCENT, REQUIRED, Shares, recorded
from scheduler.metering.fields import invalid
from scheduler.metering.recorded import Recorded

MAGIC: Final = b"PAR1"
ROWS_AT_ONCE = 1 << 16
FLOAT_BITS: Final = 64


def parquet_rows(file: Path, shares: Shares) -> Iterator[Recorded]:
    """Every row. Raises InvalidInput with the file, and the row and column of the first cell that is broken."""
    try:
        with pq.ParquetFile(file) as source:
            names = wanted_columns(file, source.schema_arrow)
            first = 1
            for batch in source.iter_batches(batch_size=ROWS_AT_ONCE, columns=names):
                columns = [
                    plain(batch.column(name)).to_pylist() if name in names else [None] * batch.num_rows
                    for name in COLUMNS
                ]
                for number, cells in enumerate(zip(*columns, strict=True), start=first):
                    yield recorded(cells, lambda number=number: f"{file}: row {number}")  # type: ignore[misc]
                    shares.see(cells[PERCENT])
                first += batch.num_rows
            shares.check(str(file))
    except (pa.ArrowException, OSError) as error:
        detail = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        raise invalid(str(file), f"no Parquet that can be read ({detail})", "a whole Parquet file") from error


def wanted_columns(file: Path, schema: Any) -> list[str]:
    """The file's columns that a recording may have, each of a type that its cells can be read from."""
    for name in REQUIRED:
        if name not in schema.names:
            raise invalid(str(file), f"no column {name}", ", ".join(COLUMNS))
    wanted = [name for name in COLUMNS if name in schema.names]
    for name in wanted:
        if schema.names.count(name) > 1:
            raise invalid(str(file), "a column that is named twice", "each column once")
        kind = schema.field(name).type
        if name == "timestamp" and types.is_floating(kind) and kind.bit_width < FLOAT_BITS:
            raise invalid(f"{file}: {name}", f"a column of {kind}", f"{FLOAT_BITS} bits: fewer tell minutes at best")
        if not _is_readable(kind):
            raise invalid(f"{file}: {name}", f"a column of {kind}", "text, numbers, or timestamps")
    return wanted


def _is_readable(kind: Any) -> bool:
    if types.is_dictionary(kind):
        return _is_readable(kind.value_type)
    return any(
        is_such(kind)
        for is_such in (
            types.is_string,
            types.is_large_string,
            types.is_string_view,
            types.is_binary,
            types.is_large_binary,
            types.is_integer,
            types.is_floating,
            types.is_decimal,
            types.is_timestamp,
            types.is_date,
            types.is_null,
        )
    )


def plain(column: Any) -> Any:
    """Timestamps in UTC, floored to the millisecond: Parquet stores UTC where they have a zone, and those without are
    taken for UTC, as everywhere. Bytes are text in UTF-8: older writers do not say so of theirs."""
    if types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if types.is_binary(column.type) or types.is_large_binary(column.type):
        column = column.cast(pa.string())
    if types.is_timestamp(column.type) or types.is_date(column.type):
        column = column.cast(pa.timestamp("ms"), safe=False)
    return column
