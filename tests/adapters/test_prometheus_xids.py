"""Xids as dcgm-exporter tells them: which are new, when they came in, and what they take back for whom."""

from collections.abc import Iterator

import pytest

from scheduler.adapters.prometheus.http import PrometheusApi
from scheduler.adapters.prometheus.sensors import PrometheusSensors
from scheduler.domain.reasons import Reason
from scheduler.domain.units import MS_PER_MINUTE, GpuUuid, Instant, NodeName
from scheduler.lifecycle.sensing.collect import Collector
from scheduler.metering.devices import Health
from scheduler.metering.integration import Integration
from scheduler.metering.samples import Sample
from tests.adapters.prometheus_server import Labels, PrometheusServer, serving
from tests.lifecycle.agents import gpu
from tests.lifecycle.broken import CHECKPOINTED_MS, RAN_MS, Broken, broken
from tests.lifecycle.build import NOON, Company

STEP_MS = 30_000
A = {"UUID": "GPU-a", "gpu": "0", "Hostname": "n0"}
LAST, COUNT, UTIL = "DCGM_FI_DEV_XID_ERRORS", "DCGM_EXP_XID_ERRORS_COUNT", "DCGM_FI_DEV_GPU_UTIL"


@pytest.fixture
def server() -> Iterator[PrometheusServer]:
    with serving(PrometheusServer(NOON)) as prometheus:
        yield prometheus


def sensors(server: PrometheusServer) -> PrometheusSensors:
    return PrometheusSensors(PrometheusApi(server.address), {}, lag_ms=STEP_MS)


def each_scrape(server: PrometheusServer, count: int) -> list[Sample]:
    """Read after every scrape, as the service does."""
    reader = sensors(server)
    samples: list[Sample] = []
    for place in range(count + 1):
        server.now_ms = NOON + place * STEP_MS
        samples += reader.read(Instant(server.now_ms)).samples
    return samples


def scrape(server: PrometheusServer, place: int, metrics: dict[str, str], labels: Labels = A) -> None:
    server.scrape(NOON + place * STEP_MS, labels, metrics)


GAUGES: dict[str, tuple[list[str | None], list[tuple[int, ...]]]] = {
    "none, then one": (["0", "0", "79"], [(), (), (79,)]),
    "it stays": (["0", "79", "79", "79"], [(), (79,), (), ()]),
    "it is there at the first look": (["79", "79", "79"], [(), (), ()]),
    "another after it": (["79", "79", "48"], [(), (), (48,)]),
    "the exporter begins anew, and it comes again": (["79", "0", "79"], [(), (), (79,)]),
    "no value before the first": ([None, None, "79"], [(), (), (79,)]),
    "a blank before the first": (["9223372036854775792", "79"], [(), (79,)]),
    "not told for a while": (["79", None, "79"], [(), (), ()]),
    "not told for a while, and another": (["13", None, "79"], [(), (), (79,)]),
}


@pytest.mark.parametrize("case", GAUGES)
@pytest.mark.parametrize("name", [LAST, "DCGM_FI_DEV_XID_ERROR"])
def test_a_change_of_the_last_xid_is_a_new_one_at_its_scrape(server: PrometheusServer, case: str, name: str) -> None:
    told, expected = GAUGES[case]
    for place, value in enumerate(told):
        scrape(server, place, {UTIL: "5"})
        if value is not None:
            scrape(server, place, {name: value}, {**A, "err_code": value, "err_msg": "of its own"})
    assert [sample.xids for sample in each_scrape(server, len(told))] == expected


def test_all_scrapes_in_one_reading_tell_what_each_alone_tells(server: PrometheusServer) -> None:
    for place, value in enumerate(["0", "79", "79", "0", "79"]):
        scrape(server, place, {UTIL: "5", LAST: value})
    alone = each_scrape(server, 5)
    reader = PrometheusSensors(PrometheusApi(server.address), {}, lag_ms=5 * STEP_MS)
    server.now_ms = NOON + 10 * STEP_MS
    at_once = reader.read(Instant(server.now_ms)).samples
    assert [sample.xids for sample in at_once] == [sample.xids for sample in alone] == [(), (79,), (), (), (79,)]


def test_a_device_knows_nothing_of_anothers_xids(server: PrometheusServer) -> None:
    for place, value in enumerate(["0", "0", "79"]):
        scrape(server, place, {UTIL: "5", LAST: value})
        scrape(server, place, {UTIL: "5", LAST: "79" if place else "0"}, {**A, "UUID": "GPU-b"})
    told = {(sample.gpu_uuid, sample.at - NOON) for sample in each_scrape(server, 3) if sample.xids}
    assert told == {("GPU-a", 2 * STEP_MS), ("GPU-b", STEP_MS)}


