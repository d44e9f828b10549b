"""What an agent tells Prometheus: its node's GPUs under dcgm-exporter's names, and how the agent itself does.

It names pods, as dcgm-exporter does, and no person: whose a GPU is, only the API knows. What was not read, or not of
late, has no series: absent, never 0.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from scheduler.domain.units import MS_PER_SECOND, GpuUuid, Instant, NodeName
from scheduler.entrypoints.agent.recorder import Recorder
from scheduler.entrypoints.gpu_families import DEVICE_LABELS, FAMILIES, device_labels, label_values
from scheduler.metering.device_allocations import AllocatedDevice, resolve
from scheduler.metering.devices import AgentCounts, Device, Health, ProcessView, SensorState
from scheduler.metering.samples import Reading, Sample

LABELS = (*DEVICE_LABELS, "namespace", "pod", "container")
"""All of them dcgm-exporter's, but `simulated`."""

STALE_WINDOWS = 4
"""A device whose latest window ended so many windows ago has no series: the sampler is away."""

SIMULATED_DRIVER = "simulated-"
"""How the driver's version begins where the GPUs are the test library's."""

_SampleRead = Callable[[Sample], float | None]

_COUNTERS: tuple[tuple[str, str, _SampleRead], ...] = (
    (
        "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION",
        "Total energy consumption since the driver was loaded (in mJ).",
        lambda sample: sample.energy_millijoules,
    ),
    (
        "DCGM_FI_DEV_ECC_DBE_VOL_TOTAL",
        "Total number of double-bit volatile ECC errors.",
        lambda sample: sample.ecc_uncorrected,
    ),
)
"""Counters, told as gauges: the rule of the format would add `_total` to names that dashboards know without it."""


@dataclass(frozen=True, slots=True)
class AgentState:
    """How an agent does at an instant. `sent_at` is when the API last took anything."""

    node: NodeName
    now: Instant
    stale_ms: int
    spool_windows_max: int
    counts: AgentCounts
    sensor_state: SensorState | None
    sent_at: Instant | None


class AgentCollector(Collector):
    """Everything at the moment of the scrape; `state` is asked for then."""

    def __init__(self, recorder: Recorder, state: Callable[[], AgentState]) -> None:
        self._recorder = recorder
        self._state = state

    def describe(self) -> Iterable[Metric]:
        """Nothing: names are known only by collecting, which registration must not do."""
        return []

    def collect(self) -> Iterator[Metric]:
        state, reading = self._state(), self._recorder.reading
        yield from self._agent(state)
        if reading is not None:
            yield from self._sensing(state, reading)
            yield from self._devices(state, reading)

    def _devices(self, state: AgentState, reading: Reading) -> Iterator[Metric]:
        oldest = state.now - state.stale_ms
        labels = _Labels(state.node, reading, self._recorder.allocated)
        latest, xids = self._recorder.windows.items(), self._recorder.xids
        windows = {uuid: xids.shown_with(w) for uuid, w in latest if w.end >= oldest}
        devices = {device.gpu_uuid: device for device in reading.devices}
        for family in FAMILIES:
            told = GaugeMetricFamily(family.name, family.about, labels=LABELS)
            for uuid in sorted(windows):
                value = family.value(windows[uuid], devices.get(uuid))
                if value is not None:
                    told.add_metric(labels.of(uuid), value)
            yield told
        samples = [sample for sample in reading.samples if sample.at >= oldest]
        for name, about, read in _COUNTERS:
            counter = GaugeMetricFamily(name, about, labels=LABELS)
            for sample in samples:
                value = read(sample)
                if value is not None:
                    counter.add_metric(labels.of(sample.gpu_uuid), value)
            yield counter
        health = GaugeMetricFamily("allot_gpu_healthy", "1 where the GPU answers, 0 where it is lost.", labels=LABELS)
        absent = GaugeMetricFamily(
            "allot_gpu_absent_value",
            "A value that NVML did not give, and its code.",
            labels=(*LABELS, "field", "code"),
        )
        for sample in samples:
            health.add_metric(labels.of(sample.gpu_uuid), float(sample.health is Health.OK))
            for absence in sorted(set(sample.absences), key=lambda each: (each.field, each.code)):
                absent.add_metric([*labels.of(sample.gpu_uuid), absence.field, absence.code], 1)
        yield health
        yield absent

    def _sensing(self, state: AgentState, reading: Reading) -> Iterator[Metric]:
        node = [state.node]
        yield _gauge(
            "last_reading_timestamp_seconds", "When the sampler last read.", node, reading.at / MS_PER_SECOND
        )
        sees = float(reading.process_view is ProcessView.HOST)
        yield _gauge("sees_processes", "1 where the host's processes are seen (hostPID).", node, sees)
        unidentified = reading.unidentified_devices
        yield _gauge("unidentified_gpus", "GPUs lost before anybody read their UUID.", node, unidentified)

    def _agent(self, state: AgentState) -> Iterator[Metric]:
        node, counts = [state.node], state.counts
        states = GaugeMetricFamily(
            "allot_agent_sensor_state", "1 for the sensing's state.", labels=["Hostname", "state"]
        )
        for each in SensorState:
            states.add_metric([*node, each.value], float(each is state.sensor_state))
        yield states
        yield _counter("sampler_restarts", "Samplers started beyond the first.", node, counts.sampler_restarts)
        yield _counter(
            "samples_from_the_past", "Samples stamped before the last.", node, counts.samples_from_the_past
        )
        has_kubelet = float(counts.has_pod_resources is True)
        yield _gauge("has_pod_resources", "1 where the kubelet says which pod has which GPU.", node, has_kubelet)
        yield _gauge(
            "unresolved_allocations",
            "Device ids of the kubelet that no GPU has.",
            node,
            counts.unresolved_allocations,
        )
        yield _gauge("spool_windows", "Windows that wait for the API.", node, counts.waiting)
        yield _gauge("spool_windows_max", "How many windows the spool holds at most.", node, state.spool_windows_max)
        yield _counter("windows_lost", "Windows dropped as the oldest, or never written.", node, counts.lost)
        yield _counter("windows_refused", "Windows that the API would not have.", node, counts.refused)
        if state.sent_at is not None:
            sent = state.sent_at / MS_PER_SECOND
            yield _gauge("last_sent_timestamp_seconds", "When the API last took anything.", node, sent)


