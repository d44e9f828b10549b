"""The people directory: apply a file, list who is there."""

from pathlib import Path
from typing import Annotated
from urllib.parse import quote

import typer

from scheduler.adapters.policy_files import read_bytes
from scheduler.domain.wording import counted
from scheduler.entrypoints.cli.approvals import print_waiting, waits
from scheduler.entrypoints.cli.client import connect
from scheduler.entrypoints.cli.output import AsJson, Column, print_json, print_table, print_text

app = typer.Typer(help="Engineers, their teams, tiers and roles.", no_args_is_help=True, add_completion=False)


@app.command()
def apply(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, readable=True, show_default=False)],
    as_json: AsJson = False,
) -> None:
    """Put the people of FILE into the directory, matched by subject. Nobody is removed."""
    with connect() as api:
        content = read_bytes(file)
        headers = {"Content-Type": "application/yaml"}
        found = api.ask("PUT", "/v1/people", params={"name": file.name}, content=content, headers=headers)
        if as_json:
            print_json(found)
        elif waits(found):
            print_waiting(found)
        else:
            print_text(f"{file.name}: {counted(found['engineers'], 'engineer')}, {found['new']} of them new.")


@app.command("list")
def list_people(as_json: AsJson = False) -> None:
    """List the directory, as far as your role may see it."""
    with connect() as api:
        page = api.get("/v1/people")
        if as_json:
            print_json(page)
            return
        columns = (
            Column("SUBJECT", width_max=30),
            Column("TEAM", width_max=14),
            Column("TIER", width_max=12),
            Column("ROLES", width_max=18),
        )
        rows = [(p["subject"], p["team"], p["tier"], ", ".join(p["roles"])) for p in page["items"]]
        print_table(columns, rows, empty="Nobody yet. `allot people apply FILE` adds people.")


@app.command()
def forget(
    person: Annotated[str, typer.Argument(help="Their id or subject.", show_default=False)],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask: it cannot be undone.")] = False,
    as_json: AsJson = False,
) -> None:
    """Erase a person's name and subject. The books keep an opaque id; every proof over them stays valid."""
    if not yes:
        typer.confirm(f"Erase the name of {person} for good?", abort=True, err=True)
    with connect() as api:
        found = api.post(f"/v1/people/{quote(person, safe='')}/forget")
        if as_json:
            print_json(found)
        else:
            print_text(f"{found['engineer']} has no name any more.")
