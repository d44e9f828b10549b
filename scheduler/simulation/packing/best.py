"""Ours: each task goes where the worth of what is left falls least. The core that scores it is the service's."""

from random import Random

import numpy as np

from scheduler.decision.packing import PRESSURE_WEIGHT, Demand, FloatArray, Kind
from scheduler.simulation.packing.baselines import NEVER, Scores, fullest, typical_kinds
from scheduler.simulation.packing.experiment import Workload
from scheduler.simulation.packing.fleet import BoolArray, Fleet, Gpus, IntArray, Shape
from scheduler.simulation.traces.openb import WHOLE_GPU_MILLI


class Best:
    """Knows what FGD knows: the nodes, and how frequent the kinds of task are."""

    def __init__(self, fleet: Fleet, workload: Workload, random: Random) -> None:
        del random
        self._fleet, self._shapes = fleet, workload.shapes
        self._scores = Scores(fleet, len(workload.shapes))
        self._gpu = [np.zeros(len(fleet), dtype=np.int64) for _ in workload.shapes]
        """Of each kind and node, the GPU that a share goes to."""
        self._demand = _demand(fleet, workload)

    def choose(self, kind: int) -> tuple[int, Gpus] | None:
        shape, stale = self._shapes[kind], self._scores.stale(kind)
        scores = self._scores.of(kind)
        scores[stale] = NEVER
        fitting = stale[self._fleet.fits(shape, stale)]
        if len(fitting):
            rate = self._rate_share if shape.is_share else self._rate_whole
            scores[fitting] = rate(kind, fitting)
        node = int(scores.argmax())
        if scores[node] == NEVER:
            return None
        return node, (int(self._gpu[kind][node]),) if shape.is_share else fullest(self._fleet, shape, node)

    def _rate_whole(self, kind: int, nodes: IntArray) -> FloatArray:
        shape, fleet = self._shapes[kind], self._fleet
        cpu, model, left = fleet.cpu[nodes], fleet.model[nodes], fleet.gpus[nodes]
        taken = np.argsort(np.where(left >= shape.gpu_milli, left, _FAR), axis=1, kind="stable")[:, : shape.gpus]
        after = left.copy()
        np.put_along_axis(after, taken, np.take_along_axis(left, taken, axis=1) - shape.gpu_milli, axis=1)
        worth = self._demand.worth(
            np.concatenate([cpu, cpu - shape.cpu_milli]), np.vstack([left, after]), np.concatenate([model, model])
        )
        return worth[len(nodes) :] - worth[: len(nodes)] - self._price(shape)[model]

    def _rate_share(self, kind: int, nodes: IntArray) -> FloatArray:
        """Of each node by the best of its GPUs; which that is, is kept."""
        shape, fleet = self._shapes[kind], self._fleet
        cpu, model, left = fleet.cpu[nodes], fleet.model[nodes], fleet.gpus[nodes]
        at, gpu = np.nonzero(_first_of_alike(left) & (left >= shape.gpu_milli))
        after = left[at]
        after[np.arange(len(at)), gpu] -= shape.gpu_milli
        worth = self._demand.worth(
            np.concatenate([cpu, cpu[at] - shape.cpu_milli]),
            np.vstack([left, after]),
            np.concatenate([model, model[at]]),
        )
        fall = np.full(left.shape, NEVER)
        fall[at, gpu] = worth[len(nodes) :] - worth[at]
        chosen = fall.argmax(axis=1)
        self._gpu[kind][nodes] = chosen
        rated: FloatArray = fall[np.arange(len(nodes)), chosen] - self._price(shape)[model]
        return rated

    def _price(self, shape: Shape) -> FloatArray:
        price: FloatArray = PRESSURE_WEIGHT * shape.asked_milli * self._demand.pressure
        return price


_FAR = 2 * WHOLE_GPU_MILLI


def _first_of_alike(left: IntArray) -> BoolArray:
    """Of each node's GPUs with equally much left, the first."""
    alike = left[:, :, None] == left[:, None, :]
    first: BoolArray = alike.argmax(axis=2) == np.arange(left.shape[1])
    return first


def _demand(fleet: Fleet, workload: Workload) -> Demand:
    models = frozenset(fleet.models)
    typical = typical_kinds(workload)
    total = sum(typical.values())
    kinds = [
        Kind(
            shape.cpu_milli,
            shape.gpus,
            shape.gpu_milli,
            frozenset(shape.models) or models,
            count / total,
        )
        for shape, count in typical.items()
    ]
    return Demand(kinds, fleet.capacity_by_model())
