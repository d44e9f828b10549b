"""GPUs as dcgm-exporter told Prometheus: sensors for a cluster that runs both already, without an agent of ours.

Every scrape is a sample with the scrape's own timestamp; between two of them lies what lies between two readings of an
agent. Processes are not there: who runs on a GPU cannot be known, and is said to be unknown.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from scheduler.adapters.prometheus import dcgm
from scheduler.adapters.prometheus.dcgm import MEBIBYTE, device_of, node_of, pod_of, value_of
from scheduler.adapters.prometheus.http import PrometheusApi
from scheduler.adapters.prometheus.xids import ToldXids, XidMemory
from scheduler.domain.digits import whole_number_in
from scheduler.domain.units import MS_PER_MINUTE, MS_PER_SECOND, GpuUuid, Instant, NodeName
from scheduler.metering.devices import Device, Health, ProcessView
from scheduler.metering.samples import Activity, PodRef, Reading, Sample, Utilization, UtilizationSource

READ_MS_MAX = 10 * MS_PER_MINUTE
"""Of the past, in one reading: whoever was away for longer reads again at once."""
BACKFILL_MS_MAX = 6 * 60 * MS_PER_MINUTE
"""How far back a restart goes on from; what is older is a gap."""

_WATTS_MAX: Final = 10_000


@dataclass(slots=True)
class _Scrape:
    """What one scrape told of one device; of a MIG instance only what is its own. `is_read`: something besides its Xids,
    which DCGM still tells of a GPU that is lost."""

    is_read: bool = False
    values: dict[str, float] = field(default_factory=dict)
    pods: set[PodRef] = field(default_factory=set)
    xids: ToldXids = field(default_factory=ToldXids)


@dataclass(slots=True)
class _Told:
    """Everything that one question brought, by device."""

    scrapes: dict[GpuUuid, dict[Instant, _Scrape]] = field(default_factory=dict)
    labels: dict[GpuUuid, Mapping[str, str]] = field(default_factory=dict)

    def scrape(self, uuid: GpuUuid, at: Instant) -> _Scrape:
        return self.scrapes.setdefault(uuid, {}).setdefault(at, _Scrape())


_OF_THE_WHOLE: Final = frozenset({dcgm.UTIL, dcgm.POWER, dcgm.ENERGY})
"""Repeated for each MIG instance of a GPU: taken for the instance's own they would count many times over."""


