"""Ours: each task goes where the worth of what is left falls least. The core that scores it is the service's."""

from dataclasses import dataclass, replace
from random import Random

import numpy as np

from scheduler.decision.placing.packing import PRESSURE_WEIGHT, Demand, FloatArray, Kind
from scheduler.simulation.packing.baselines import NEVER, Scores, fullest, typical_kinds
from scheduler.simulation.packing.experiment import Workload
from scheduler.simulation.packing.fleet import BoolArray, Fleet, Gpus, IntArray, Shape
from scheduler.simulation.traces.openb import WHOLE_GPU_MILLI

KINDS_MAX = 96
"""What is left of a node is valued by so many kinds of task at most: the cost of an experiment grows with them, and more
of them told no more (docs/adr/0014-placement-by-worth.md)."""

GRAIN_MILLI = 200
"""Differences of worth below that decide nothing where CPU runs out before the GPUs: it is not GPUs that are short. Among
equals the first node by name keeps the others whole for what asks for much."""
SCARCITY_MILLI = 3_000
"""What it costs, in milli-GPU, to bring what is left of a node's CPU or memory down to 1/e, were nearly all that is asked
of that to go without. Between half and twice as much, the figures move by a point where FGD is five behind."""
SEVERAL_WEIGHT = 3
"""How much of the price is gone for each part of the GPUs that tasks of several of them ask for."""
RESERVE = 0.1
"""Of what a task asks in the mean: below that, what is left counts as used up."""


class Best:
    """Knows what FGD knows: the nodes, and how frequent the kinds of task are."""

    def __init__(self, fleet: Fleet, workload: Workload, random: Random) -> None:
        del random
        self._fleet, self._shapes = fleet, workload.shapes
        alike: dict[Shape, int] = {}
        self._rated_as = [alike.setdefault(replace(shape, memory_mib=0), len(alike)) for shape in workload.shapes]
        """Of each kind, its number among those that are told apart by more than memory: no score depends on that."""
        self._rated = tuple(alike)
        self._scores = Scores(fleet, len(alike))
        self._gpu = [np.zeros(len(fleet), dtype=np.int64) for _ in alike]
        """Of each of those and node, the GPU that a share goes to."""
        self._demand = _demand(fleet, workload)
        self._scarce_cpu, self._scarce_memory = _scarcities(fleet, workload)
        self._grain = GRAIN_MILLI if self._scarce_cpu.unmet else 0
        self._worth = np.full(len(fleet), np.nan)
        """Of each node as it is; not a number where it changed since it was last valued."""
        self._valued_until = 0

    def choose(self, kind: int) -> tuple[int, Gpus] | None:
        self._worth[self._fleet.changes[self._valued_until :]] = np.nan
        self._valued_until = len(self._fleet.changes)
        rated = self._rated_as[kind]
        shape, stale = self._rated[rated], self._scores.stale(rated)
        scores = self._scores.of(rated)
        scores[stale] = NEVER
        fitting = stale[self._fleet.fits(shape, stale)]
        if len(fitting):
            rate = self._rate_share if shape.is_share else self._rate_whole
            scores[fitting] = rate(rated, fitting)
        scores = np.where(self._fleet.memory >= self._shapes[kind].memory_mib, scores - self._scarcity(kind), NEVER)
        node = int(scores.argmax())
        if scores[node] == NEVER:
            return None
        return node, (int(self._gpu[rated][node]),) if shape.is_share else fullest(self._fleet, shape, node)

    def _rate_whole(self, rated: int, nodes: IntArray) -> FloatArray:
        shape, fleet = self._rated[rated], self._fleet
        left = fleet.gpus[nodes]
        taken = np.argsort(np.where(left >= shape.gpu_milli, left, _FAR), axis=1, kind="stable")[:, : shape.gpus]
        np.put_along_axis(left, taken, np.take_along_axis(left, taken, axis=1) - shape.gpu_milli, axis=1)
        return self._gain(nodes, shape, left) - self._price(shape)[fleet.model[nodes]]

    def _rate_share(self, rated: int, nodes: IntArray) -> FloatArray:
        """Of each node by the best of its GPUs; which that is, is kept."""
        shape, fleet = self._rated[rated], self._fleet
        left = fleet.gpus[nodes]
        at, gpu = np.nonzero(_first_of_alike(left) & (left >= shape.gpu_milli))
        after = left[at]
        after[np.arange(len(at)), gpu] -= shape.gpu_milli
        gain = np.full(left.shape, NEVER)
        gain[at, gpu] = self._gain(nodes[at], shape, after)
        chosen = gain.argmax(axis=1)
        self._gpu[rated][nodes] = chosen
        score: FloatArray = gain[np.arange(len(nodes)), chosen] - self._price(shape)[fleet.model[nodes]]
        return score

    def _gain(self, nodes: IntArray, shape: Shape, left: IntArray) -> FloatArray:
        """What each of `nodes` is worth with so much left of its GPUs after a task of the shape, less what it is now."""
        fleet = self._fleet
        unknown = np.unique(nodes[np.isnan(self._worth[nodes])])
        either = np.concatenate([unknown, nodes])
        cpu = fleet.cpu[either]
        cpu[len(unknown) :] -= shape.cpu_milli
        worth = self._demand.worth(cpu, np.vstack([fleet.gpus[unknown], left]), fleet.model[either])
        self._worth[unknown] = worth[: len(unknown)]
        gain: FloatArray = worth[len(unknown) :] - self._worth[nodes]
        return np.round(gain / self._grain) * self._grain if self._grain else gain

    def _price(self, shape: Shape) -> FloatArray:
        price: FloatArray = PRESSURE_WEIGHT * shape.asked_milli * self._demand.pressure
        return price

    def _scarcity(self, kind: int) -> FloatArray | float:
        """What the task would take, on each node, of the CPU and memory that run out before the GPUs do."""
        shape, fleet = self._shapes[kind], self._fleet
        return self._scarce_cpu.cost(shape.cpu_milli, fleet.cpu) + self._scarce_memory.cost(
            shape.memory_mib, fleet.memory
        )


