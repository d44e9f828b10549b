"""`allot prices`: check a price book offline, put one in force, and show what an hour costs."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from scheduler.adapters.policy_files import check_prices, price_reference, read_bytes
from scheduler.domain.wording import counted
from scheduler.entrypoints.cli.approvals import print_waiting, waits
from scheduler.entrypoints.cli.client import connect
from scheduler.entrypoints.cli.file_kinds import told_as_another
from scheduler.entrypoints.cli.instants import TIMES, parse_instant
from scheduler.entrypoints.cli.output import (
    AsJson,
    print_fields,
    print_json,
    print_text,
    utc,
)
from scheduler.entrypoints.cli.versions import list_versions
from scheduler.entrypoints.web.formatting import by_whom

app = typer.Typer(help="What GPU-hours and electricity cost.", no_args_is_help=True, add_completion=False)

_File = Annotated[Path, typer.Argument(exists=True, dir_okay=False, readable=True, show_default=False)]


@app.command()
def check(file: _File, as_json: AsJson = False) -> None:
    """Say whether FILE is a price book, and if not, everything that is wrong with it."""
    book, problems = check_prices(read_bytes(file), file.name)
    if as_json:
        found = [{"line": p.mark.line, "column": p.mark.column, "message": p.message} for p in problems]
        typer.echo(json.dumps({"file": str(file), "ok": book is not None, "problems": found}))
    elif book is not None:
        typer.echo(
            f"{file}: a price book in {book.currency}, {counted(len(book.rates), 'rate')}; sha256 {book.hash[:12]}"
        )
    elif other := told_as_another(file, "a price book"):
        typer.echo(other, err=True)
    else:
        for problem in problems:
            typer.echo(f"{file}:{problem}", err=True)
        typer.echo(
            f"{file}: not a price book, {counted(len(problems), 'problem')}; docs/finance.md has every key", err=True
        )
    if book is None:
        raise typer.Exit(1)


@app.command()
def apply(
    file: _File,
    *,
    correct: Annotated[
        bool, typer.Option("--correct", help="Correct closed periods by postings in the open one.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Put FILE in force for every period that is not closed. Who and when is kept."""
    with connect() as api:
        headers = {"Content-Type": "application/yaml"}
        params = {"name": file.name, "correct": str(correct).lower()}
        version = api.ask("PUT", "/v1/prices", params=params, content=read_bytes(file), headers=headers)
        if as_json:
            print_json(version)
        elif waits(version):
            print_waiting(version)
        else:
            print_text(
                f"{version['name']} is in force: sha256 {version['hash'][:12]}, {by_whom(version['applied_by'])}."
            )
            if version.get("unpriced"):
                print_text(f"No price of {', '.join(version['unpriced'])}: their hours have no cost and no export.")
            if version.get("unknown"):
                print_text(
                    f"The policy has no {', no '.join(version['unknown'])}: look whether that is spelled right."
                )


@app.command()
def show(as_json: AsJson = False) -> None:
    """Print the price book that is in force."""
    with connect() as api:
        versions = api.get("/v1/prices", limit=1)["items"]
        if as_json:
            print_json(versions[0] if versions else None)
        elif versions:
            typer.echo(versions[0]["text"], nl=not versions[0]["text"].endswith("\n"))
        else:
            print_text("No price book was applied yet.")


@app.command("list")
def history(limit: Annotated[int, typer.Option(min=1, max=200)] = 50, as_json: AsJson = False) -> None:
    """List the price books that were put in force, newest first."""
    list_versions("/v1/prices", limit, empty="No price book was applied yet.", as_json=as_json)


@app.command()
def hour(
    *,
    gpu_class: Annotated[str, typer.Option("--gpu-class")],
    pool: Annotated[str, typer.Option()],
    at: Annotated[str | None, typer.Option(help=f"{TIMES}. Now where left out.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show what an hour of one GPU costs, in its parts: electricity as measured, hardware, and the rest."""
    with connect() as api:
        found = api.get("/v1/prices/hour", gpu_class=gpu_class, pool=pool, at=parse_instant(at, "--at", api.clock))
        if as_json:
            print_json(found)
            return
        off_peak = ", off-peak" if found["is_off_peak"] else ""
        print_text(f"{gpu_class} in {pool}, the hour from {utc(found['at'])}{off_peak}", style="bold")
        unit = f"{found['currency']} a GPU-hour"
        print_fields((name, f"{found[name]} {unit}") for name in ("list", "contracted", "effective"))
        print_text("")
        unknown = [name for name in ("electricity", "hardware") if found[name] is None]
        with_these = f", {' and '.join(unknown)} with it" if unknown else ""
        print_fields(
            (
                ("electricity", _electricity(found)),
                ("hardware", _known(found, "hardware")),
                ("the rest", _known(found, "rest") + with_these),
            )
        )


@app.command()
def keys(as_json: AsJson = False) -> None:
    """Print every key of a price file: its unit, default and meaning, as Markdown."""
    if as_json:
        print_json({"markdown": price_reference()})
    else:
        typer.echo(price_reference())


def _known(found: dict[str, Any], name: str) -> str:
    return "not in the price book" if found[name] is None else f"{found[name]} {found['currency']}"


def _electricity(found: dict[str, Any]) -> str:
    if found["electricity"] is None:
        return "not measured in that hour" if found["milliwatts"] is None else "no tariff in the price book"
    watts = found["milliwatts"] // 1000
    return f"{found['electricity']} {found['currency']}: {watts} W measured at {found['kwh_price']} a kWh"
