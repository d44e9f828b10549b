"""The service's own choice of nodes, whole GPUs only: how many of openb's GPUs it fills, and the tightest node instead.

    make bench-pack_nodes, or python -m benchmarks.pack_nodes [--json]

The tasks of openb with whole GPUs, and those without any, arrive one by one until 130 % of the GPUs were asked for, on
all its nodes as if they were of one GPU class; the table of what fits and the choice are those of the decision.
"""

import argparse
from collections.abc import Callable, Sequence
from random import Random
from statistics import mean

import numpy as np
import orjson

from benchmarks.measured import keep
from benchmarks.pack import INFLATE, TRACE
from scheduler.decision.placing.capacity import Capacity
from scheduler.decision.placing.fit_table import FitTable
from scheduler.decision.placing.shape import Shape
from scheduler.domain.cluster import Node, Placement, PodRequest
from scheduler.domain.units import GpuClassName, NodeName
from scheduler.simulation.traces.openb import OpenbNode, read_nodes, read_pods

SEEDS = 2
ANY = GpuClassName("any")
Choice = Callable[[FitTable, int], Placement | None]


def by_worth(table: FitTable, row: int) -> Placement | None:
    return table.placement(row, table.counts(row), 1)


def by_tightness(table: FitTable, row: int) -> Placement | None:
    """What the service did before: the fitting node with least GPUs free, then least CPU."""
    fitting = np.flatnonzero(table.counts(row))
    if not len(fitting):
        return None
    gpus, cpu, _ = table.available[:, fitting]
    return Placement(((table.names[int(fitting[np.lexsort((cpu, gpus))[0]])], 1),))


def filled_percent(nodes: Sequence[OpenbNode], asked: Sequence[PodRequest], seed: int, choose: Choice) -> float:
    capacity, random = Capacity(), Random(seed)
    capacity.set_nodes(
        {
            NodeName(each.name): Node(NodeName(each.name), ANY, each.gpus, each.cpu_milli, each.memory_mib)
            for each in nodes
        }
    )
    table = capacity.table(ANY)
    shapes = {request: Shape(request) for request in asked}
    total = sum(each.gpus for each in nodes)
    wanted = placed = 0
    while wanted < INFLATE * total:
        request = random.choice(asked)
        wanted += request.gpus
        placement = choose(table, table.row(shapes[request]))
        if placement is not None:
            capacity.occupy(placement, request)
            placed += request.gpus
    return 100 * placed / total


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object and nothing else")
    options = parser.parse_args()
    nodes = read_nodes(TRACE / "nodes.csv")
    asked = [
        PodRequest(pod.gpus, pod.cpu_milli, pod.memory_mib)
        for pod in read_pods(TRACE / "pods_default.csv")
        if pod.gpu_milli in {0, 1000}
    ]
    percent = {
        name: round(mean(filled_percent(nodes, asked, seed, choose) for seed in range(SEEDS)), 2)
        for name, choose in (("by_worth", by_worth), ("by_tightness", by_tightness))
    }
    kept = keep("pack_nodes", {"seeds": SEEDS, "gpus_allocated_percent": percent})
    print(orjson.dumps(kept).decode() if options.json else f"GPUs allocated: {percent}")


if __name__ == "__main__":
    main()
