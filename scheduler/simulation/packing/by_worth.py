"""Each task goes where the worth of what is left falls least. The core that scores it is the service's."""

from dataclasses import dataclass

import numpy as np

from scheduler.decision.placing.packing import DRAWS, PRESSURE_WEIGHT, Demand, FloatArray
from scheduler.simulation.packing.baselines import NEVER, Scores, fullest
from scheduler.simulation.packing.fleet import BoolArray, Fleet, Gpus, IntArray, Shape
from scheduler.simulation.packing.gangs import Gangs
from scheduler.simulation.packing.outlook import Outlook
from scheduler.simulation.traces.openb import WHOLE_GPU_MILLI

SCARCITY_MILLI = 3_000
"""What it costs, in milli-GPU, to bring what is left of a node's CPU or memory down to 1/e, were nearly all that is asked
of that to go without. Between half and twice as much, the figures move by a point where FGD is five behind."""
RESERVE = 0.1
"""Of what a task asks in the mean: below that, what is left counts as used up."""


@dataclass(frozen=True, slots=True)
class Attitude:
    """What there is to choose, because it fills more of one cluster and less of another: see rehearsal.py."""

    is_spread: bool = False
    """CPU and memory have a price that rises as a node's run out; if not, the places for tasks of several GPUs have one."""
    draws: int = DRAWS
    """Of so many arrivals the one that suits a rest best comes to it."""
    grain_milli: int = 0
    """Differences of worth below that decide nothing: the first node by name is taken, which keeps the others whole."""