class PrometheusSensors:
    """`ended` says where the windows end that are kept of each device: reading goes on from there, so that a restart
    neither repeats nor leaves out a scrape. `lag_ms` is how long a scrape may take until it can be asked for."""

    is_simulated = False

    def __init__(self, api: PrometheusApi, ended: Mapping[GpuUuid, Instant], *, lag_ms: int) -> None:
        self._api = api
        self._lag_ms = lag_ms
        self._ended = dict(ended)
        self._read_until: Instant | None = None
        self._xids = XidMemory()
        self.is_behind = False
        """Whether there is more of the past to be read at once."""
        self.skew_ms = 0
        """How far Prometheus' clock was ahead of ours when it was asked last."""

    def read(self, now: Instant) -> Reading:
        """Every scrape since the last reading, at most READ_MS_MAX of them; `at` is how far it reaches.

        It never reaches beyond either clock, so that one that is set wrong makes readings late and never lost. Raises
        Unavailable or InvalidInput where Prometheus does not tell: then the next reading begins where this one would.
        """
        theirs = self._api.now()
        self.skew_ms = theirs - now
        newest = Instant(min(theirs, now) - self._lag_ms)
        since = self._since(newest)
        until = Instant(min(newest, since + READ_MS_MAX))
        if until <= since:
            return Reading(since, has_driver=True, process_view=ProcessView.UNAVAILABLE)
        told = self._ask(since, until)
        samples = tuple(self._samples(told, has_pods=_node_has_pods(told)))
        self._read_until, self.is_behind = until, until < newest
        for sample in samples:
            self._ended[sample.gpu_uuid] = sample.at
        return Reading(
            at=until,
            has_driver=True,
            process_view=ProcessView.UNAVAILABLE,
            driver_version=_driver_of(told),
            devices=tuple(_devices(told)),
            samples=samples,
            node_of=_homes(told),
        )

    def _since(self, newest: Instant) -> Instant:
        if self._read_until is not None:
            return self._read_until
        oldest = Instant(newest - BACKFILL_MS_MAX)
        known = [end for end in self._ended.values() if oldest <= end < newest]
        return min(known, default=Instant(newest - 2 * self._lag_ms))

    def _ask(self, since: Instant, until: Instant) -> _Told:
        """[since, until]; raw scrapes, which a range selector brings as they were made, with no look-back. Series with a
        label `simulated` are our own, of an agent or of this very service: not to be read as what was read anew."""
        names = "|".join(dcgm.METRICS)
        query = f'{{__name__=~"{names}",UUID!="",simulated=""}}[{until - since + 1}ms]'
        told = _Told()
        for series in self._api.ask("query", {"query": query, "time": f"{until / MS_PER_SECOND:.3f}"}):
            _take(told, series["metric"], series["values"])
        return told

    def _samples(self, told: _Told, has_pods: Callable[[GpuUuid], bool]) -> Iterator[Sample]:
        for uuid in sorted(told.scrapes):
            last = self._ended.get(uuid)
            for at, scrape in sorted(told.scrapes[uuid].items()):
                if self._read_until is not None and last is not None and at <= last:
                    continue
                xids = self._xids.new(uuid, scrape.xids)
                if last is None or at >= last:
                    granted = tuple(sorted(scrape.pods)) if has_pods(uuid) else None
                    sample = _sample(uuid, at, scrape.values, at - last if last else 0)
                    yield replace(sample, health=_health(scrape), xids=xids, granted=granted)
                last = at if last is None else max(at, last)


def _take(told: _Told, labels: Mapping[str, str], values: Iterable[Any]) -> None:
    uuid = device_of(labels)
    if uuid is None or node_of(labels) is None:
        return
    told.labels[uuid] = labels
    name, scale = dcgm.SINCE_4_9.get(labels["__name__"], (labels["__name__"], 1.0))
    pod = pod_of(labels)
    is_instance = bool(labels.get("GPU_I_ID"))
    for seconds, text in values:
        scrape = told.scrape(uuid, Instant(round(float(seconds) * MS_PER_SECOND)))
        value = value_of(text)
        if value is not None:
            scrape.is_read = scrape.is_read or name not in {dcgm.XID, dcgm.XID_COUNT}
            if not (is_instance and name in _OF_THE_WHOLE):
                _put(scrape, labels, name, value * scale)
        if pod is not None:
            scrape.pods.add(pod)


def _put(scrape: _Scrape, labels: Mapping[str, str], name: str, value: float) -> None:
    if name == dcgm.XID:
        scrape.xids.last = int(value)
    elif name != dcgm.XID_COUNT:
        scrape.values[name] = value
    elif (xid := whole_number_in(labels.get("xid", ""))) is not None:
        scrape.xids.counts[xid] = int(value)


def _node_has_pods(told: _Told) -> Callable[[GpuUuid], bool]:
    """Whether the exporter of a device's node names pods at all. Where none is named on the whole node, nobody can tell
    an exporter without that from a node without pods: then the grant is unknown, not empty."""
    nodes = {
        node_of(told.labels[uuid]) for uuid, of in told.scrapes.items() if any(scrape.pods for scrape in of.values())
    }
    return lambda uuid: node_of(told.labels[uuid]) in nodes


