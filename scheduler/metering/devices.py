"""What a node's agent says is there: GPUs, and the MIG instances that some of them are cut into."""

from dataclasses import dataclass
from enum import StrEnum

from scheduler.domain.units import AttemptId, GpuUuid, Instant, NodeName


class Health(StrEnum):
    OK = "ok"
    UNHEALTHY = "unhealthy"
    """Lost from the bus, or in need of a reset: its readings are absent until it answers again."""


class SensorState(StrEnum):
    """What the whole node's sensing is worth."""

    OK = "ok"
    NO_DRIVER = "no-driver"
    """No NVML library or no kernel driver: the node has no GPUs that anybody could use."""
    RESTARTING = "restarting"
    """The sampler died or hung, and another one is being started."""
    STUCK = "stuck"
    """A sampler hangs in the kernel and cannot be ended; another would hang beside it."""


class ProcessView(StrEnum):
    """Whether PIDs that the driver tells of are the ones that this agent sees."""

    HOST = "host"
    UNAVAILABLE = "unavailable"
    """Not in the initial PID namespace (`hostPID: true` is missing): who runs on a GPU cannot be known."""


@dataclass(frozen=True, slots=True)
class Device:
    """A GPU, or a MIG instance when `parent_uuid` is there: its `index` and `minor` are its GPU's. What the driver would
    not tell is None."""

    gpu_uuid: GpuUuid
    index: int
    model: str | None
    memory_bytes: int | None
    health: Health = Health.OK
    pci_bus_id: str | None = None
    minor: int | None = None
    has_profiling: bool = False
    is_partitioned: bool = False
    parent_uuid: GpuUuid | None = None
    mig_profile: str | None = None
    mig_gpu_instance: int | None = None
    mig_compute_instance: int | None = None


@dataclass(frozen=True, slots=True)
class AgentCounts:
    """What a node's agent says of itself: samplers started again, samples stamped before the last, and its spool:
    windows that wait, that were lost because it was full, and that the API would not have. `has_pod_resources` is
    whether the kubelet tells it which pod has which GPU (None: it did not say), `unresolved_allocations` how many of those
    GPUs it could not find."""

    sampler_restarts: int = 0
    samples_from_the_past: int = 0
    waiting: int = 0
    lost: int = 0
    refused: int = 0
    has_pod_resources: bool | None = None
    unresolved_allocations: int = 0


@dataclass(frozen=True, slots=True)
class Inventory:
    """Every device of a node at an instant. `boot_id` changes with every boot of the node."""

    node: NodeName
    boot_id: str
    taken_at: Instant
    sensor_state: SensorState
    process_view: ProcessView
    driver_version: str | None = None
    nvml_version: str | None = None
    devices: tuple[Device, ...] = ()
    unidentified_devices: int = 0
    driver_error: str | None = None
    agent: AgentCounts = AgentCounts()


@dataclass(frozen=True, slots=True)
class KnownGpu:
    """What is kept of a device between its windows.

    `node` is the one whose inventory had it last. `boot_id`, `sequence` and `end` are those of
    the last window that was kept, None before the first. `attempt_id` had it then. The rest is its idle power.
    """

    gpu_uuid: GpuUuid
    node: NodeName | None
    model: str | None = None
    boot_id: str | None = None
    sequence: int | None = None
    end: Instant | None = None
    attempt_id: AttemptId | None = None
    idle_milliwatts: int | None = None
    has_power: bool = False