class ByWorth:
    """Knows what FGD knows: the nodes, and how frequent the kinds of task are."""

    def __init__(self, fleet: Fleet, outlook: Outlook, attitude: Attitude) -> None:
        self._fleet, self._outlook, self._grain = fleet, outlook, attitude.grain_milli
        kinds = len(outlook.shapes)
        self._scores = Scores(fleet, kinds)
        self._gpu = np.zeros((kinds, len(fleet)), dtype=np.int64)
        """Of each kind and node, the GPU that a share goes to."""
        mean, price = outlook.mean, SCARCITY_MILLI * attitude.is_spread
        self._scarce_cpu = Scarcity(price * outlook.unmet_cpu, RESERVE * mean.cpu_milli)
        self._scarce_memory = Scarcity(price * outlook.unmet_memory, RESERVE * mean.memory_mib)
        self._demand = Demand(outlook.rest_kinds, fleet.models, attitude.draws)
        self._gangs = Gangs(fleet, {} if attitude.is_spread else outlook.gang_kinds, mean)
        self._taken = np.zeros((kinds, len(self._gangs), len(fleet)), dtype=np.float32)
        """Of each kind and node, the places for tasks of several GPUs that one more of it there takes."""
        self._worth = np.full(len(fleet), np.nan)
        """Of each node as it is; not a number where it changed since it was last valued."""
        self._valued_until = 0

    def choose(self, asked: Shape) -> tuple[int, Gpus] | None:
        """For a task that asks for so much."""
        self._worth[self._fleet.changes[self._valued_until :]] = np.nan
        self._valued_until = len(self._fleet.changes)
        kind = self._outlook.kind_of.get(asked)
        if kind is None:
            return None
        scores = self._with_rest(asked, self._with_gangs(kind, self._rated(kind)))
        node = int(scores.argmax())
        if scores[node] == NEVER:
            return None
        return node, (int(self._gpu[kind][node]),) if asked.is_share else fullest(self._fleet, asked, node)

    def _rated(self, kind: int) -> FloatArray:
        """The kind's score of each node, brought up to date; never, where the least of it does not fit."""
        shape, stale = self._outlook.shapes[kind], self._scores.stale(kind)
        scores = self._scores.of(kind)
        scores[stale] = NEVER
        fitting = stale[self._fleet.holds(shape, self._outlook.cpu_least_milli[kind], stale)]
        if len(fitting):
            rate = self._rate_share if shape.is_share else self._rate_whole
            scores[fitting] = rate(kind, fitting)
        return scores

    def _rate_whole(self, kind: int, nodes: IntArray) -> FloatArray:
        shape, fleet = self._outlook.shapes[kind], self._fleet
        left = fleet.gpus[nodes]
        taken = np.argsort(np.where(left >= shape.gpu_milli, left, _FAR), axis=1, kind="stable")[:, : shape.gpus]
        np.put_along_axis(left, taken, np.take_along_axis(left, taken, axis=1) - shape.gpu_milli, axis=1)
        self._note_taken(kind, nodes, left)
        return self._gain(nodes, shape, left) - self._price(shape, nodes)

    def _rate_share(self, kind: int, nodes: IntArray) -> FloatArray:
        """Of each node by the best of its GPUs; which that is, is kept."""
        shape, fleet = self._outlook.shapes[kind], self._fleet
        left = fleet.gpus[nodes]
        at, gpu = np.nonzero(_first_of_alike(left) & (left >= shape.gpu_milli))
        after = left[at]
        after[np.arange(len(at)), gpu] -= shape.gpu_milli
        gain = np.full(left.shape, NEVER)
        gain[at, gpu] = self._gain(nodes[at], shape, after)
        chosen = gain.argmax(axis=1)
        self._gpu[kind][nodes] = chosen
        left[np.arange(len(nodes)), chosen] -= shape.gpu_milli
        self._note_taken(kind, nodes, left)
        score: FloatArray = gain[np.arange(len(nodes)), chosen] - self._price(shape, nodes)
        return score

    def _gain(self, nodes: IntArray, shape: Shape, left: IntArray) -> FloatArray:
        """What each of `nodes` is worth with so much left of its GPUs after a task of the shape, less what it is now."""
        fleet = self._fleet
        unknown = np.unique(nodes[np.isnan(self._worth[nodes])])
        either = np.concatenate([unknown, nodes])
        cpu, memory = fleet.cpu[either], fleet.memory[either]
        cpu[len(unknown) :] -= shape.cpu_milli
        memory[len(unknown) :] -= shape.memory_mib
        worth = self._demand.worth(
            np.maximum(cpu, 0), np.maximum(memory, 0), np.vstack([fleet.gpus[unknown], left]), fleet.model[either]
        )
        self._worth[unknown] = worth[: len(unknown)]
        gain: FloatArray = worth[len(unknown) :] - self._worth[nodes]
        return np.round(gain / self._grain) * self._grain if self._grain else gain

    def _price(self, shape: Shape, nodes: IntArray) -> FloatArray:
        """What the GPUs asked for cost on each node, in milli-GPU, because others could go nowhere else."""
        price: FloatArray = PRESSURE_WEIGHT * shape.asked_milli * self._outlook.pressure[nodes]
        return price

    def _note_taken(self, kind: int, nodes: IntArray, left: IntArray) -> None:
        if self._gangs:
            cpu = self._fleet.cpu[nodes] - self._outlook.shapes[kind].cpu_milli
            self._taken[kind][:, nodes] = self._gangs.taken(nodes, np.maximum(cpu, 0), left)

    def _with_gangs(self, kind: int, scores: FloatArray) -> FloatArray:
        """The scores, less the dearest of the places for tasks of several GPUs that are taken."""
        if not self._gangs:
            return scores
        prices = self._gangs.prices()
        dear = np.flatnonzero(prices >= 1)
        if not len(dear):
            return scores
        cost = (self._taken[kind][dear] * prices[dear].astype(np.float32)[:, None]).max(axis=0)
        dearer: FloatArray = scores - cost
        return dearer

    def _with_rest(self, asked: Shape, scores: FloatArray) -> FloatArray:
        """The scores of its kind for a task that asks for so much CPU and memory: never, where there is less."""
        cpu, memory = self._fleet.cpu, self._fleet.memory
        cost = self._scarce_cpu.cost(asked.cpu_milli, cpu) + self._scarce_memory.cost(asked.memory_mib, memory)
        return np.where((cpu >= asked.cpu_milli) & (memory >= asked.memory_mib), scores - cost, NEVER)


@dataclass(frozen=True, slots=True)
class Scarcity:
    """What CPU or memory costs on a node, because it runs out before the GPUs do.

    A unit is the dearer the fewer are left on its node, as in online allocation by prices: what asks for much goes where
    much is left, and no node's GPUs are left behind without. Work whose ask is large for its GPUs is then the first that
    fits nowhere, and the GPUs go to the rest.
    """

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
