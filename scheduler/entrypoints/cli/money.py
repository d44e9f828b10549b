"""Hours: what is left, and grants."""

from typing import Annotated, Any

import typer

from scheduler.domain.periods import iso
from scheduler.domain.units import Instant
from scheduler.entrypoints.cli.client import connect
from scheduler.entrypoints.cli.durations import parse_duration, parse_hours
from scheduler.entrypoints.cli.output import (
    AsJson,
    Column,
    hours_of,
    instant_of,
    moment,
    print_fields,
    print_json,
    print_simulated,
    print_table,
    print_text,
)
from scheduler.entrypoints.cli.workloads import Key, Owner, new_key

app = typer.Typer(add_completion=False)


@app.command()
def balance(owner: Owner = None, as_json: AsJson = False) -> None:
    """Show the hours that are left, what is held and charged, and when they run out at this pace."""
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
                ("period", f"{found['period_name']}, until {moment(found['period_ends_at'])}"),
                ("pace", _pace(found["pace"])),
                ("runs out", " – ".join(moment(at)[:10] for at in found["runs_out"] or ())),
            )
        )
        print_text("")
        print_table(_ALLOWANCES, [_allowance_row(a) for a in found["allowances"]], empty="No allowances.")
        print_simulated(api)


@app.command()
def grant(
    holder: Annotated[str, typer.Argument(help="An engineer's id or subject; with --team or --project its name.")],
    hours: Annotated[str, typer.Argument(help="Standard GPU-hours: 40h, 250.")],
    *,
    reason: Annotated[str, typer.Option("--reason", "-r", help="Why; it stands on the statement.")],
    team: Annotated[bool, typer.Option("--team", help="HOLDER is a team.")] = False,
    project: Annotated[bool, typer.Option("--project", help="HOLDER is a project.")] = False,
    compensation: Annotated[bool, typer.Option(help="It is pay: personal work first.")] = False,
    expires: Annotated[str | None, typer.Option(help="An instant such as 2027-01-01T00:00:00Z.")] = None,
    lasts: Annotated[str | None, typer.Option(help="Instead: how long from now, such as 30d.")] = None,
    gpu_class: Annotated[str | None, typer.Option("--gpu-class", help="Only for these, commas between.")] = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Grant hours. Finance and operators grant ad hoc, people operations grant compensation."""
    if team and project:
        raise typer.BadParameter("a holder is either a team or a project")
    body: dict[str, Any] = {
        "holder_kind": "team" if team else "project" if project else "engineer",
        "holder": holder,
        "amount_ms": parse_hours(hours),
        "reason": reason,
        "source": "compensation" if compensation else "ad-hoc",
        "gpu_classes": [name.strip() for name in gpu_class.split(",")] if gpu_class else None,
    }
    with connect() as api:
        if lasts is not None:
            api.get("/v1/me")
            expires = after(api.now, parse_duration(lasts, "--lasts"))
        body["expires_at"] = expires
        found = api.post("/v1/grants", body, key or new_key())
        if as_json:
            print_json(found)
        else:
            until = f", until {moment(found['expires_at'])}" if found["expires_at"] else ""
            print_text(f"Granted {hours_of(found, 'amount')} to {holder} as {found['id']}{until}.")


_ALLOWANCES = (
    Column("ALLOWANCE", width_max=22),
    Column("LEFT", is_number=True),
    Column("HELD", is_number=True),
    Column("CHARGED", is_number=True),
    Column("TERMS", width_max=26),
)


def _allowance_row(allowance: dict[str, Any]) -> tuple[str, ...]:
    numbers = (hours_of(allowance, name) for name in ("available", "held", "charged"))
    return (allowance["name"], *numbers, allowance["note"])


def _pace(per_mille: int) -> str:
    share = f"{abs(per_mille) / 10:.1f} % of the allowance"
    if per_mille == 0:
        return "on plan"
    return f"{share} behind plan: hours unused" if per_mille > 0 else f"{share} ahead of plan: burning fast"


def after(now: str, milliseconds: int) -> str:
    """The instant so long after the server's now, as the API reads it."""
    return iso(Instant((instant_of(now) or 0) + milliseconds))
