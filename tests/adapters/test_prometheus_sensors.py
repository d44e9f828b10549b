"""GPUs as dcgm-exporter told Prometheus: labels, blanks, instances, and whose a GPU is."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from scheduler.adapters.prometheus.http import PrometheusApi
from scheduler.adapters.prometheus.sensors import PrometheusSensors
from scheduler.domain.errors import InvalidInput, RefusalCode, Unavailable
from scheduler.domain.units import GpuUuid, Instant, NodeName
from scheduler.entrypoints.bootstrap import build
from scheduler.entrypoints.settings import ClusterKind, SensorsKind, Settings
from scheduler.lifecycle.sensing.collect import Collector
from scheduler.lifecycle.sensing.meter import Meter
from scheduler.metering.devices import Inventory, ProcessView, SensorState
from scheduler.metering.integration import Integration
from scheduler.metering.samples import PodRef, Reading, Sample
from tests.adapters.prometheus_server import PrometheusServer, serving
from tests.lifecycle.agents import Agents, gpu
from tests.lifecycle.build import NOON, Company

LAG_MS = 30_000
AT = NOON + 60_000
A = {"UUID": "GPU-a", "gpu": "0", "Hostname": "n0", "modelName": "NVIDIA A10"}
UTIL, POWER, ENERGY = "DCGM_FI_DEV_GPU_UTIL", "DCGM_FI_DEV_POWER_USAGE", "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION"
FIRST, SECOND = AT - 60_000, AT - 30_000


@pytest.fixture
def server() -> Iterator[PrometheusServer]:
    with serving(PrometheusServer(AT)) as prometheus:
        yield prometheus


def sensors(server: PrometheusServer, token_file: Path | None = None) -> PrometheusSensors:
    return PrometheusSensors(PrometheusApi(server.address, token_file), {}, lag_ms=LAG_MS)


def read(server: PrometheusServer) -> Reading:
    return sensors(server).read(Instant(AT))


def last_of(reading: Reading, uuid: str) -> Sample:
    return [sample for sample in reading.samples if sample.gpu_uuid == uuid][-1]


def scrape(server: PrometheusServer, labels: dict[str, str], values: dict[str, str]) -> None:
    for at in (FIRST, SECOND):
        server.scrape(at, labels, values)


BLANKS = {
    "a blank of 32 bits": "2147483632",
    "not found": "2147483633",
    "not supported": "2147483634",
    "not permitted": "2147483635",
    "a blank number": "140737488355328",
    "a blank of 64 bits": "9223372036854775792",
    "not a number": "NaN",
    "infinite": "+Inf",
    "negative": "-1",
}


@pytest.mark.parametrize("text", BLANKS.values(), ids=BLANKS)
def test_a_blank_is_absent_and_never_a_figure(server: PrometheusServer, text: str) -> None:
    scrape(
        server,
        A,
        {UTIL: text, POWER: text, ENERGY: text, "DCGM_FI_DEV_FB_USED": text, "DCGM_FI_PROF_SM_ACTIVE": text},
    )
    sample = last_of(read(server), "GPU-a")
    assert (sample.utilization, sample.power_milliwatts, sample.energy_millijoules) == (None, None, None)
    assert (sample.memory_used_bytes, sample.activity) == (None, None)


def test_a_scrape_is_a_sample_with_what_it_tells(server: PrometheusServer) -> None:
    memory = {"DCGM_FI_DEV_FB_USED": "1024", "DCGM_FI_DEV_FB_FREE": "3072"}
    scrape(server, A, {UTIL: "40", POWER: "120.5", ENERGY: "5000000", "DCGM_FI_PROF_SM_ACTIVE": "0.25", **memory})
    reading = read(server)
    sample = last_of(reading, "GPU-a")
    assert (sample.at, sample.power_milliwatts, sample.energy_millijoules) == (SECOND, 120_500, 5_000_000)
    assert (sample.memory_used_bytes, sample.memory_total_bytes) == (1 << 30, 4 << 30)
    assert sample.utilization is not None
    assert sample.activity is not None
    assert (sample.utilization.covered_us, sample.utilization.max_percent) == (30_000_000, 40)
    assert sample.activity.sm_permille == 250
    (device,) = reading.devices
    assert (device.model, device.memory_bytes, device.has_profiling) == ("NVIDIA A10", 4 << 30, True)
    assert reading.node_of == {"GPU-a": "n0"}


def test_the_names_and_units_since_4_9_say_the_same(server: PrometheusServer) -> None:
    shares = {"SM_ACTIVE": "0.25", "SM_OCCUPANCY": "0.5", "PIPE_TENSOR_ACTIVE": "0.125", "DRAM_ACTIVE": "0.75"}
    before = {
        UTIL: "40",
        POWER: "120.5",
        ENERGY: "5000000",
        "DCGM_FI_DEV_FB_USED": "1024",
        "DCGM_FI_DEV_FB_FREE": "3072",
    }
    since = {
        "DCGM_FI_DEV_GPU_UTIL_RATIO": "0.400000",
        "DCGM_FI_DEV_BOARD_POWER_WATTS": "120.5",
        "DCGM_FI_DEV_GPU_ENERGY_JOULES_TOTAL": "5000",
        "DCGM_FI_DEV_FB_USED_BYTES": str(1 << 30),
        "DCGM_FI_DEV_FB_FREE_BYTES": str(3 << 30),
        "DCGM_FI_PROF_SM_UTIL_RATIO": "0.25",
        "DCGM_FI_PROF_SM_OCCUPANCY_RATIO": "0.5",
        "DCGM_FI_PROF_TENSOR_UTIL_RATIO": "0.125",
        "DCGM_FI_PROF_DRAM_UTIL_RATIO": "0.75",
    }
    labels = {"gpu": "0", "modelName": "NVIDIA A10"}
    old = {"Hostname": "n0", "DCGM_FI_DRIVER_VERSION": "580.1"}
    new = {"hostname": "n0", "DCGM_FI_SYSTEM_DRIVER_VERSION": "580.1"}
    scrape(
        server, {**labels, "UUID": "GPU-a", **old}, {**before, **{f"DCGM_FI_PROF_{k}": v for k, v in shares.items()}}
    )
    scrape(server, {**labels, "UUID": "GPU-b", **new}, since)
    reading = read(server)
    a, b = (replace(last_of(reading, uuid), gpu_uuid=GpuUuid("GPU")) for uuid in ("GPU-a", "GPU-b"))
    assert a == b
    assert (a.energy_millijoules, a.memory_total_bytes) == (5_000_000, 4 << 30)
    assert a.activity is not None
    assert a.activity.dram_permille == 750
    assert reading.node_of == {"GPU-a": "n0", "GPU-b": "n0"}
    assert reading.driver_version == "580.1"
    assert {(device.model, device.memory_bytes, device.has_profiling) for device in reading.devices} == {
        ("NVIDIA A10", 4 << 30, True)
    }


def test_an_instances_engine_counts_by_its_name_since_4_9_too(server: PrometheusServer) -> None:
    instance = {**A, "GPU_I_ID": "7", "GPU_I_PROFILE": "1g.10gb"}
    power = {"DCGM_FI_DEV_BOARD_POWER_WATTS": "300", "DCGM_FI_DEV_GPU_ENERGY_JOULES_TOTAL": "1000"}
    scrape(
        server, instance, {**power, "DCGM_FI_DEV_GPU_UTIL_RATIO": "0.9", "DCGM_FI_PROF_GR_ENGINE_UTIL_RATIO": "0.125"}
    )
    sample = last_of(read(server), "GPU-a/7")
    assert sample.utilization is not None
    assert (sample.utilization.max_percent, sample.power_milliwatts, sample.energy_millijoules) == (13, None, None)


def test_processes_are_unavailable_and_not_absent(server: PrometheusServer) -> None:
    scrape(server, A, {UTIL: "40"})
    reading = read(server)
    assert reading.process_view is ProcessView.UNAVAILABLE
    assert {sample.processes for sample in reading.samples} == {None}


def test_a_gpu_without_a_pod_is_nobodys_only_where_the_exporter_names_pods(server: PrometheusServer) -> None:
    mine = {**A, "exported_namespace": "research", "exported_pod": "train-0", "pod": "dcgm-exporter-x"}
    free = {**A, "UUID": "GPU-b", "namespace": "monitoring", "pod": "dcgm-exporter-x"}
    elsewhere = {**A, "UUID": "GPU-c", "Hostname": "n1"}
    for labels in (mine, free, elsewhere):
        scrape(server, labels, {UTIL: "1"})
    found = {sample.gpu_uuid: sample.granted for sample in read(server).samples}
    assert found == {"GPU-a": (PodRef("research", "train-0"),), "GPU-b": (), "GPU-c": None}


def test_pods_that_share_a_gpu_are_one_sample_with_both(server: PrometheusServer) -> None:
    for pod in ("one", "two"):
        scrape(server, {**A, "namespace": "research", "pod": pod}, {UTIL: "30"})
    granted = last_of(read(server), "GPU-a").granted
    assert granted == (PodRef("research", "one"), PodRef("research", "two"))


def test_an_instance_has_its_engine_and_never_the_whole_gpus_power(server: PrometheusServer) -> None:
    instance = {**A, "GPU_I_ID": "7", "GPU_I_PROFILE": "1g.10gb"}
    scrape(server, instance, {UTIL: "99", POWER: "300", ENERGY: "1000", "DCGM_FI_PROF_GR_ENGINE_ACTIVE": "0.125"})
    reading = read(server)
    sample = last_of(reading, "GPU-a/7")
    assert sample.utilization is not None
    assert (sample.utilization.max_percent, sample.power_milliwatts, sample.energy_millijoules) == (13, None, None)
    cut, parent = reading.devices
    assert (cut.parent_uuid, cut.mig_profile, cut.mig_gpu_instance) == ("GPU-a", "1g.10gb", 7)
    assert (parent.gpu_uuid, parent.is_partitioned) == ("GPU-a", True)
    assert reading.node_of == {"GPU-a/7": "n0", "GPU-a": "n0"}


def test_a_token_is_read_anew_for_each_question(server: PrometheusServer, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("first\n")
    reader = sensors(server, token)
    reader.read(Instant(AT))
    token.write_text("second")
    reader.read(Instant(AT + 60_000))
    assert {server.tokens[0], server.tokens[-1]} == {"Bearer first", "Bearer second"}
    token.unlink()
    with pytest.raises(Unavailable, match="token"):
        reader.read(Instant(AT + 120_000))


def test_a_prometheus_that_fails_is_unavailable_and_the_reading_is_made_up_for(server: PrometheusServer) -> None:
    scrape(server, A, {UTIL: "40"})
    reader = sensors(server)
    server.status = 503
    with pytest.raises(Unavailable, match="out of sorts"):
        reader.read(Instant(AT))
    server.status = 200
    assert len(reader.read(Instant(AT)).samples) == 2


@pytest.fixture
def company() -> Iterator[Company]:
    made = Company()
    yield made
    made.close()


def test_a_window_is_the_attempts_whose_pod_the_exporter_names_and_that_we_placed_there(
    server: PrometheusServer, company: Company
) -> None:
    agents = Agents(company)
    workload, attempt_id = agents.start(gpus=1)
    (run,) = company.world.pods[attempt_id].values()
    ours = {"UUID": str(gpu("n0", 0)), "Hostname": "n0", "exported_namespace": workload.namespace}
    forged = {**ours, "UUID": str(gpu("n0", 1)), "exported_pod": "nobody-we-know"}
    rules = Integration(NodeName("prometheus"), "prometheus", window_ms=60_000, gap_ms=75_000)
    collector = Collector(agents.meter, sensors(server), rules, {})
    for number in range(8):
        at = NOON + number * 30_000
        server.now_ms = at
        server.scrape(at, {**ours, "exported_pod": run.name}, {UTIL: "90"})
        server.scrape(at, forged, {UTIL: "90"})
        collector.run(Instant(at))
    with company.store.reading() as books:
        told = books.samples.windows([gpu("n0", 0), gpu("n0", 1)], Instant(0), Instant(2**62))
    owners = {(each.gpu_uuid, each.attempt_id) for each in told}
    assert owners == {(gpu("n0", 0), attempt_id), (gpu("n0", 1), None)}


def test_a_gpu_that_passes_to_another_pod_ends_its_window_there(server: PrometheusServer, company: Company) -> None:
    meter = Meter(company.store, company.world)
    rules = Integration(NodeName("prometheus"), "prometheus", window_ms=300_000, gap_ms=75_000)
    collector = Collector(meter, sensors(server), rules, {})
    for number in range(12):
        at = NOON + number * 30_000
        server.now_ms = at
        pod = {"exported_namespace": "research", "exported_pod": "one" if number < 4 else "two"}
        server.scrape(at, {**A, **pod}, {UTIL: "90"})
        collector.run(Instant(at))
    server.now_ms = NOON + 600_000
    collector.run(Instant(NOON + 600_000))
    with company.store.reading() as books:
        told = books.samples.windows([GpuUuid("GPU-a")], Instant(0), Instant(2**62))
    assert [(each.start - NOON, each.end - NOON) for each in told] == [(0, 90_000), (90_000, 330_000)]


def test_a_device_that_is_not_told_of_for_an_hour_is_gone_and_a_silent_node_only_away(
    server: PrometheusServer, company: Company
) -> None:
    rules = Integration(NodeName("prometheus"), "prometheus", window_ms=60_000, gap_ms=75_000)
    collector = Collector(Meter(company.store, company.world), sensors(server), rules, {})
    for minute in range(180):
        if minute < 2:
            server.scrape(NOON + minute * 60_000, A, {UTIL: "90"})
        if minute < 90:
            server.scrape(NOON + minute * 60_000, {**A, "UUID": "GPU-b"}, {UTIL: "90"})
    known: dict[int, tuple[int, SensorState]] = {}
    for minute in range(2, 180, 4):
        server.now_ms = NOON + minute * 60_000
        collector.run(Instant(server.now_ms))
        told = company.world.readings.inventories[NodeName("n0")]
        known[minute] = len(told.devices), told.sensor_state
    assert (known[30], known[86]) == ((2, SensorState.OK), (1, SensorState.OK))
    assert known[178][1] is SensorState.RESTARTING


RULES = Integration(NodeName("prometheus"), "prometheus", window_ms=60_000, gap_ms=75_000)
MINUTES_OF_A = [(minute * 60_000, (minute + 1) * 60_000) for minute in range(4)]


def minutes_kept(server: PrometheusServer, company: Company, meter: Meter, others: Callable[[int], str]) -> object:
    """Windows of GPU-a, read every half minute with what others there are at each scrape, from the first scrape on."""
    collector = Collector(meter, sensors(server), RULES, {})
    for number in range(10):
        server.now_ms = NOON + number * 30_000
        server.scrape(server.now_ms, A, {UTIL: "90"})
        server.scrape(server.now_ms, {**A, "UUID": others(number), "Hostname": "n1"}, {UTIL: "90"})
        with suppress(Unavailable):
            collector.run(Instant(server.now_ms))
    with company.store.reading() as books:
        told = books.samples.windows([GpuUuid("GPU-a")], Instant(0), Instant(2**62))
    return [(each.start - NOON, each.end - NOON) for each in told]


def test_a_node_whose_devices_cannot_be_is_counted_and_no_other_loses_by_it(
    server: PrometheusServer, company: Company
) -> None:
    meter = Meter(company.store, company.world)
    assert minutes_kept(server, company, meter, lambda _: "GPU-" + "b" * 300) == MINUTES_OF_A
    with company.store.reading() as books:
        assert {each.code for each in books.samples.refusals()} == {"invalid-sample", "unknown-node"}


class AwayForAnInventory(Meter):
    """The database is away where a second GPU is told of for the first time."""

    is_away = False

    def accept_inventory(self, *told: Any, now: Instant) -> Inventory:
        if self.is_away:
            self.is_away = False
            raise Unavailable("the database is away")
        return super().accept_inventory(*told, now=now)


def test_what_was_read_is_kept_though_the_database_was_away_for_an_inventory(
    server: PrometheusServer, company: Company
) -> None:
    meter = AwayForAnInventory(company.store, company.world)

    def others(number: int) -> str:
        meter.is_away = number == 5
        return f"GPU-{number // 4}"

    assert minutes_kept(server, company, meter, others) == MINUTES_OF_A


SETTINGS = Settings(
    database="sqlite://",
    cluster=ClusterKind.KUBERNETES,
    sensors=SensorsKind.PROMETHEUS,
    prometheus="http://127.0.0.1:9",
)


@pytest.mark.parametrize(
    "settings",
    [
        SETTINGS.model_copy(update={"cluster": ClusterKind.SIMULATED}),
        SETTINGS.model_copy(update={"prometheus": None}),
    ],
    ids=["a simulated cluster", "no address"],
)
def test_sensors_that_cannot_be_are_refused_at_the_start(settings: Settings) -> None:
    with pytest.raises(InvalidInput) as refused:
        build(settings)
    assert (refused.value.code, refused.value.where) == (RefusalCode.INVALID_VALUE, "--sensors prometheus")
