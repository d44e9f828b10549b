"""Sensors that are not on the nodes, as a loop of the service: today a Prometheus that has dcgm-exporter's metrics."""

import asyncio
import logging

from scheduler.adapters.prometheus.http import PrometheusApi
from scheduler.adapters.prometheus.sensors import BACKFILL_MS_MAX, READ_MS_MAX, PrometheusSensors
from scheduler.domain.errors import InvalidInput, RefusalCode
from scheduler.domain.units import MS_PER_MINUTE, MS_PER_SECOND, NodeName
from scheduler.entrypoints.settings import ClusterKind, SensorsKind, Settings
from scheduler.lifecycle.sensing.collect import Collector, ends_of
from scheduler.lifecycle.sensing.meter import Meter
from scheduler.metering.integration import Integration
from scheduler.ports import Clock, Store

log = logging.getLogger(__name__)

BOOT = "prometheus"
"""Stands where an agent names its node's boot: numbers of windows go on through boots, since Prometheus does."""
SCRAPES_A_WINDOW = 2
SKEW_MS_MAX = MS_PER_MINUTE


class CollectingLoop:
    """Asks once a scrape, and goes on at once while it is behind."""

    def __init__(self, clock: Clock, sensors: PrometheusSensors, collector: Collector, period_seconds: float) -> None:
        self._clock = clock
        self._sensors = sensors
        self._collector = collector
        self.period_seconds = period_seconds

    async def run_once(self) -> None:
        for _ in range(2 + BACKFILL_MS_MAX // READ_MS_MAX):
            await asyncio.to_thread(self._collector.run, self._clock.now())
            if not self._sensors.is_behind:
                break
        if abs(self._sensors.skew_ms) > SKEW_MS_MAX:
            log.warning("Prometheus' clock differs from ours by %d s", self._sensors.skew_ms // MS_PER_SECOND)


def require_sensors(settings: Settings) -> None:
    """Raises InvalidInput where the settings of the sensors do not fit each other."""
    if settings.sensors is not SensorsKind.PROMETHEUS:
        return
    if settings.cluster is ClusterKind.SIMULATED:
        raise _refused("a simulated cluster has simulated GPUs", "--cluster kubernetes, or --sensors agents")
    if settings.prometheus is None:
        raise _refused("no address is given", "--prometheus URL beside it")


def open_collecting(settings: Settings, store: Store, meter: Meter, clock: Clock) -> CollectingLoop | None:
    """None where agents read the GPUs."""
    if settings.sensors is not SensorsKind.PROMETHEUS or settings.prometheus is None:
        return None
    scrape_ms = settings.prometheus_scrape_seconds * MS_PER_SECOND
    with store.reading() as books:
        marks = ends_of(BOOT, books.samples.all_gpus())
    api = PrometheusApi(settings.prometheus, settings.prometheus_token_file)
    sensors = PrometheusSensors(api, {uuid: mark.end for uuid, mark in marks.items()}, lag_ms=scrape_ms)
    rules = Integration(NodeName(BOOT), BOOT, window_ms=SCRAPES_A_WINDOW * scrape_ms, gap_ms=scrape_ms * 5 // 2)
    return CollectingLoop(clock, sensors, Collector(meter, sensors, rules, marks), settings.prometheus_scrape_seconds)


def _refused(found: str, expected: str) -> InvalidInput:
    return InvalidInput(found, code=RefusalCode.INVALID_VALUE, where="--sensors prometheus", expected=expected)
