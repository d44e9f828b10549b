"""`allot vesting`: packages of compensation, how far they vested, and what leaving takes back."""

from typing import Annotated, Any

import typer

from scheduler.entrypoints.cli.client import connect
from scheduler.entrypoints.cli.output import (
    AsJson,
    Column,
    moment,
    print_fields,
    print_json,
    print_table,
    print_text,
    utc,
)

app = typer.Typer(help="Compensation that vests.", no_args_is_help=True, add_completion=False)

_SHOWN_MAX = 60


@app.command("list")
def packages(
    owner: Annotated[
        str | None, typer.Option(help="An engineer, a team, or company; yourself where it is left out.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List packages: promised, vested, and when the next part comes."""
    with connect() as api:
        found = api.get("/v1/vesting", owner=owner)
        if as_json:
            print_json(found)
            return
        print_table(_PACKAGES, [_row(each) for each in found["items"]], empty="No packages.")


@app.command()
def show(
    package: Annotated[str, typer.Argument(help="Its id, as `allot vesting list` has it.", show_default=False)],
    as_json: AsJson = False,
) -> None:
    """Show one package with every part of its schedule."""
    with connect() as api:
        found = api.get(f"/v1/vesting/{package}")
        if as_json:
            print_json(found)
            return
        print_package(found)


@app.command("claw-back")
def claw_back(
    holder: Annotated[str, typer.Argument(help="An engineer's id or subject.", show_default=False)],
    *,
    reason: Annotated[str, typer.Option("--reason", "-r", help="Why; it stands on the statement.")],
    as_json: AsJson = False,
) -> None:
    """Take back what has not vested of all packages of somebody who leaves. What vested is theirs."""
    with connect() as api:
        found = api.post("/v1/vesting/claw-back", {"holder": holder, "reason": reason})
        if as_json:
            print_json(found)
        elif found["items"]:
            print_text(f"Took back what had not vested of {', '.join(i['allowance_id'] for i in found['items'])}.")
        else:
            print_text("Nothing was left to vest.")


def print_package(found: dict[str, Any]) -> None:
    """A package as fields and a table of its parts."""
    print_text(f"{found['total_text']} to {found['holder_name'] or found['holder']}, {found['kind']}", style="bold")
    print_fields(
        (
            ("package", found["allowance_id"]),
            ("vested", found["vested_text"]),
            ("promised", found["promised_text"]),
            ("clawed back", found["forfeited_text"]),
            ("left", found["left_text"] + (", frozen" if found["is_frozen"] else "")),
            ("classes", ", ".join(found["gpu_classes"] or ["any"])),
            ("expires", utc(found["expires_at"]) if found["expires_at"] else "never"),
            ("time zone", found["time_zone"]),
        )
    )
    print_text("")
    rows = [(str(p["number"]), moment(p["at"]), p["text"], p["state"]) for p in found["parts"][:_SHOWN_MAX]]
    print_table(_PARTS, rows)
    if len(found["parts"]) > _SHOWN_MAX:
        print_text(f"and {len(found['parts']) - _SHOWN_MAX} more: --json has them all")


_PACKAGES = (
    Column("PACKAGE", width_max=14),
    Column("WHO", width_max=12),
    Column("PROMISED", is_number=True),
    Column("VESTED", is_number=True),
    Column("NEXT", width_max=10),
)
_PARTS = (Column("PART", is_number=True), Column("WHEN (UTC)"), Column("HOW MUCH", is_number=True), Column("STATE"))


def _row(found: dict[str, Any]) -> tuple[str, ...]:
    following = moment(found["next_at"])[:10] if found["next_at"] else "–"
    return (
        found["allowance_id"],
        found["holder_name"] or found["holder"],
        found["promised_text"],
        found["vested_text"],
        following,
    )
