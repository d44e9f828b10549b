"""`allot coverage`: how much is promised of what the GPUs deliver."""

from typing import Any

import typer

from scheduler.entrypoints.cli.client import connect
from scheduler.entrypoints.cli.output import (
    AsJson,
    Column,
    hours_of,
    print_json,
    print_table,
    print_text,
)
from scheduler.entrypoints.cli.scopes import Period
from scheduler.entrypoints.web.formatting import DASH, in_percent

app = typer.Typer(add_completion=False)


@app.command()
def coverage(
    period: Period = None,
    as_json: AsJson = False,
) -> None:
    """Show what is outstanding and promised on each GPU class, over the hours that its GPUs deliver."""
    with connect() as api:
        found = api.get("/v1/coverage", period=period)
        if as_json:
            print_json(found)
            return
        print_text(f"Coverage of {found['period']}", style="bold")
        columns = (
            Column("CLASS", width_max=16),
            Column("GPUS", is_number=True),
            Column("OUTSTANDING", is_number=True),
            Column("PROMISED", is_number=True),
            Column("DELIVERABLE", is_number=True),
            Column("RATIO", is_number=True),
            Column("FULLEST AHEAD"),
        )
        ahead = {each["gpu_class"]: each for each in found["fullest"]}
        rows = [(*_row(each), _ahead(ahead.get(each["gpu_class"]))) for each in found["classes"]]
        print_table(columns, rows, empty="The policy has no GPU class.")
        most = found["ratio_max_per_mille"]
        limit = "nothing is refused" if most is None else f"above {most / 10:.0f} % grants and policies are refused"
        print_text(
            f"In standard GPU-hours, GPUs as by {found['capacity_from']}, at {found['availability_per_mille'] / 10:.1f} % "
            f"availability; {limit}."
        )


def _row(found: dict[str, Any]) -> tuple[str, ...]:
    return (
        found["gpu_class"],
        str(found["gpus"]),
        *(hours_of(found, name, "") for name in ("outstanding", "promised", "deliverable")),
        _ratio(found),
    )


def _ahead(found: dict[str, Any] | None) -> str:
    """The period in which most is promised, of all that are promised for."""
    return DASH if found is None else f"{_ratio(found)} in {found['period']}"


def _ratio(found: dict[str, Any]) -> str:
    return in_percent(found["ratio_per_mille"])
