"""What it costs to take the places where tasks of several GPUs could still go, before work that could go anywhere does.

As seats are sold to whoever would pay less: the price of a place is the chance that what is expected asks for more of
them than are left (Littlewood's rule), times what such a task asks. What is expected is known by frequency alone.
"""

from collections.abc import Sequence
from math import erfc, sqrt

import numpy as np

from scheduler.decision.placing.packing import PRESSURE_WEIGHT, FloatArray, Kind
from scheduler.simulation.packing.experiment import Workload
from scheduler.simulation.packing.fleet import Fleet, IntArray
from scheduler.simulation.traces.openb import WHOLE_GPU_MILLI

DOUBT = 8
"""How many times wider the error of what is expected is taken to be than chance alone makes it, so that places have a price
before only the last are left. With 1 it comes too late; with 16 it is there from the start. Both fill less."""


class Gangs:
    """Tasks of several GPUs in groups: as many GPUs each, on the same sorts of node. `weight` of 1: nothing else but them
    and single tasks is to be thought of; 0: they have no price."""

    def __init__(self, fleet: Fleet, workload: Workload, kinds: Sequence[Kind], weight: float) -> None:
        self._fleet, self._seen = fleet, 0
        groups = _groups(fleet, [kind for kind in kinds if kind.gpus > 1]) if weight else {}
        self._gpus = np.array([gpus for gpus, _ in groups], dtype=np.int64)
        self._cpu = np.array(
            [max(1, *(kind.cpu_milli for kind in alike)) for alike in groups.values()], dtype=np.int64
        )
        accepts = [
            [all(model in kind.models for kind in alike) for alike in groups.values()] for model in fleet.models
        ]
        self._accepts = np.array(accepts, dtype=np.int64).reshape(len(fleet.models), len(groups))
        self._frequency = np.array([sum(kind.frequency for kind in alike) for alike in groups.values()])
        # A task that has no other places than those of a group, and asks for no less, takes so many of them.
        takes = [[of // gpus if of >= gpus and nodes <= held else 0 for of, nodes in groups] for gpus, held in groups]
        self._takes = np.array(takes, dtype=np.float64).reshape(len(groups), len(groups))
        self._value = PRESSURE_WEIGHT * weight * WHOLE_GPU_MILLI * self._gpus
        tasks = max(1, sum(workload.counts))
        asked = list(zip(workload.shapes, workload.counts, strict=True))
        self._mean_milli = max(1.0, sum(shape.asked_milli * count for shape, count in asked) / tasks)
        self._mean_cpu = max(1.0, sum(shape.cpu_milli * count for shape, count in asked) / tasks)
        self._places = self.places(np.arange(len(fleet)), fleet.cpu, fleet.gpus)

    def __len__(self) -> int:
        return len(self._gpus)

    def places(self, nodes: IntArray, cpu: IntArray, left: IntArray) -> IntArray:
        """Of each of `nodes`, with so much left: for how many tasks of each group there is room."""
        whole = (left >= WHOLE_GPU_MILLI).sum(axis=1)
        room: IntArray = np.minimum(whole[:, None] // self._gpus, cpu[:, None] // self._cpu)
        room *= self._accepts[self._fleet.model[nodes]]
        return room

    def taken(self, nodes: IntArray, cpu: IntArray, left: IntArray) -> IntArray:
        """How many of the places of each group are gone when so much is left of `nodes`."""
        self._look()
        taken: IntArray = self._places[nodes] - self.places(nodes, cpu, left)
        return taken

    def prices(self) -> FloatArray:
        """In milli-GPU, of a place for each group, as things are now."""
        self._look()
        fleet = self._fleet
        # Until the GPUs are gone, or the CPU, so many more tasks come.
        ahead = (fleet.capacity_milli - fleet.allocated_milli) / self._mean_milli
        ahead = min(ahead, int(fleet.cpu.sum()) / self._mean_cpu)
        expected = self._takes @ self._frequency * ahead
        doubt = DOUBT * np.sqrt(self._takes**2 @ self._frequency * ahead)
        left = self._places.sum(axis=0)
        excess = np.divide(left - expected, doubt * sqrt(2), out=np.full(len(self), np.inf), where=doubt > 0)
        chance = np.array([erfc(each) / 2 for each in excess.tolist()])
        prices: FloatArray = self._value * chance
        return prices

    def _look(self) -> None:
        """Bring the places up to date for the nodes that changed."""
        changes = self._fleet.changes
        if self._seen == len(changes):
            return
        nodes = np.unique(np.array(changes[self._seen :], dtype=np.int64))
        self._places[nodes] = self.places(nodes, self._fleet.cpu[nodes], self._fleet.gpus[nodes])
        self._seen = len(changes)


def _groups(fleet: Fleet, kinds: Sequence[Kind]) -> dict[tuple[int, frozenset[int]], list[Kind]]:
    """By how many GPUs each asks for, and by the sorts of node that hold it when empty."""
    sorts, _ = fleet.sorts()
    groups: dict[tuple[int, frozenset[int]], list[Kind]] = {}
    for kind in kinds:
        held = frozenset(
            number
            for number, sort in enumerate(sorts)
            if sort.model in kind.models and sort.gpus >= kind.gpus and sort.cpu_milli >= kind.cpu_milli
        )
        if held:
            groups.setdefault((kind.gpus, held), []).append(kind)
    return groups
