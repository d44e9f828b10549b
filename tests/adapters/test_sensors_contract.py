"""The two ways in which readings come into the books keep one contract: an agent's, and dcgm-exporter's Prometheus'."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import orjson
import pytest

from scheduler.adapters.prometheus.http import PrometheusApi
from scheduler.adapters.prometheus.sensors import PrometheusSensors
from scheduler.adapters.window_spool import WindowSpool
from scheduler.domain.errors import Unavailable
from scheduler.domain.units import Instant, NodeName
from scheduler.entrypoints.agent.recorder import Recorder
from scheduler.lifecycle.sensing.collect import Collector, ends_of
from scheduler.lifecycle.sensing.meter import Meter
from scheduler.metering.devices import Device, ProcessView
from scheduler.metering.integration import Integration
from scheduler.metering.samples import Reading, Sample, Utilization, UtilizationSource
from scheduler.metering.wire import inventory_json
from tests.adapters import real_prometheus
from tests.adapters.prometheus_server import PrometheusServer, serving
from tests.contracts.sensors_contract import END_MS, GPU, SensorsContract, SensorsRig, Truth
from tests.lifecycle.agents import agent_of
from tests.lifecycle.build import NOON, Company

N0 = NodeName("n0")
SAMPLE_MS, SCRAPE_MS = 5_000, 30_000
LABELS = {"UUID": str(GPU), "gpu": "0", "Hostname": "n0", "modelName": "NVIDIA H100"}


class AgentRig:
    """Samples through the agent's recorder and its spool, posted as they come."""

    def __init__(self, company: Company, spool: Path) -> None:
        self.company = company
        self._spool = spool
        self.ahead_ms: Callable[[int], int] = lambda _: 0
        """How far the node's clock is ahead of the service's."""
        self._meter = Meter(company.store, company.world)

    def run(self, truth: Truth, restarts: Sequence[int] = ()) -> None:
        begins = [0, *restarts]
        for begin, end in zip(begins, [*restarts, END_MS], strict=True):
            with closing(WindowSpool(self._spool, 10_000)) as spool:
                recorder = Recorder(spool, Integration(N0, "boot-1", window_ms=15_000, gap_ms=12_500))
                for ms in range(begin, end, SAMPLE_MS):
                    if truth.is_read(ms):
                        recorder.record(_stamped(_reading(truth, ms), self.ahead_ms(ms)))
                        self._post(spool, recorder, Instant(NOON + ms))

    def _post(self, spool: WindowSpool, recorder: Recorder, now: Instant) -> None:
        told = recorder.inventory(now)
        assert told is not None
        if N0 not in self.company.world.readings.inventories:
            self._meter.accept_inventory(agent_of("n0"), N0, inventory_json(told), now=now)
        boot_id, waiting = spool.oldest(100)
        windows = [orjson.loads(each.body) for each in waiting]
        body = {"node": "n0", "boot_id": boot_id, "windows": windows}
        if windows:
            self._meter.accept_windows(agent_of("n0"), N0, body, now=now)
            spool.remove(waiting)


def _reading(truth: Truth, ms: int) -> Reading:
    percent = truth.percent(ms)
    sample = Sample(
        GPU,
        Instant(NOON + ms),
        utilization=Utilization(SAMPLE_MS * 1_000, percent * SAMPLE_MS * 1_000, percent, UtilizationSource.SAMPLES),
        energy_millijoules=truth.millijoules(ms) if truth.has_energy(ms) else None,
        processes=(),
        xids=tuple(truth.xids_between(ms - SAMPLE_MS, ms)),
    )
    return Reading(sample.at, True, ProcessView.HOST, devices=(Device(GPU, 0, "H100", None),), samples=(sample,))


def _stamped(reading: Reading, ahead_ms: int) -> Reading:
    samples = tuple(replace(sample, at=Instant(sample.at + ahead_ms)) for sample in reading.samples)
    return replace(reading, at=Instant(reading.at + ahead_ms), samples=samples)


class PrometheusRig:
    """Scrapes that a Prometheus keeps, asked for over HTTP while time goes on. `server` keeps what is scraped and the time;
    it answers itself."""

    def __init__(self, company: Company, server: PrometheusServer) -> None:
        self.company = company
        self.server = server
        self.skew_ms = 0

    def collector(self) -> Collector:
        with self.company.store.reading() as books:
            marks = ends_of("prometheus", books.samples.all_gpus())
        ends = {uuid: mark.end for uuid, mark in marks.items()}
        sensors = PrometheusSensors(self.api(), ends, lag_ms=SCRAPE_MS)
        rules = Integration(NodeName("prometheus"), "prometheus", window_ms=2 * SCRAPE_MS, gap_ms=75_000)
        return Collector(Meter(self.company.store, self.company.world), sensors, rules, marks)

    def api(self) -> PrometheusApi:
        return PrometheusApi(self.server.address)

    def run(self, truth: Truth, restarts: Sequence[int] = ()) -> None:
        self.scrape(truth)
        self.collect(restarts)

    def collect(self, restarts: Sequence[int] = ()) -> None:
        collector = self.collector()
        for ms in range(0, END_MS, SCRAPE_MS):
            if ms in restarts:
                collector = self.collector()
            self.server.now_ms = NOON + ms + self.skew_ms
            collector.run(Instant(NOON + ms))

    def scrape(self, truth: Truth) -> None:
        for ms in range(0, END_MS, SCRAPE_MS):
            values = {"DCGM_FI_DEV_GPU_UTIL": str(truth.percent(ms))}
            if truth.has_energy(ms):
                values["DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION"] = str(truth.millijoules(ms))
            if truth.is_read(ms):
                self.server.scrape(NOON + ms, LABELS, values)
                last = str((truth.xids_between(0, ms) or [0])[-1])
                self.server.scrape(NOON + ms, {**LABELS, "err_code": last}, {"DCGM_FI_DEV_XID_ERRORS": last})
                ours = {"DCGM_FI_DEV_GPU_UTIL": "3", "DCGM_FI_DEV_XID_ERRORS": "0"}
                self.server.scrape(NOON + ms + 7_000, {**LABELS, "simulated": "false", "owner": "ada"}, ours)


