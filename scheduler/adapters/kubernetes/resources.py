"""What a pod occupies of a node, by the rules of the Kubernetes scheduler. Pure."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from scheduler.adapters.kubernetes.names import RawObject
from scheduler.adapters.kubernetes.quantities import NANO, nanos, up

_MILLI: Final = NANO // 1000
_MEBI: Final = NANO * 2**20

Quantities = dict[str, int]
"""In billionths, by resource."""


@dataclass(frozen=True, slots=True)
class Amounts:
    """CPU, memory and what devices are counted by (nvidia.com/gpu), of a pod or of a node."""

    cpu_milli: int = 0
    memory_mib: int = 0
    devices: tuple[tuple[str, int], ...] = ()

    def count(self, resource: str) -> int:
        return next((count for name, count in self.devices if name == resource), 0)

    def count_any(self, resources: Collection[str]) -> int:
        return sum(count for name, count in self.devices if name in resources)

    def plus(self, other: "Amounts") -> "Amounts":
        devices = dict(self.devices)
        for name, count in other.devices:
            devices[name] = devices.get(name, 0) + count
        return Amounts(
            self.cpu_milli + other.cpu_milli, self.memory_mib + other.memory_mib, tuple(sorted(devices.items()))
        )


NOTHING = Amounts()


def allocatable(raw: Mapping[str, str]) -> Amounts:
    """A node's allocatable, rounded down. An unreadable quantity counts as nothing."""
    quantities = _quantities(raw)
    return Amounts(
        quantities.get("cpu", 0) // _MILLI,
        quantities.get("memory", 0) // _MEBI,
        _devices(quantities),
    )


def pod_request(spec: RawObject) -> Amounts:
    """The effective request of a pod, rounded up.

    The larger of all its running containers together (sidecars among them: init containers that restart always)
    and of any init container beside the sidecars started before it; resources stated for the whole pod stand in
    for its containers' (KEP-2837); the runtime's overhead comes on top. A limit without a request is a request.
    """
    running: Quantities = {}
    for container in spec.get("containers") or ():
        _add(running, _asked(container))
    sidecars: Quantities = {}
    starting: Quantities = {}
    for container in spec.get("initContainers") or ():
        asked = _asked(container)
        if container.get("restartPolicy") == "Always":
            _add(running, asked)
            _add(sidecars, asked)
            _raise_to(starting, sidecars)
        else:
            beside = dict(sidecars)
            _add(beside, asked)
            _raise_to(starting, beside)
    _raise_to(running, starting)
    running.update(_asked(spec))
    _add(running, _quantities(spec.get("overhead") or {}))
    return Amounts(
        up(running.get("cpu", 0), _MILLI),
        up(running.get("memory", 0), _MEBI),
        _devices(running),
    )


def _asked(holder: RawObject) -> Quantities:
    resources = holder.get("resources") or {}
    return _quantities({**(resources.get("limits") or {}), **(resources.get("requests") or {})})


def _quantities(raw: Mapping[str, str]) -> Quantities:
    read: Quantities = {}
    for name, quantity in raw.items():
        try:
            read[name] = nanos(quantity)
        except ValueError:
            continue
    return read


def _devices(quantities: Quantities) -> tuple[tuple[str, int], ...]:
    return tuple(
        sorted((name, count // NANO) for name, count in quantities.items() if _is_device(name) and count > 0)
    )


def _is_device(resource: str) -> bool:
    """Extended resources have a domain before a slash; Kubernetes keeps its own domain to itself."""
    return "/" in resource and not resource.startswith(("kubernetes.io/", "attachable-volumes"))


def _add(into: Quantities, other: Mapping[str, int]) -> None:
    for name, quantity in other.items():
        into[name] = into.get(name, 0) + quantity


def _raise_to(into: Quantities, least: Mapping[str, int]) -> None:
    for name, quantity in least.items():
        into[name] = max(into.get(name, 0), quantity)


def total(amounts: Iterable[Amounts]) -> Amounts:
    summed = NOTHING
    for amount in amounts:
        summed = summed.plus(amount)
    return summed
