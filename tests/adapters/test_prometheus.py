"""A recording out of Prometheus, asked over HTTP."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import orjson
import pytest

from scheduler.adapters.prometheus.history import POINTS_MAX, PromRange, read_prometheus
from scheduler.adapters.prometheus.http import PrometheusApi
from scheduler.domain.errors import InvalidInput, Unavailable
from scheduler.domain.units import AttemptId, GpuUuid, Instant
from scheduler.metering.recorded import Recorded, in_order

T0 = 1_795_176_000
ASKED = PromRange(Instant(T0 * 1_000), Instant((T0 + 60) * 1_000), 30_000)
OURS = {"UUID": "GPU-a", "exported_namespace": "research", "exported_pod": "train-0", "pod": "dcgm-exporter-x"}
FREE = {"UUID": "GPU-b", "namespace": "monitoring", "pod": "dcgm-exporter-x"}
STAMPS = "timestamp("


class FakePrometheus:
    """Answers each metric with the series that it was given."""

    def __init__(self) -> None:
        self.series: dict[str, list[tuple[dict[str, str], list[tuple[float, str]]]]] = {}
        self.asked: list[dict[str, str]] = []
        self.answer: bytes | None = None
        self.address = ""

    def respond(self, path: str) -> bytes:
        asked = {name: values[0] for name, values in parse_qs(urlsplit(path).query).items()}
        self.asked.append(asked)
        if self.answer is not None:
            return self.answer
        is_of_stamps = asked["query"].startswith(STAMPS)
        known = [
            each for name, each in self.series.items() if name in asked["query"] and (name == STAMPS) == is_of_stamps
        ]
        result = [{"metric": labels, "values": values} for series in known for labels, values in series]
        return orjson.dumps({"status": "success", "data": {"resultType": "matrix", "result": result}})


@pytest.fixture
def prometheus() -> Iterator[FakePrometheus]:
    fake = FakePrometheus()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = fake.respond(self.path)
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments: Any) -> None:
            """Not to the test's output."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        fake.address = f"http://127.0.0.1:{server.server_port}/"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield fake
        server.shutdown()
        thread.join()


def test_metrics_of_one_gpu_and_instant_are_one_row(prometheus: FakePrometheus) -> None:
    prometheus.series = {
        "GPU_UTIL": [(OURS, [(T0, "0.4"), (T0 + 30, "NaN")]), (FREE, [(T0, "0")])],
        "POWER_USAGE": [(OURS, [(T0, "71.5"), (T0 + 30, "72")])],
        "TOTAL_ENERGY": [(OURS, [(T0 + 30, "2145000")]), ({"modelName": "of no GPU"}, [(T0, "1")])],
        "FB_USED": [(OURS, [(T0, "81920"), (T0 + 60, "81920")])],  # its size alone makes no row
    }
    attempts, a, b = (AttemptId("research/train-0"),), GpuUuid("GPU-a"), GpuUuid("GPU-b")
    first, second = Instant(T0 * 1_000), Instant((T0 + 30) * 1_000)
    assert list(read_prometheus(prometheus.address, ASKED)) == [
        Recorded(first, a, attempts, percent=1, milliwatts=71_500, memory_bytes=80 * 2**30),
        Recorded(first, b, (), percent=0),
        Recorded(second, a, attempts, milliwatts=72_000, energy_millijoules=2_145_000),
    ]
    assert prometheus.asked[0] == {
        "query": "max_over_time(DCGM_FI_DEV_GPU_UTIL[30s]) or 100 * max_over_time(DCGM_FI_DEV_GPU_UTIL_RATIO[30s])"
        ' or 100 * max_over_time(DCGM_FI_PROF_GR_ENGINE_ACTIVE{GPU_I_ID!=""}[30s])'
        ' or 100 * max_over_time(DCGM_FI_PROF_GR_ENGINE_UTIL_RATIO{GPU_I_ID!=""}[30s])',
        "start": str(float(T0)),
        "end": str(T0 + 60.0),
        "step": "30.0",
    }


