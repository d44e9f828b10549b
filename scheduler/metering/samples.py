"""One reading of one device. What could not be read is None: absent, never zero."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from scheduler.domain.units import GpuUuid, Instant, NodeName, PodUid
from scheduler.metering.devices import Device, Health, ProcessView


class UtilizationSource(StrEnum):
    SAMPLES = "samples"
    """The driver's buffered samples: they cover the time between two readings without a hole."""
    GAUGE = "gauge"
    """The last sample alone, taken for the whole time since the reading before: an estimate, and flagged."""


@dataclass(frozen=True, slots=True)
class Utilization:
    """The share of time in which at least one kernel ran, as an integral since the reading before.

    It is not occupancy: one tiny kernel reads as 100. `percent_us` over `covered_us` is the mean.
    """

    covered_us: int
    percent_us: int
    max_percent: int
    source: UtilizationSource


@dataclass(frozen=True, slots=True)
class Activity:
    """Profiling metrics (GPM, Hopper and later), means over `elapsed_us` since the reading before, in per mille."""

    elapsed_us: int
    sm_permille: int | None = None
    occupancy_permille: int | None = None
    tensor_permille: int | None = None
    dram_permille: int | None = None


@dataclass(frozen=True, slots=True)
class ProcessUse:
    """A process that has a context on the device or ran on it since the reading before.

    `started_ticks` is the kernel's start time of the PID, which tells it from an earlier process of that number.
    `sm_percent` is an estimate where processes share a device: each sample of the driver remembers one PID.
    """

    pid: int
    started_ticks: int | None = None
    memory_bytes: int | None = None
    sm_percent: int | None = None
    pod_uid: PodUid | None = None
    container_id: str | None = None
    name: str | None = None


@dataclass(frozen=True, slots=True, order=True)
class PodRef:
    """A pod as the kubelet names it."""

    namespace: str
    name: str


@dataclass(frozen=True, slots=True)
class Absence:
    """Why a value is absent: the field, and the name of NVML's return code."""

    field: str
    code: str


@dataclass(frozen=True, slots=True)
class Sample:
    """A device as it was read at an instant.

    `energy_millijoules` is the counter itself, since the driver was loaded; differences of it are energy.
    `processes` is None where they could not be listed, and empty where there were none. `granted` are the pods that have
    the device, where the reading itself tells; None where it does not.
    """

    gpu_uuid: GpuUuid
    at: Instant
    health: Health = Health.OK
    utilization: Utilization | None = None
    activity: Activity | None = None
    memory_used_bytes: int | None = None
    memory_total_bytes: int | None = None
    power_milliwatts: int | None = None
    energy_millijoules: int | None = None
    processes: tuple[ProcessUse, ...] | None = None
    is_clocked_idle: bool | None = None
    ecc_uncorrected: int | None = None
    xids: tuple[int, ...] = ()
    absences: tuple[Absence, ...] = ()
    granted: tuple[PodRef, ...] | None = None


@dataclass(frozen=True, slots=True)
class Reading:
    """Everything that one tick of the sampler found. No driver is a reading without devices.

    `driver_error` is the name of NVML's return code where there is no driver; `unidentified_devices` counts GPUs
    that were lost before anybody read their UUID.
    """

    at: Instant
    has_driver: bool
    process_view: ProcessView = ProcessView.HOST
    driver_version: str | None = None
    nvml_version: str | None = None
    devices: tuple[Device, ...] = ()
    samples: tuple[Sample, ...] = ()
    unidentified_devices: int = 0
    driver_error: str | None = None
    node_of: Mapping[GpuUuid, NodeName] = field(default_factory=dict)