class _AtTheTime(PrometheusApi):
    """The real server's clock is the machine's; the history is of another day."""

    def __init__(self, url: str, server: PrometheusServer) -> None:
        super().__init__(url)
        self._server = server

    def now(self) -> Instant:
        return Instant(self._server.now_ms)


class RealPrometheusRig(PrometheusRig):
    """The same scrapes in the blocks of a real Prometheus, which answers in the fake's place."""

    def __init__(self, company: Company, folder: Path) -> None:
        super().__init__(company, PrometheusServer(NOON))
        self._folder = folder
        self._asking = ExitStack()

    def api(self) -> PrometheusApi:
        return self._asking.enter_context(closing(_AtTheTime(self.server.address, self.server)))

    def run(self, truth: Truth, restarts: Sequence[int] = ()) -> None:
        self.scrape(truth)
        real_prometheus.write_history(self._folder, self.server.series)
        with real_prometheus.serving(self._folder) as self.server.address, self._asking:
            self.collect(restarts)


@pytest.fixture
def prometheus_rig(company: Company) -> Iterator[PrometheusRig]:
    with serving(PrometheusServer(NOON)) as server:
        yield PrometheusRig(company, server)


@pytest.fixture
def company() -> Iterator[Company]:
    made = Company()
    yield made
    made.close()


class TestAgent(SensorsContract):
    @pytest.fixture
    def rig(self, company: Company, tmp_path: Path) -> SensorsRig:
        return AgentRig(company, tmp_path / "spool.db")

    def test_a_clock_that_was_an_hour_ahead_costs_what_it_stamped_and_no_more(
        self, company: Company, tmp_path: Path
    ) -> None:
        rig = AgentRig(company, tmp_path / "spool.db")
        rig.ahead_ms = lambda ms: 3_600_000 if 4 * 60_000 <= ms < 8 * 60_000 else 0
        rig.run(Truth(), restarts=(6 * 60_000, 9 * 60_000))
        told = self.stretches(rig)
        assert all(before.end <= after.start for before, after in pairwise(told))
        assert sum(each.use.covered_ms for each in told) >= END_MS - 5 * 60_000
        with company.store.reading() as books:
            assert {each.code for each in books.samples.refusals()} == {"from-the-future"}


@real_prometheus.needed
class TestRealPrometheus(SensorsContract):
    @pytest.fixture
    def rig(self, company: Company, tmp_path: Path) -> SensorsRig:
        return RealPrometheusRig(company, tmp_path)


class TestPrometheus(SensorsContract):
    @pytest.fixture
    def rig(self, prometheus_rig: PrometheusRig) -> SensorsRig:
        return prometheus_rig

    @pytest.mark.parametrize("skew_ms", [-180_000, 180_000])
    def test_a_clock_that_is_set_wrong_makes_readings_late_and_loses_none(
        self, prometheus_rig: PrometheusRig, skew_ms: int
    ) -> None:
        prometheus_rig.skew_ms = skew_ms
        prometheus_rig.run(Truth())
        told = self.stretches(prometheus_rig)
        assert sum(each.use.covered_ms for each in told) == told[-1].end - told[0].start > END_MS // 2
        assert self.refused(prometheus_rig) == 0

    def test_after_hours_away_it_goes_on_where_it_was(self, prometheus_rig: PrometheusRig) -> None:
        prometheus_rig.scrape(Truth())
        server = prometheus_rig.server
        for ms in (60_000, 180_000):
            server.now_ms = NOON + ms
            prometheus_rig.collector().run(Instant(NOON + ms))
        server.now_ms = NOON + END_MS
        late = prometheus_rig.collector()
        for _ in range(3):
            late.run(Instant(NOON + END_MS))
        told = self.stretches(prometheus_rig)
        assert sum(each.use.covered_ms for each in told) == told[-1].end - told[0].start > END_MS * 3 // 4

    def test_a_prometheus_that_is_away_costs_nothing_but_time(self, prometheus_rig: PrometheusRig) -> None:
        prometheus_rig.scrape(Truth())
        collector, server = prometheus_rig.collector(), prometheus_rig.server
        for ms in range(0, END_MS, SCRAPE_MS):
            server.now_ms = NOON + ms
            server.status = 503 if 5 * 60_000 <= ms < 9 * 60_000 else 200
            if server.status == 200:
                collector.run(Instant(NOON + ms))
                continue
            with pytest.raises(Unavailable, match="out of sorts"):
                collector.run(Instant(NOON + ms))
        told = self.stretches(prometheus_rig)
        assert sum(each.use.covered_ms for each in told) == told[-1].end - told[0].start > END_MS * 3 // 4
