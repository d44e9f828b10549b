"""The cluster: nodes, a live view, the queue, and the brakes."""

import time
from collections import Counter
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from rich.console import Group
from rich.live import Live
from rich.text import Text

from scheduler.domain.brakes import Brake
from scheduler.entrypoints.cli.client import connect
from scheduler.entrypoints.cli.output import (
    AsJson,
    Column,
    out,
    print_json,
    print_table,
    print_text,
    since,
    told,
)
from scheduler.entrypoints.cli.shown import gpus_of
from scheduler.entrypoints.web.formatting import counted, duration, grouped

app = typer.Typer(add_completion=False)

MARKS = {
    "busy": "█",
    "light": "▓",
    "idle": "▒",
    "taken": "▪",
    "free": "·",
    "outside": "○",
    "drained": "×",
    "unknown": "?",
}
"""One sign a GPU, told apart without colour. `taken` is one of ours that no sensor has read."""

LEGEND = "  ".join(f"{mark} {state}" for state, mark in MARKS.items())

STYLES = {"busy": "green", "light": "green", "idle": "yellow", "drained": "red", "unknown": "dim", "free": "dim"}


@app.command()
def nodes(as_json: AsJson = False) -> None:
    """List the nodes with their GPUs: how many are free, taken, or outside of our hands."""
    with connect() as api:
        found = api.get("/v1/cluster")
        if as_json:
            print_json({"items": found["nodes"]})
            return
        columns = (
            Column("NODE", width_max=30),
            Column("CLASS", width_max=12),
            Column("GPUS", is_number=True),
            Column("FREE", is_number=True),
            Column("OUTSIDE", is_number=True),
            Column("MAP", width_max=16),
        )
        closed = [_closed_by(node) for node in found["nodes"]]
        print_table(columns, [_node_row(node) for node in found["nodes"]], closed, empty="No nodes.")
        if found["nodes"]:
            print_text(LEGEND, style="dim")


@app.command()
def top(
    once: Annotated[
        bool, typer.Option("--once", help="Print it once and return, as in a pipe and with TERM=dumb.")
    ] = False,
    seconds: Annotated[float, typer.Option(min=0.2, max=3600.0, help="Between two looks.")] = 2.0,
    as_json: AsJson = False,
) -> None:
    """Watch every GPU, the queue and the brakes until Ctrl-C."""
    with connect() as api:
        if as_json:
            print_json(api.get("/v1/cluster"))
            return
        if (
            once or not out().is_terminal or out().is_dumb_terminal
        ):  # where nothing can be drawn over what stands there
            out().print(_picture(api.get("/v1/cluster")))
            return
        with Live(_picture(api.get("/v1/cluster")), console=out(), auto_refresh=False) as live:
            try:
                while True:
                    time.sleep(seconds)
                    live.update(_picture(api.get("/v1/cluster")), refresh=True)
            except KeyboardInterrupt:
                return


@app.command()
def queue(
    limit: Annotated[int, typer.Option(min=1, max=1000)] = 30,
    as_json: AsJson = False,
) -> None:
    """Show what waits, in the order in which it will be tried, and why each still waits."""
    with connect() as api:
        page = api.get("/v1/queue", limit=limit)
        if as_json:
            print_json(page)
            return
        columns = (
            Column("#", is_number=True),
            Column("ID"),
            Column("NAME", width_max=20),
            Column("TEAM", width_max=12),
            Column("GPUS", width_max=14),
            Column("WAITED", is_number=True),
        )
        rows = [
            (
                str(workload["rank"] or index),
                workload["id"],
                workload["name"],
                workload["team"],
                gpus_of(workload),
                since(workload["submitted_at"], api.now),
            )
            for index, workload in enumerate(page["items"], start=1)
        ]
        print_table(
            columns,
            rows,
            [told(workload["verdict"]["sentence"]) for workload in page["items"]],
            empty="Nothing waits.",
        )


@app.command()
def pause(
    brake: Annotated[Brake, typer.Argument(help="What to stop doing.")],
    why: Annotated[str, typer.Option("--why", "-w", help="Shown on every page for as long as it lasts.")],
    as_json: AsJson = False,
) -> None:
    """Stop launching, preempting or reclaiming, within a second, until `allot resume`."""
    with connect() as api:
        made = api.ask("PUT", f"/v1/brakes/{brake.value}", body={"why": why})
        if as_json:
            print_json(made)
        else:
            print_text(f"Paused: {brake.value}. `allot resume {brake.value}` goes on.")


@app.command()
def resume(brake: Annotated[Brake, typer.Argument(help="What to go on with.")], as_json: AsJson = False) -> None:
    """Go on launching, preempting or reclaiming, and let a loop that reached its stop rate go on."""
    with connect() as api:
        api.ask("DELETE", f"/v1/brakes/{brake.value}")
        if as_json:
            print_json({"brake": brake.value, "paused": False})
        else:
            print_text(f"Resumed: {brake.value}.")


def _node_row(node: dict[str, Any]) -> tuple[str, ...]:
    return (
        node["name"],
        node["gpu_class"] or "none",
        str(len(node["gpus"])),
        str(node["free"]) if node["accepts_work"] else "drained",
        str(node["outside"]),
        "".join(MARKS[_state(gpu)] for gpu in node["gpus"]),
    )


def _closed_by(node: dict[str, Any]) -> str:
    return f"Takes no work: {', '.join(node['taints'])}" if node["taints"] else ""


def _state(gpu: dict[str, Any]) -> str:
    state: str = gpu["state"]
    if state == "unknown":
        return "taken"
    return state if state in MARKS else "unknown"


def _picture(cluster: dict[str, Any]) -> Group:
    """The cluster in one screen: its sums, its brakes, and one sign for each GPU by class and node."""
    lines = [
        Text(
            f"{counted(cluster['gpus'], 'GPU')}: {grouped(cluster['in_use'])} in use, {grouped(cluster['busy'])} busy, "
            f"{grouped(cluster['idle'])} idle\n{grouped(cluster['running'])} running, "
            f"{grouped(cluster['queued'])} queued, oldest {duration(cluster['oldest_wait_ms'])}",
            style="bold",
        ),
        *(
            Text(f"Paused: {pause['brake']} by {pause['by']}: {pause['why']}", style="yellow")
            for pause in cluster["brakes"]["pauses"]
        ),
        *_maps(cluster["nodes"]),
        Text(LEGEND, style="dim"),
    ]
    return Group(*lines)


def _maps(found: Sequence[dict[str, Any]]) -> list[Text]:
    by_class: dict[str, list[dict[str, Any]]] = {}
    for node in found:
        by_class.setdefault(node["gpu_class"] or "none", []).append(node)
    lines: list[Text] = []
    for gpu_class, members in sorted(by_class.items()):
        states = Counter(gpu["state"] for node in members for gpu in node["gpus"])
        free = states["free"]
        lines.append(Text(f"\n{gpu_class}: {counted(len(members), 'node')}, {free} free", style="bold"))
        line = Text()
        for node in members:
            for gpu in node["gpus"]:
                line.append(MARKS[_state(gpu)], style=STYLES.get(_state(gpu), ""))
            line.append(" ")
        lines.append(line)
    return lines
