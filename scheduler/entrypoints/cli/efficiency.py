"""`allot efficiency`: how well GPUs were used in a period, and what to ask for the next time."""

from typing import Annotated, Any

import typer

from scheduler.domain.errors import InvalidInput
from scheduler.entrypoints.cli.client import connect
from scheduler.entrypoints.cli.output import (
    AsJson,
    Column,
    print_fields,
    print_json,
    print_table,
    print_text,
)
from scheduler.entrypoints.cli.scopes import Owner, Period
from scheduler.entrypoints.cli.use_shown import kwh, share_of
from scheduler.entrypoints.web.formatting import DASH, hours

app = typer.Typer(add_completion=False)

_MEASURES = {
    "sm-activity": "the share of multiprocessors that were active",
    "utilization": "the share of time in which any kernel ran",
}
_SHOWN_MAX = 10


@app.command()
def efficiency(
    owner: Owner = None,
    team: Annotated[str | None, typer.Option(help="Instead: a team.")] = None,
    period: Period = None,
    as_json: AsJson = False,
) -> None:
    """Show how well GPUs were used: the mean and of what, idle share, energy, memory, and what is advised."""
    if owner is not None and team is not None:
        raise InvalidInput("both were given", where="--owner, --team", expected="one of them")
    with connect() as api:
        whose = f"team:{team}" if team is not None else owner
        found = api.get("/v1/finance/efficiency", owner=whose, period=period)
        if as_json:
            print_json(found)
            return
        print_text(f"{found['owner_name'] or found['owner']}, {found['period']}", style="bold")
        if found["total"] is None:
            print_text("Nothing was read of any GPU of theirs.")
        else:
            print_fields(_sums(found["total"]))
            _print_groups("TEAM", found["teams"])
            _print_groups("ENGINEER", found["engineers"])
            _print_attempts(found["attempts"], found["attempts_read"])


def _sums(use: dict[str, Any]) -> tuple[tuple[str, str], ...]:
    return (
        ("mean", f"{share_of(use['mean_permille'])}, {_MEASURES[use['measure']]}"),
        ("GPU-hours", f"{hours(use['gpu_ms'])}; at work {hours(use['active_ms'])}, idle {hours(use['idle_ms'])}"),
        ("idle", f"{share_of(use['idle_permille'])} of what was read"),
        ("energy", f"{kwh(use['joules_per_active_gpu_hour'])} kWh per useful GPU-hour"),
        ("memory", f"{_memory(use['memory_bytes_max'])} at most"),
        ("read", f"{share_of(use['covered_permille'])} of the time"),
    )


def _print_groups(title: str, groups: list[dict[str, Any]]) -> None:
    if groups:
        print_text("")
        columns = (Column(title, width_max=24), *_COLUMNS)
        print_table(columns, [(each["name"] or each["id"], *_cells(each["use"])) for each in groups[:_SHOWN_MAX]])
        _say_left_out(len(groups) - _SHOWN_MAX)


def _print_attempts(attempts: list[dict[str, Any]], read: int) -> None:
    """Those that rested most, of so many; what is advised stands below each."""
    if attempts:
        print_text("")
        shown = attempts[:_SHOWN_MAX]
        rows = [(each["workload_name"], str(each["gpus"]), *_cells(each["use"])) for each in shown]
        notes = ["\n".join(advice["sentence"] for advice in each["advice"]) for each in shown]
        print_table((Column("WORKLOAD", width_max=20), Column("GPUS", is_number=True), *_COLUMNS), rows, notes)
        if read > len(attempts):
            left = read - len(shown)
            print_text(f"and {left:,} more; the {len(attempts)} that rested most are in --json", style="dim")
        else:
            _say_left_out(read - len(shown))


def _say_left_out(count: int) -> None:
    if count > 0:
        print_text(f"and {count} more, in --json", style="dim")


_COLUMNS = (
    Column("GPU-HOURS", is_number=True),
    Column("MEAN OF"),
    Column("MEAN", is_number=True),
    Column("IDLE", is_number=True),
    Column("MEMORY", is_number=True),
    Column("KWH/USEFUL H", is_number=True),
)


def _cells(use: dict[str, Any]) -> tuple[str, ...]:
    return (
        hours(use["gpu_ms"]),
        use["measure"],
        share_of(use["mean_permille"]),
        share_of(use["idle_permille"]),
        _memory(use["memory_bytes_max"]),
        kwh(use["joules_per_active_gpu_hour"]),
    )


def _memory(used_bytes: int | None) -> str:
    return DASH if used_bytes is None else f"{used_bytes / 2**30:.0f} GiB"
