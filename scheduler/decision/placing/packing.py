"""How much what is left of a node is worth to the work that comes: the score that placements are chosen by.

A node's rest is worth what the best of the next few arrivals could use of it. The FGD paper (Weng et al., USENIX ATC
2023) takes the mean over arrivals instead; but whoever places thousands of tasks has a choice of which goes where, so
that a rest which suits one arrival in ten is as good as used, and one which suits nobody is lost. Why, and what was
measured: docs/adr/0014-placement-by-worth.md.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

DRAWS = 24
"""Of so many arrivals the one that suits a rest best is taken to come to it."""
MEAN_WEIGHT = 0.2
"""How much of a rest's worth is what one arrival uses in the mean: without it, nothing tells empty nodes apart."""
PRESSURE_WEIGHT = 0.3
"""What a GPU costs, in GPUs, for each cluster's worth of demand that could only go to its sort of node."""
WHOLE_GPU_MILLI = 1000
_INT32_MAX = 2**31 - 1
"""CPU or memory beyond that is as good as endless: 32 bits are sorted and divided several times as quickly as 64."""
_DEDUPED_FROM = 128
"""States from which on it pays to value alike ones once."""


@dataclass(frozen=True, slots=True)
class Kind:
    """What tasks of one kind ask: `gpus` GPUs with `gpu_milli` of each, of one of `models`; how frequent they are."""

    cpu_milli: int
    gpus: int
    gpu_milli: int
    models: frozenset[str]
    frequency: float
    memory_mib: int = 0
    """In the mean of its tasks: what they ask of it does not make a kind of its own."""


@dataclass(frozen=True, slots=True)
class NodeSort:
    """Nodes of one make: how large each is when empty, and how much all of them have."""

    model: str
    gpus: int
    cpu_milli: int
    capacity_milli: int


