"""A Node of the API read as a `Node` of ours. Pure."""

import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from scheduler.adapters.kubernetes.names import RawObject
from scheduler.adapters.kubernetes.resources import NOTHING, Amounts, allocatable
from scheduler.adapters.kubernetes.stamps import instant_of
from scheduler.domain.cluster import GpuClass, Node, Taint
from scheduler.domain.units import Instant, NodeName

_BULKY_LABELS = ("feature.node.kubernetes.io/", "beta.kubernetes.io/")


@dataclass(frozen=True, slots=True)
class NodeRecord:
    """What we keep of a Node: enough to make a `Node` of it under any policy, as pods come and go."""

    name: NodeName
    allocatable: Amounts
    is_ready: bool
    is_cordoned: bool
    heartbeat_at: Instant | None
    labels: Mapping[str, str] = field(default_factory=dict)
    taints: tuple[Taint, ...] = ()

    def accepts_work(self, gpu_class: GpuClass | None) -> bool:
        """Whether pods of the class, if it has one, could be bound to it."""
        is_closed = any(taint.keeps_out(gpu_class) for taint in self.taints)
        return self.is_ready and not self.is_cordoned and not is_closed


def read_node(raw: RawObject) -> NodeRecord:
    metadata, spec, status = raw["metadata"], raw.get("spec") or {}, raw.get("status") or {}
    ready: RawObject = next((c for c in status.get("conditions") or () if c.get("type") == "Ready"), {})
    return NodeRecord(
        name=NodeName(sys.intern(metadata["name"])),
        allocatable=allocatable(status.get("allocatable") or {}),
        is_ready=ready.get("status") == "True",
        is_cordoned=bool(spec.get("unschedulable")),
        heartbeat_at=instant_of(ready.get("lastHeartbeatTime")),
        labels={
            sys.intern(key): sys.intern(value)
            for key, value in sorted((metadata.get("labels") or {}).items())
            if not key.startswith(_BULKY_LABELS)
        },
        taints=tuple(
            Taint(taint["key"], taint.get("value") or "", taint["effect"]) for taint in spec.get("taints") or ()
        ),
    )


def node_of(record: NodeRecord, classes: Iterable[GpuClass], outside: Amounts = NOTHING) -> Node:
    """The node under these GPU classes, less what pods that are not ours hold on it."""
    gpu_class = class_of(record, classes)
    resource = gpu_class.resource if gpu_class else ""
    outside_gpus = min(outside.count(resource), record.allocatable.count(resource))
    return Node(
        name=record.name,
        gpu_class=gpu_class.name if gpu_class else None,
        gpus=record.allocatable.count(resource) - outside_gpus,
        cpu_milli=max(0, record.allocatable.cpu_milli - outside.cpu_milli),
        memory_mib=max(0, record.allocatable.memory_mib - outside.memory_mib),
        outside_gpus=outside_gpus,
        accepts_work=record.accepts_work(gpu_class),
        labels=record.labels,
        taints=record.taints,
    )


def class_of(record: NodeRecord, classes: Iterable[GpuClass]) -> GpuClass | None:
    """The class that selects the node and whose resource it has; of several the one that says most about it."""
    selecting = [gpu_class for gpu_class in classes if gpu_class.selects(record.labels)]
    return min(
        selecting,
        key=lambda c: (record.allocatable.count(c.resource) == 0, -len(c.node_selector), c.name),
        default=None,
    )
