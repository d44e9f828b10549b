"""What a cluster offers: GPU classes, nodes with what they can still take, and requests for it."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from scheduler.domain.units import GpuClassName, Instant, NodeName, PerMille
from scheduler.domain.values import value

GPU_TAINT: Final = "nvidia.com/gpu"
"""The key of the taint that GPU nodes have in most clusters: every pod of ours tolerates it."""
_BLOCKING = frozenset({"NoSchedule", "NoExecute"})


@dataclass(frozen=True, slots=True)
class GpuClass:
    """An interchangeable sort of GPU: nodes whose labels match `node_selector` offer it as `resource`.

    `weight` is the standard GPU-hours charged per hour of one such GPU, in per mille. Pods on them tolerate node taints of
    the keys in `tolerates`, beside that of GPU nodes.
    """

    name: GpuClassName
    weight: PerMille
    node_selector: tuple[tuple[str, str], ...] = ()
    resource: str = "nvidia.com/gpu"
    tolerates: tuple[str, ...] = ()

    def selects(self, labels: Mapping[str, str]) -> bool:
        return all(labels.get(key) == value for key, value in self.node_selector)


@dataclass(frozen=True, slots=True)
class Taint:
    key: str
    value: str
    effect: str

    def keeps_out(self, gpu_class: GpuClass | None) -> bool:
        """Whether pods of the class, if the node has one, may not be bound because of it."""
        borne = gpu_class is not None and self.key in gpu_class.tolerates
        return self.effect in _BLOCKING and self.key != GPU_TAINT and not borne

    def __str__(self) -> str:
        """As kubectl writes it."""
        return f"{self.key}={self.value}:{self.effect}" if self.value else f"{self.key}:{self.effect}"


@value(frozen=True, slots=True)
class PodRequest:
    """What one pod of a workload asks a node for."""

    gpus: int
    cpu_milli: int
    memory_mib: int


@dataclass(frozen=True, slots=True)
class Node:
    """A node as the decision sees it.

    `gpus`, `cpu_milli` and `memory_mib` are what workloads of ours may use in all: allocatable, less what pods
    that are not ours hold. `outside_gpus` is that part of the GPUs, shown but never planned with.
    `accepts_work` is False when the node is cordoned, not ready, or has a taint that our pods do not tolerate.
    """

    name: NodeName
    gpu_class: GpuClassName | None
    gpus: int
    cpu_milli: int
    memory_mib: int
    outside_gpus: int = 0
    accepts_work: bool = True
    labels: Mapping[str, str] = field(default_factory=dict)
    taints: tuple[Taint, ...] = ()

    def could_hold(self, request: PodRequest) -> bool:
        """Whether the node, were it empty, could hold one such pod."""
        return (
            request.gpus <= self.gpus + self.outside_gpus
            and request.cpu_milli <= self.cpu_milli
            and request.memory_mib <= self.memory_mib
        )


@dataclass(frozen=True, slots=True)
class NodeSpan:
    """What a node offered from `starts_at` to `ends_at` (None: it still does): `gpus` in all, of which pods that are
    not ours held `outside_gpus`."""

    node: NodeName
    gpu_class: GpuClassName | None
    starts_at: Instant
    ends_at: Instant | None
    gpus: int
    outside_gpus: int
    accepts_work: bool

    def offers_as(self, other: "NodeSpan") -> bool:
        """Whether both offer the same, whenever that was."""
        return replace(self, starts_at=other.starts_at, ends_at=other.ends_at) == other


@value(frozen=True, slots=True)
class Placement:
    """Which nodes an attempt's pods go to: (node, number of pods), each node once.

    Indexes are dealt out in this order: as a launch places them, that is node order; what an elastic job grows by
    comes after it.
    """

    pods_by_node: tuple[tuple[NodeName, int], ...]

    @property
    def pods(self) -> int:
        nodes = self.pods_by_node
        if len(nodes) == 1:  # as most have; it is asked for all the time
            return nodes[0][1]
        return sum([count for _, count in nodes])

    @property
    def is_single_node(self) -> bool:
        return len(self.pods_by_node) == 1

    def first(self, pods: int) -> "Placement":
        """Where its first so many indexes stand."""
        kept: list[tuple[NodeName, int]] = []
        for name, count in self.pods_by_node:
            if pods > 0:
                kept.append((name, min(count, pods)))
                pods -= count
        return Placement(tuple(kept))

    def beyond(self, pods: int) -> "Placement":
        """Where the indexes stand that come after the first so many."""
        kept = dict(self.first(pods).pods_by_node)
        left = ((name, count - kept.get(name, 0)) for name, count in self.pods_by_node)
        return Placement(tuple((name, count) for name, count in left if count))

    def together_with(self, other: "Placement") -> "Placement":
        """Both, each node where it came first."""
        sums = dict(self.pods_by_node)
        for name, count in other.pods_by_node:
            sums[name] = sums.get(name, 0) + count
        return Placement(tuple(sums.items()))
