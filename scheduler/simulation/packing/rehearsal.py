"""Which attitude suits a cluster and what comes to it: tried on a small copy of both, before the first task comes.

What decides that is how the sizes of nodes and tasks go together, for which no formula was found that held on clusters it
was not made for (docs/adr/0014-placement-by-worth.md). Nothing is known here but nodes and frequencies.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil
from random import Random
from statistics import mean

import numpy as np

from scheduler.decision.placing.packing import DRAWS
from scheduler.simulation.packing.by_worth import Attitude, ByWorth
from scheduler.simulation.packing.experiment import Workload
from scheduler.simulation.packing.fleet import Fleet, IntArray, Shape
from scheduler.simulation.packing.outlook import Outlook
from scheduler.simulation.traces.openb import WHOLE_GPU_MILLI

GPUS_MAX = 400
"""Of the copy, about; one that has fewer is filled several times, with the same tasks in other orders."""
ORDERS_MAX = 4
MARGIN = 0.2
"""By so many points of the copy's GPUs another attitude must fill more than the one before it."""
INFLATE = 1.3
"""It is filled until so many times its GPUs were asked for: what counts is how much is taken then, and at capacity."""
DRAWS_PER_TASK = 9
"""Tried first: where few tasks come to a node, it is the best of no more arrivals than so many for each of these. Nearly
every task is then one of the last, and has no other rest to go to."""
DRAWS_FEW = 4
GRAIN_MILLI = 200
"""Tried first where CPU is short, by its chance: it is not GPUs that are."""


def rehearsed(fleet: Fleet, workload: Workload, outlook: Outlook) -> Attitude:
    """Found by changing one thing after the other, and keeping what fills more of the copy."""
    stage = Stage.of(fleet, workload, outlook)
    best = Attitude(
        draws=max(DRAWS_FEW, min(DRAWS, round(DRAWS_PER_TASK * outlook.tasks_each))),
        grain_milli=round(GRAIN_MILLI * outlook.chance_of_short_cpu),
    )
    if not stage.fleet.capacity_milli:
        return best
    most = stage.filled_percent(best)
    for changed in (
        {"is_spread": bool(outlook.unmet_cpu or outlook.unmet_memory)},
        {"draws": DRAWS_FEW},
        {"grain_milli": 0 if best.grain_milli else GRAIN_MILLI},
    ):
        other = replace(best, **changed)
        filled = most if other == best else stage.filled_percent(other)
        if filled > most + MARGIN:
            best, most = other, filled
    return best


@dataclass(frozen=True, slots=True)
class Stage:
    """A copy of the cluster, smaller if that is large, and what comes to it, in order."""

    fleet: Fleet
    outlook: Outlook
    orders: tuple[tuple[Shape, ...], ...]

    @classmethod
    def of(cls, fleet: Fleet, workload: Workload, outlook: Outlook) -> "Stage":
        nodes = _some_of_each_sort(fleet)
        small = fleet.part(nodes)
        arrivals = _arrivals(workload, round(INFLATE * small.capacity_milli))
        random = Random("rehearsal")
        orders = min(ORDERS_MAX, max(1, round(GPUS_MAX * WHOLE_GPU_MILLI / max(1, small.capacity_milli))))
        return cls(
            small, outlook.part(nodes), tuple(tuple(random.sample(arrivals, len(arrivals))) for _ in range(orders))
        )

    def filled_percent(self, attitude: Attitude) -> float:
        """Of the GPUs, in the mean of what is taken at capacity and at the end."""
        return mean(self._filled_percent(attitude, arrivals) for arrivals in self.orders)

    def _filled_percent(self, attitude: Attitude, arrivals: Sequence[Shape]) -> float:
        fleet = self.fleet.part(np.arange(len(self.fleet)))
        placing = ByWorth(fleet, self.outlook, attitude)
        asked = at_capacity = 0
        for shape in arrivals:
            asked += shape.asked_milli
            chosen = placing.choose(shape)
            if chosen is not None:
                fleet.place(shape, *chosen)
            if asked <= fleet.capacity_milli:
                at_capacity = fleet.allocated_milli
        return 50 * (at_capacity + fleet.allocated_milli) / fleet.capacity_milli


def _some_of_each_sort(fleet: Fleet) -> IntArray:
    """Nodes at equal distances in the order of their sorts, so that each is there as often as in the whole."""
    order = np.lexsort((fleet.memory, fleet.cpu, fleet.gpus.sum(axis=1), fleet.model))
    count = min(len(fleet), ceil(len(fleet) * GPUS_MAX * WHOLE_GPU_MILLI / fleet.capacity_milli))
    chosen: IntArray = np.sort(order[(2 * np.arange(count) + 1) * len(fleet) // (2 * count)])
    return chosen


def _arrivals(workload: Workload, asked_milli: int) -> list[Shape]:
    """Each kind of task as often as it is frequent; what is rarer stands for its like."""
    asked = sorted(zip(workload.shapes, workload.counts, strict=True), key=lambda each: _size(each[0]))
    until = np.cumsum([count for _, count in asked])
    mean_milli = sum(shape.asked_milli * count for shape, count in asked) / max(1, int(until[-1]))
    count = max(1, round(asked_milli / mean_milli)) if mean_milli else 0
    drawn = np.searchsorted(until, (np.arange(count) + 0.5) * until[-1] / max(1, count), side="right")
    return [asked[number][0] for number in drawn.tolist()]


def _size(shape: Shape) -> tuple[int, int, int, tuple[str, ...]]:
    return shape.gpus, shape.gpu_milli, shape.cpu_milli, shape.models
