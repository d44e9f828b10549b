"""The table that `sacct -P` prints, as cells: which delimiter it has, and which lines are one row. sacct quotes nothing.

A cell of free text may hold the delimiter, and line breaks (a name, or a command line of several lines).
"""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TextIO

from scheduler.simulation.traces.rows import LeaveOut, header, invalid, quoted

FREE_TEXT = frozenset(
    {"JobName", "Comment", "AdminComment", "SystemComment", "Extra", "SubmitLine", "WorkDir", "WCKey", "Reason"}
    | {"Constraints", "StdIn", "StdOut", "StdErr"}
)
"""Columns whose cells may hold anything."""
LINES_MAX = 1000
"""Of a row: a command line has no more."""
BANNER_LINES_MAX = 200
"""Before the header: what a machine says to who logs in is no longer."""

STEP = re.compile(r"^[0-9]+([_+][0-9]+)*\..+$")
JOB = re.compile(r"^[0-9]+([_+]([0-9]+|\[[^\]]*\]))*$")

_DELIMITED = re.compile(r"^[A-Za-z]+([^A-Za-z0-9_% ]+)[A-Za-z]")
"""A name of a column, what stands between, and the next: without `-P` there are blanks between them, and no column ends."""

_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.+Z-]+|[0-9]*|Unknown|None|INVALID")
_LENGTH = re.compile(r"[0-9:.-]*|UNLIMITED|Partition_Limit|Unknown|INVALID", re.IGNORECASE)
_COUNT = re.compile(r"[0-9.]*[KMG]?")
_TRES = re.compile(r"([^=,]+=[^=,]*(,|$))*")
SHAPES = {
    "JobID": re.compile(f"{STEP.pattern}|{JOB.pattern}"),
    "State": re.compile(r"([A-Z_]+( by .+)?)?"),
    **dict.fromkeys(("Submit", "Eligible", "Start", "End"), _TIME),
    **dict.fromkeys(("Elapsed", "Timelimit", "Suspended", "CPUTime", "TotalCPU", "UserCPU", "SystemCPU"), _LENGTH),
    **dict.fromkeys(("ElapsedRaw", "NNodes", "AllocNodes", "NCPUS", "AllocCPUS", "ReqCPUS", "UID", "GID"), _COUNT),
    **dict.fromkeys(("AllocTRES", "ReqTRES"), _TRES),
}
"""How the cells of a column look: by them it is found where in a row a free text began and ended."""
READ = frozenset(
    {
        *SHAPES,
        "User",
        "Account",
        "Partition",
        "QOS",
        "Cluster",
        "ReqNodes",
        "ReqMem",
        "AllocGRES",
        "ReqGRES",
        "ExitCode",
    }
    | {"TimelimitRaw"}
) - {"Suspended", "CPUTime", "TotalCPU", "UserCPU", "SystemCPU", "GID"}
"""Columns of which something is made."""

Line = tuple[list[str], int]
"""The cells of a row, and the number of the line on which it begins."""


def read_table(
    first: str, text: TextIO, file: Path, required: tuple[str, ...], leave_out: LeaveOut
) -> tuple[list[str], Iterator[Line], str]:
    """The names of the columns, the rows, and what stands between their cells. `first` is the first line, `text` the rest.

    Raises InvalidInput `invalid-trace` where there is no such header.
    """
    top, number = _header_line(first, text, file, leave_out)
    between = _delimiter(top)
    if between not in top and _has_blanks_between(top):
        raise invalid(
            f"{file}:{number}: JobID", "columns with blanks between them", "what `sacct -P` prints, with | between"
        )
    _require_header(top, between, f"{file}:{number}")
    names = top.split(between)
    columns = header(top.removesuffix(between).split(between), f"{file}:{number}", required)
    lines = _unbroken(_lines(text, between, number + 1), names)
    if len(names) > len(columns):
        lines = _opened(lines, len(columns))
    if any(name in FREE_TEXT for name in columns):
        lines = _whole_again(lines, columns, between)
    return columns, lines, between


def _header_line(first: str, text: TextIO, file: Path, leave_out: LeaveOut) -> tuple[str, int]:
    """The line with the names of the columns, and its number: the first, unless a machine greeted who logged in to it.
    Then each line before it is handed to `leave_out`."""
    above = [first.rstrip("\r\n")]
    while len(above) < BANNER_LINES_MAX and not _names_columns(above[-1]) and (line := text.readline()):
        above.append(line.rstrip("\r\n"))
    if not _names_columns(above[-1]):
        return above[0], 1
    top = above.pop()
    for number, line in enumerate(above, 1):
        if line.strip():
            found = f"{quoted(line)} before the header"
            expected = f"the names of the columns, which stand in line {len(above) + 1}"
            leave_out(invalid(f"{file}:{number}", found, expected))
    return top, len(above) + 1


def _names_columns(line: str) -> bool:
    """Also with blanks between: what is wrong with those is told then."""
    return "JobID" in (each.strip() for each in line.split(_delimiter(line))) or _has_blanks_between(line)


def _has_blanks_between(line: str) -> bool:
    words = line.split()
    return "JobID" in words and len(READ.intersection(words)) > 1


def _delimiter(first: str) -> str:
    """What stands between the names of the header: `|`, or what `--delimiter` says instead, of one character or more."""
    found = _DELIMITED.match(first)
    return found[1] if found is not None else "|"


def _require_header(first: str, between: str, where: str) -> None:
    """Raises InvalidInput where a job stands in the first line, or cells hold what stands between them."""
    names = first.split(between)
    if any(JOB.match(name) or STEP.match(name) for name in names):
        raise invalid(f"{where}: JobID", "a job", "the names of the columns, as sacct prints them without --noheader")
    if between == "," and (lists := [name for name in names if name.endswith(("TRES", "GRES"))]):
        raise invalid(
            f"{where}: {lists[0]}", "columns with commas between them", "another --delimiter: its cells hold commas"
        )


def _lines(text: TextIO, between: str, begin: int) -> Iterator[Line]:
    """The lines after the header."""
    for number, line in enumerate(text, begin):
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
        if not begun or len(together) > len(columns) or number - begins > LINES_MAX:
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


def _whole_again(lines: Iterable[Line], columns: list[str], between: str) -> Iterator[Line]:
    """A name with the delimiter in it came as several cells: of a row with too many they are put together again."""
    for cells, number in lines:
        whole = _the_one(_readings(cells, columns, between), columns) if len(cells) > len(columns) else None
        yield whole or cells, number


def _readings(cells: list[str], columns: list[str], between: str) -> list[list[str]]:
    """What a row with too many cells may say: one reading for each column of free text that may have had the delimiter."""
    ends = len(cells) - len(columns) + 1
    return [
        [*cells[:at], between.join(cells[at : at + ends]), *cells[at + ends :]]
        for at, name in enumerate(columns)
        if name in FREE_TEXT
    ]


def _the_one(readings: list[list[str]], columns: list[str]) -> list[str] | None:
    """Of the readings of a row the only one, or that in which all cells look as their columns do, if all such say the
    same. There is none where the delimiter is in two texts, or may be in either of two with a name between."""
    right = readings if len(readings) == 1 else [each for each in readings if _looks_right(each, columns)]
    told = {tuple(cell for cell, name in zip(each, columns, strict=True) if name in READ) for each in right}
    return right[0] if len(told) == 1 else None


def _looks_right(cells: list[str], columns: list[str]) -> bool:
    return all(
        SHAPES[name].fullmatch(cell.strip()) for cell, name in zip(cells, columns, strict=True) if name in SHAPES
    )
