"""Ours: each task goes where the worth of what is left falls least. The core that scores it is the service's."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import erfc, sqrt
from random import Random

import numpy as np

from scheduler.decision.placing.packing import DRAWS, PRESSURE_WEIGHT, Demand, FloatArray, Kind, NodeSort, pressure
from scheduler.simulation.packing.baselines import NEVER, Scores, fullest, typical_kinds
from scheduler.simulation.packing.experiment import Workload
from scheduler.simulation.packing.fleet import BoolArray, Fleet, Gpus, IntArray, Shape
from scheduler.simulation.packing.gangs import Gangs
from scheduler.simulation.traces.openb import WHOLE_GPU_MILLI

KINDS_MAX = 32
"""What is left of a node is valued by so many kinds of task that its model takes at most: the cost of an experiment grows
with them, and more of them told little more (docs/adr/0014-placement-by-worth.md)."""

GRAIN_MILLI = 200
"""Differences of worth below that decide nothing where CPU is short: it is not GPUs that are. Among equals the first node
by name keeps the others whole for what asks for much."""
SCARCITY_MILLI = 3_000
"""What it costs, in milli-GPU, to bring what is left of a node's CPU or memory down to 1/e, were nearly all that is asked
of that to go without. Between half and twice as much, the figures move by a point where FGD is five behind."""
SEVERAL_WEIGHT = 3
"""How much of the price is gone for each part of the GPUs that tasks of several of them ask for, as far as there is CPU and
memory for what is asked for: the more goes without, the fewer of these tasks are placed wherever the others go."""
SPREAD_FILLS = 0.93
"""CPU or memory has a price only where spreading by it fills so much of what packing fills at best: on small nodes it keeps
more out than has to go without. Packing does not reach its best, either."""
SHORT_DRAWS = 6
"""Of so many arrivals the one that suits a rest best comes to it, where CPU or memory is short and has no price: those that
ask for little of it are soon placed, and do not come to every rest."""
DRAWS_PER_TASK = 9
"""On nodes that few tasks come to each, it is the best of no more than so many for each of these: nearly every task is then
one of the last, and has no other rest to go to."""
SHORT_DRAWS_FROM = 0.3
"""That is so where so much of the demand for it goes without; of less, in proportion."""
RESERVE = 0.1
"""Of what a task asks in the mean: below that, what is left counts as used up."""


class Best:
    """Knows what FGD knows: the nodes, and how frequent the kinds of task are."""

    def __init__(self, fleet: Fleet, workload: Workload, random: Random) -> None:
        del random
        self._fleet, self._shapes = fleet, workload.shapes
        workload = _placeable(fleet, workload)
        alike: dict[Shape, int] = {}
        self._rated_as = {s: alike.setdefault(replace(s, memory_mib=0), len(alike)) for s in workload.shapes}
        """Of each kind that some node takes, its number among those that are told apart by more than memory."""
        self._rated = tuple(alike)
        self._memory_mib = _mean_memory(workload)
        """Of each of those, what its tasks ask in the mean: as if each asked for so much, they are scored."""
        self._scores = Scores(fleet, len(alike))
        self._gpu = [np.zeros(len(fleet), dtype=np.int64) for _ in alike]
        """Of each of those and node, the GPU that a share goes to."""
        self._scarce_cpu, self._scarce_memory, gang_weight, draws = _scarcities(fleet, workload)
        short = _chance_of_short_cpu(fleet, workload)
        """How far it is CPU, and not GPUs, that is short."""
        self._grain = round(GRAIN_MILLI * short)
        self._demand = Demand(_common_kinds(fleet, workload), fleet.models, draws)
        kinds = _all_kinds(fleet, workload)
        sorts, self._sort = fleet.sorts()
        self._pressure = _pressure(kinds, sorts, short)
        """Of each sort of node, and of each node its sort."""
        self._gangs = Gangs(fleet, workload, kinds, gang_weight)
        self._taken = [np.zeros((len(fleet), len(self._gangs)), dtype=np.float32) for _ in alike]
        """Of each kind and node, the places for tasks of several GPUs that one more of it there takes."""
        self._worth = np.full(len(fleet), np.nan)
        """Of each node as it is; not a number where it changed since it was last valued."""
        self._valued_until = 0

    def choose(self, kind: int) -> tuple[int, Gpus] | None:
        self._worth[self._fleet.changes[self._valued_until :]] = np.nan
        self._valued_until = len(self._fleet.changes)
        rated = self._rated_as.get(self._shapes[kind])
        if rated is None:
            return None
        shape, stale = self._rated[rated], self._scores.stale(rated)
        scores = self._scores.of(rated)
        scores[stale] = NEVER
        fitting = stale[self._fleet.fits(shape, stale)]
        if len(fitting):
            rate = self._rate_share if shape.is_share else self._rate_whole
            scores[fitting] = rate(rated, fitting) - self._scarce_cpu.cost(shape.cpu_milli, self._fleet.cpu[fitting])
        scores = self._with_memory(kind, self._with_gangs(rated, scores))
        node = int(scores.argmax())
        if scores[node] == NEVER:
            return None
        return node, (int(self._gpu[rated][node]),) if shape.is_share else fullest(self._fleet, shape, node)

    def _rate_whole(self, rated: int, nodes: IntArray) -> FloatArray:
        shape, fleet = self._rated[rated], self._fleet
        left = fleet.gpus[nodes]
        taken = np.argsort(np.where(left >= shape.gpu_milli, left, _FAR), axis=1, kind="stable")[:, : shape.gpus]
        np.put_along_axis(left, taken, np.take_along_axis(left, taken, axis=1) - shape.gpu_milli, axis=1)
        self._note_taken(rated, nodes, left)
        return self._gain(nodes, shape, left) - self._price(shape, nodes)

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
        left[np.arange(len(nodes)), chosen] -= shape.gpu_milli
        self._note_taken(rated, nodes, left)
        score: FloatArray = gain[np.arange(len(nodes)), chosen] - self._price(shape, nodes)
        return score

    def _gain(self, nodes: IntArray, shape: Shape, left: IntArray) -> FloatArray:
        """What each of `nodes` is worth with so much left of its GPUs after a task of the shape, less what it is now."""
        fleet = self._fleet
        unknown = np.unique(nodes[np.isnan(self._worth[nodes])])
        either = np.concatenate([unknown, nodes])
        cpu = fleet.cpu[either]
        memory = fleet.memory[either]
        cpu[len(unknown) :] -= shape.cpu_milli
        memory[len(unknown) :] = np.maximum(memory[len(unknown) :] - self._memory_mib[shape], 0)
        worth = self._demand.worth(cpu, memory, np.vstack([fleet.gpus[unknown], left]), fleet.model[either])
        self._worth[unknown] = worth[: len(unknown)]
        gain: FloatArray = worth[len(unknown) :] - self._worth[nodes]
        return np.round(gain / self._grain) * self._grain if self._grain else gain

    def _price(self, shape: Shape, nodes: IntArray) -> FloatArray:
        """What the GPUs asked for cost on each node, in milli-GPU, because others could go nowhere else."""
        price: FloatArray = PRESSURE_WEIGHT * shape.asked_milli * self._pressure[self._sort[nodes]]
        return price

    def _note_taken(self, rated: int, nodes: IntArray, left: IntArray) -> None:
        if self._gangs:
            cpu = self._fleet.cpu[nodes] - self._rated[rated].cpu_milli
            self._taken[rated][nodes] = self._gangs.taken(nodes, cpu, left)

    def _with_gangs(self, rated: int, scores: FloatArray) -> FloatArray:
        """The scores, less the dearest of the places for tasks of several GPUs that are taken."""
        if not self._gangs:
            return scores
        prices = self._gangs.prices()
        dear = np.flatnonzero(prices >= 1)
        if not len(dear):
            return scores
        cost = (self._taken[rated][:, dear] * prices[dear].astype(np.float32)).max(axis=1)
        dearer: FloatArray = scores - cost
        return dearer

    def _with_memory(self, kind: int, scores: FloatArray) -> FloatArray:
        """The scores of its like for a task that asks for so much memory: never, where there is less."""
        asked, memory = self._shapes[kind].memory_mib, self._fleet.memory
        return np.where(memory >= asked, scores - self._scarce_memory.cost(asked, memory), NEVER)


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
FAR_GPUS, FAR_CPU_MILLI = 2**20, 2**40
"""More than any task asks of a node."""


def _first_of_alike(left: IntArray) -> BoolArray:
    """Of each node's GPUs with equally much left, the first."""
    alike = left[:, :, None] == left[:, None, :]
    first: BoolArray = alike.argmax(axis=2) == np.arange(left.shape[1])
    return first