def test_what_we_tell_prometheus_ourselves_is_not_read_back(server: PrometheusServer) -> None:
    for place, value in enumerate(["0", "79", "79", "79"]):
        scrape(server, place, {UTIL: "5", LAST: value})
        echo = {**A, "simulated": "false", "owner": "ada", "pod": "train-0", "namespace": "research"}
        server.scrape(NOON + place * STEP_MS + 7_000, echo, {UTIL: "90", LAST: "0"})
    told = each_scrape(server, 4)
    assert [(sample.at - NOON, sample.xids) for sample in told] == [
        (0, ()),
        (STEP_MS, (79,)),
        (2 * STEP_MS, ()),
        (3 * STEP_MS, ()),
    ]


def test_counts_tell_each_of_several_and_one_that_comes_again(server: PrometheusServer) -> None:
    counts: list[dict[int, int]] = [{43: 1}, {43: 1, 48: 1, 45: 2}, {48: 1, 45: 2}, {48: 2, 45: 2}, {}, {48: 1}]
    for place, by_xid in enumerate(counts):
        scrape(server, place, {UTIL: "5", LAST: "45" if place else "43"})
        for xid, count in by_xid.items():
            scrape(server, place, {COUNT: str(count)}, {**A, "xid": str(xid), "window_size_in_ms": "300000"})
        if not by_xid:
            scrape(server, place, {COUNT: "0"}, {**A, "window_size_in_ms": "300000"})
    assert [sample.xids for sample in each_scrape(server, len(counts))] == [(), (45, 48), (), (48,), (), (48,)]


def test_a_gpu_of_which_nothing_but_its_xid_is_told_is_lost_and_not_covered(server: PrometheusServer) -> None:
    for place in range(3):
        scrape(server, place, {UTIL: "90", LAST: "0"} if place < 2 else {LAST: "79"})
    reader = PrometheusSensors(PrometheusApi(server.address), {}, lag_ms=3 * STEP_MS)
    server.now_ms = NOON + 6 * STEP_MS
    reading = reader.read(Instant(server.now_ms))
    assert [sample.health for sample in reading.samples] == [Health.OK, Health.OK, Health.UNHEALTHY]
    assert reading.samples[-1].xids == (79,)
    assert [device.health for device in reading.devices] == [Health.UNHEALTHY]


def test_an_instance_tells_its_own_xids_though_nothing_else_of_it_is_told(server: PrometheusServer) -> None:
    for place, value in enumerate(["0", "94"]):
        scrape(server, place, {UTIL: "90", LAST: value}, {**A, "GPU_I_ID": "7", "GPU_I_PROFILE": "1g.10gb"})
    told = each_scrape(server, 2)
    assert [(sample.gpu_uuid, sample.health, sample.xids) for sample in told] == [
        ("GPU-a/7", Health.OK, ()),
        ("GPU-a/7", Health.OK, (94,)),
    ]


def failed_with(xid: int, server: PrometheusServer, company: Company) -> Broken:
    """Seven seconds before its job fails a GPU is lost, and from the next scrape on nothing but the Xid is told of it."""
    work = broken(company)
    rules = Integration(NodeName("prometheus"), "prometheus", window_ms=2 * STEP_MS, gap_ms=75_000)
    collector = Collector(work.agents.meter, sensors(server), rules, {})
    (run,) = company.world.pods[work.attempt_id].values()
    pod = {"exported_namespace": work.workload.namespace, "exported_pod": run.name}
    for at in range(work.ended_at - 10 * MS_PER_MINUTE, work.ended_at + 5 * MS_PER_MINUTE, STEP_MS):
        server.now_ms = at
        is_broken = at > work.ended_at - 7_000
        for index in range(2):
            labels = {"UUID": str(gpu("n0", index)), "Hostname": "n0", **(pod if at < work.ended_at else {})}
            if index or not is_broken:
                server.scrape(at, labels, {UTIL: "90"})
            server.scrape(at, labels, {LAST: str(xid) if is_broken and not index else "0"})
        if at == work.ended_at + MS_PER_MINUTE:
            work.fail()
        collector.run(Instant(at))
    company.now = Instant(work.ended_at + 5 * MS_PER_MINUTE)
    work.judge()
    return work


@pytest.fixture
def company() -> Iterator[Company]:
    made = Company()
    yield made
    made.close()


def test_what_fails_with_its_gpu_gets_back_what_it_lost_without_an_agent(
    server: PrometheusServer, company: Company
) -> None:
    work = failed_with(79, server, company)
    assert work.attempt.stop_reason is Reason.GPU_FAULT
    assert work.refunded_ms == 2 * (RAN_MS - CHECKPOINTED_MS)
    with company.store.reading() as books:
        (fault,) = books.gpu_faults.since(Instant(0), 10)
        lost = books.samples.windows([GpuUuid(gpu("n0", 0))], Instant(work.ended_at - STEP_MS), Instant(2**62))
    assert (fault.gpu_uuid, fault.attempt_id, fault.is_judged) == (gpu("n0", 0), work.attempt_id, True)
    assert sum(window.use.covered_ms for window in lost if window.end > work.ended_at) == 0


def test_an_xid_that_a_program_can_bring_about_gives_nothing_back_without_an_agent(
    server: PrometheusServer, company: Company
) -> None:
    work = failed_with(31, server, company)
    assert (work.attempt.stop_reason, work.refunded_ms) == (Reason.FAILED, 0)