@dataclass(frozen=True, slots=True)
class Scarcity:
    """What CPU or memory costs on a node, because it runs out before the GPUs do.

    A unit is the dearer the fewer are left on its node, as in online allocation by prices: what asks for much goes where
    much is left, and no node's GPUs are left behind without. Work whose ask is large for its GPUs is then the first that
    fits nowhere, and the GPUs go to the rest.
    """

    unmet: float
    """What part of the demand for it goes without when all GPUs are taken."""
    price_milli: float
    reserve: float

    def cost(self, asked: int, left: IntArray) -> FloatArray | float:
        """In milli-GPU, of each node; where the task does not fit, any number."""
        if not self.price_milli:
            return 0.0
        rest = np.maximum(left - asked, 0) + self.reserve
        cost: FloatArray = self.price_milli * np.log((left + self.reserve) / rest)
        return cost


_FAR = 2 * WHOLE_GPU_MILLI


def _first_of_alike(left: IntArray) -> BoolArray:
    """Of each node's GPUs with equally much left, the first."""
    alike = left[:, :, None] == left[:, None, :]
    first: BoolArray = alike.argmax(axis=2) == np.arange(left.shape[1])
    return first


def _scarcities(fleet: Fleet, workload: Workload) -> tuple[Scarcity, Scarcity]:
    """Of CPU and of memory: by the part of what is asked of it that goes without when all GPUs are taken.

    Tasks of several GPUs need a node with everything left, which spreading the others takes away: where they ask for a
    third of all GPUs that are asked for, there is no price.
    """
    asked = list(zip(workload.shapes, workload.counts, strict=True))
    gpus = sum(shape.asked_milli * count for shape, count in asked)
    several = sum(shape.asked_milli * count for shape, count in asked if shape.gpus > 1)
    spread = max(0.0, 1 - SEVERAL_WEIGHT * several / gpus) if gpus else 0.0
    rounds = gpus / int(fleet.gpus.sum())

    def scarcity(total: int, capacity: int) -> Scarcity:
        unmet = max(0.0, 1 - rounds * capacity / total) if total else 0.0
        reserve = RESERVE * total / max(1, sum(workload.counts))
        return Scarcity(unmet, SCARCITY_MILLI * spread * unmet, reserve)

    return (
        scarcity(sum(shape.cpu_milli * count for shape, count in asked), int(fleet.cpu.sum())),
        scarcity(sum(shape.memory_mib * count for shape, count in asked), int(fleet.memory.sum())),
    )


def _demand(fleet: Fleet, workload: Workload) -> Demand:
    models = frozenset(fleet.models)
    typical = typical_kinds(workload)
    using = [(shape, count) for shape, count in typical.items() if shape.gpus]
    # Where the tasks are of very many kinds, the commonest of them stand for all of those that ask for GPUs.
    common = using[:KINDS_MAX]
    of_common = sum(count for _, count in common) * sum(typical.values())
    stands_for = sum(count for _, count in using) / of_common if of_common else 0.0
    kinds = [
        Kind(shape.cpu_milli, shape.gpus, shape.gpu_milli, frozenset(shape.models) or models, count * stands_for)
        for shape, count in common
    ]
    return Demand(kinds, fleet.capacity_by_model())