def _placeable(fleet: Fleet, workload: Workload) -> Workload:
    """The kinds that some node takes when it is empty. The others are dropped wherever these go, and lack nothing that
    these could have."""
    nodes = np.arange(len(fleet))
    asked = zip(workload.shapes, workload.counts, strict=True)
    placeable = {shape: count for shape, count in asked if fleet.fits(shape, nodes).any()}
    return Workload(tuple(placeable), tuple(placeable.values()), ())


def _scarcities(fleet: Fleet, workload: Workload) -> tuple[Scarcity, Scarcity, float, int]:
    """Of CPU and of memory; how much the places for tasks of several GPUs have a price; and of how many arrivals the best
    comes to a rest.

    Tasks of several GPUs need a node with everything left, which spreading the others takes away. So it is the one or the
    other that has a price, by which is more: the part of the demand for CPU or memory that goes without when all GPUs are
    taken, or the part of the GPUs that such tasks ask for, which counts half where they are few: the more there are, the
    more of them does spreading keep out. Of such tasks those count for which there is CPU and memory: where these ask for a
    third of the GPUs, CPU and memory have no price. Nor has that of the two which fills less by being spread.
    """
    asked = list(zip(workload.shapes, workload.counts, strict=True))
    gpus = sum(shape.asked_milli * count for shape, count in asked)
    several = sum(shape.asked_milli * count for shape, count in asked if shape.gpus > 1) / gpus if gpus else 1.0
    rounds = gpus / int(fleet.gpus.sum())
    cpu = sum(shape.cpu_milli * count for shape, count in asked)
    memory = sum(shape.memory_mib * count for shape, count in asked)
    unmet_cpu = _unmet(cpu, rounds * int(fleet.cpu.sum()))
    unmet_memory = _unmet(memory, rounds * int(fleet.memory.sum()))
    unmet = max(unmet_cpu, unmet_memory)
    spread = max(0.0, 1 - SEVERAL_WEIGHT * several * (1 - unmet))
    is_priced = spread > 0 and unmet > several * (1 - spread / 2)
    price_cpu, price_memory = (
        SCARCITY_MILLI * spread * part
        if is_priced and part and filled_by_spreading(fleet, workload, asks, left) >= SPREAD_FILLS * (1 - part)
        else 0.0
        for part, asks, left in (
            (unmet_cpu, [shape.cpu_milli for shape in workload.shapes], fleet.cpu),
            (unmet_memory, [shape.memory_mib for shape in workload.shapes], fleet.memory),
        )
    )
    spreads = spread if price_cpu or price_memory else 0.0
    short = min(1.0, unmet / SHORT_DRAWS_FROM) * (1 - spreads)
    draws = min(DRAWS, DRAWS_PER_TASK * _tasks_each(fleet, workload))
    reserve = RESERVE / max(1, sum(workload.counts))
    return (
        Scarcity(price_cpu, reserve * cpu),
        Scarcity(price_memory, reserve * memory),
        0.0 if spreads else 1 - spread,
        max(SHORT_DRAWS, round(draws - (draws - SHORT_DRAWS) * short)),
    )


