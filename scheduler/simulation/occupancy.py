"""What of each machine is taken: GPUs by index, CPU and memory. The simulation's device plugin and kube-scheduler."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from scheduler.domain.cluster import GpuClass, Node, PodRequest
from scheduler.domain.units import GpuClassName, NodeName
from scheduler.simulation.machines import Machine


@dataclass(slots=True)
class Occupied:
    """A machine and what is free of it. A machine that is not ready or cordoned takes no new pods."""

    machine: Machine
    free_gpus: list[int]
    free_cpu_milli: int
    free_memory_mib: int
    is_ready: bool = True
    is_cordoned: bool = False
    images: set[str] = field(default_factory=set)

    @property
    def accepts_work(self) -> bool:
        return self.is_ready and not self.is_cordoned


class Occupancy:
    """Every machine by name. GPUs go to pods in the order of their index."""

    def __init__(self, machines: Iterable[Machine]) -> None:
        self._by_name = {
            machine.name: Occupied(
                machine,
                # What is not ours sits on the first GPUs.
                list(range(machine.outside_gpus, machine.gpus)),
                machine.cpu_milli,
                machine.memory_mib,
            )
            for machine in machines
        }

    def __iter__(self) -> Iterator[Occupied]:
        return iter(self._by_name.values())

    def find(self, name: NodeName) -> Occupied | None:
        return self._by_name.get(name)

    def take(self, name: NodeName, gpus: int, cpu_milli: int, memory_mib: int) -> tuple[int, ...] | None:
        """The indexes of the GPUs given, or None where the pod does not fit there now."""
        node = self._by_name.get(name)
        if node is None or not node.accepts_work:
            return None
        if gpus > len(node.free_gpus) or cpu_milli > node.free_cpu_milli or memory_mib > node.free_memory_mib:
            return None
        indexes = tuple(node.free_gpus[:gpus])
        del node.free_gpus[:gpus]
        node.free_cpu_milli -= cpu_milli
        node.free_memory_mib -= memory_mib
        return indexes

    def take_again(self, name: NodeName, indexes: tuple[int, ...], cpu_milli: int, memory_mib: int) -> None:
        """What a pod had before: after a restart."""
        node = self._by_name[name]
        node.free_gpus = [index for index in node.free_gpus if index not in indexes]
        node.free_cpu_milli -= cpu_milli
        node.free_memory_mib -= memory_mib

    def give_back(self, name: NodeName, indexes: tuple[int, ...], cpu_milli: int, memory_mib: int) -> None:
        node = self._by_name[name]
        node.free_gpus = sorted({*node.free_gpus, *indexes})
        node.free_cpu_milli += cpu_milli
        node.free_memory_mib += memory_mib

    def export(self) -> list[dict[str, Any]]:
        """What pods do not tell: readiness, cordons, pulled images."""
        return [
            {
                "name": node.machine.name,
                "is_ready": node.is_ready,
                "is_cordoned": node.is_cordoned,
                "images": sorted(node.images),
            }
            for node in self
        ]

    def restore(self, state: Iterable[Mapping[str, Any]]) -> None:
        """Of machines that are there no more nothing is kept."""
        for known in state:
            node = self._by_name.get(known["name"])
            if node is not None:
                node.is_ready, node.is_cordoned = known["is_ready"], known["is_cordoned"]
                node.images = set(known["images"])


def node_of(node: Occupied, classes: Mapping[GpuClassName, GpuClass], outside: Iterable[PodRequest] = ()) -> Node:
    """The node as it is reported under these GPU classes; `outside` is what Jobs that nobody accounts for hold of it."""
    machine = node.machine
    labels = machine.all_labels()
    # Of several classes that select it, the one that says most about it; as the Kubernetes adapter chooses.
    selecting = sorted(
        (c for c in classes.values() if c.selects(labels)), key=lambda c: (-len(c.node_selector), c.name)
    )
    held = list(outside)
    outside_gpus = machine.outside_gpus + sum(request.gpus for request in held)
    return Node(
        name=machine.name,
        gpu_class=selecting[0].name if selecting else None,
        gpus=machine.gpus - outside_gpus,
        cpu_milli=machine.cpu_milli - sum(request.cpu_milli for request in held),
        memory_mib=machine.memory_mib - sum(request.memory_mib for request in held),
        outside_gpus=outside_gpus,
        accepts_work=node.accepts_work,
        labels=labels,
        taints=machine.taints,
    )