def _sample(uuid: GpuUuid, at: Instant, values: Mapping[str, float], elapsed_ms: int) -> Sample:
    used, free = values.get(dcgm.USED), values.get(dcgm.FREE)
    power, energy = values.get(dcgm.POWER), values.get(dcgm.ENERGY)
    return Sample(
        gpu_uuid=uuid,
        at=at,
        utilization=_utilization(values, elapsed_ms),
        activity=_activity(values, elapsed_ms),
        memory_used_bytes=None if used is None else round(used * MEBIBYTE),
        memory_total_bytes=None if used is None or free is None else round((used + free) * MEBIBYTE),
        power_milliwatts=None if power is None or power > _WATTS_MAX else round(power * 1_000),
        energy_millijoules=None if energy is None else round(energy),
    )


def _health(scrape: _Scrape) -> Health:
    """A GPU of which nothing is told any more but its Xids is lost."""
    return Health.UNHEALTHY if scrape.xids.has_any and not scrape.is_read else Health.OK


def _utilization(values: Mapping[str, float], elapsed_ms: int) -> Utilization | None:
    """A gauge: the last sample of the driver stands for the time since the scrape before. A MIG instance has none; the
    share of time in which its engine was active means the same."""
    percent = values.get(dcgm.UTIL)
    if percent is None and dcgm.ENGINE in values:
        percent = 100 * values[dcgm.ENGINE]
    if percent is None or percent > 100 or elapsed_ms <= 0:
        return None
    return Utilization(
        elapsed_ms * 1_000, round(percent * elapsed_ms * 1_000), math.ceil(percent), UtilizationSource.GAUGE
    )


def _activity(values: Mapping[str, float], elapsed_ms: int) -> Activity | None:
    shares = [_permille(values.get(name)) for name in (dcgm.SM, dcgm.OCCUPANCY, dcgm.TENSOR, dcgm.DRAM)]
    if elapsed_ms <= 0 or all(share is None for share in shares):
        return None
    return Activity(elapsed_ms * 1_000, *shares)


def _permille(share: float | None) -> int | None:
    return None if share is None or share > 1 else round(share * 1_000)


def _devices(told: _Told) -> Iterator[Device]:
    """The GPUs and instances that anything was told of. A GPU that is cut up is there, though only its instances tell."""
    parents: dict[GpuUuid, Mapping[str, str]] = {}
    for uuid, labels in sorted(told.labels.items()):
        instance = labels.get("GPU_I_ID")
        parent = GpuUuid(labels["UUID"]) if instance else None
        if parent is not None:
            parents[parent] = labels
        elif any(key.startswith(f"{uuid}/") for key in told.labels):
            continue
        yield Device(
            gpu_uuid=uuid,
            index=whole_number_in(labels.get("gpu", "")) or 0,
            model=labels.get("modelName"),
            memory_bytes=_memory_bytes(told.scrapes[uuid].values()),
            health=_health(max(told.scrapes[uuid].items())[1]),
            has_profiling=any(dcgm.SM in scrape.values for scrape in told.scrapes[uuid].values()),
            parent_uuid=parent,
            mig_profile=labels.get("GPU_I_PROFILE") or None,
            mig_gpu_instance=whole_number_in(instance or ""),
        )
    for uuid, labels in parents.items():
        index = whole_number_in(labels.get("gpu", "")) or 0
        yield Device(uuid, index, labels.get("modelName"), None, is_partitioned=True)


def _homes(told: _Told) -> dict[GpuUuid, NodeName]:
    """A GPU that is cut up is where its instances are."""
    homes: dict[GpuUuid, NodeName] = {}
    for uuid, labels in told.labels.items():
        node = node_of(labels)
        if node is not None:
            homes |= {uuid: node, GpuUuid(labels["UUID"]): node}
    return homes


def _memory_bytes(scrapes: Iterable[_Scrape]) -> int | None:
    sizes = [
        scrape.values[dcgm.USED] + scrape.values[dcgm.FREE]
        for scrape in scrapes
        if {dcgm.USED, dcgm.FREE} <= scrape.values.keys()
    ]
    return round(max(sizes) * MEBIBYTE) if sizes else None


def _driver_of(told: _Told) -> str | None:
    return next((labels[name] for labels in told.labels.values() for name in dcgm.DRIVERS if labels.get(name)), None)
