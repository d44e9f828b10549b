"""What is known before the first task comes: how frequent the kinds of task are, and which nodes there are for them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import erfc, log, sqrt

import numpy as np

from scheduler.decision.placing.packing import FloatArray, Kind, NodeSort, pressure
from scheduler.simulation.packing.baselines import TYPICAL_SHARE
from scheduler.simulation.packing.experiment import Workload
from scheduler.simulation.packing.fleet import Fleet, IntArray, Shape

KINDS_MAX = 32
"""What is left of a node is valued by so many kinds of task that its model takes at most: the cost of an experiment grows
with them, and more of them told little more (docs/adr/0014-placement-by-worth.md)."""
CPU_STEP = 1.1
"""Tasks that differ in memory alone, and in CPU by no more, are one kind: each is rated as if it asked for the mean."""
FAR_GPUS, FAR_CPU_MILLI = 2**20, 2**40
"""More than any task asks of a node."""

GangKinds = dict[tuple[int, int, frozenset[int]], list[Kind]]
"""Kinds that ask for several GPUs: by how many, how much of each, and which sorts of node hold them when empty."""


@dataclass(frozen=True, slots=True)
class Mean:
    """What a task asks in the mean: CPU, memory, and of GPUs."""

    cpu_milli: float
    memory_mib: float
    gpu_milli: float


@dataclass(frozen=True, slots=True)
class Outlook:
    """Of a cluster, for the tasks that some node of it takes when empty. The others are dropped wherever these go, and lack
    nothing that these could have."""

    shapes: tuple[Shape, ...]
    """Of each kind of task, what it asks, of CPU and memory in the mean."""
    cpu_least_milli: tuple[int, ...]
    """Of each kind, what none of its tasks asks less than."""
    kind_of: dict[Shape, int]
    rest_kinds: tuple[Kind, ...]
    """Those by which a rest is valued. They ask for GPUs."""
    gang_kinds: GangKinds
    pressure: FloatArray
    """On each node."""
    mean: Mean
    unmet_cpu: float
    unmet_memory: float
    """What part of what is asked goes without when all GPUs are taken."""
    chance_of_short_cpu: float
    """That CPU is gone before the GPUs are."""
    tasks_each: float
    """How many tasks with GPUs come to a node with GPUs, in the mean, until all GPUs were asked for."""

    @classmethod
    def of(cls, fleet: Fleet, workload: Workload) -> "Outlook":
        alike = _alike(fleet, workload)
        shapes, counts = tuple(_mean_shape(tasks) for tasks in alike), [sum(tasks.values()) for tasks in alike]
        known = Workload(shapes, tuple(counts), ())
        using = [
            _kind(fleet, shape, count / sum(counts))
            for shape, count in zip(shapes, counts, strict=True)
            if shape.gpus
        ]
        sorts, sort_of = fleet.sorts()
        mean = _mean(known)
        rounds = mean.gpu_milli / fleet.capacity_milli
        short = _chance_of_short_cpu(fleet, known)
        return cls(
            shapes,
            tuple(min(shape.cpu_milli for shape in tasks) for tasks in alike),
            {shape: number for number, tasks in enumerate(alike) for shape in tasks},
            _rest_kinds(fleet, known),
            _gang_kinds(using, sorts),
            _pressure(using, sorts, short)[sort_of],
            mean,
            _unmet(mean.cpu_milli, rounds * int(fleet.cpu.sum())),
            _unmet(mean.memory_mib, rounds * int(fleet.memory.sum())),
            short,
            sum(kind.frequency for kind in using) / rounds / np.count_nonzero(fleet.gpus.any(axis=1))
            if using
            else 0.0,
        )

    def part(self, nodes: IntArray) -> "Outlook":
        """For those nodes alone, as if the others were there, too."""
        return replace(self, pressure=self.pressure[nodes])


def _alike(fleet: Fleet, workload: Workload) -> list[dict[Shape, int]]:
    """The shapes that some node takes, by kind: how many tasks there are of each."""
    nodes = np.arange(len(fleet))
    alike: dict[Shape, dict[Shape, int]] = {}
    for shape, count in zip(workload.shapes, workload.counts, strict=True):
        if fleet.fits(shape, nodes).any():
            step = round(log(max(1, shape.cpu_milli), CPU_STEP))
            alike.setdefault(replace(shape, cpu_milli=step, memory_mib=0), {})[shape] = count
    return list(alike.values())


def _mean_shape(tasks: dict[Shape, int]) -> Shape:
    count = sum(tasks.values())
    cpu = sum(shape.cpu_milli * each for shape, each in tasks.items()) // count
    memory = sum(shape.memory_mib * each for shape, each in tasks.items()) // count
    return replace(next(iter(tasks)), cpu_milli=cpu, memory_mib=memory)


def _mean(known: Workload) -> Mean:
    asked = np.array([(shape.cpu_milli, shape.memory_mib, shape.asked_milli) for shape in known.shapes])
    cpu, memory, gpu = (asked.reshape(-1, 3).T @ known.counts / max(1, sum(known.counts))).tolist()
    return Mean(cpu, memory, gpu)


def _unmet(asked: float, given: float) -> float:
    """What part of what is asked goes without."""
    return max(0.0, 1 - given / asked) if asked else 0.0


def _chance_of_short_cpu(fleet: Fleet, known: Workload) -> float:
    """That CPU is gone before the GPUs are: what arrives until then is a sample, of which only the mean is known."""
    asked = list(zip(known.shapes, known.counts, strict=True))
    tasks, gpus = sum(known.counts), sum(shape.asked_milli * count for shape, count in asked)
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


def _rest_kinds(fleet: Fleet, known: Workload) -> tuple[Kind, ...]:
    """Where the tasks are of very many kinds, those that ask for GPUs and are the commonest on some model stand for all of
    them. On each model, because of all together a rare one might have none."""
    ranked = sorted(zip(known.shapes, known.counts, strict=True), key=lambda each: -each[1])
    before = np.cumsum([0, *(count for _, count in ranked)])
    typical = ranked[: int(np.searchsorted(before, TYPICAL_SHARE * before[-1]))]
    using = {shape: count for shape, count in typical if shape.gpus}
    taken = ([shape for shape in using if not shape.models or model in shape.models] for model in fleet.models)
    commonest = {shape for shapes in taken for shape in shapes[:KINDS_MAX]}
    common = {shape: count for shape, count in using.items() if shape in commonest}
    stands_for = sum(using.values()) / max(1, sum(common.values()) * sum(count for _, count in typical))
    return tuple(_kind(fleet, shape, count * stands_for) for shape, count in common.items())


def _gang_kinds(kinds: Sequence[Kind], sorts: Sequence[NodeSort]) -> GangKinds:
    gangs: GangKinds = {}
    for kind in kinds:
        if kind.gpus > 1:
            held = frozenset(
                number
                for number, sort in enumerate(sorts)
                if sort.model in kind.models and sort.gpus >= kind.gpus and sort.cpu_milli >= kind.cpu_milli
            )
            gangs.setdefault((kind.gpus, kind.gpu_milli, held), []).append(kind)
    return gangs


def _kind(fleet: Fleet, shape: Shape, frequency: float) -> Kind:
    models = frozenset(shape.models or fleet.models)
    return Kind(shape.cpu_milli, shape.gpus, shape.gpu_milli, models, frequency, shape.memory_mib)
