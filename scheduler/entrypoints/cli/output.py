"""What people and programs read: tables that fit eighty columns, sentences that wrap, or one JSON value."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal

import orjson
import typer
from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from scheduler.domain.periods import to_instant
from scheduler.domain.units import Instant
from scheduler.entrypoints.web.formatting import DASH, WRITTEN_INSTANT, duration, hours

WHOLE_MAX = 2**63 - 1
"""The largest whole number that `--json` writes."""

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON value and nothing else.")]

Database = Annotated[
    str | None, typer.Option(help="Read this database instead of asking the server: sqlite:///FILE, postgresql://…")
]


@dataclass(frozen=True, slots=True)
class Column:
    """`is_number` aligns to the right; what is longer than `width_max` wraps."""

    title: str
    is_number: bool = False
    width_max: int | None = None


def out() -> Console:
    """Standard output: as wide as the terminal, 80 columns where there is none."""
    return Console(highlight=False, soft_wrap=False, emoji=False, markup=False)


def err() -> Console:
    """Standard error: for progress and labels, so that standard output stays clean."""
    return Console(stderr=True, highlight=False, emoji=False, markup=False)


def print_json(value: Any) -> None:
    """One JSON value, readable, with a newline at its end."""
    typer.echo(orjson.dumps(value, option=orjson.OPT_INDENT_2).decode())


def print_table(
    columns: Sequence[Column], rows: Iterable[Sequence[str]], notes: Sequence[str] | None = None, empty: str = ""
) -> None:
    """A table without lines. `notes` are sentences, one below each row (empty for none)."""
    console = out()
    filled = [tuple(row) for row in rows]
    if not filled:
        console.print(empty or "Nothing.")
        return
    wanted = [_width(column, [row[index] for row in filled]) for index, column in enumerate(columns)]
    widths = _fitting(columns, wanted, console.width)
    _print_rows(console, columns, widths, [tuple(column.title for column in columns)], "bold")
    if notes is None:
        _print_rows(console, columns, widths, filled, "")
        return
    for row, note in zip(filled, notes, strict=True):
        _print_rows(console, columns, widths, [row], "")
        if note:
            _print_trimmed(console, Padding(Text(note, style="dim"), (0, 0, 0, 2)))


def print_compared(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> None:
    """What the first column names, compared between the others: those that do not fit beside it follow in further
    tables, so that none is squeezed or cut off."""
    widths = [_width(column, [row[index] for row in rows]) for index, column in enumerate(columns)]
    tables: list[list[int]] = []
    left = 0
    for index in range(1, len(columns)):
        left -= 2 + widths[index]
        if left < 0:
            tables.append([0])
            left = out().width - widths[0] - 2 - widths[index]
        tables[-1].append(index)
    for number, table in enumerate(tables):
        if number:
            print_text("")
        print_table([columns[index] for index in table], [[row[index] for index in table] for row in rows])


def print_fields(fields: Iterable[tuple[str, str]]) -> None:
    """Names and values, one pair a line; empty values are left out."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in fields:
        if value:
            table.add_row(name, value)
    _print_trimmed(out(), table)


def print_text(text: str, style: str = "") -> None:
    """A sentence or more, wrapped."""
    _print_trimmed(out(), Text(text, style=style))


def label_as_simulated() -> None:
    """The label that everything simulated carries, on standard error."""
    err().print(Text("Simulated cluster and clock.", style="yellow"))


def hours_of(value: Any, name: str, unit: Literal["", " h"] = " h") -> str:
    """The hours of a field that counts GPU time, from its exact milliseconds."""
    amount = value.get(f"{name}_ms") if isinstance(value, dict) else None
    return DASH if amount is None else f"{hours(amount)}{unit}"


def instant_of(text: str | None) -> Instant | None:
    """An instant as the API writes it."""
    return to_instant(datetime.fromisoformat(text)) if text else None


def moment(text: str | None) -> str:
    """`2026-11-20 14:02` in UTC."""
    return datetime.fromisoformat(text).strftime("%Y-%m-%d %H:%M") if text else DASH


def utc(text: str) -> str:
    """`2026-11-20 14:02 UTC`, for a sentence: a table's column says so in its title."""
    return f"{moment(text)} UTC"


def told(text: str) -> str:
    """A sentence whose instants are as programs read them, as people read them."""
    return WRITTEN_INSTANT.sub(lambda found: utc(found.group()), text)


def days_of(band: Sequence[str]) -> str:
    """The first and the last of a few instants as days: `2026-11-20 to 2026-11-22`; one day as itself."""
    days = sorted({moment(at)[:10] for at in band})
    return " to ".join(dict.fromkeys((days[0], days[-1]))) if days else ""


def since(text: str | None, now: str | None) -> str:
    """How long ago by the server's clock: `22 min`, `3 h 12 min`."""
    then, today = instant_of(text), instant_of(now)
    return DASH if then is None or today is None else duration(today - then)


def _width(column: Column, cells: Sequence[str]) -> int:
    widest = max(Text(cell).cell_len for cell in (*cells, column.title))
    return widest if column.width_max is None else min(widest, column.width_max)


def _fitting(columns: Sequence[Column], widths: Sequence[int], room: int) -> list[int]:
    """What the rows are wider than the terminal is taken from the last column that may wrap: no instant is broken."""
    fitting = list(widths)
    excess = sum(widths) + 2 * (len(widths) - 1) - room
    wrapping = [index for index, column in enumerate(columns) if column.width_max is not None]
    if excess > 0 and wrapping:
        fitting[wrapping[-1]] = max(len(columns[wrapping[-1]].title), fitting[wrapping[-1]] - excess)
    return fitting


def _print_rows(
    console: Console, columns: Sequence[Column], widths: Sequence[int], rows: Iterable[Sequence[str]], style: str
) -> None:
    table = Table.grid(padding=(0, 2))
    for column, width in zip(columns, widths, strict=True):
        table.add_column(width=width, justify="right" if column.is_number else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell, style=style) for cell in row))
    _print_trimmed(console, table)


def _print_trimmed(console: Console, content: RenderableType) -> None:
    """Print without the blanks that fill a table's last column."""
    with console.capture() as captured:
        console.print(content)
    for line in captured.get().splitlines():
        console.file.write(line.rstrip() + "\n")
