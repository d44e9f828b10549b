"""What the nodes can take: one fit table per GPU class, and what is occupied, stopping and claimed on every node.

What is taken is kept by node name, so that a node that vanishes and returns still has its attempts.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from scheduler.decision.placing.fit_table import FitTable
from scheduler.decision.placing.node_use import CLAIMED, OCCUPIED, STOPPING, NodeUse, empty_use
from scheduler.decision.placing.shape import Shape, amounts
from scheduler.domain.cluster import Node, Placement, PodRequest
from scheduler.domain.latest import put
from scheduler.domain.topology import TopologyLevel
from scheduler.domain.units import GpuClassName, NodeName


class Capacity:
    """Nodes by name, and their tables by GPU class. Bookings are undone by booking the opposite (`sign` −1)."""

    def __init__(self, levels: Sequence[TopologyLevel] = ()) -> None:
        self._levels = levels
        self.nodes: dict[NodeName, Node] = {}
        self.tables: dict[GpuClassName, FitTable] = {}
        self.gpus: dict[GpuClassName, int] = {}
        """Of each class, on all nodes, whether they take work or not."""
        self._drained: dict[GpuClassName, dict[NodeName, Node]] = defaultdict(dict)
        """Nodes of each class that take no work."""
        self.changes: dict[GpuClassName, int] = defaultdict(int)
        """How often anything about its nodes, or what is taken there, has changed."""
        self.touched: set[GpuClassName] = set()
        """Those of which what is taken has changed since this was last cleared: of its nodes, whatever ran there was on."""
        self._uses: dict[NodeName, NodeUse] = {}

    def table(self, gpu_class: GpuClassName) -> FitTable:
        table = self.tables.get(gpu_class)
        if table is None:
            table = self.tables[gpu_class] = FitTable(self._levels)
        return table

    def set_nodes(self, changes: Mapping[NodeName, Node | None]) -> tuple[set[GpuClassName], set[GpuClassName]]:
        """Take what changed of the nodes. Returns the GPU classes concerned, and those of them laid out anew.

        A node that gains or loses room changes one column; one that comes, goes, or is labelled anew has its class's
        table laid out again, which is linear in the class's nodes.
        """
        concerned: set[GpuClassName] = set()
        laid_out: set[GpuClassName] = set()
        for name, node in changes.items():
            old = self.nodes.get(name)
            if old == node:
                continue
            classes = {known.gpu_class for known in (old, node) if known is not None and known.gpu_class is not None}
            concerned |= classes
            for gpu_class in classes:
                self.changes[gpu_class] += 1
            self._count(old, -1)
            self._count(node, 1)
            if node is None:
                del self.nodes[name]
            else:
                self.nodes[name] = node
            if old is None or node is None or old.gpu_class != node.gpu_class or old.labels != node.labels:
                laid_out |= classes
            elif node.gpu_class is not None and node.gpu_class not in laid_out:
                self.tables[node.gpu_class].set_node(node)
        self._lay_out(laid_out)
        return concerned, laid_out

    def _count(self, node: Node | None, sign: int) -> None:
        if node is not None and node.gpu_class is not None:
            self.gpus[node.gpu_class] = self.gpus.get(node.gpu_class, 0) + sign * node.gpus
            if not node.accepts_work:
                put(self._drained[node.gpu_class], node.name, None if sign < 0 else node)

    def _lay_out(self, gpu_classes: set[GpuClassName]) -> None:
        if not gpu_classes:
            return
        members: dict[GpuClassName, list[Node]] = {gpu_class: [] for gpu_class in gpu_classes}
        for name in sorted(self.nodes):
            node = self.nodes[name]
            if node.gpu_class in members:
                members[node.gpu_class].append(node)
        for gpu_class, nodes in members.items():
            self.table(gpu_class).replace_nodes(nodes, self._uses)

    def occupy(self, placement: Placement, pod: PodRequest, sign: int = 1) -> None:
        self._book(OCCUPIED, placement, pod, sign)

    def stop(self, placement: Placement, pod: PodRequest, sign: int = 1) -> None:
        """What is there is coming free, though it still occupies."""
        self._book(STOPPING, placement, pod, sign)

    def claim(self, placement: Placement, pod: PodRequest, sign: int = 1) -> None:
        """That much is spoken for by a reservation, as soon as it is free."""
        self._book(CLAIMED, placement, pod, sign)

    def gpus_in_reach(self, gpu_class: GpuClassName) -> int:
        """GPUs of the class that somebody has, or that work can have: without what idles on nodes that take none."""
        idle = (max(0, self.free_gpus(name)) for name in self._drained[gpu_class])
        return self.gpus.get(gpu_class, 0) - sum(idle)

    def gpus_free(self, gpu_class: GpuClassName) -> int:
        """GPUs of the class that anybody's work could have now: nobody has them, and nothing keeps them for somebody."""
        table = self.table(gpu_class)
        table.refresh()
        return int(table.available[0].sum())

    def free_gpus(self, name: NodeName) -> int:
        """Of a node, beside all that is occupied; below 0 where that is more than it has."""
        node, use = self.nodes.get(name), self._uses.get(name)
        return (node.gpus if node is not None else 0) - (use[OCCUPIED][0] if use is not None else 0)

    def is_free(self, gpu_class: GpuClassName, placement: Placement, pod: PodRequest) -> bool:
        """Whether every pod of the placement could start there now."""
        table = self.table(gpu_class)
        return all(name in table.index and table.is_free(name, pods, pod) for name, pods in placement.pods_by_node)

    def is_stopping_on(self, placement: Placement) -> bool:
        """Whether anything is coming free on its nodes."""
        uses = (self._uses.get(name) for name, _ in placement.pods_by_node)
        return any(use is not None and any(use[STOPPING]) for use in uses)

    def may_stand(self, gpu_class: GpuClassName, placement: Placement, shape: Shape) -> bool:
        """Whether pods of the shape may stand as they were placed, whatever else runs there: every node is still there, of
        that class, takes work and has the labels asked for, and all stand together still where they must."""
        table = self.table(gpu_class)
        row = table.row(shape)
        pods = np.zeros_like(table.counts(row))
        for name, count in placement.pods_by_node:
            position = table.index.get(name)
            if position is None or not table.takes_shape(row, position):
                return False
            pods[position] = count
        return table.together(row, pods) == placement.pods

    def could_ever_hold(self, gpu_class: GpuClassName, shape: Shape, pods: int) -> bool:
        """Whether the nodes of the class, were they empty, could hold that many such pods at once."""
        return self.fitting_if_empty(gpu_class, shape) >= pods

    def may_ever_give(self, gpu_class: GpuClassName, shape: Shape, pods: int) -> bool:
        """The same of those nodes alone that take work now."""
        if not self._drained[gpu_class]:
            return self.could_ever_hold(gpu_class, shape, pods)
        return self.table(gpu_class).fitting_in_service(shape) >= pods

    def fitting_if_empty(self, gpu_class: GpuClassName, shape: Shape) -> int:
        """Pods of the shape, of one gang, that the nodes of the class could hold, were they empty."""
        return self.table(gpu_class).fitting_if_empty(shape)

    def largest(self, gpu_classes: Iterable[GpuClassName], shape: Shape) -> int:
        return max((self.table(gpu_class).largest(shape) for gpu_class in gpu_classes), default=0)

    def _book(self, kind: int, placement: Placement, pod: PodRequest, sign: int) -> None:
        gpus, cpu_milli, memory_mib = amounts(pod)
        for name, pods in placement.pods_by_node:
            use = self._uses.get(name)
            if use is None:
                use = self._uses[name] = empty_use()
            taken, more = use[kind], sign * pods
            taken[0] += more * gpus
            taken[1] += more * cpu_milli
            taken[2] += more * memory_mib
            node = self.nodes.get(name)
            if node is not None and node.gpu_class is not None:
                self.tables[node.gpu_class].set_use(name, use)
                self.changes[node.gpu_class] += 1
                self.touched.add(node.gpu_class)
