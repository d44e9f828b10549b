"""Periods: close them, and see how they stand."""

import json
from collections.abc import Iterator
from typing import Annotated, Any

import typer

from scheduler.domain.wording import counted
from scheduler.entrypoints.cli.client import connect, period_path
from scheduler.entrypoints.cli.output import (
    AsJson,
    Column,
    moment,
    print_fields,
    print_json,
    print_table,
    print_text,
    utc,
)
from scheduler.entrypoints.web.formatting import hours
from scheduler.finance.reconciling.reconciliation import DifferenceKind

app = typer.Typer(
    help="Close periods of the books, and settle what does not agree in them.",
    no_args_is_help=True,
    add_completion=False,
)

PeriodArgument = Annotated[str, typer.Argument(help="2026-10, 2026-W44, 2026-Q4 or 2026.", show_default=False)]

Ids = Annotated[
    list[str] | None,
    typer.Argument(help="Ids of differences; all unsettled ones where left out.", show_default=False),
]
Reason = Annotated[str, typer.Option("--reason", "-r", help="Why; it is kept.", show_default=False)]
OfClass = Annotated[DifferenceKind | None, typer.Option("--class", help="Only those of this class.")]


@app.command()
def close(
    period: PeriodArgument,
    provisional: Annotated[
        bool, typer.Option("--provisional", help="Charge what ran in it and look for differences; close it later.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Close a period that is over. Afterwards nothing is dated inside it: corrections go to the open one, marked.

    Differences without an owner or a write-off leave it provisional: `allot reconcile --period PERIOD` shows them.
    """
    with connect() as api:
        step = api.post(period_path(period, "close"), {"provisionally": provisional})
        if as_json:
            print_json(step)
        else:
            print_text(f"{step['period']} is {step['state']} since {utc(step['at'])}.")


@app.command("list")
def list_periods(as_json: AsJson = False) -> None:
    """List every step of every close: who took it, and when."""
    with connect() as api:
        page = api.get("/v1/periods")
        if as_json:
            print_json(page)
            return
        columns = (Column("PERIOD"), Column("STATE"), Column("SINCE (UTC)"), Column("BY", width_max=30))
        rows = [(s["period"], s["state"], moment(s["at"]), s["by"]) for s in page["items"]]
        print_table(columns, rows, empty="No period was closed yet.")


@app.command()
def show(period: PeriodArgument, as_json: AsJson = False) -> None:
    """Show how a period stands."""
    with connect() as api:
        step: dict[str, Any] = api.get(period_path(period))
        if as_json:
            print_json(step)
            return
        print_text(f"{step['period']}: {step['state']}", style="bold")
        fields = (
            ("from", utc(step["starts_at"])),
            ("until", utc(step["ends_at"])),
            ("since", utc(step["at"])),
            ("by", f"{step['by']} ({step['role']})"),
        )
        print_fields((*fields, *_sums(step["sums"])))


def _sums(kept: str) -> Iterator[tuple[str, str]]:
    """What the books said of it in that moment: physical GPU time in hours, everything else as it is counted."""
    for name, number in json.loads(kept).items():
        what, is_time = name.removesuffix("_gpu_ms").replace("_", " "), name.endswith("_gpu_ms")
        yield what, f"{hours(number)} GPU-h" if is_time else str(number)


@app.command()
def assign(
    period: PeriodArgument,
    differences: Ids = None,
    *,
    owner: Annotated[
        str, typer.Option(help="Whose they are: a team, a project, a person, platform.", show_default=False)
    ],
    reason: Reason,
    of_class: OfClass = None,
    as_json: AsJson = False,
) -> None:
    """Give differences an owner."""
    _settle(period, differences, of_class, {"kind": "owner", "owner": owner, "reason": reason}, as_json)


@app.command("write-off")
def write_off(
    period: PeriodArgument,
    differences: Ids = None,
    *,
    reason: Reason,
    of_class: OfClass = None,
    as_json: AsJson = False,
) -> None:
    """Write differences off. Finance may."""
    _settle(period, differences, of_class, {"kind": "write-off", "reason": reason}, as_json)


def _settle(
    period: str, ids: list[str] | None, of_class: DifferenceKind | None, decision: dict[str, str], as_json: bool
) -> None:
    with connect() as api:
        if not ids:
            left = api.get(period_path(period, "reconciliation"))["unresolved"]
            ids = [each["id"] for each in left if of_class is None or each["kind"] == of_class.value]
        settled: dict[str, Any] = {"items": [], "next_cursor": None}
        if ids:
            settled = api.post(period_path(period, "settlements"), {"differences": ids, **decision})
        if as_json:
            print_json(settled)
        else:
            print_text(f"{counted(len(settled['items']), 'difference')} of {period}: {decision['kind']}.")
