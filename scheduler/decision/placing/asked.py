"""What a pod of each shape asks of a node: a table of shapes × resources, and how many pods fit into so much of them."""

import numpy as np
from numpy.typing import NDArray

from scheduler.decision.placing.shape import Shape, amounts

IntArray = NDArray[np.int64]

_UNBOUNDED = 2**30
"""Pods that fit as far as a resource is concerned of which none is asked."""


class Asked:
    """A row per shape, in the order in which they came. There may be more rows than shapes: those ask nothing yet."""

    def __init__(self) -> None:
        self.shapes: list[Shape] = []
        self.takes = np.zeros((0, 3), dtype=np.int64)
        """What a pod of each shape asks."""
        self._divisors = np.ones((0, 3), dtype=np.int64)
        """The same, but 1 where it asks nothing."""
        self._waived = np.zeros((0, 3), dtype=np.int64)
        """Unbounded where it asks nothing, else 0."""

    def __len__(self) -> int:
        return len(self.takes)

    def grow(self, rows: int) -> None:
        more = (rows - len(self), 3)
        self.takes = np.vstack([self.takes, np.zeros(more, dtype=np.int64)])
        self._divisors = np.vstack([self._divisors, np.ones(more, dtype=np.int64)])
        self._waived = np.vstack([self._waived, np.zeros(more, dtype=np.int64)])

    def add(self, shape: Shape) -> None:
        row = len(self.shapes)
        self.shapes.append(shape)
        self.takes[row] = amounts(shape.pod)
        self._divisors[row] = np.maximum(self.takes[row], 1)
        self._waived[row] = np.where(self.takes[row], 0, _UNBOUNDED)

    def fitting(self, rows: slice, available: IntArray) -> IntArray:
        """For each row and column of `available` (3 × nodes): the pods that fit there."""
        divisors, waived = self._divisors[rows, :, None], self._waived[rows, :, None]
        fit: IntArray = np.minimum.reduce(available[None, :, :] // divisors + waived, axis=1)
        return fit

    def pods_in(self, row: int, available: IntArray) -> int:
        """Pods of the shape that fit into so much of each resource."""
        each = zip(amounts(self.shapes[row].pod), available.tolist(), strict=True)  # plain numbers: three are few
        return max(0, min((left // asked for asked, left in each if asked), default=_UNBOUNDED))
