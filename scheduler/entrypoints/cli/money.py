"""Hours: what is left, on which allowances."""

from typing import Any

import typer

from scheduler.entrypoints.cli.client import connect
from scheduler.entrypoints.cli.output import (
    AsJson,
    Column,
    days_of,
    hours_of,
    moment,
    print_fields,
    print_json,
    print_table,
    print_text,
    told,
)
from scheduler.entrypoints.cli.workloads import Owner

app = typer.Typer(add_completion=False)


@app.command()
def balance(owner: Owner = None, as_json: AsJson = False) -> None:
    """Show what is left, held and charged in every unit, and when it runs out at this pace."""
    with connect() as api:
        found = api.get("/v1/balance", owner=owner)
        if as_json:
            print_json(found)
            return
        print_text(f"{hours_of(found, 'available')} left", style="bold")
        print_fields(
            (
                ("who", f"{found['owner_name'] or found['owner']}, {found['team']}, tier {found['tier']}"),
                ("held", hours_of(found, "held")),
                ("charged", f"{hours_of(found, 'charged')} of {hours_of(found, 'granted')} granted"),
                ("period", f"{found['period_name']}, until {moment(found['period_ends_at'])} UTC"),
                ("pace", _pace(found["pace"])),
                ("runs out", days_of(found["runs_out"] or ())),
            )
        )
        for unit in found["units"]:
            print_text(f"{unit['left']} left{unit_course(unit)}")
        print_text("")
        print_table(_ALLOWANCES, [_allowance_row(a) for a in found["allowances"]], empty="No allowances.")


_ALLOWANCES = (
    Column("ALLOWANCE", width_max=22),
    Column("LEFT", is_number=True, width_max=18),
    Column("HELD", is_number=True),
    Column("CHARGED", is_number=True),
    Column("TERMS", width_max=22),
)


def _allowance_row(allowance: dict[str, Any]) -> tuple[str, ...]:
    if allowance["unit"] == "standard":
        numbers = [hours_of(allowance, name) for name in ("available", "held", "charged")]
    else:
        numbers = [allowance["left"], "", ""]
    return (allowance["name"], *numbers, told(allowance["note"]))


def unit_course(unit: dict[str, Any]) -> str:
    """What goes a day and until when it lasts, behind what is left of a unit."""
    if not unit["a_day_quantity"]:
        return ", nothing is being spent" if not unit["held_quantity"] else f", {unit['held_shown']} held"
    band = unit["run_out"]
    until = f", until {days_of((band['earliest'], band['latest']))}" if band else ""
    return f", {unit['a_day']} a day{until}"


def _pace(per_mille: int) -> str:
    share = f"{abs(per_mille) / 10:.1f} % of the allowance"
    if per_mille == 0:
        return "on plan"
    return f"{share} behind plan: hours unused" if per_mille > 0 else f"{share} ahead of plan: burning fast"