class Demand:
    """The kinds of task that are expected, on nodes of certain models. Frequencies sum to at most 1: the rest asks for
    no GPU, or is not looked at."""

    def __init__(self, kinds: Sequence[Kind], models: Sequence[str], draws: int = DRAWS) -> None:
        using = [kind for kind in kinds if kind.gpus]
        self._draws = draws
        self._gpus = np.array([kind.gpus for kind in using], dtype=np.int64)
        self._milli_each = np.array([kind.gpu_milli for kind in using], dtype=np.int64)
        self._frequency = np.array([kind.frequency for kind in using], dtype=np.float64)
        accepts = [[model in kind.models for model in models] for kind in using]
        self._accepts = np.array(accepts, dtype=np.bool_).reshape(len(using), len(models)).T
        millis, self._milli_of = np.unique(self._milli_each, return_inverse=True)
        left = np.arange(WHOLE_GPU_MILLI + 1)[:, None]
        fits = left >= millis
        # Of a GPU with so much left, by what is asked of each: what of it can be used, tasks of a share, tasks of many.
        self._uses = np.concatenate([left * fits, left // np.maximum(millis, 1), fits], axis=1).astype(np.int32)
        self._several = np.flatnonzero(self._gpus > 1)
        self._cpu_each = _at_least_one([kind.cpu_milli for kind in using])
        self._memory_each = _at_least_one([kind.memory_mib for kind in using])
        self._milli_asked = (self._gpus * WHOLE_GPU_MILLI).astype(np.int32)

    def worth(self, cpu: IntArray, memory: IntArray, left: IntArray, model: IntArray) -> FloatArray:
        """In milli-GPU, of each node state: free CPU and memory, milli-GPU left on each GPU (states × GPUs), index of the
        model."""
        if len(cpu) < _DEDUPED_FROM:
            return self._worth(cpu, memory, left, model)
        rows = np.ascontiguousarray(np.column_stack([cpu, memory, model, left]))
        keys = rows.view(np.dtype((np.void, rows.dtype.itemsize * rows.shape[1]))).ravel()
        _, first, which = np.unique(keys, return_index=True, return_inverse=True)
        return self._worth(cpu[first], memory[first], left[first], model[first])[which]

    def _worth(self, cpu: IntArray, memory: IntArray, left: IntArray, model: IntArray) -> FloatArray:
        uses = np.zeros((len(cpu), self._uses.shape[1]), dtype=np.int32)
        for gpu in range(left.shape[1]):
            uses += self._uses[left[:, gpu]]
        millis = self._uses.shape[1] // 3
        idle = uses[:, :millis].take(self._milli_of, axis=1)
        tasks = uses[:, millis : 2 * millis].take(self._milli_of, axis=1)
        fitting = uses[:, 2 * millis :].take(self._milli_of[self._several], axis=1)
        tasks[:, self._several] = fitting // self._gpus[self._several]
        # A kind can use the idle GPUs that it fits on, but no more of them than the node has CPU and memory for.
        for free, each in ((cpu, self._cpu_each), (memory, self._memory_each)):
            np.minimum(tasks, np.minimum(free, _INT32_MAX).astype(np.int32)[:, None] // each, out=tasks)
        tasks *= self._accepts[model]
        tasks *= self._milli_asked
        return expected_best(np.minimum(idle, tasks, out=tasks), self._frequency, self._draws)


def pressure(kinds: Sequence[Kind], sorts: Sequence[NodeSort]) -> FloatArray:
    """By sort of node: demand per GPU that it would bear if every kind spread evenly over the sorts that could take it
    when empty, 1 being its share of all demand. What only a scarce sort can take (its model, so many GPUs, so much CPU)
    makes that sort dear to whoever has a choice."""
    capacity = np.array([sort.capacity_milli for sort in sorts], dtype=np.int64)
    volume = np.array([kind.frequency * kind.gpus * kind.gpu_milli for kind in kinds], dtype=np.float64)
    takes = np.array(
        [
            [
                sort.model in kind.models and sort.gpus >= kind.gpus and sort.cpu_milli >= kind.cpu_milli
                for sort in sorts
            ]
            for kind in kinds
        ],
        dtype=np.bool_,
    ).reshape(len(kinds), len(sorts))
    reach = takes @ capacity
    # A kind that no node takes presses on none.
    share = np.where(reach > 0, volume / np.maximum(reach, 1), 0.0)
    total = float(volume.sum())
    scale = float(capacity.sum()) / total if total else 0.0
    borne: FloatArray = np.asarray(share @ takes, dtype=np.float64) * scale
    return borne


def expected_best(usable: NDArray[np.integer], frequency: FloatArray, draws: int = DRAWS) -> FloatArray:
    """Of each row of `usable` (rows × kinds): what the best of `draws` arrivals uses, in expectation; blended with the
    mean of one. `frequency` is that of each kind."""
    if not len(frequency):
        return np.zeros(len(usable))
    # Sorted with the kind in the lowest bits, which is ten times as quick as sorting an index.
    bits = max(1, len(frequency) - 1).bit_length()
    ranked = (usable.astype(np.int32) << bits) | np.arange(len(frequency), dtype=np.int32)
    ranked.sort(axis=1)
    ranked = ranked[:, ::-1]
    unmet = np.cumsum(frequency[ranked & ((1 << bits) - 1)], axis=1)
    np.subtract(1.0, unmet, out=unmet)
    missed = _to_power(np.maximum(unmet, 0.0), draws)
    unmet *= MEAN_WEIGHT
    missed *= 1.0 - MEAN_WEIGHT
    missed += unmet
    # Σ usable × the chance that no better kind came but this one did, by partial sums.
    steps = ranked >> bits
    most = steps[:, 0].copy()
    steps[:, :-1] -= steps[:, 1:]
    missed *= steps
    best: FloatArray = most - missed.sum(axis=1)
    return best


def _at_least_one(asked: list[int]) -> NDArray[np.int32]:
    return np.clip(np.array(asked, dtype=np.int64), 1, _INT32_MAX).astype(np.int32)


def _to_power(base: FloatArray, exponent: int) -> FloatArray:
    """By squaring, because numpy's own takes a logarithm of each number."""
    power = base.copy()
    for bit in f"{exponent:b}"[1:]:
        power *= power
        if bit == "1":
            power *= base
    return power
