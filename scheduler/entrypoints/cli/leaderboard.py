"""`allot leaderboard`: those who joined, by hours in which their GPUs were at work. Nobody is on it who did not ask."""

from typing import Annotated

import typer

from scheduler.entrypoints.cli.client import connect
from scheduler.entrypoints.cli.output import AsJson, Column, print_json, print_table, print_text
from scheduler.entrypoints.cli.scopes import Period
from scheduler.entrypoints.web.formatting import DASH, grouped, hours
from scheduler.metering.leaderboard import RankedBy

app = typer.Typer(help="Who uses GPUs well, of those who joined.", no_args_is_help=True, add_completion=False)

_COLUMNS = (
    Column("RANK", is_number=True),
    Column("WHO", width_max=24),
    Column("USEFUL GPU-H", is_number=True),
    Column("EFFICIENCY", is_number=True),
    Column("RESTED", is_number=True),
    Column("TOKENS", is_number=True),
)


@app.command()
def show(
    team: Annotated[str | None, typer.Option(help="A team; your own where left out.")] = None,
    tier: Annotated[str | None, typer.Option(help="A tier instead.")] = None,
    by: Annotated[
        RankedBy, typer.Option(help="What ranks: useful hours, or how well they were used.")
    ] = RankedBy.USEFUL,
    period: Period = None,
    as_json: AsJson = False,
) -> None:
    """Show how those who joined stand. Hours at rest count for nobody; tokens rank nobody."""
    with connect() as api:
        found = api.get("/v1/leaderboard", team=team, tier=tier, by=by.value, period=period)
        if as_json:
            print_json(found)
            return
        joined = len(found["standings"])
        print_text(
            f"{found['group']} {found['name']}, {found['period']}: {joined} of {found['people']} joined", style="bold"
        )
        rows = [
            (
                DASH if each["rank"] is None else str(each["rank"]),
                each["name"],
                hours(each["useful_ms"]),
                _percent(each["mean_permille"]),
                _percent(each["rested_permille"]),
                grouped(each["tokens"]),
            )
            for each in found["standings"]
        ]
        print_table(_COLUMNS, rows, empty="Nobody has joined.")


@app.command("join")
def join_it(as_json: AsJson = False) -> None:
    """Stand on the boards of your team and tier, seen by those who do, too."""
    with connect() as api:
        api.ask("PUT", "/v1/leaderboard/me")
        _print_changed("You stand on the boards of your team and tier. `allot leaderboard leave` ends it.", as_json)


@app.command()
def leave(as_json: AsJson = False) -> None:
    """Stand on them no longer."""
    with connect() as api:
        api.ask("DELETE", "/v1/leaderboard/me")
        _print_changed("You stand on no board any more.", as_json)


def _print_changed(text: str, as_json: bool) -> None:
    if as_json:
        print_json({"ok": True})
    else:
        print_text(text)


def _percent(permille: int | None) -> str:
    return DASH if permille is None else f"{permille / 10:.1f} %"
