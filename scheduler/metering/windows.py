"""Windows: what a device did between two instants, as integrals, sums and maxima that can be added up.

A device's windows follow each other without a hole or an overlap; what could not be read inside one shows as
`covered_ms` less than its length. Every figure is an integer, and None where nothing was read.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from scheduler.domain.units import GpuUuid, Instant, NodeName, PodUid
from scheduler.metering.devices import Health
from scheduler.metering.samples import PodRef, UtilizationSource

CPU_MILLICORES_MIN = 100
"""What uses less prepares nothing, and is not told of."""


class Flag(StrEnum):
    """What a reader of the window should know before trusting it."""

    GAP = "gap"
    """The sampler was away: nothing is covered, but the energy counter went on."""
    COUNTER_RESET = "counter-reset"
    """The energy counter went back (driver reloaded, GPU reset): that interval's energy is absent."""
    UNHEALTHY = "unhealthy"
    GAUGE = "gauge"
    """Utilisation is from the last sample before each reading, not from all of them."""
    NO_PROCESS_VIEW = "no-process-view"
    XID = "xid"
    ECC = "ecc"


@dataclass(frozen=True, slots=True)
class UtilizationIntegral:
    """Percent × milliseconds over what is covered; the mean is `percent_ms / covered_ms`."""

    covered_ms: int
    percent_ms: int
    max_percent: int
    source: UtilizationSource

    @property
    def mean_permille(self) -> int | None:
        """Each of the two is rounded by itself: over a second or less that may be more than there is."""
        return None if self.covered_ms == 0 else min(1_000, self.percent_ms * 10 // self.covered_ms)


@dataclass(frozen=True, slots=True)
class ActivityIntegral:
    """Per mille × milliseconds of the profiling metrics; a metric that was absent at any time is None."""

    covered_ms: int
    sm_permille_ms: int | None
    occupancy_permille_ms: int | None
    tensor_permille_ms: int | None
    dram_permille_ms: int | None


@dataclass(frozen=True, slots=True)
class EnergyIntegral:
    """What the counter rose by, over the time for which both of its ends are known."""

    covered_ms: int
    millijoules: int

    @property
    def mean_milliwatts(self) -> int | None:
        return None if self.covered_ms == 0 else self.millijoules * 1_000 // self.covered_ms


@dataclass(frozen=True, slots=True)
class ProcessSeen:
    """A process seen on the device in the window, with its high-water marks. `name` is what it calls itself, `seen_until`
    the last reading that found it: it lived then."""

    pid: int
    started_ticks: int | None
    memory_bytes_max: int | None
    sm_percent_max: int | None
    pod_uid: PodUid | None
    container_id: str | None
    name: str | None = None
    seen_until: Instant | None = None


@dataclass(frozen=True, slots=True)
class PodCpu:
    """What a pod of the node used of its CPUs, as a mean over the window: thousandths of a core."""

    pod_uid: PodUid
    millicores: int


@dataclass(frozen=True, slots=True)
class Window:
    """A device from `start` to `end`, half-open. (node, boot_id, gpu_uuid, sequence) is its identity for ever.

    `granted` are the pods that the kubelet had given it to; empty: to none; None: the kubelet could not be asked. `cpu`
    are the node's pods that used at least CPU_MILLICORES_MIN, whether they have the device or not, `served` those that
    accepted a connection; None where that was not read.
    """

    node: NodeName
    boot_id: str
    gpu_uuid: GpuUuid
    sequence: int
    start: Instant
    end: Instant
    covered_ms: int
    sample_count: int
    health: Health = Health.OK
    utilization: UtilizationIntegral | None = None
    activity: ActivityIntegral | None = None
    energy: EnergyIntegral | None = None
    power_milliwatts_max: int | None = None
    memory_used_bytes_max: int | None = None
    memory_total_bytes: int | None = None
    process_count_max: int | None = None
    processes: tuple[ProcessSeen, ...] | None = None
    is_clocked_idle: bool | None = None
    ecc_uncorrected: int | None = None
    xids: tuple[int, ...] = ()
    flags: tuple[Flag, ...] = ()
    granted: tuple[PodRef, ...] | None = None
    cpu: tuple[PodCpu, ...] | None = None
    served: tuple[PodUid, ...] | None = None


def largest(values: Iterable[int | None]) -> int | None:
    """The maximum of what is there; None where nothing is."""
    return max((value for value in values if value is not None), default=None)
