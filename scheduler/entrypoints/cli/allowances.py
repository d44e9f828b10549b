"""`allot allowance`: what becomes of one: frozen, passed on to a colleague, given to a pool or project."""

from typing import Annotated

import typer

from scheduler.domain.quantities import unit_named
from scheduler.domain.units import Unit
from scheduler.entrypoints.cli.client import Api, connect
from scheduler.entrypoints.cli.output import AsJson, print_json, print_text
from scheduler.entrypoints.cli.packages import parse_quantity
from scheduler.entrypoints.cli.workloads import Key, new_key

app = typer.Typer(help="Freeze an allowance, or pass hours of it on.", no_args_is_help=True, add_completion=False)

_Allowance = Annotated[str, typer.Argument(help="Its id, as `allot balance --json` has it.", show_default=False)]
_Amount = Annotated[str, typer.Argument(help="In the allowance's unit: 40h, 1000000 tokens.", show_default=False)]
_Reason = Annotated[str, typer.Option("--reason", "-r", help="Why; it is kept.")]


@app.command()
def freeze(allowance: _Allowance, *, reason: _Reason, as_json: AsJson = False) -> None:
    """Let nobody spend it. What is held already stays held; parts vest into it, and it expires as it was to."""
    _set(allowance, "freeze", reason, as_json=as_json)


@app.command()
def unfreeze(allowance: _Allowance, *, reason: _Reason, as_json: AsJson = False) -> None:
    """Let it be spent again."""
    _set(allowance, "unfreeze", reason, as_json=as_json)


@app.command()
def transfer(
    allowance: _Allowance,
    to: Annotated[str, typer.Argument(help="A colleague's id or subject.", show_default=False)],
    amount: _Amount,
    *,
    reason: _Reason,
    into: Annotated[
        str | None, typer.Option(help="An allowance of theirs, of the same unit, on terms that are no better.")
    ] = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Pass hours on to an engineer of your team, where your tier may."""
    _pass_on(allowance, "engineer", to, amount, reason, into=into, key=key, as_json=as_json)


@app.command()
def donate(
    allowance: _Allowance,
    to: Annotated[str, typer.Argument(help="A pool or team; with --project a project.", show_default=False)],
    amount: _Amount,
    *,
    reason: _Reason,
    project: Annotated[bool, typer.Option("--project", help="TO is a project.")] = False,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Give hours to a pool, a team or a project, where your tier may."""
    _pass_on(allowance, "project" if project else "team", to, amount, reason, into=None, key=key, as_json=as_json)


def _pass_on(
    allowance: str,
    to_kind: str,
    to: str,
    amount: str,
    reason: str,
    *,
    into: str | None,
    key: str | None,
    as_json: bool,
) -> None:
    with connect() as api:
        body = {
            "allowance": allowance,
            "to_kind": to_kind,
            "to": to,
            "quantity": parse_quantity(amount, unit_of(api, allowance)),
            "reason": reason,
            "into": into,
        }
        found = api.post("/v1/transfers", body, key or new_key())
        if as_json:
            print_json(found)
        else:
            print_text(f"{amount} of {allowance} went to {to} as {found['id']}.")


def unit_of(api: Api, allowance: str) -> Unit:
    """What an allowance is counted in; standard hours where the caller has none of that id, for the server to refuse."""
    own = {each["id"]: each["unit"] for each in api.get("/v1/allowances")["items"]}
    return unit_named(own.get(allowance, "standard"))


def _set(allowance: str, verb: str, reason: str, *, as_json: bool) -> None:
    with connect() as api:
        found = api.post(f"/v1/allowances/{verb}", {"allowance": allowance, "reason": reason})
        if as_json:
            print_json(found)
        else:
            print_text(f"{allowance} is {'frozen' if found['is_frozen'] else 'free'}.")
