"""Reconciliation: charges beside pods and devices, and what becomes of each difference."""

from typing import Annotated, Any

import typer

from scheduler.entrypoints.cli.client import connect
from scheduler.entrypoints.cli.output import (
    AsJson,
    Column,
    hours_of,
    print_fields,
    print_json,
    print_table,
    print_text,
)
from scheduler.finance.reconciliation import DifferenceKind

app = typer.Typer(help="Compare charges with pods and devices.", invoke_without_command=True, add_completion=False)

Ids = Annotated[
    list[str] | None,
    typer.Argument(help="Ids of differences; all unsettled ones where left out.", show_default=False),
]
PeriodOption = Annotated[str, typer.Option("--period", help="2026-10, 2026-W44, …", show_default=False)]
Reason = Annotated[str, typer.Option("--reason", "-r", help="Why; it is kept.", show_default=False)]
OfClass = Annotated[DifferenceKind | None, typer.Option("--class", help="Only those of this class.")]


@app.callback()
def reconcile(
    ctx: typer.Context,
    period: Annotated[str | None, typer.Option(help="2026-10, 2026-W44, …", show_default=False)] = None,
    as_json: AsJson = False,
) -> None:
    """Show what was charged, what pods held and what devices saw in a period, and every difference with its class."""
    if ctx.invoked_subcommand is not None:
        return
    if period is None:
        raise typer.BadParameter("name the period", param_hint="--period")
    with connect() as api:
        found = api.get(f"/v1/periods/{period}/reconciliation")
    if as_json:
        with_class = {
            name: [{**each, "class": each["kind"]} for each in found[name]] for name in ("differences", "unresolved")
        }
        print_json({**found, **with_class, "ok": not found["unresolved"]})
        return
    print_text(f"Reconciliation of {found['period']}, in physical GPU-hours", style="bold")
    names = ("charged", "held_by_pods", "seen_on_devices", "within_tolerance", "not_yet_charged")
    print_fields((name.replace("_", " "), hours_of(found, name)) for name in names)
    print_text("")
    columns = (
        Column("CLASS"),
        Column("WHAT", width_max=30),
        Column("GPU-H", is_number=True),
        Column("OWNER OR WRITE-OFF", width_max=20),
    )
    rows = [(d["kind"], d["subject"], hours_of(d, "gpu", unit=""), _settled(d)) for d in found["differences"]]
    print_table(columns, rows, [d["detail"] for d in found["differences"]], empty="Everything agrees.")


@app.command()
def assign(
    period: PeriodOption,
    owner: Annotated[str, typer.Option(help="Whose they are: a team, a person's id, platform.", show_default=False)],
    reason: Reason,
    differences: Ids = None,
    of_class: OfClass = None,
    as_json: AsJson = False,
) -> None:
    """Give differences an owner."""
    _settle(period, differences, of_class, {"kind": "owner", "owner": owner, "reason": reason}, as_json)


@app.command("write-off")
def write_off(
    period: PeriodOption,
    reason: Reason,
    differences: Ids = None,
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
            left = api.get(f"/v1/periods/{period}/reconciliation")["unresolved"]
            ids = [each["id"] for each in left if of_class is None or each["kind"] == of_class.value]
        settled: dict[str, Any] = {"items": [], "next_cursor": None}
        if ids:
            settled = api.post(f"/v1/periods/{period}/settlements", {"differences": ids, **decision})
        if as_json:
            print_json(settled)
        else:
            print_text(f"{len(settled['items'])} differences of {period}: {decision['kind']}.")


def _settled(difference: dict[str, Any]) -> str:
    settlement = difference["settlement"]
    if settlement is None:
        return "none yet"
    return str(settlement["owner"] or settlement["kind"])
