"""`allot burn` and `allot fairness`: what goes a day and until when it lasts, and how evenly use is spread."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer

from scheduler.domain.units import JOULES_PER_KWH
from scheduler.entrypoints.cli.client import connect
from scheduler.entrypoints.cli.money import unit_course
from scheduler.entrypoints.cli.output import (
    AsJson,
    Column,
    days_of,
    hours_of,
    moment,
    print_fields,
    print_json,
    print_table,
    print_text,
)
from scheduler.entrypoints.cli.scopes import Owner
from scheduler.entrypoints.web.formatting import DASH, hours, money

app = typer.Typer(add_completion=False)


@app.command()
def burn(
    owner: Owner = None,
    as_json: AsJson = False,
) -> None:
    """Show what goes a day in every unit, money and energy, when it runs out at this pace, and days that jumped."""
    with connect() as api:
        found = api.get("/v1/finance/burn", owner=owner)
        if as_json:
            print_json(found)
            return
        print_text(f"{found['owner_name'] or found['owner']}: {hours_of(found, 'available')} left", style="bold")
        band = found["run_out"]
        print_fields(
            (
                (
                    "charged a day",
                    f"{hours(found['short_charged'])} h; {hours(found['long_charged'])} h over 28 days",
                ),
                ("on GPUs a day", f"{hours_of(found, 'short_gpu')}"),
                ("cost a day", _money(found["short_cost_micro"], found["currency"])),
                ("energy a day", _energy(found["short_energy_joules"])),
                ("runs out", days_of((band["earliest"], band["latest"])) if band else DASH),
                ("by", found["basis"]),
            )
        )
        for jump in found["jumps"]:
            print_text(
                f"{moment(jump['day'])[:10]}: {hours(jump['used'])} h, usual are {hours(jump['usual'])} h",
                style="yellow",
            )
        for unit in found["units"]:
            print_text(f"{unit['left']} left{unit_course(unit)}")
            for jump in unit["jumps"]:
                print_text(f"{moment(jump['day'])[:10]}: {jump['used']}, usual are {jump['usual']}", style="yellow")


@app.command()
def fairness(
    months: Annotated[int, typer.Option(min=1, max=24, help="How many months, the present one too.")] = 3,
    as_json: AsJson = False,
) -> None:
    """Show how evenly use is spread over people, by tier and team, month by month."""
    with connect() as api:
        page = api.get("/v1/finance/fairness", months=months)
        if as_json:
            print_json(page)
            return
        rows, unused = months_of_use(page["items"])
        print_table(_SPREAD, rows, empty="Nobody used a GPU in these months.")
        if rows and unused:
            print_text(f"Nobody used a GPU in {', '.join(unused)}.", "dim")


def months_of_use(items: Sequence[Mapping[str, Any]]) -> tuple[list[tuple[str, ...]], list[str]]:
    """The rows of the months in which anybody used a GPU, and the other months: before the first there are many."""
    used = {item["period"] for item in items if item["used"]["gini_permille"] is not None}
    rows = [_spread_row(item) for item in items if item["period"] in used]
    return rows, sorted({item["period"] for item in items} - used)


_SPREAD = (
    Column("MONTH"),
    Column("GROUP", width_max=24),
    Column("PEOPLE", is_number=True),
    Column("GINI", is_number=True),
    Column("JAIN", is_number=True),
    Column("TOP TENTH", is_number=True),
)


def _spread_row(item: Mapping[str, Any]) -> tuple[str, ...]:
    used = item["used"]
    group = item["group"] if item["by"] == "company" else f"{item['by']} {item['group']}"
    shares = (used["gini_permille"], used["jain_permille"])
    top = used["top_decile_permille"]
    return (
        item["period"],
        group,
        str(used["people"]),
        *(DASH if share is None else f"{share / 1000:.2f}" for share in shares),
        DASH if top is None else f"{top / 10:.1f} %",
    )


def _money(micro: int | None, currency: str | None) -> str:
    return DASH if micro is None else f"{money(micro)} {currency}"


def _energy(joules: int | None) -> str:
    return DASH if joules is None else f"{joules / JOULES_PER_KWH:.1f} kWh"
