"""`allot export`: files for others: FOCUS for who compares costs, journal lines for a general ledger."""

import csv
import hashlib
import operator
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, BinaryIO

import orjson
import typer

from scheduler.adapters.clock import SystemClock
from scheduler.adapters.exports.focus_files import write_csv, write_text
from scheduler.adapters.exports.focus_parquet import write_parquet
from scheduler.adapters.sql.store import open_store
from scheduler.domain.errors import InvalidInput
from scheduler.domain.money import decimal_text
from scheduler.domain.units import MS_PER_DAY, Instant
from scheduler.domain.wording import counted
from scheduler.entrypoints.cli.client import Api, connect
from scheduler.entrypoints.cli.offline import offline_books
from scheduler.entrypoints.cli.output import (
    AsJson,
    Column,
    Database,
    print_fields,
    print_json,
    print_table,
    print_text,
    utc,
)
from scheduler.entrypoints.cli.progress import Telling
from scheduler.entrypoints.cli.scopes import Period
from scheduler.entrypoints.settings import Settings
from scheduler.entrypoints.simulation_state import saved_now
from scheduler.finance.csv_text import csv_lines, safe
from scheduler.finance.focus.columns import COST_PLACES, NAMES
from scheduler.lifecycle.accounting.export_history import history as written

app = typer.Typer(help="Files for others.", no_args_is_help=True, add_completion=False)

ROWS_BETWEEN_LOOKS = 100
"""At the clock: whether it is time to say how far it is."""

Row = Sequence[str]


class FileFormat(StrEnum):
    CSV = "csv"
    PARQUET = "parquet"


@app.callback()
def exports() -> None:
    """Files for others."""


@app.command()
def focus(
    *,
    period: Annotated[
        str | None,
        typer.Option(help="2026-10, 2026-Q4, 2026, 2026-10-01/2026-10-15; the running one where left out."),
    ] = None,
    output: Annotated[Path, typer.Option(help="The folder to write to; it is made where it is not there.")],
    format_: Annotated[FileFormat, typer.Option("--format", help="CSV, or Parquet with types.")] = FileFormat.CSV,
    database: Database = None,
    as_json: AsJson = False,
) -> None:
    """Write a period's charges as FOCUS 1.4 (FinOps Open Cost and Usage Specification)."""
    seen = _Counted()
    write = write_csv if format_ is FileFormat.CSV else write_parquet
    with _rows(database, period) as (named, rows, postings):
        path = output / f"focus-{_stem(named)}.{format_.value}"
        output.mkdir(parents=True, exist_ok=True)  # not before: what is refused leaves nothing behind
        write(path, seen.watching(rows, postings))
    summary = {
        "file": str(path),
        "format": format_.value,
        "period": named,
        "rows": seen.rows,
        "billed_cost": decimal_text(seen.billed, COST_PLACES),
        "currency": seen.currency,
        "bytes": path.stat().st_size,
        "sha256": _sha256(path),
    }
    if as_json:
        print_json(summary)
    else:
        print_text(f"{path}: {counted(seen.rows, 'row')}, {summary['billed_cost']} {seen.currency or ''}".rstrip())


