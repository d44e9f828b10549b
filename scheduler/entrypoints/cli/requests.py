"""`allot request`: ask for more hours, a later end of an allowance, or another GPU class; and see what became of it."""

from typing import Annotated, Any
from urllib.parse import quote

import typer

from scheduler.domain.quantities import unit_named
from scheduler.entrypoints.cli import approvals
from scheduler.entrypoints.cli.allowances import unit_of
from scheduler.entrypoints.cli.client import Api, connect
from scheduler.entrypoints.cli.durations import parse_duration
from scheduler.entrypoints.cli.grants import after
from scheduler.entrypoints.cli.instants import DAYS, parse_instant
from scheduler.entrypoints.cli.output import (
    AsJson,
    print_json,
    print_text,
    utc,
)
from scheduler.entrypoints.cli.packages import Amount, UnitName, parse_quantity
from scheduler.entrypoints.cli.workloads import Key, new_key

app = typer.Typer(
    help="Ask for more hours, a later end, or another GPU class.", no_args_is_help=True, add_completion=False
)

_Reason = Annotated[str, typer.Option("--reason", "-r", help="Why; whoever decides reads it.")]
_Until = Annotated[str | None, typer.Option(help=f"{DAYS}.")]
_Lasts = Annotated[str | None, typer.Option(help="Instead: how long from now, such as 30d.")]
_Allowance = Annotated[str, typer.Argument(help="Its id, as `allot balance --json` has it.", show_default=False)]
_OfIt = Annotated[
    str | None,
    typer.Option("--hours", "--amount", help="Of so much of it, in its unit; all that is left, if left out."),
]
_Team = Annotated[str | None, typer.Option(help="For the team: its lead may.")]
_Project = Annotated[str | None, typer.Option(help="For a project: its team's lead may.")]


@app.command()
def hours(
    amount: Amount,
    *,
    reason: _Reason,
    unit: UnitName = "standard",
    until: _Until = None,
    lasts: _Lasts = None,
    gpu_class: Annotated[
        str | None, typer.Option("--gpu-class", help="Only for this class; any, if left out.")
    ] = None,
    team: _Team = None,
    project: _Project = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Ask for more hours, tokens or money. Without --until they end with the running period."""
    body = {
        "kind": "hours",
        "quantity": parse_quantity(amount, unit_named(unit)),
        "unit": unit,
        "gpu_class": gpu_class,
        "reason": reason,
    }
    _ask(body | _holder(team, project), (until, lasts), key, as_json=as_json)


@app.command()
def extension(
    allowance: _Allowance,
    *,
    reason: _Reason,
    until: _Until = None,
    lasts: _Lasts = None,
    of_it: _OfIt = None,
    team: _Team = None,
    project: _Project = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Ask that an allowance may be spent for longer."""
    body = {"kind": "extension", "allowance": allowance, "reason": reason}
    _ask(body | _holder(team, project), (until, lasts), key, of_it=of_it, as_json=as_json)


@app.command("class")
def gpu_class(
    allowance: _Allowance,
    wanted: Annotated[str, typer.Argument(help="The GPU class.", metavar="CLASS")],
    *,
    reason: _Reason,
    of_it: _OfIt = None,
    team: _Team = None,
    project: _Project = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Ask that an allowance may be spent on another GPU class, too."""
    body = {
        "kind": "class",
        "allowance": allowance,
        "gpu_class": wanted,
        "reason": reason,
    }
    _ask(body | _holder(team, project), (None, None), key, of_it=of_it, as_json=as_json)


@app.command("list")
def list_requests(as_json: AsJson = False) -> None:
    """List what you asked for, newest first."""
    with connect() as api:
        page = api.get("/v1/requests")
        if as_json:
            print_json(page)
        else:
            approvals.print_list(page["items"], empty="You have asked for nothing yet.")


@app.command()
def withdraw(name: approvals.Name, as_json: AsJson = False) -> None:
    """Take a request back before it is decided."""
    with connect() as api:
        found = api.post(f"/v1/approvals/{quote(name, safe='')}/withdraw")
        if as_json:
            print_json(found)
        else:
            print_text(f"{found['id']} is withdrawn.")


app.command("show")(approvals.show)
app.command("approve")(approvals.approve)
app.command("reject")(approvals.reject)


def _ask(
    body: dict[str, Any],
    until: tuple[str | None, str | None],
    key: str | None,
    *,
    of_it: str | None = None,
    as_json: bool,
) -> None:
    with connect() as api:
        if of_it is not None:
            body["quantity"] = parse_quantity(of_it, unit_of(api, body["allowance"]), "--amount")
        found = api.post("/v1/requests", body | {"until": _instant(api, *until)}, key or new_key())
        if as_json:
            print_json(found)
            return
        ends = f", until {utc(found['until'])}" if found["until"] else ""
        print_text(f"Asked as {found['id']}{ends}. It waits for somebody with the right to decide it.")


def _instant(api: Api, until: str | None, lasts: str | None) -> str | None:
    if lasts is None:
        return parse_instant(until, "--until", api.clock)
    api.get("/v1/me")
    return after(api.now, parse_duration(lasts, "--lasts"))


def _holder(team: str | None, project: str | None) -> dict[str, str]:
    if team and project:
        raise typer.BadParameter("it is either for a team or for a project")
    if team:
        return {"holder_kind": "team", "holder": team}
    return {"holder_kind": "project", "holder": project} if project else {}
