"""What the rest of a production node is worth: whole GPUs or MIG profiles of one class, against a demand by rule.

The cycle must say the same of the same snapshot in whatever steps it came, and must not value ten thousand nodes anew for
every submission: so the demand here is not learned, but stated in shares of a node. The device plugin picks the GPUs.
"""

from collections.abc import Iterator

import numpy as np

from scheduler.decision.placing.packing import FloatArray, IntArray, expected_best

HALVES = 2
"""A GPU's share of its node's CPU and memory is counted in halves."""
GPUS_MAX = 64
"""Beyond so many free GPUs a node is worth no more."""

_BY_GPUS = {1: 0.80, 2: 0.08, 4: 0.05, 8: 0.07}
"""How frequent tasks of so many GPUs are. That most ask for one, and the rest for a power of two, is so in every trace that
was published; the placement hardly depends on the figures."""
_BY_HALVES = {1: 0.5, 2: 0.5}
"""How frequent tasks are that ask per GPU for half of its share of CPU and memory, or for all of it."""


def worth_table() -> IntArray:
    """Worth in milli-GPU by free GPUs, and by how many half shares of CPU and memory are free."""
    free, halves = np.meshgrid(np.arange(GPUS_MAX + 1), np.arange(HALVES * GPUS_MAX + 1), indexing="ij")
    usable, frequency = [], []
    for gpus, halves_each, frequent in _kinds():
        tasks = np.minimum(free // gpus, halves // (gpus * halves_each))
        usable.append((tasks * gpus * 1000).ravel())
        frequency.append(frequent)
    worth = expected_best(np.stack(usable, axis=1), np.array(frequency))
    table: IntArray = np.rint(worth).astype(np.int64).reshape(free.shape)
    return table


def _kinds() -> Iterator[tuple[int, int, float]]:
    for gpus, of_size in _BY_GPUS.items():
        for halves, of_weight in _BY_HALVES.items():
            yield gpus, halves, of_size * of_weight


WORTH: IntArray = worth_table()
"""Once for all: it depends on no cluster."""

_GPU_RANK = 2**30
"""More milli-CPU than any node has."""
_WORTH_RANK = 2**40
"""More than any preference by tightness: that of a node with a thousand GPUs."""
_NOTHING = np.zeros((1, 3), dtype=np.int64)


def tightness(available: tuple[int, int, int]) -> int:
    """Of a node with so much left: the less, the tighter; GPUs first, then CPU."""
    return available[0] * _GPU_RANK + min(available[1], _GPU_RANK - 1)


def rest_ranks(takes: IntArray, available: IntArray, halves_per: FloatArray, order: IntArray) -> IntArray:
    """Preference among nodes (columns) for each of `takes` (rows × 3), the smaller the better: first by how much worth the
    rest of the node loses, then by how tight the node is (`order`). `halves_per` is what a milli-CPU and a MiB of each
    node are in half shares of a GPU."""
    # Where victims make room later, what is taken may be more than there is: such a rest is nothing.
    rests = np.maximum(available - np.concatenate([_NOTHING, takes])[:, :, None], 0)
    halves = np.minimum.reduce(rests[:, 1:] * halves_per, axis=1).astype(np.int64)
    worth = WORTH[np.minimum(rests[:, 0], GPUS_MAX), np.minimum(halves, HALVES * GPUS_MAX)]
    ranks: IntArray = (worth[0] - worth[1:]) * _WORTH_RANK + order
    return ranks
