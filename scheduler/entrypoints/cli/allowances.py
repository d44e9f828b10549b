"""`allot allowance`: what becomes of one: frozen, unfrozen."""

from typing import Annotated

import typer

from scheduler.entrypoints.cli.client import connect
from scheduler.entrypoints.cli.output import AsJson, print_json, print_text

app = typer.Typer(help="Freeze an allowance, or pass hours of it on.", no_args_is_help=True, add_completion=False)

_Allowance = Annotated[str, typer.Argument(help="Its id, as `allot balance --json` has it.", show_default=False)]
_Reason = Annotated[str, typer.Option("--reason", "-r", help="Why; it is kept.")]


@app.command()
def freeze(allowance: _Allowance, *, reason: _Reason, as_json: AsJson = False) -> None:
    """Let nobody spend it. What is held already stays held; parts vest into it, and it expires as it was to."""
    _set(allowance, "freeze", reason, as_json=as_json)


@app.command()
def unfreeze(allowance: _Allowance, *, reason: _Reason, as_json: AsJson = False) -> None:
    """Let it be spent again."""
    _set(allowance, "unfreeze", reason, as_json=as_json)


def _set(allowance: str, verb: str, reason: str, *, as_json: bool) -> None:
    with connect() as api:
        found = api.post(f"/v1/allowances/{verb}", {"allowance": allowance, "reason": reason})
        if as_json:
            print_json(found)
        else:
            print_text(f"{allowance} is {'frozen' if found['is_frozen'] else 'free'}.")
