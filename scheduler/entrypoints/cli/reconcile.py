"""Reconciliation: charges beside pods and devices. What becomes of a difference is said in `allot period`."""

from typing import Any

import typer

from scheduler.entrypoints.cli.client import connect, period_path
from scheduler.entrypoints.cli.output import (
    AsJson,
    Column,
    hours_of,
    print_fields,
    print_json,
    print_table,
    print_text,
)
from scheduler.entrypoints.cli.scopes import Period

app = typer.Typer(add_completion=False)


@app.command()
def reconcile(period: Period = None, as_json: AsJson = False) -> None:
    """Show what was charged, what pods held and what devices saw in a period, and every difference with its class."""
    with connect() as api:
        name = period if period is not None else str(api.get("/v1/finance/month")["period"])
        found = api.get(period_path(name, "reconciliation"))
    if as_json:
        with_class = {
            name: [{**each, "class": each["kind"]} for each in found[name]] for name in ("differences", "unresolved")
        }
        print_json({**found, **with_class, "ok": not found["unresolved"]})
        return
    print_text(f"Reconciliation of {found['period']}, in physical GPU-hours", style="bold")
    names = ("charged", "held_by_pods", "seen_on_devices", "within_tolerance", "booked_unused", "not_yet_charged")
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


def _settled(difference: dict[str, Any]) -> str:
    settlement = difference["settlement"]
    if settlement is None:
        return "none yet"
    return str(settlement["owner"] or settlement["kind"])
