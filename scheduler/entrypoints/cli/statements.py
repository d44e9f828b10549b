"""`allot statement`: a period of an engineer, a team, a project or the company, as a table, JSON or CSV."""

import sys
from typing import Annotated, Any

import typer

from scheduler.domain.errors import InvalidInput
from scheduler.domain.money import decimal_text
from scheduler.domain.periods import to_datetime
from scheduler.domain.wording import counted
from scheduler.entrypoints.api.rendering import render
from scheduler.entrypoints.cli import offers, takeaway
from scheduler.entrypoints.cli.client import connect
from scheduler.entrypoints.cli.instants import BACK, Clock, parse_day
from scheduler.entrypoints.cli.offline import offline_books
from scheduler.entrypoints.cli.output import (
    AsJson,
    Column,
    Database,
    hours_of,
    moment,
    print_fields,
    print_json,
    print_table,
    print_text,
    utc,
)
from scheduler.entrypoints.web.formatting import duration, money, multiplied_per_mille, signed_hours
from scheduler.finance.csv_text import csv_lines
from scheduler.lifecycle.views.owners import OwnerKind
from scheduler.lifecycle.views.statement_rows import HEADER, statement_rows
from scheduler.lifecycle.views.statements import LINES_MAX, LINES_UNBOUNDED

app = typer.Typer(invoke_without_command=True, add_completion=False)
app.command()(offers.offer)
app.command()(takeaway.sign)
app.command()(takeaway.verify)

_Period = Annotated[
    str | None, typer.Option(help="2026-11, 2026-W47, 2026-Q4, 2026-11-20, 2026; the one that runs where left out.")
]
_Owner = Annotated[
    str | None, typer.Option(help="An engineer, a team, a project, or company; yourself where it is left out.")
]


@app.callback()
def statement(
    context: typer.Context,
    *,
    period: _Period = None,
    owner: _Owner = None,
    from_: Annotated[str | None, typer.Option("--from", help=f"Instead of --period: its first day, {BACK}.")] = None,
    to: Annotated[str | None, typer.Option(help=f"With --from: the first day after it, {BACK}.")] = None,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print every line as CSV and nothing else.")] = False,
    database: Database = None,
    as_json: AsJson = False,
) -> None:
    """Show a period's statement: opening, every grant, charge, refund and expiry, closing, and what it costs."""
    if context.invoked_subcommand is not None:
        return
    if database is not None:
        with offline_books(database) as books:
            asked = _period(period, from_, to, lambda: to_datetime(books.now))
            lines_max = LINES_UNBOUNDED if as_csv else LINES_MAX
            view = books.views.statement(books.caller, asked, books.now, owner or "company", lines_max)
        if as_csv:
            sys.stdout.writelines(csv_lines(HEADER, statement_rows(view)))
        else:
            _show(render(view), as_json=as_json)
        return
    with connect() as api:
        asked = _period(period, from_, to, api.clock)
        if as_csv:
            sys.stdout.writelines(api.stream("/v1/statement/csv", period=asked, owner=owner))
            return
        _show(api.get("/v1/statement", period=asked, owner=owner), as_json=as_json)


