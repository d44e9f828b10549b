"""Rows of a trace as text, read strictly: what cannot be read is refused with the file, the line and the column.

A reader that is given `leave_out` hands it each row's refusal and goes on; what is wrong with the file as a whole is
refused all the same.
"""

import csv
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TypeVar

from scheduler.domain.digits import whole_number_in
from scheduler.domain.errors import InvalidInput, RefusalCode
from scheduler.simulation.traces.opening import opened_text

AMOUNT_MAX = 2**40

Row = Mapping[str, str]
Value = TypeVar("Value")
LeaveOut = Callable[[InvalidInput], None]


def refuse_all(refusal: InvalidInput) -> None:
    """Leave nothing out: the first row that cannot be read ends the reading."""
    raise refusal


def read_csv(
    file: Path, required: tuple[str, ...], value_of: Callable[[Row, str], Value], leave_out: LeaveOut = refuse_all
) -> Iterator[Value]:
    """What `value_of` makes of each row of a CSV file. The first required column names the row: each name once."""

    def value_of_text(row: Row, where: str) -> Value:
        for column, cell in row.items():
            if not _is_text(cell):
                raise invalid(f"{where}: {column}", quoted(cell), "text in UTF-8 without control characters")
        return value_of(row, where)

    with opened_text(file) as text:
        numbered = ((line, number) for number, line in enumerate(text, 1) if line.strip("\r\n"))
        first, _ = next(_cells_of(numbered, file, refuse_all), ([], 1))
        columns = header(_separated(first, file, required[0]), f"{file}:1", required)
        lines = _cells_of(numbered, file, leave_out)
        yield from _distinct(rows(lines, columns, file, value_of_text, leave_out), required[0], leave_out)


def _cells_of(
    numbered: Iterable[tuple[str, int]], file: Path, leave_out: LeaveOut
) -> Iterator[tuple[list[str], int]]:
    """The cells of each line with its number. A line is a row, for no cell holds a line break: so a quote that nothing
    closes spoils its own row, and not all that follow."""
    for line, number in numbered:
        try:
            cells = _cells(line, f"{file}:{number}")
        except InvalidInput as refusal:
            leave_out(refusal)
            continue
        yield cells, number


def _cells(line: str, where: str) -> list[str]:
    if line.count('"') % 2:
        raise invalid(where, "a quote that nothing closes on its line", "quotes in pairs")
    try:
        return next(csv.reader((line,), strict=True))
    except csv.Error as error:
        raise invalid(where, f"no CSV ({error})", "comma-separated values") from error


def _separated(cells: list[str], file: Path, first: str) -> list[str]:
    """The header, unless something else than commas stands in it."""
    other = next((each for each in ("\t", ";") if len(cells) == 1 and each in cells[0]), "")
    if other and first in cells[0].split(other):
        raise invalid(f"{file}:1", f"columns with {other!r} between them", "commas")
    return cells


def header(cells: list[str], where: str, required: tuple[str, ...]) -> list[str]:
    """The names of the columns; those required must be there once."""
    columns = [name.strip() for name in cells]
    if not all(map(_is_text, columns)):
        raise invalid(where, "no text in UTF-8", "a header of " + ", ".join(required))
    for name in required:
        if columns.count(name) != 1:
            found = "no column" if name not in columns else "more than one column"
            header_shown = f"the header, {quoted(','.join(columns))}" if any(columns) else "an empty header"
            raise invalid(
                f"{where}: {name}",
                f"{found} of that name in {header_shown}",
                "a header with one each of " + ", ".join(required),
            )
    return columns


def rows(
    lines: Iterable[tuple[list[str], int]],
    columns: list[str],
    file: Path,
    value_of: Callable[[Row, str], Value],
    leave_out: LeaveOut,
    remedy: str = "",
) -> Iterator[tuple[Row, str, Value]]:
    """(row, where it stands, what was made of it), for cells with the line on which they begin; `remedy` is told of too
    many cells. The header comes again where files were put behind one another."""
    for cells, line in lines:
        if cells == columns:
            continue
        where = f"{file}:{line}"
        try:
            if len(cells) != len(columns):
                column = columns[min(len(cells), len(columns) - 1)]
                why = remedy if len(cells) > len(columns) else ""
                raise invalid(
                    f"{where}: {column}", f"{len(cells)} cells", f"{len(columns)}, one for each column{why}"
                )
            row = {column: cell.strip() for column, cell in zip(columns, cells, strict=True)}
            value = value_of(row, where)
        except InvalidInput as refusal:
            leave_out(refusal)
            continue
        yield row, where, value


def _distinct(read: Iterable[tuple[Row, str, Value]], column: str, leave_out: LeaveOut) -> Iterator[Value]:
    names: dict[str, str] = {}
    for row, where, value in read:
        name = row[column]
        if name in names:
            line = names[name].rpartition(":")[2]
            leave_out(invalid(f"{where}: {column}", f"{name!r} again, as in line {line}", "each name once"))
            continue
        names[name] = where
        yield value


def name_of(row: Row, column: str, where: str) -> str:
    if not row[column]:
        raise invalid(f"{where}: {column}", "nothing", "a name")
    return row[column]


def whole(row: Row, column: str, where: str, at_least: int = 0, at_most: int = AMOUNT_MAX) -> int:
    """A whole number; `12000.0`, as data frames write it, is one."""
    cell = row[column]
    digits, _, fraction = cell.partition(".")
    number = whole_number_in(digits)
    if number is not None and not fraction.strip("0") and at_least <= number <= at_most:
        return number
    raise invalid(f"{where}: {column}", quoted(cell), f"a whole number from {at_least} to {at_most}")


def _is_text(cell: str) -> bool:
    """False where there are control characters in it, or bytes that could not be decoded."""
    return (cell.isascii() and cell.isprintable()) or not any(ord(each) < 32 or each == "\ufffd" for each in cell)


def quoted(cell: str) -> str:
    return repr(cell[:40]) if cell else "nothing"


def invalid(where: str, found: str, expected: str) -> InvalidInput:
    return InvalidInput(f"found {found}", code=RefusalCode.INVALID_TRACE, where=where, expected=expected)
