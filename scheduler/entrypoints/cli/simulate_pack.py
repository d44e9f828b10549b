"""`allot simulate pack`: the packing experiment of the FGD paper over openb CSV files."""

from enum import StrEnum
from pathlib import Path
from time import perf_counter
from typing import Annotated

import typer

from scheduler.entrypoints.cli.bad_rows import BadRows, SkipBad, print_bad_rows
from scheduler.entrypoints.cli.output import WHOLE_MAX, AsJson, print_fields, print_json
from scheduler.simulation.packing.baselines import BestFit, Fgd, RandomPlacement
from scheduler.simulation.packing.best import Best
from scheduler.simulation.packing.experiment import Outcome, StrategyOf, run
from scheduler.simulation.traces.openb import read_nodes, read_pods

FORMAT_VERSION = 1
"""Of the JSON object; another where a key changes its meaning."""


class PlacementName(StrEnum):
    RANDOM = "random"
    BEST_FIT = "best-fit"
    FGD = "fgd"
    BEST = "best"


STRATEGIES: dict[PlacementName, StrategyOf] = {
    PlacementName.RANDOM: RandomPlacement,
    PlacementName.BEST_FIT: BestFit,
    PlacementName.FGD: Fgd,
    PlacementName.BEST: Best,
}

_Nodes = Annotated[
    Path,
    typer.Option(exists=True, dir_okay=False, readable=True, show_default=False, help="A CSV file of nodes (openb)."),
]
_Pods = Annotated[
    Path,
    typer.Option(exists=True, dir_okay=False, readable=True, show_default=False, help="A CSV file of tasks (openb)."),
]


def pack(
    nodes: _Nodes,
    pods: _Pods,
    placement: Annotated[PlacementName, typer.Option(help="Which strategy places the tasks.")] = PlacementName.BEST,
    inflate: Annotated[
        float, typer.Option(min=1, max=10, help="Tasks arrive until so many times the GPUs are asked for.")
    ] = 1.3,
    seed: Annotated[
        int, typer.Option(min=0, max=WHOLE_MAX, help="Of the order of arrival, and of what chance decides.")
    ] = 0,
    skip_bad: SkipBad = False,
    as_json: AsJson = False,
) -> None:
    """Fill a cluster with a trace's tasks (openb CSV), one by one, and say how many of its GPUs are allocated."""
    bad = BadRows(skip_bad)
    described, tasks = read_nodes(nodes, bad), read_pods(pods, bad)
    began = perf_counter()
    outcome = run(described, tasks, STRATEGIES[placement], inflate, seed)
    wall_seconds = round(perf_counter() - began, 3)
    print_bad_rows(bad)
    if as_json:
        left_out = {"bad_rows": bad.as_object()} if skip_bad else {}
        print_json(_as_object(outcome, placement, inflate, seed) | left_out | {"wall_seconds": wall_seconds})
    else:
        _print_outcome(outcome, placement, wall_seconds)


def _as_object(outcome: Outcome, placement: PlacementName, inflate: float, seed: int) -> dict[str, object]:
    return {
        "version": FORMAT_VERSION,
        "simulated": True,
        "placement": placement.value,
        "inflate": inflate,
        "seed": seed,
        "gpu_capacity_milli": outcome.gpu_capacity_milli,
        "allocated_percent": {asked: round(percent, 4) for asked, percent in outcome.allocated_percent.items()},
        "arrived": outcome.arrived,
        "failed": outcome.failed,
    }


def _print_outcome(outcome: Outcome, placement: PlacementName, wall_seconds: float) -> None:
    allocated = [
        (f"allocated at {asked} %", f"{percent:.2f} % of GPUs")
        for asked, percent in outcome.allocated_percent.items()
    ]
    print_fields(
        [
            ("placement", f"{placement.value} (simulated)"),
            ("GPUs", f"{outcome.gpu_capacity_milli / 1000:,.0f}"),
            *allocated,
            ("arrived", f"{outcome.arrived:,}"),
            ("failed", f"{outcome.failed:,}"),
            ("took", f"{wall_seconds:.2f} s"),
        ]
    )
