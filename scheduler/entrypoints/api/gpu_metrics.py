"""Metrics of single GPUs, under the names and labels of dcgm-exporter wherever they mean the same, and whose they are.

Served here and not by the agents: only here is it known who has which GPU. They name people, so they need a token of an
operator or auditor, unlike `/metrics`. What was not read, or not of late, has no series: absent, never 0.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from scheduler.domain.units import MS_PER_MINUTE, MS_PER_SECOND, AllowanceId, AttemptId, GpuUuid, Instant
from scheduler.entrypoints.service import Service
from scheduler.metering.devices import Device
from scheduler.metering.windows import ActivityIntegral, Window

STALE_MS = 2 * MS_PER_MINUTE
"""A GPU whose latest window ended longer ago has no series: its agent is away."""

MIB = 1 << 20

LABELS = (
    *("simulated", "gpu", "UUID", "pci_bus_id", "device", "modelName", "Hostname", "GPU_I_PROFILE", "GPU_I_ID"),
    *("namespace", "pod", "owner", "team", "workload", "attempt", "allowance"),
)
"""Up to `pod` as dcgm-exporter has them."""

Read = Callable[[Window], float | None]


@dataclass(frozen=True, slots=True)
class _Family:
    name: str
    about: str
    read: Read


def _activity(permille_ms: Callable[[ActivityIntegral], int | None]) -> Read:
    """The mean of a profiling metric as a ratio from 0 to 1."""

    def read(window: Window) -> float | None:
        activity = window.activity
        total = permille_ms(activity) if activity is not None and activity.covered_ms else None
        return None if activity is None or total is None else total / activity.covered_ms / 1_000

    return read


def _utilization(window: Window) -> float | None:
    mean = None if window.utilization is None else window.utilization.mean_permille
    return None if mean is None else mean / 10


def _watts(window: Window) -> float | None:
    milliwatts = None if window.energy is None else window.energy.mean_milliwatts
    return None if milliwatts is None else milliwatts / 1_000


def _free_mib(window: Window) -> float | None:
    used, whole = window.memory_used_bytes_max, window.memory_total_bytes
    return None if used is None or whole is None else (whole - used) / MIB


FAMILIES = (
    _Family("DCGM_FI_DEV_GPU_UTIL", "Mean GPU utilization of the last window (in %).", _utilization),
    _Family("DCGM_FI_DEV_POWER_USAGE", "Mean power of the last window, from the energy counter (in W).", _watts),
    _Family(
        "DCGM_FI_DEV_FB_USED",
        "Framebuffer memory used, the most in the last window (in MiB).",
        lambda window: None if window.memory_used_bytes_max is None else window.memory_used_bytes_max / MIB,
    ),
    _Family("DCGM_FI_DEV_FB_FREE", "Framebuffer memory free (in MiB).", _free_mib),
    _Family(
        "DCGM_FI_DEV_XID_ERRORS",
        "The last Xid of the last window, 0 for none.",
        lambda window: float(window.xids[-1]) if window.xids else 0.0 if window.covered_ms else None,
    ),
    _Family("DCGM_FI_PROF_SM_ACTIVE", "The ratio of active multiprocessors.", _activity(lambda a: a.sm_permille_ms)),
    _Family(
        "DCGM_FI_PROF_SM_OCCUPANCY", "The ratio of resident warps.", _activity(lambda a: a.occupancy_permille_ms)
    ),
    _Family(
        "DCGM_FI_PROF_PIPE_TENSOR_ACTIVE",
        "The ratio of cycles in which the tensor pipe was active.",
        _activity(lambda a: a.tensor_permille_ms),
    ),
    _Family(
        "DCGM_FI_PROF_DRAM_ACTIVE",
        "The ratio of cycles in which the memory interface was active.",
        _activity(lambda a: a.dram_permille_ms),
    ),
    _Family(
        "allot_gpu_processes",
        "Processes on the GPU, the most in the last window.",
        lambda window: None if window.process_count_max is None else float(window.process_count_max),
    ),
)


class GpuCollector(Collector):
    """Everything at the moment of the scrape."""

    def __init__(self, service: Service, now: Instant) -> None:
        self._service = service
        self._now = now

    def describe(self) -> Iterable[Metric]:
        """Nothing: names are known only by collecting, which registration must not do."""
        return []

    def collect(self) -> Iterator[Metric]:
        world = self._service.world
        windows = {u: w for u, w in list(world.windows.items()) if w.end >= self._now - STALE_MS}
        devices = {d.gpu_uuid: d for each in list(world.inventories.values()) for d in each.devices}
        paid_by = self._paid_by({world.holders[uuid] for uuid in windows if uuid in world.holders})
        labels = {uuid: self._labels(window, devices.get(uuid), paid_by) for uuid, window in windows.items()}
        for family in FAMILIES:
            told = GaugeMetricFamily(family.name, family.about, labels=LABELS)
            for uuid in sorted(windows):
                value = family.read(windows[uuid])
                if value is not None:
                    told.add_metric(labels[uuid], value)
            yield told
        yield self._rest(windows, labels)

    def _rest(self, windows: Mapping[GpuUuid, Window], labels: Mapping[GpuUuid, list[str]]) -> Metric:
        world = self._service.world
        rest = GaugeMetricFamily(
            "allot_gpu_rest_seconds", "For how long all GPUs of its attempt have rested.", labels=LABELS
        )
        for uuid in sorted(windows):
            holder = world.holders.get(uuid)
            since = world.idle_since.get(holder) if holder is not None else None
            if holder in world.attempts:
                rest.add_metric(labels[uuid], 0 if since is None else max(0, self._now - since) / MS_PER_SECOND)
        return rest

    def _paid_by(self, attempts: Iterable[AttemptId]) -> dict[AttemptId, AllowanceId]:
        """The allowance that each draws on now."""
        with self._service.store.reading() as books:
            holds = books.holds.of_attempts(sorted(attempts))
        open_holds = {attempt: [hold for hold in each if hold.remaining > 0] for attempt, each in holds.items()}
        return {attempt: each[0].allowance_id for attempt, each in open_holds.items() if each}

    def _labels(self, window: Window, device: Device | None, paid_by: Mapping[AttemptId, AllowanceId]) -> list[str]:
        world = self._service.world
        holder = world.holders.get(window.gpu_uuid)
        attempt = world.attempts.get(holder) if holder is not None else None
        workload = world.workloads.get(attempt.workload_id) if attempt is not None else None
        owner = world.people.get(attempt.owner) if attempt is not None else None
        pods = world.pods.get(attempt.id, {}).values() if attempt is not None else ()
        told = {
            "simulated": "true" if self._service.cluster.is_simulated else "false",
            "gpu": device.index if device is not None else None,
            "UUID": window.gpu_uuid,
            "pci_bus_id": device.pci_bus_id if device is not None else None,
            "device": f"nvidia{device.minor}" if device is not None and device.minor is not None else None,
            "modelName": device.model if device is not None else None,
            "Hostname": window.node,
            "GPU_I_PROFILE": device.mig_profile if device is not None else None,
            "GPU_I_ID": device.mig_gpu_instance if device is not None else None,
            "namespace": workload.namespace if workload is not None else None,
            "pod": next((run.name for run in pods if run.node == window.node), None),
            "owner": owner.subject if owner is not None else None,
            "team": attempt.team if attempt is not None else None,
            "workload": workload.spec.name if workload is not None else None,
            "attempt": attempt.id if attempt is not None else None,
            "allowance": paid_by.get(attempt.id) if attempt is not None else None,
        }
        return ["" if told[name] is None else str(told[name]) for name in LABELS]