def filled_by_spreading(fleet: Fleet, workload: Workload, asks: Sequence[int], sizes: IntArray) -> float:
    """What part of the GPUs is taken once all of them were asked for, were every task placed where most is left of what
    each kind asks for (`asks`) and each node has (`sizes`): what asks for more than is left anywhere goes without.

    The most that is left anywhere sinks from the largest node's size through each of the asks; until the next, it is the
    kinds that ask for no more which share what there is, as if they were poured.
    """
    order = np.argsort(asks)
    ask, count = np.array(asks)[order], np.array(workload.counts)[order]
    gpu = np.array([shape.asked_milli for shape in workload.shapes])[order]
    # Of each kind and those that ask for less, by the time in which the tasks' GPUs are those that there are.
    volume, gpus = np.cumsum(ask * count), np.cumsum(gpu * count)
    if not gpus[-1]:
        return 0.0
    used = np.array([np.maximum(sizes - level, 0).sum() for level in (*ask, sizes.max())])
    rounds = gpus[-1] / fleet.capacity_milli
    until = np.cumsum((rounds * -np.diff(used) / np.maximum(volume, 1))[::-1])
    lasts = np.diff(np.minimum(until, 1), prepend=0)[::-1]
    return float(lasts @ gpus / gpus[-1])


def _tasks_each(fleet: Fleet, workload: Workload) -> float:
    """How many tasks with GPUs come to a node with GPUs, in the mean, until all GPUs were asked for."""
    asked = list(zip(workload.shapes, workload.counts, strict=True))
    gpus = sum(shape.asked_milli * count for shape, count in asked)
    tasks = sum(count for shape, count in asked if shape.gpus)
    return tasks * fleet.capacity_milli / gpus / int(fleet.gpus.any(axis=1).sum()) if gpus else 0.0