class _Labels:
    """The labels of each device: its own, and its pod's where the kubelet gave it to one alone. A share of several pods
    in time is none's: a series for each would be counted as often."""

    def __init__(self, node: NodeName, reading: Reading, allocated: Iterable[AllocatedDevice] | None) -> None:
        is_simulated = (reading.driver_version or "").startswith(SIMULATED_DRIVER)
        devices = {device.gpu_uuid: device for device in reading.devices}
        allocations_of = resolve(allocated or (), reading.devices).allocations_of
        self._of = {
            uuid: self._values(node, device, allocations_of.get(uuid, ()), is_simulated=is_simulated)
            for uuid, device in devices.items()
        }
        self._without = label_values(
            LABELS, {**dict.fromkeys(LABELS), "Hostname": node, "simulated": "true" if is_simulated else "false"}
        )

    def of(self, uuid: GpuUuid) -> list[str]:
        unknown = list(self._without)
        unknown[LABELS.index("UUID")] = uuid
        return self._of.get(uuid, unknown)

    @staticmethod
    def _values(
        node: NodeName, device: Device, allocated: tuple[AllocatedDevice, ...], *, is_simulated: bool
    ) -> list[str]:
        pods = {each.pod for each in allocated}
        containers = {each.container for each in allocated}
        pod = next(iter(pods)) if len(pods) == 1 else None
        told = {
            **device_labels(device.gpu_uuid, node, device, is_simulated=is_simulated),
            "namespace": pod.namespace if pod is not None else None,
            "pod": pod.name if pod is not None else None,
            "container": next(iter(containers)) if pod is not None and len(containers) == 1 else None,
        }
        return label_values(LABELS, told)


def _gauge(name: str, about: str, node: Sequence[str], value: float) -> GaugeMetricFamily:
    told = GaugeMetricFamily(f"allot_agent_{name}", about, labels=["Hostname"])
    told.add_metric(node, value)
    return told


def _counter(name: str, about: str, node: Sequence[str], value: float) -> CounterMetricFamily:
    told = CounterMetricFamily(f"allot_agent_{name}", about, labels=["Hostname"])
    told.add_metric(node, value)
    return told
