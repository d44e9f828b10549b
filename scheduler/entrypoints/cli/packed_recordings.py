"""Recordings read by the column, millions of rows in seconds: each cell that is written alike is parsed once, figures all
at once. What is read is what `recorded_rows` reads; where anything is out of order, it has the word."""

import csv
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from scheduler.domain.errors import InvalidInput
from scheduler.domain.units import GpuUuid
from scheduler.entrypoints.cli.parquet_recordings import MAGIC, ROWS_AT_ONCE, plain, wanted_columns
from scheduler.entrypoints.cli.recorded_cells import COLUMNS, FIGURE_MAX, PARSERS, PERCENT, BrokenCell, Shares
from scheduler.entrypoints.cli.recordings import columns_of, recorded_rows
from scheduler.metering.packed import ABSENT, Holders, PackedRows, by_device

BLOCK_BYTES = 1 << 21
THOUSANDTHS: Final = frozenset({"power_watts", "energy_joules"})
"""Columns that hardly repeat themselves."""
PERCENT_NAME: Final = COLUMNS[PERCENT]
FIGURES: Final = (
    "utilization_percent",
    "power_watts",
    "energy_joules",
    "process_count",
    "cpu_cores",
    "memory_total_bytes",
)
"""As PackedRows has them."""

Numbers = npt.NDArray[np.int64]
Columns = dict[str, Any]


def read_packed(file: Path, *, any_use_counts: bool = False) -> dict[GpuUuid, PackedRows]:
    """Every row, by device. Raises InvalidInput as `recorded_rows` does."""
    with file.open("rb") as raw:
        is_parquet = raw.read(len(MAGIC)) == MAGIC
    try:
        packing = _Packing(any_use_counts=any_use_counts)
        for columns in _parquet_blocks(file) if is_parquet else _csv_blocks(file):
            packing.add(columns)
        packing.shares.check(str(file))
    except (pa.ArrowException, OSError, BrokenCell, InvalidInput, csv.Error, UnicodeDecodeError):
        # row by row, which knows where it is and says so
        return by_device(recorded_rows(file, any_use_counts=any_use_counts))
    return packing.devices


class _Packing:
    """Blocks of columns, taken apart by device."""

    def __init__(self, *, any_use_counts: bool) -> None:
        self.devices: dict[GpuUuid, PackedRows] = {}
        self.shares = Shares(any_use_counts=any_use_counts)
        self._holders = Holders()
        self._uuids: list[GpuUuid] = []
        self._places: dict[GpuUuid, int] = {}

    def add(self, columns: Columns) -> None:
        at = _numbers(columns["timestamp"], _parser("timestamp"))
        places = _numbers(columns["gpu_uuid"], self._place_of)
        if "attempt" in columns:
            holder = _numbers(columns["attempt"], self._holder_of).astype(np.int32)
        else:
            holder = np.full(len(at), self._holders.number_of(()), dtype=np.int32)
        if PERCENT_NAME in columns:
            for cell in columns[PERCENT_NAME].unique().to_pylist():
                self.shares.see(cell)
        figures = [_figures(name, columns[name]) if name in columns else None for name in FIGURES]
        if "memory_used_bytes" in columns:
            _figures("memory_used_bytes", columns["memory_used_bytes"])  # checked, and not used
        order = np.argsort(places, kind="stable")
        ends = np.flatnonzero(np.diff(places[order], append=-1)) + 1
        for start, end in zip([0, *ends.tolist()], ends.tolist(), strict=False):
            rows = order[start:end]
            device = self.devices[self._uuids[places[rows[0]]]]
            parts = [None if figure is None else figure[rows].tobytes() for figure in figures]
            device.extend(at[rows].tobytes(), holder[rows].tobytes(), parts)

    def _place_of(self, cell: Any) -> int:
        uuid = _parser("gpu_uuid")(cell)
        place = self._places.get(uuid)
        if place is None:
            place = self._places[uuid] = len(self._uuids)
            self._uuids.append(uuid)
            self.devices[uuid] = PackedRows(uuid, self._holders)
        return place

    def _holder_of(self, cell: Any) -> int:
        return self._holders.number_of(_parser("attempt")(cell))


def _parser(name: str) -> Callable[[Any], Any]:
    return PARSERS[COLUMNS.index(name)]


def _numbers(column: Any, number_of: Callable[[Any], int | None]) -> Numbers:
    """By each different cell once."""
    coded = column.dictionary_encode(null_encoding="encode")
    numbers = (number_of(cell) for cell in coded.dictionary.to_pylist())
    of_each = np.array([ABSENT if number is None else number for number in numbers], dtype=np.int64)
    return np.asarray(of_each[coded.indices.to_numpy(zero_copy_only=False)])


def _figures(name: str, column: Any) -> Numbers:
    if name in THOUSANDTHS:
        try:
            return _thousandths(column)
        except (pa.ArrowException, BrokenCell):
            pass  # not all of them are plain numbers: each by itself
    return _numbers(column, _parser(name))


def _thousandths(column: Any) -> Numbers:
    """Raises ArrowException or BrokenCell where one is no plain number."""
    if pa.types.is_string(column.type):
        column = pc.if_else(pc.equal(column, ""), pa.scalar(None, pa.string()), column)
    absent = column.is_null().to_numpy(zero_copy_only=False)
    figures = column.cast(pa.float64()).fill_null(0.0).to_numpy(zero_copy_only=False)
    if not ((figures >= 0) & (figures <= FIGURE_MAX)).all():
        raise BrokenCell("a figure", "0 or more")
    thousandths = np.rint(figures * 1_000).astype(np.int64)
    thousandths[absent] = ABSENT
    return np.asarray(thousandths)


def _csv_blocks(file: Path) -> Iterator[Columns]:
    with file.open(newline="", encoding="utf-8-sig", errors="strict") as text:
        reader = csv.reader(text, strict=True)
        header = next(reader, [])
        if reader.line_num != 1:
            raise csv.Error("a header of several lines")
    places = columns_of(str(file), header)
    names = [str(number) for number in range(len(header))]
    wanted = {name: str(place) for name, place in zip(COLUMNS, places, strict=True) if place is not None}
    blocks = pacsv.open_csv(
        file,
        memory_pool=pa.system_memory_pool(),  # the usual one keeps what it has had
        read_options=pacsv.ReadOptions(use_threads=False, block_size=BLOCK_BYTES, column_names=names, skip_rows=1),
        convert_options=pacsv.ConvertOptions(
            column_types=dict.fromkeys(wanted.values(), pa.string()),
            include_columns=list(wanted.values()),
            strings_can_be_null=False,
        ),
    )
    with blocks:
        for batch in blocks:
            yield {name: batch.column(own) for name, own in wanted.items()}


def _parquet_blocks(file: Path) -> Iterator[Columns]:
    with pq.ParquetFile(file) as source:
        names = wanted_columns(file, source.schema_arrow)
        for batch in source.iter_batches(batch_size=ROWS_AT_ONCE, columns=names, use_threads=False):
            yield dict(zip(names, (plain(batch.column(name)) for name in names), strict=True))
