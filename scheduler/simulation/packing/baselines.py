"""Random, BestFit and FGD as the paper's simulator has them: what ours is measured against."""

from random import Random

import numpy as np
from numpy.typing import NDArray

from scheduler.simulation.packing.experiment import Workload
from scheduler.simulation.packing.fleet import Fleet, Gpus, IntArray, Shape

FloatArray = NDArray[np.float64]
NEVER = -np.inf
"""The score of a node where the task does not fit."""

CPU_SPEC_MILLI, GPU_SPEC_MILLI = 128_000, 8_000
"""What BestFit measures the rest of a node by: the largest node there is."""
TYPICAL_SHARE = 0.95
"""FGD's typical pods: the most frequent kinds, up to this share of all tasks."""


class Scores:
    """One score per node for each kind of task, brought up to date for the nodes that changed since it was last read."""

    def __init__(self, fleet: Fleet, kinds: int) -> None:
        self._fleet = fleet
        self._scores: list[FloatArray | None] = [None] * kinds
        self._read_until = [0] * kinds

    def stale(self, kind: int) -> IntArray:
        """The nodes of which the kind's score must be given anew."""
        changes = self._fleet.changes
        if self._scores[kind] is None:
            self._scores[kind] = np.full(len(self._fleet), NEVER)
            nodes = np.arange(len(self._fleet))
        else:
            nodes = np.array(sorted(set(changes[self._read_until[kind] :])), dtype=np.int64)
        self._read_until[kind] = len(changes)
        return nodes

    def of(self, kind: int) -> FloatArray:
        scores = self._scores[kind]
        assert scores is not None, "what is stale is asked for first"
        return scores


class RandomPlacement:
    """Any node where the task fits, and any of its GPUs."""

    def __init__(self, fleet: Fleet, workload: Workload, random: Random) -> None:
        self._fleet, self._shapes, self._random = fleet, workload.shapes, random
        self._scores = Scores(fleet, len(workload.shapes))

    def choose(self, kind: int) -> tuple[int, Gpus] | None:
        shape, stale = self._shapes[kind], self._scores.stale(kind)
        scores = self._scores.of(kind)
        scores[stale] = np.where(self._fleet.fits(shape, stale), 0.0, NEVER)
        fitting = np.flatnonzero(scores == 0.0)
        if not len(fitting):
            return None
        node = int(fitting[self._random.randrange(len(fitting))])
        usable = [gpu for gpu, left in enumerate(self._fleet.gpus[node].tolist()) if left >= shape.gpu_milli]
        return node, tuple(self._random.sample(usable, shape.gpus))


class BestFit:
    """The node with the least left of CPU and GPUs, and of its GPUs the fullest that takes the share."""

    def __init__(self, fleet: Fleet, workload: Workload, random: Random) -> None:
        del random
        self._fleet, self._shapes = fleet, workload.shapes
        self._scores = Scores(fleet, len(workload.shapes))

    def choose(self, kind: int) -> tuple[int, Gpus] | None:
        shape, stale = self._shapes[kind], self._scores.stale(kind)
        scores = self._scores.of(kind)
        scores[stale] = np.where(self._fleet.fits(shape, stale), self._rate(shape, stale), NEVER)
        node = int(scores.argmax())
        return None if scores[node] == NEVER else (node, fullest(self._fleet, shape, node))

    def _rate(self, shape: Shape, nodes: IntArray) -> FloatArray:
        cpu = (self._fleet.cpu[nodes] - shape.cpu_milli) / CPU_SPEC_MILLI
        gpus = (self._fleet.gpus[nodes].sum(axis=1) - shape.asked_milli) / GPU_SPEC_MILLI
        rated: FloatArray = np.floor((1 - (cpu + gpus) / 2) * 100)
        return rated


def fullest(fleet: Fleet, shape: Shape, node: int) -> Gpus:
    """Those of a node's GPUs with least left that suffice, the first among equals."""
    left = fleet.gpus[node].tolist()
    usable = sorted((milli, gpu) for gpu, milli in enumerate(left) if milli >= shape.gpu_milli)
    return tuple(gpu for _, gpu in usable[: shape.gpus])