def _unmet(asked: float, given: float) -> float:
    """What part of what is asked goes without."""
    return max(0.0, 1 - given / asked) if asked else 0.0


def _chance_of_short_cpu(fleet: Fleet, workload: Workload) -> float:
    """That CPU is gone before the GPUs are: what arrives until then is a sample, of which only the mean is known."""
    asked = list(zip(workload.shapes, workload.counts, strict=True))
    tasks, gpus = sum(workload.counts), sum(shape.asked_milli * count for shape, count in asked)
    if not gpus:
        return 1.0
    capacity_milli = int(fleet.gpus.sum())
    each = int(fleet.cpu.sum()) / capacity_milli
    # Of each task: by how much it asks for more CPU than comes with its GPUs.
    beyond = [(shape.cpu_milli - each * shape.asked_milli, count) for shape, count in asked]
    mean = sum(cpu * count for cpu, count in beyond) / tasks
    variance = sum((cpu - mean) ** 2 * count for cpu, count in beyond) / tasks
    arrivals = capacity_milli * tasks / gpus
    if not variance:
        return 1.0 if mean > 0 else 0.0
    return round(erfc(-mean * sqrt(arrivals / variance / 2)) / 2, 3)


def _pressure(kinds: Sequence[Kind], sorts: Sequence[NodeSort], short: float) -> FloatArray:
    """By sort of node. Where CPU is short (1: it alone is), GPUs are left on every size of node, and it is only its model
    that makes one dear."""
    of_any_size = [replace(sort, gpus=FAR_GPUS, cpu_milli=FAR_CPU_MILLI) for sort in sorts]
    return pressure(kinds, sorts) * (1 - short) + pressure(kinds, of_any_size) * short


def _common_kinds(fleet: Fleet, workload: Workload) -> list[Kind]:
    """Where the tasks are of very many kinds, those that ask for GPUs and are the commonest on some model stand for all of
    them. On each model, because of all together a rare one might have none."""
    typical = typical_kinds(workload)
    using = {shape: count for shape, count in typical.items() if shape.gpus}
    mean_memory = _mean_memory(workload)
    taken = ([shape for shape in using if not shape.models or model in shape.models] for model in fleet.models)
    commonest = {shape for shapes in taken for shape in shapes[:KINDS_MAX]}
    common = {shape: count for shape, count in using.items() if shape in commonest}
    stands_for = sum(using.values()) / (sum(common.values()) * sum(typical.values())) if common else 0.0
    return [
        replace(_kind(fleet, shape, count * stands_for), memory_mib=mean_memory[shape])
        for shape, count in common.items()
    ]


def _mean_memory(workload: Workload) -> dict[Shape, int]:
    """In MiB, of the tasks of each kind that are told apart by more than memory."""
    asked: dict[Shape, int] = {}
    tasks: dict[Shape, int] = {}
    for shape, count in zip(workload.shapes, workload.counts, strict=True):
        kind = replace(shape, memory_mib=0)
        asked[kind] = asked.get(kind, 0) + shape.memory_mib * count
        tasks[kind] = tasks.get(kind, 0) + count
    return {kind: asked[kind] // tasks[kind] for kind in asked}


def _all_kinds(fleet: Fleet, workload: Workload) -> list[Kind]:
    """The rarest, too: of a scarce sort of node they may be all that cannot do without."""
    tasks = sum(workload.counts)
    return [
        _kind(fleet, shape, count / tasks)
        for shape, count in zip(workload.shapes, workload.counts, strict=True)
        if shape.gpus
    ]


def _kind(fleet: Fleet, shape: Shape, frequency: float) -> Kind:
    return Kind(shape.cpu_milli, shape.gpus, shape.gpu_milli, frozenset(shape.models or fleet.models), frequency)
