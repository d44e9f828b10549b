"""`allot keep`: an owner's word that a workload is to stay though its GPUs rest."""

from typing import Annotated

import typer

from scheduler.domain.errors import InvalidInput
from scheduler.domain.periods import iso
from scheduler.domain.units import Instant
from scheduler.entrypoints.cli.client import connect, find_workload, workload_path
from scheduler.entrypoints.cli.durations import parse_duration
from scheduler.entrypoints.cli.output import (
    AsJson,
    instant_of,
    print_json,
    print_text,
    utc,
)
from scheduler.entrypoints.cli.workloads import WorkloadId

app = typer.Typer(add_completion=False)


@app.command()
def keep(
    workload: WorkloadId,
    why: Annotated[str, typer.Option(help="The reason, which operators read.")] = "",
    how_long: Annotated[str, typer.Option("--for", help="How long: 8h, 2d; a week at most.")] = "8h",
    end: Annotated[bool, typer.Option("--end", help="Keep it no longer.")] = False,
    as_json: AsJson = False,
) -> None:
    """Keep a workload though its GPUs rest: idle reclaim leaves it alone until then."""
    with connect() as api:
        workload_id = find_workload(api, workload)
        path = workload_path(workload_id, "exemption")
        if end:
            api.ask("DELETE", path)
            print_text("It is kept no longer: its idle clock begins anew.")
            return
        if not why.strip():
            raise InvalidInput("nothing says why", where="--why", expected="a sentence that operators understand")
        length_ms = parse_duration(how_long, "--for")
        api.get(workload_path(workload_id))
        now = instant_of(api.now)
        assert now is not None, "every answer says when it is"
        made = api.ask("PUT", path, body={"why": why, "expires_at": iso(Instant(now + length_ms))})
        if as_json:
            print_json(made)
        else:
            print_text(f"Kept until {utc(made['expires_at'])}: {made['why']}")