class Fgd:
    """Fragmentation gradient descent: where a typical pod loses least of what it could use of the GPUs left."""

    def __init__(self, fleet: Fleet, workload: Workload, random: Random) -> None:
        del random
        self._fleet, self._shapes = fleet, workload.shapes
        self._scores = Scores(fleet, len(workload.shapes))
        self._gpu = [np.zeros(0, dtype=np.int64)] * len(workload.shapes)
        """Of each kind and node, the GPU that a share goes to."""
        self._typical = TypicalPods(fleet, workload)

    def choose(self, kind: int) -> tuple[int, Gpus] | None:
        shape, stale = self._shapes[kind], self._scores.stale(kind)
        scores = self._scores.of(kind)
        if len(stale) == len(self._fleet):
            self._gpu[kind] = np.zeros(len(self._fleet), dtype=np.int64)
        fitting = stale[self._fleet.fits(shape, stale)]
        scores[stale] = NEVER
        scores[fitting], self._gpu[kind][fitting] = self._rate(shape, fitting)
        node = int(scores.argmax())
        if scores[node] == NEVER:
            return None
        return node, (int(self._gpu[kind][node]),) if shape.is_share else fullest(self._fleet, shape, node)

    def _rate(self, shape: Shape, nodes: IntArray) -> tuple[FloatArray, IntArray]:
        fleet, width = self._fleet, self._fleet.gpus.shape[1]
        cpu, left, model = fleet.cpu[nodes], fleet.gpus[nodes], fleet.model[nodes]
        before = self._typical.fragmentation(cpu, left, model)
        if shape.is_share:
            after = left[:, None, :] - shape.gpu_milli * np.eye(width, dtype=np.int64)
            tried = (
                np.repeat(cpu - shape.cpu_milli, width),
                after.reshape(-1, width),
                np.repeat(model, width),
            )
            fall = before[:, None] - self._typical.fragmentation(*tried).reshape(-1, width)
            rated = np.where(left >= shape.gpu_milli, rounded(fall), NEVER)
            best = rated.argmax(axis=1)
            return rated[np.arange(len(nodes)), best], best
        order = np.argsort(np.where(left >= shape.gpu_milli, left, 2**40), axis=1, kind="stable")
        left = left.copy()
        np.put_along_axis(
            left,
            order[:, : shape.gpus],
            np.take_along_axis(left, order[:, : shape.gpus], axis=1) - shape.gpu_milli,
            axis=1,
        )
        fall = before - self._typical.fragmentation(cpu - shape.cpu_milli, left, model)
        return rounded(fall), np.zeros(len(nodes), dtype=np.int64)


def rounded(fall_milli: FloatArray) -> FloatArray:
    """The integer part of 100 / (1 + e^(−Δ/1000)): the paper's score of a fall of fragmentation. The integer matters:
    ties go to the first node, and without it FGD loses four points."""
    score: FloatArray = np.floor(100 / (1 + np.exp(-fall_milli / 1000)))
    return score


class TypicalPods:
    """The kinds that make up most of the tasks, memory aside, with their frequency among themselves."""

    def __init__(self, fleet: Fleet, workload: Workload) -> None:
        typical = typical_kinds(workload)
        using = [kind for kind in typical if kind.gpus]
        self._frequency = np.array([typical[kind] for kind in using]) / sum(typical.values())
        self._cpu = np.array([kind.cpu_milli for kind in using], dtype=np.int64)
        self._gpus = np.array([kind.gpus for kind in using], dtype=np.int64)
        self._accepts = np.array([fleet.accepts(kind) for kind in using], dtype=np.bool_).reshape(
            -1, len(fleet.models)
        )
        self._milli, self._milli_of = np.unique(
            np.array([kind.gpu_milli for kind in using], dtype=np.int64), return_inverse=True
        )

    def fragmentation(self, cpu: IntArray, left: IntArray, model: IntArray) -> FloatArray:
        """Of each node: the milli-GPU left there that a typical pod could not use, in the mean over typical pods."""
        enough = left[:, :, None] >= self._milli
        usable = (left[:, :, None] * enough).sum(axis=1)[:, self._milli_of]
        can = enough.sum(axis=1)[:, self._milli_of] >= self._gpus
        can &= (cpu[:, None] >= self._cpu) & self._accepts[:, model].T
        fragmented: FloatArray = left.sum(axis=1) - (usable * can) @ self._frequency
        return fragmented


def typical_kinds(workload: Workload) -> dict[Shape, int]:
    """The most frequent kinds, whatever memory they ask, up to 95 % of all tasks; how many tasks there are of each."""
    counts: dict[Shape, int] = {}
    for shape, count in zip(workload.shapes, workload.counts, strict=True):
        kind = Shape(shape.cpu_milli, 0, shape.gpus, shape.gpu_milli, shape.models)
        counts[kind] = counts.get(kind, 0) + count
    typical: dict[Shape, int] = {}
    seen, enough = 0, TYPICAL_SHARE * sum(counts.values())
    for kind, count in sorted(counts.items(), key=lambda item: -item[1]):
        if seen >= enough:
            break
        typical[kind] = count
        seen += count
    return typical
