"""The rows of a recording by device, in columns: some fifty bytes a row, where a tuple takes four hundred. There may be
millions, and a device is judged at a time."""

from array import array
from collections.abc import Iterable, Iterator, Sequence
from itertools import repeat
from typing import Final

from scheduler.domain.units import AttemptId, GpuUuid
from scheduler.metering.recorded import Recorded

FIGURES: Final = 6
ABSENT: Final = -1
"""No figure of a recording is below 0."""


class PackedRows:
    """One device's rows, in the order in which they were added. `holders` are who had any device, by their numbers: all
    devices of a recording share them."""

    def __init__(self, gpu_uuid: GpuUuid, holders: "Holders") -> None:
        self._gpu_uuid = gpu_uuid
        self._holders = holders
        self._at = array("q")
        self._holder = array("i")
        self._figures = tuple(array("q") for _ in range(FIGURES))
        """In the order of Recorded. A column ends with the last figure that it has: one that is not there takes no room."""

    def __len__(self) -> int:
        return len(self._at)

    def append(self, row: Recorded) -> None:
        before = len(self._at)
        self._at.append(row.at)
        self._holder.append(self._holders.number_of(row.attempts))
        figures = row[3:9]  # from `percent` to `memory_bytes`
        for column, figure in zip(self._figures, figures, strict=True):
            if figure is not None:
                if len(column) < before:
                    _fill(column, before)
                column.append(figure)

    def extend(self, at: bytes, holder: bytes, figures: Sequence[bytes | None]) -> None:
        """Many rows at once, by their columns: instants and figures in 64 bits each, `holder` in 32. The figures are
        in the order of Recorded, ABSENT where there is none, and None where no row has any."""
        before = len(self._at)
        self._at.frombytes(at)
        self._holder.frombytes(holder)
        for column, part in zip(self._figures, figures, strict=True):
            if part is not None:
                _fill(column, before)
                column.frombytes(part)

    @property
    def attempts(self) -> frozenset[AttemptId]:
        """Everybody whom a row names."""
        return frozenset(attempt for number in set(self._holder) for attempt in self._holders.named[number])

    def __iter__(self) -> Iterator[Recorded]:
        named = self._holders.named
        for column in self._figures:
            _fill(column, len(self) if column else 0)
        figures = (_known(column) for column in self._figures)
        return map(Recorded, self._at, repeat(self._gpu_uuid), (named[each] for each in self._holder), *figures)


class Holders:
    """Sets of attempts, numbered as they are first named."""

    def __init__(self) -> None:
        self.named: list[tuple[AttemptId, ...]] = []
        self._numbers: dict[tuple[AttemptId, ...], int] = {}

    def number_of(self, attempts: tuple[AttemptId, ...]) -> int:
        number = self._numbers.get(attempts)
        if number is None:
            number = self._numbers[attempts] = len(self.named)
            self.named.append(attempts)
        return number


def by_device(rows: Iterable[Recorded]) -> dict[GpuUuid, PackedRows]:
    found: dict[GpuUuid, PackedRows] = {}
    holders = Holders()
    for row in rows:
        known = found.get(row.gpu_uuid)
        if known is None:
            known = found[row.gpu_uuid] = PackedRows(row.gpu_uuid, holders)
        known.append(row)
    return found


def _fill(column: "array[int]", length: int) -> None:
    column.extend(repeat(ABSENT, length - len(column)))


def _known(column: "array[int]") -> Iterable[int | None]:
    if not column:
        return repeat(None)
    return column if min(column) > ABSENT else (None if each == ABSENT else each for each in column)
