"""FOCUS as text files that no spreadsheet runs, whole or not at all. Parquet stands beside: its library is heavy."""

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from scheduler.finance.csv_text import csv_lines, safe
from scheduler.finance.focus.columns import COLUMNS, NAMES, ColumnKind

_TEXTS = frozenset(place for place, column in enumerate(COLUMNS) if column.kind is ColumnKind.TEXT)
Rows = Iterable[Sequence[str]]


def focus_csv(rows: Rows) -> Iterator[str]:
    """The file's text, piece by piece."""
    return csv_lines(NAMES, (_safe(row) for row in rows))


def write_csv(path: Path, rows: Rows) -> None:
    write_text(path, focus_csv(rows))


def write_text(path: Path, pieces: Iterable[str]) -> None:
    with whole(path) as part, part.open("w", encoding="utf-8", newline="") as file:
        file.writelines(pieces)


@contextmanager
def whole(path: Path) -> Iterator[Path]:
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
