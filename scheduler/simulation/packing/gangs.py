"""What it costs to take the places where tasks of several GPUs could still go, before work that could go anywhere does.

As seats are sold to whoever would pay less: the price of a place is the chance that what is expected asks for more of
them than are left (Littlewood's rule), times what such a task asks. What is expected is known by frequency alone.
"""

from math import erfc

import numpy as np

from scheduler.decision.placing.packing import PRESSURE_WEIGHT, FloatArray
from scheduler.simulation.packing.fleet import Fleet, IntArray
from scheduler.simulation.packing.outlook import GangKinds, Mean

DOUBT = 8
"""How many times wider the error of what is expected is taken to be than chance alone makes it, so that places have a price
before only the last are left. With 1 it comes too late; with 16 it is there from the start. Both fill less."""

_NO_DOUBT = 1e-9


class Gangs:
    """Tasks of several GPUs in groups: as many GPUs each, and as much of each, on the same sorts of node."""

    def __init__(self, fleet: Fleet, groups: GangKinds, mean: Mean) -> None:
        self._fleet, self._mean, self._seen = fleet, mean, len(fleet.changes)
        self._gpus = np.array([gpus for gpus, _, _ in groups], dtype=np.int64)[:, None]
        millis = np.array([milli for _, milli, _ in groups], dtype=np.int64)
        self._millis, self._milli_of = np.unique(millis, return_inverse=True)
        cpu = [max(1, *(kind.cpu_milli for kind in alike)) for alike in groups.values()]
        self._cpu = np.array(cpu, dtype=np.int64)[:, None]
        accepts = [
            [all(model in kind.models for kind in alike) for model in fleet.models] for alike in groups.values()
        ]
        self._accepts = np.array(accepts, dtype=np.int64).reshape(len(groups), len(fleet.models))
        # A task that has no other places than those of a group, and asks for no less, takes so many of them.
        takes = [
            [of // gpus if of >= gpus and each >= milli and nodes <= held else 0 for of, each, nodes in groups]
            for gpus, milli, held in groups
        ]
        taken = np.array(takes, dtype=np.float64).reshape(len(groups), len(groups))
        frequency = np.array([sum(kind.frequency for kind in alike) for alike in groups.values()])
        self._expected_each, self._square_each = taken @ frequency, taken**2 @ frequency
        """Of each task that comes, how many places it takes in the mean; and of how many the square."""
        self._value = PRESSURE_WEIGHT * self._gpus[:, 0] * millis
        self._places = self.places(np.arange(len(fleet)), fleet.cpu, fleet.gpus)
        self._left, self._cpu_left = self._places.sum(axis=1), int(fleet.cpu.sum())

    def __len__(self) -> int:
        return len(self._gpus)

    def places(self, nodes: IntArray, cpu: IntArray, left: IntArray) -> IntArray:
        """For each group (rows), for how many of its tasks there is room on each of `nodes`, with so much left."""
        fitting = left.T // self._millis[:, None, None]
        room: IntArray = np.minimum(fitting.sum(axis=1)[self._milli_of] // self._gpus, cpu // self._cpu)
        room *= np.minimum(fitting, 1).sum(axis=1)[self._milli_of] >= self._gpus
        room *= self._accepts[:, self._fleet.model[nodes]]
        return room

    def taken(self, nodes: IntArray, cpu: IntArray, left: IntArray) -> IntArray:
        """How many of the places of each group are gone when so much is left of `nodes`."""
        self._look()
        taken: IntArray = self._places[:, nodes] - self.places(nodes, cpu, left)
        return taken

    def prices(self) -> FloatArray:
        """In milli-GPU, of a place for each group, as things are now."""
        self._look()
        fleet = self._fleet
        # Until the GPUs are gone, or the CPU, so many more tasks come.
        ahead = (fleet.capacity_milli - fleet.allocated_milli) / max(1, self._mean.gpu_milli)
        ahead = min(ahead, self._cpu_left / max(1, self._mean.cpu_milli))
        doubt = DOUBT * np.sqrt(2 * ahead * self._square_each)
        excess = (self._left - self._expected_each * ahead) / np.maximum(doubt, _NO_DOUBT)
        prices: FloatArray = self._value * [erfc(each) / 2 for each in excess.tolist()]
        return prices

    def _look(self) -> None:
        """Bring the places up to date for the nodes that changed."""
        changes = self._fleet.changes
        if self._seen == len(changes):
            return
        fleet, nodes = self._fleet, np.array(sorted(set(changes[self._seen :])), dtype=np.int64)
        places = self.places(nodes, fleet.cpu[nodes], fleet.gpus[nodes])
        self._left += (places - self._places[:, nodes]).sum(axis=1)
        self._places[:, nodes] = places
        self._cpu_left = int(fleet.cpu.sum())
        self._seen = len(changes)
