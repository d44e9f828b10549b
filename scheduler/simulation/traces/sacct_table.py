"""The table that `sacct -P` prints, as cells: which delimiter it has, and which lines are one row. sacct quotes nothing.

A cell of free text may hold the delimiter, and line breaks (a name, or a command line of several lines).
"""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TextIO

from scheduler.simulation.traces.rows import header, invalid

FREE_TEXT = frozenset(
    {"JobName", "Comment", "AdminComment", "SystemComment", "Extra", "SubmitLine", "WorkDir", "WCKey", "Reason"}
    | {"Constraints", "StdIn", "StdOut", "StdErr"}
)
"""Columns whose cells may hold anything."""
STEP = re.compile(r"^[0-9]+([_+][0-9]+)*\..+$")
JOB = re.compile(r"^[0-9]+([_+]([0-9]+|\[[^\]]*\]))*$")

_DELIMITED = re.compile(r"^[A-Za-z]+([^A-Za-z0-9_% ]+)[A-Za-z]")
"""A name of a column, what stands between, and the next: without `-P` there are blanks between them, and no column ends."""

Line = tuple[list[str], int]
"""The cells of a row, and the number of the line on which it begins."""


def read_table(text: TextIO, file: Path, required: tuple[str, ...]) -> tuple[list[str], Iterator[Line], str]:
    """The names of the columns, the rows, and what stands between their cells.

    Raises InvalidInput `invalid-trace` where the first line is no such header.
    """
    first = text.readline().rstrip("\r\n")
    between = _delimiter(first)
    if between not in first and len(first.split()) > 1 and "JobID" in first.split():
        raise invalid(
            f"{file}:1: JobID", "columns with blanks between them", "what `sacct -P` prints, with | between"
        )
    _require_header(first, between, file)
    names = first.split(between)
    columns = header(first.removesuffix(between).split(between), file, required)
    lines = _unbroken(_lines(text, between), names)
    if len(names) > len(columns):
        lines = _opened(lines, len(columns))
    free = [position for position, name in enumerate(columns) if name in FREE_TEXT]
    if len(free) == 1:
        lines = _whole_again(lines, free[0], len(columns), between)
    return columns, lines, between


def _delimiter(first: str) -> str:
    """What stands between the names of the header: `|`, or what `--delimiter` says instead, of one character or more."""
    found = _DELIMITED.match(first)
    return found[1] if found is not None else "|"


def _require_header(first: str, between: str, file: Path) -> None:
    """Raises InvalidInput where a job stands in the first line, or cells hold what stands between them."""
    names = first.split(between)
    if any(JOB.match(name) or STEP.match(name) for name in names):
        raise invalid(
            f"{file}:1: JobID", "a job", "the names of the columns, as sacct prints them without --noheader"
        )
    if between == "," and (lists := [name for name in names if name.endswith(("TRES", "GRES"))]):
        raise invalid(
            f"{file}:1: {lists[0]}", "columns with commas between them", "another --delimiter: its cells hold commas"
        )


def _lines(text: TextIO, between: str) -> Iterator[Line]:
    """The lines after the header."""
    for number, line in enumerate(text, 2):
        cells = line.rstrip("\r\n")
        if cells.strip(f"{between} \t"):
            yield cells.split(between), number


def _unbroken(lines: Iterable[Line], columns: list[str]) -> Iterator[Line]:
    """A row that a line break in free text cut in two is one: the next line goes on where it ended, if there are cells
    left for all that it holds."""
    begun: list[str] = []
    begins = 0
    for cells, number in lines:
        together = [*begun[:-1], f"{begun[-1]} {cells[0]}", *cells[1:]] if begun else cells
        if not begun or len(together) > len(columns):
            if begun:
                yield begun, begins
            together, begins = cells, number
        begun = []
        if len(together) <= len(columns) and columns[len(together) - 1] in FREE_TEXT:
            begun = together
        else:
            yield together, begins
    if begun:
        yield begun, begins


def _opened(lines: Iterable[Line], count: int) -> Iterator[Line]:
    """Without what stands after the last separator, which `-p` writes behind the last cell, too."""
    for cells, number in lines:
        yield (cells[:-1] if len(cells) > count and not cells[-1] else cells), number


def _whole_again(lines: Iterable[Line], free: int, count: int, between: str) -> Iterator[Line]:
    """A name with the delimiter in it came as several cells. Counted from both ends, all that are too many are its own:
    of a row with one column of free text."""
    for cells, number in lines:
        end = free + 1 + len(cells) - count
        named = [*cells[:free], between.join(cells[free:end]), *cells[end:]] if len(cells) > count else cells
        yield named, number