def test_a_row_is_stamped_with_its_scrape_and_a_step_without_one_adds_nothing(prometheus: FakePrometheus) -> None:
    """Scraped once a minute, at a quarter to: Prometheus repeats the counter at the step in between, and its stamp."""
    prometheus.series = {
        "GPU_UTIL": [(OURS, [(T0, "0"), (T0 + 60, "7")])],
        "TOTAL_ENERGY": [(OURS, [(T0, "70000"), (T0 + 30, "70000"), (T0 + 60, "90000")])],
        STAMPS: [(OURS, [(T0, str(T0 - 15.25)), (T0 + 30, str(T0 - 15.25)), (T0 + 60, str(T0 + 44.75))])],
    }
    gpu, attempts = GpuUuid("GPU-a"), (AttemptId("research/train-0"),)
    first, second = (Instant(round((T0 + each) * 1_000)) for each in (-15.25, 44.75))
    assert in_order(read_prometheus(prometheus.address, ASKED)) == [
        Recorded(first, gpu, attempts, percent=0, energy_millijoules=70_000),
        Recorded(second, gpu, attempts, percent=7, energy_millijoules=90_000),
    ]


def test_a_mig_instance_is_a_device_of_its_own(prometheus: FakePrometheus) -> None:
    labels = {"UUID": "GPU-a", "GPU_I_ID": "7", "namespace": "research", "pod": "slice"}
    prometheus.series = {
        "GR_ENGINE_ACTIVE": [(labels, [(T0, "100.4"), (T0 + 30, "0")])],
        "POWER_USAGE": [(labels, [(T0, "70"), (T0 + 60, "70")])],  # the whole GPU's, as the counter is
        "TOTAL_ENERGY": [(labels, [(T0, "70000")])],
    }
    device, attempts = GpuUuid("GPU-a/7"), (AttemptId("research/slice"),)
    assert list(read_prometheus(prometheus.address, ASKED)) == [
        Recorded(Instant(T0 * 1_000), device, attempts, percent=100),
        Recorded(Instant((T0 + 30) * 1_000), device, attempts, percent=0),
    ]


def test_a_mean_or_a_sum_with_a_blank_in_it_is_none(prometheus: FakePrometheus) -> None:
    prometheus.series = {
        "GPU_UTIL": [(OURS, [(T0, "9.3e20"), (T0 + 30, "5")])],
        "POWER_USAGE": [(OURS, [(T0, "4.6e18"), (T0 + 30, "7e13")])],
        "TOTAL_ENERGY": [(OURS, [(T0, "9.223372036854775794e21")])],
        "FB_USED": [(OURS, [(T0 + 30, "18446744073709551588")])],
    }
    assert list(read_prometheus(prometheus.address, ASKED)) == [
        Recorded(Instant((T0 + 30) * 1_000), GpuUuid("GPU-a"), (AttemptId("research/train-0"),), percent=5)
    ]


def test_a_long_time_is_asked_for_in_parts_that_do_not_overlap(prometheus: FakePrometheus) -> None:
    list(read_prometheus(prometheus.address, PromRange(Instant(0), Instant(POINTS_MAX * 30_000), 30_000)))
    utilization = [asked for asked in prometheus.asked if "GPU_UTIL[" in asked["query"]]
    last = (POINTS_MAX - 1) * 30.0
    assert [(float(a["start"]), float(a["end"])) for a in utilization] == [(0, last), (last + 30, last + 30)]


NO_PROMETHEUS = [
    b"<html>",
    b'{"status": "error", "error": "no such label"}',
    b"[]",
    b'{"status": "success", "data": null}',
    b'{"status": "success", "data": {"result": "x"}}',
]


@pytest.mark.parametrize("answer", NO_PROMETHEUS)
def test_what_is_no_prometheus_is_refused(prometheus: FakePrometheus, answer: bytes) -> None:
    prometheus.answer = answer
    with pytest.raises(InvalidInput):
        list(read_prometheus(prometheus.address, ASKED))


@pytest.mark.parametrize(
    "answer",
    [
        *NO_PROMETHEUS,
        *(b'{"status": "success", "data": {"result": %s}}' % told for told in (b"[]", b'["x"]', b"[1e999]")),
    ],
)
def test_what_tells_no_time_is_no_prometheus(prometheus: FakePrometheus, answer: bytes) -> None:
    prometheus.answer = answer
    with pytest.raises(InvalidInput):
        PrometheusApi(prometheus.address).now()


def test_where_nobody_answers_it_is_unavailable() -> None:
    with pytest.raises(Unavailable):
        list(read_prometheus("http://127.0.0.1:9", ASKED))
