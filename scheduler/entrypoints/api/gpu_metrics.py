"""Metrics of single GPUs, under the names and labels of dcgm-exporter wherever they mean the same, and whose they are.

The agents serve the same of their own nodes, but only here is it known who has which GPU. They name people, so they need
a token of an operator or auditor, unlike `/metrics`. What was not read, or not of late, has no series: absent, never 0.
"""

from collections.abc import Iterable, Iterator, Mapping

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from scheduler.domain.units import MS_PER_MINUTE, MS_PER_SECOND, AllowanceId, AttemptId, GpuUuid, Instant
from scheduler.entrypoints.gpu_families import DEVICE_LABELS, FAMILIES, device_labels, label_values
from scheduler.entrypoints.running import Service
from scheduler.entrypoints.settings import SensorsKind
from scheduler.metering.devices import Device
from scheduler.metering.windows import Window

STALE_MS = 2 * MS_PER_MINUTE
"""A GPU whose latest window ended longer ago has no series: its agent is away."""
STALE_SCRAPES = 6
"""The same where Prometheus is read: a window is of two of its scrapes, comes up to two later, the next two after it."""

LABELS = (*DEVICE_LABELS, "namespace", "pod", "owner", "team", "workload", "attempt", "allowance")
"""Up to `pod` as dcgm-exporter has them."""


def fresh_windows(service: Service, now: Instant) -> dict[GpuUuid, Window]:
    """Each device's latest, but of those that nobody reads any more."""
    scrape_ms = service.settings.prometheus_scrape_seconds * MS_PER_SECOND
    is_scraped = service.settings.sensors is SensorsKind.PROMETHEUS
    oldest = now - (max(STALE_MS, STALE_SCRAPES * scrape_ms) if is_scraped else STALE_MS)
    return {uuid: window for uuid, window in list(service.world.readings.windows.items()) if window.end >= oldest}


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
        latest = fresh_windows(self._service, self._now)
        windows = {uuid: world.readings.sightings.xids.shown_with(window) for uuid, window in latest.items()}
        devices = {d.gpu_uuid: d for each in list(world.readings.inventories.values()) for d in each.devices}
        paid_by = self._paid_by(
            {world.readings.attempt_of_gpu[uuid] for uuid in windows if uuid in world.readings.attempt_of_gpu}
        )
        labels = {uuid: self._labels(window, devices.get(uuid), paid_by) for uuid, window in windows.items()}
        for family in FAMILIES:
            told = GaugeMetricFamily(family.name, family.about, labels=LABELS)
            for uuid in sorted(windows):
                value = family.value(windows[uuid], devices.get(uuid))
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
            holder = world.readings.attempt_of_gpu.get(uuid)
            since = world.readings.idle_since.get(holder) if holder is not None else None
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
        holder = world.readings.attempt_of_gpu.get(window.gpu_uuid)
        attempt = world.attempts.get(holder) if holder is not None else None
        workload = world.workloads.get(attempt.workload_id) if attempt is not None else None
        owner = world.people.get(attempt.owner) if attempt is not None else None
        pods = world.pods.get(attempt.id, {}).values() if attempt is not None else ()
        told = {
            **device_labels(window.gpu_uuid, window.node, device, is_simulated=self._service.cluster.is_simulated),
            "namespace": workload.namespace if workload is not None else None,
            "pod": next((run.name for run in pods if run.node == window.node), None),
            "owner": owner.subject if owner is not None else None,
            "team": attempt.team if attempt is not None else None,
            "workload": workload.spec.name if workload is not None else None,
            "attempt": attempt.id if attempt is not None else None,
            "allowance": paid_by.get(attempt.id) if attempt is not None else None,
        }
        return label_values(LABELS, told)
