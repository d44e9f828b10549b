"""`allot doctor`: looks at everything the service and the command line rest on, and says what to do."""

import os
from pathlib import Path
from typing import Annotated

import httpx
import typer

from scheduler.entrypoints import doctor as checks
from scheduler.entrypoints.cli.client import config_file, read_connection
from scheduler.entrypoints.cli.exits import ExitCode
from scheduler.entrypoints.cli.output import AsJson, Column, print_json, print_table
from scheduler.entrypoints.doctor import Check
from scheduler.entrypoints.settings import Settings

app = typer.Typer(add_completion=False)

TIMEOUT_SECONDS = 5.0
_SIGNS = {True: "ok", False: "not ok", None: "–"}


@app.command()
def doctor(
    database: Annotated[
        str | None, typer.Option(help="The service's database; ALLOT_DATABASE where left out.")
    ] = None,
    policy: Annotated[list[Path] | None, typer.Option(exists=True, dir_okay=False, help="Policy files.")] = None,
    kubernetes: Annotated[
        bool | None, typer.Option("--kubernetes/--no-kubernetes", help="Check the cluster; where KUBECONFIG is set.")
    ] = None,
    kubeconfig: Annotated[str | None, typer.Option(help="Instead of KUBECONFIG.")] = None,
    context: Annotated[str | None, typer.Option(help="The kubeconfig's context.")] = None,
    namespace: Annotated[list[str] | None, typer.Option(help="Namespaces to check the rights in.")] = None,
    as_json: AsJson = False,
) -> None:
    """Check versions, clock, server, token, database, policies, rights and sensors, and say what to do.

    Exits with 1 where something is wrong; what does not concern this machine is not.
    """
    connection = read_connection()
    headers = {"Authorization": f"Bearer {connection.token}"} if connection.token else {}
    found = checks.everything((checks.check_python, lambda: checks.check_configuration(config_file())))
    with httpx.Client(base_url=connection.server, headers=headers, timeout=TIMEOUT_SECONDS) as http:
        found += checks.everything((lambda: checks.check_server(http), lambda: checks.check_token(http)))
    url = database or os.environ.get("ALLOT_DATABASE") or Settings().database
    found.append(checks.check_database(url))
    found += [checks.check_policy_file(file) for file in policy or ()]
    if checks.wants_cluster() if kubernetes is None else kubernetes:
        found += checks.check_cluster(kubeconfig, context, namespace or (Settings().namespace,))
    found.append(checks.check_sensors())
    is_well = all(check.is_ok is not False for check in found)
    if as_json:
        print_json({"ok": is_well, "checks": [_as_object(check) for check in found]})
    else:
        _show(found)
    if not is_well:
        raise typer.Exit(ExitCode.REFUSED)


def _as_object(check: Check) -> dict[str, object]:
    return {"name": check.name, "ok": check.is_ok, "found": check.found, "remedy": check.remedy}


def _show(found: list[Check]) -> None:
    rows = [(_SIGNS[check.is_ok], check.name, check.found) for check in found]
    remedies = [f"→ {check.remedy}" if check.is_ok is False and check.remedy else "" for check in found]
    print_table((Column(""), Column("CHECK"), Column("FOUND", width_max=56)), rows, remedies)
