"""`allot policy` against the server: apply a file, show what is in force, list what was."""

from pathlib import Path
from typing import Annotated

import typer

from scheduler.adapters.policy_files import read_bytes
from scheduler.entrypoints.cli.approvals import print_waiting, waits
from scheduler.entrypoints.cli.client import connect
from scheduler.entrypoints.cli.output import AsJson, print_json, print_text
from scheduler.entrypoints.cli.versions import list_versions
from scheduler.entrypoints.web.formatting import by_whom


def apply(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, readable=True, show_default=False)],
    as_json: AsJson = False,
) -> None:
    """Put FILE in force. Who, when and its hash are kept; what runs keeps the terms it was launched under."""
    content = read_bytes(file)
    headers = {"Content-Type": "application/yaml"}
    with connect() as api:
        version = api.ask("PUT", "/v1/policy", params={"name": file.name}, content=content, headers=headers)
        if as_json:
            print_json(version)
        elif waits(version):
            print_waiting(version)
        else:
            print_text(
                f"{version['name']} is in force: sha256 {version['hash'][:12]}, {by_whom(version['applied_by'])}."
            )


def show(as_json: AsJson = False) -> None:
    """Print the policy file that is in force."""
    with connect() as api:
        version = api.get("/v1/policy")
        if as_json:
            print_json(version)
        else:
            typer.echo(version["text"], nl=not version["text"].endswith("\n"))


def history(
    limit: Annotated[int, typer.Option(min=1, max=200)] = 50,
    as_json: AsJson = False,
) -> None:
    """List the policies that were put in force, newest first."""
    list_versions("/v1/policies", limit, empty="No policy was applied yet.", as_json=as_json)


def mount(app: typer.Typer) -> None:
    """Add these to the commands that work on files alone."""
    app.command("apply")(apply)
    app.command("show")(show)
    app.command("list")(history)
