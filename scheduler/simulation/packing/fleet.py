"""The experiment's nodes as arrays, the shapes of its tasks, and what is left on each node. Decides nothing."""

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scheduler.decision.placing.packing import NodeSort
from scheduler.simulation.traces.openb import WHOLE_GPU_MILLI, OpenbNode, OpenbPod

IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]
Gpus = tuple[int, ...]
"""Which GPUs of a node, by their index there."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What tasks of one kind ask: `gpus` GPUs with `gpu_milli` left each, on a node of one of `models` (empty: any)."""

    cpu_milli: int
    memory_mib: int
    gpus: int
    gpu_milli: int
    models: tuple[str, ...]

    @classmethod
    def of(cls, pod: OpenbPod) -> "Shape":
        return cls(pod.cpu_milli, pod.memory_mib, pod.gpus, pod.gpu_milli, pod.models)

    @property
    def asked_milli(self) -> int:
        return self.gpus * self.gpu_milli

    @property
    def is_share(self) -> bool:
        return self.gpus == 1 and self.gpu_milli < WHOLE_GPU_MILLI


class Fleet:
    """Nodes in name order. `cpu`, `memory` and `gpus` (nodes × GPUs, in milli) are what is left."""

    def __init__(self, nodes: Sequence[OpenbNode]) -> None:
        ordered = sorted(nodes, key=lambda node: node.name)
        self.models = sorted({node.model for node in ordered})
        self.model: IntArray = np.array([self.models.index(node.model) for node in ordered], dtype=np.int64)
        self.cpu: IntArray = np.array([node.cpu_milli for node in ordered], dtype=np.int64)
        self.memory: IntArray = np.array([node.memory_mib for node in ordered], dtype=np.int64)
        widest = max((node.gpus for node in ordered), default=0)
        counts = np.array([node.gpus for node in ordered], dtype=np.int64)
        self.gpus: IntArray = np.where(np.arange(widest) < counts[:, None], WHOLE_GPU_MILLI, 0)
        self.capacity_milli = int(self.gpus.sum())
        self.allocated_milli = 0
        self.changes: list[int] = []
        """The node of each task placed, in order: who keeps something about nodes reads on from where it was."""

    def __len__(self) -> int:
        return len(self.cpu)

    def part(self, nodes: IntArray) -> "Fleet":
        """Those of its nodes alone, with what is left of them."""
        part = copy(self)
        part.model, part.cpu, part.memory = self.model[nodes], self.cpu[nodes], self.memory[nodes]
        part.gpus = self.gpus[nodes]
        part.capacity_milli = int(part.gpus.sum())
        part.allocated_milli, part.changes = 0, []
        return part

    def sorts(self) -> tuple[tuple[NodeSort, ...], IntArray]:
        """The sorts of node there are, told apart by model, GPUs and CPU, and of each node which it is; of a fleet that
        nothing was placed on yet."""
        makes = np.column_stack([self.model, (self.gpus > 0).sum(axis=1), self.cpu])
        distinct, sort_of = np.unique(makes, axis=0, return_inverse=True)
        sort_of = sort_of.ravel()
        capacity = np.bincount(sort_of, weights=self.gpus.sum(axis=1)).astype(np.int64)
        sorts = tuple(
            NodeSort(self.models[model], gpus, cpu_milli, milli)
            for (model, gpus, cpu_milli), milli in zip(distinct.tolist(), capacity.tolist(), strict=True)
        )
        return sorts, sort_of

    def accepts(self, shape: Shape) -> BoolArray:
        """By model, whether the shape may go there. A task without GPUs may go anywhere."""
        if not shape.gpus or not shape.models:
            return np.ones(len(self.models), dtype=np.bool_)
        return np.array([model in shape.models for model in self.models], dtype=np.bool_)

    def fits(self, shape: Shape, nodes: IntArray) -> BoolArray:
        """For each of `nodes`, whether the shape fits there now: CPU, memory, model, and GPUs with enough left."""
        return self.holds(shape, shape.cpu_milli, nodes) & (self.memory[nodes] >= shape.memory_mib)

    def holds(self, shape: Shape, cpu_milli: int, nodes: IntArray) -> BoolArray:
        """Whether it fits if it asks for so much CPU, and for no memory."""
        fits = (self.cpu[nodes] >= cpu_milli) & self.accepts(shape)[self.model[nodes]]
        if shape.gpus:
            fits &= (self.gpus[nodes] >= shape.gpu_milli).sum(axis=1) >= shape.gpus
        return fits

    def place(self, shape: Shape, node: int, gpus: Gpus) -> None:
        """Take what the shape asks of the node and of those of its GPUs."""
        left = self.gpus[node]
        assert len(set(gpus)) == shape.gpus, "each GPU that was asked for is another"
        assert all(left[gpu] >= shape.gpu_milli for gpu in gpus), "a GPU has what is taken of it"
        assert self.cpu[node] >= shape.cpu_milli, "a node has the CPU that is taken of it"
        assert self.memory[node] >= shape.memory_mib, "a node has the memory that is taken of it"
        self.cpu[node] -= shape.cpu_milli
        self.memory[node] -= shape.memory_mib
        left[list(gpus)] -= shape.gpu_milli
        self.allocated_milli += shape.asked_milli
        self.changes.append(node)