@app.command()
def fringe(
    year: Annotated[str, typer.Option(help="The tax year, such as 2026.")],
    owner: Annotated[str | None, typer.Option(help="An engineer; yourself where it is left out.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show what a person's compute was worth in a tax year, by purpose and who attested it. Counsel decides treatment."""
    with connect() as api:
        found = api.get("/v1/finance/fringe", year=year, owner=owner)
        if as_json:
            print_json(found)
            return
        who = found["owner_name"] or found["owner"]
        print_text(f"Fringe benefits of {who}, {found['year']}, {found['currency']}", style="bold")
        sums = (
            ("value", "paid by the employee", "excluded", "includable"),
            ("value", "paid", "excluded", "includable"),
        )
        print_fields((label, str(found[name])) for label, name in zip(*sums, strict=True))
        print_text("")
        notes = [_fringe_note(row, who) for row in found["rows"]]
        rows = [_fringe_row(row) for row in found["rows"]]
        print_table(_FRINGE, rows, notes, empty="Nothing was paid by own allowances.")
        for paid in found["payments"]:
            print_text(
                f"Paid {moment(paid['paid_at'])[:10]}: {decimal_text(paid['micro'], least=2)}, {paid['reason']}."
            )
        if found["paid_beyond_micro"]:
            print_text(f"Paid beyond what is includable: {found['paid_beyond']}.")
        print_text("")
        print_text(found["notice"])


_FRINGE = (
    Column("USE", width_max=10),
    Column("ACTIVITY", width_max=11),
    Column("ATTESTED", width_max=8),
    Column("UNITS", is_number=True),
    Column("RATE", is_number=True),
    Column("VALUE", is_number=True),
    Column("INCLUDABLE", is_number=True),
)


def _fringe_row(row: dict[str, Any]) -> tuple[str, ...]:
    return (
        row["use"],
        row["activity"],
        "yes" if row["attested_by"] else "no",
        f"{row['tokens']}" if row["model"] else hours_of(row, "gpu"),
        f"{row['rate']} /M" if row["model"] else f"{row['rate']} {row['gpu_class']}",
        str(row["value"]),
        str(row["includable"]),
    )


def _fringe_note(row: dict[str, Any], name: str) -> str:
    """Who attested it, what was paid, and what is excluded on what basis."""
    said = [f"attested by {name}"] if row["attested_by"] else []
    if row["model"]:
        said.append(f"tokens of {row['model']}, a million of which is the rate")
    if row["paid_micro"]:
        said.append(f"paid by the employee {row['paid']}")
    if row["excluded_micro"]:
        said.append(f"excluded {row['excluded']}: {row['basis']}")
    return "; ".join([*said, f"{row['rate_source']}, since {row['rate_since']}"])


def _show(found: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(found)
    else:
        _print_statement(found)


def _period(period: str | None, starts: str | None, ends: str | None, clock: Clock) -> str | None:
    """The period's name as the API reads it; None is the one that runs."""
    if (starts is None) != (ends is None) or (starts is not None and period is not None):
        raise InvalidInput("the period is not clear", where="--period", expected="--period, or both --from and --to")
    if starts is not None:
        return f"{parse_day(starts, '--from', clock)}/{parse_day(ends, '--to', clock)}"
    return period


def _print_statement(found: dict[str, Any]) -> None:
    who = found["owner_name"] or found["owner"]
    team = f", {found['team']}" if found["owner_kind"] in {"engineer", "project"} else ""
    period = f"{utc(found['starts_at'])} to {utc(found['ends_at'])}" if "T" in found["period"] else found["period"]
    print_text(f"Statement of {who}{team}, {period}", style="bold")
    shown = [*_SUMS, *(name for name in _PROMISES if found[f"{name}_ms"])]
    money_text = f"{money(found['cost_micro'] or 0)} {found['currency']} by {found['price_book']}"
    print_fields(
        [
            *((name.replace("_", " "), hours_of(found, name)) for name in shown),
            ("cost", "" if found["no_cost_because"] else money_text),
        ]
    )
    if found["no_cost_because"]:
        print_text(f"No cost: {found['no_cost_because']}.")
    for other in found["others"]:
        _print_other_unit(found, other)
    for package in found["packages"]:
        then, now = (_worth(package[name]) for name in ("value_at_grant", "value_now"))
        name, vested = f"{package['total']} ({package['allowance_id']})", package["vested"]
        lost = f", {package['clawed_back']} clawed back" if package["clawed_back"] else ""
        print_text(f"Package of {name}: {vested} vested{lost}; {then} when granted, {now} now.")
    for grant in found["grants"]:
        then, now = (_worth(grant[name]) for name in ("value_at_grant", "value_now"))
        name = f"{grant['total']} ({grant['allowance_id']})"
        print_text(f"Grant of {name}: {grant['left']} left; {then} when granted, {now} now.")
    for each in found["returned"]:
        done = "suspended" if each["reason"] == "Idle" else "ended"
        amount = duration(each["hours_back_ms"]) if each["unit"] == "standard" else each["shown"]
        print_text(f"Came back: {amount} of {each['workload_name']}, {done} while its GPUs were idle.")
    print_text("")
    rows = [*map(_line_row, found["lines"]), *map(_corrected_row, found["corrections"])]
    left = found["lines_left_out"]
    if left and not rows:
        print_text(f"{counted(left, 'line')}: pay data, of which a lead sees the sums.")
        return
    if _is_of_several(found):
        print_table((_LINES[0], _WHO, *_LINES[1:]), rows, empty=_NO_LINES)
    else:
        print_table(_LINES, [(at, *rest) for at, _, *rest in rows], empty=_NO_LINES)
    if left:
        print_text(f"and {left} more lines: --csv has them all")


def _is_of_several(found: dict[str, Any]) -> bool:
    """Then each line says whose it is."""
    return bool(found["owner_kind"] != OwnerKind.ENGINEER)


def _print_other_unit(found: dict[str, Any], other: dict[str, Any]) -> None:
    sums = {name: text for name, text in other["shown"].items() if other["quantities"][name]}
    print_text(f"{other['unit']}: " + "; ".join(f"{name.replace('_', ' ')} {text}" for name, text in sums.items()))
    for line in other["lines"]:
        whose = f"  {line['who']}" if _is_of_several(found) and line["who"] else ""
        beside = ""
        if line["attempt_id"]:
            beside = f", {hours_of(line, 'gpu')} of {line['gpus']} {line['gpu_class']}"
        elif line["per_million"] is not None:
            beside = f", {line['cost']} {found['currency']} at {line['per_million']} a million"
        print_text(f"  {moment(line['at'])[5:]}{whose}  {line['text']}: {line['shown']}{beside}")


_NO_LINES = "Nothing happened in this period."
_WHO = Column("WHO", width_max=18)
_LINES = (
    Column("WHEN (UTC)"),
    Column("WHAT", width_max=48),
    Column("GPU-H", is_number=True),
    Column("RATE", is_number=True),
    Column("HOURS", is_number=True),
    Column("COST", is_number=True),
)
_SUMS = (
    "opening",
    "granted",
    "charged",
    "refunded",
    "expired",
    "transferred",
    "held",
    "closing",
    "overrun",
    "unfunded",
)
_PROMISES = ("vested", "promised", "clawed_back")
"""Shown where there are any."""


def _worth(value: dict[str, Any]) -> str:
    return "no value known" if value["value"] is None else f"worth {value['value']} {value['currency']}"


def _line_row(line: dict[str, Any]) -> tuple[str, ...]:
    is_use = line["attempt_id"] != ""
    return (
        moment(line["at"])[5:],
        line["who"],
        line["text"] or line["kind"],
        hours_of(line, "gpu", unit="") if is_use else "",
        f"× {multiplied_per_mille(line['weight'], line['class_factor'])}" if is_use else "",
        signed_hours(line["amount_ms"]),
        "" if line["cost_micro"] is None else money(line["cost_micro"]),
    )


def _corrected_row(corrected: dict[str, Any]) -> tuple[str, ...]:
    return (moment(corrected["at"])[5:], "", corrected["text"], "", "", "", money(corrected["cost_micro"]))