@app.command()
def history(
    *,
    output: Annotated[Path, typer.Option(help="The file to write, JSON lines.")],
    days: Annotated[
        int,
        typer.Option(min=1, max=3660, help="How many days back from the company's now."),
    ] = 31,
    database: Annotated[
        str | None,
        typer.Option(help="The database or a copy of it; ALLOT_DATABASE where left out.", show_default=False),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write who submitted what, without names, for `allot simulate replay --history`."""
    store = open_store(database or Settings().database, migrate=False)
    try:
        with store.reading() as books, _written_to(output) as file:
            until = saved_now(books) or SystemClock().now()
            lines, telling = 0, Telling()
            for line in written(books, Instant(until - days * MS_PER_DAY), until):
                file.write(orjson.dumps(line) + b"\n")
                lines += 1
                if lines % ROWS_BETWEEN_LOOKS == 0:
                    telling.say(f"{lines:,} lines")
    finally:
        store.close()
    if as_json:
        print_json({"file": str(output), "lines": lines, "days": days})
    else:
        print_text(f"{output}: {counted(lines, 'line')}")


def _written_to(output: Path) -> BinaryIO:
    try:
        return output.open("wb")
    except OSError as error:
        raise InvalidInput(f"{output} cannot be written: {error.strerror}", where="--output") from error


@app.command()
def gl(
    *,
    period: Period = None,
    output: Annotated[Path | None, typer.Option(help="Write the lines as CSV to this folder.")] = None,
    as_json: AsJson = False,
) -> None:
    """Write a period as balanced journal lines for a general ledger."""
    with connect() as api:
        found = api.get("/v1/finance/gl", period=period)
        if output is not None:
            output.mkdir(parents=True, exist_ok=True)
            path = output / f"gl-{_stem(found['period'])}.csv"
            cells = [[safe(str(line[name])) for name in _GL_CELLS] for line in found["lines"]]
            write_text(path, csv_lines(_GL_CELLS, cells))
            found |= {"file": str(path)}
        if as_json:
            print_json(found)
            return
        print_text(f"Journal lines of {found['period']}, {found['currency']}", style="bold")
        rows = [
            (line["entry"], line["account"], line["cost_centre"], _amount(line, "debit"), _amount(line, "credit"))
            for line in found["lines"]
        ]
        print_table(_GL_COLUMNS, rows, empty="Nothing was used in this period.")
        print_fields(
            (name, f"{_exact(found, name)} {found['currency']}") for name in ("recovered", "actual", "unrecovered")
        )
        for each in found["unknown"]:
            print_text(f"The {each['account']} is not known from {utc(each['since'])} on: {each['what']}.")


_GL_CELLS = ("entry", "account", "cost_centre", "debit", "credit", "text")
_GL_COLUMNS = (
    Column("ENTRY", width_max=16),
    Column("ACCOUNT", width_max=18),
    Column("COST CENTRE", width_max=14),
    Column("DEBIT", is_number=True),
    Column("CREDIT", is_number=True),
)


def _amount(line: dict[str, Any], side: str) -> str:
    return _exact(line, side) if line[f"{side}_micro"] else ""


def _exact(value: dict[str, Any], name: str) -> str:
    """To the micro-unit, all of them as long, so that points stand below points."""
    return decimal_text(value[f"{name}_micro"], least=6)


def _stem(period: str) -> str:
    return period.replace("/", "_").replace(":", "")


@contextmanager
def _rows(database: str | None, period: str | None) -> Iterator[tuple[str, Iterator[Row], int]]:
    """The period's name, its rows as they come, and of how many postings they will be made."""
    if database is not None:
        with offline_books(database) as books, books.money.focus(books.caller, period, books.now) as export:
            yield period or export.period.name, export.rows, export.postings
        return
    with connect() as api:
        named: str = period or api.get("/v1/finance/month")["period"]
        yield named, _from_server(api, named), 0


def _from_server(api: Api, period: str) -> Iterator[Row]:
    """The rows of the server's CSV, checked to be the columns that we know. A refusal comes before the first of them."""
    reader = csv.reader(_lines(api.stream("/v1/finance/focus", period=period, plain="true")))
    header = next(reader, None)
    if header is not None and tuple(header) != NAMES:
        raise InvalidInput("the server writes other columns", where="export", expected="a server of this version")
    return reader


def _lines(pieces: Iterator[str]) -> Iterator[str]:
    rest = ""
    for piece in pieces:
        *lines, rest = (rest + piece).split("\n")
        yield from (f"{line}\n" for line in lines)
    if rest:
        yield rest


class _Counted:
    """What went by: rows, and the exact sum of what is billed (10⁻¹⁵ units). Says how far it is, on standard error."""

    def __init__(self) -> None:
        self.rows = 0
        self.billed = 0
        self.currency: str | None = None
        """That of the rows: None where there is none."""

    def watching(self, rows: Iterator[Row], postings: int) -> Iterator[Row]:
        billed, currency = NAMES.index("BilledCost"), NAMES.index("BillingCurrency")
        posting = operator.itemgetter(NAMES.index("x_TransactionId"), NAMES.index("x_LedgerAccount"))
        telling, done, before = Telling(), 0, ("", "")
        for row in rows:
            self.rows += 1
            if (made_of := posting(row)) != before:  # the rows of one come one after the other
                before, done = made_of, done + 1
            self.billed += _scaled(row[billed])
            self.currency = row[currency]
            if self.rows % ROWS_BETWEEN_LOOKS == 0:
                telling.say(f"{self.rows:,} rows" + (f", {done:,} of {postings:,} postings" if postings else ""))
            yield row


def _scaled(text: str) -> int:
    whole, _, decimals = text.partition(".")
    return int(whole + decimals.ljust(COST_PLACES, "0"))


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()
