"""`allot gpu judge --prometheus URL` and `--sensors prometheus` against a real Prometheus, where there is one."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from scheduler.adapters.prometheus.http import PrometheusApi
from scheduler.adapters.prometheus.sensors import PrometheusSensors
from scheduler.domain.units import GpuUuid, Instant
from scheduler.entrypoints.cli.app import app
from scheduler.metering.samples import PodRef
from tests.adapters import real_prometheus
from tests.adapters.real_prometheus import Point
from tests.plugins.polling import eventually

POLICY = Path(__file__).parents[3] / "policies" / "example.yaml"
POD = {"namespace": "research", "pod": "notebook-0", "container": "main"}
CARD = {"gpu": "0", "UUID": "GPU-a", "device": "nvidia0", "modelName": "NVIDIA H100 80GB HBM3", "Hostname": "gpu-7"}
EXPORTER = {"namespace": "monitoring", "pod": "dcgm-exporter-x7k2p", "node": "gpu-7"}
STEP_MS, BUSY, REST = 30_000, 40, 260

pytestmark = real_prometheus.needed


def judged(*source: str) -> Any:
    result = CliRunner().invoke(app, ["gpu", "judge", *source, "--policy", str(POLICY), "--json"])
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def resting(until_ms: int) -> dict[str, list[Point]]:
    """Twenty minutes of work and then two hours and ten minutes of rest, up to that instant; the counter is what is
    drawn."""
    told: dict[str, list[Point]] = {"GPU_UTIL": [], "POWER_USAGE": [], "TOTAL_ENERGY_CONSUMPTION": []}
    millijoules = 5_000_000
    for place in range(BUSY + REST):
        at = until_ms - (BUSY + REST - 1 - place) * STEP_MS
        percent, watts = (90, 600) if place < BUSY else (0, 70)
        millijoules += watts * STEP_MS
        told["GPU_UTIL"].append((at, str(percent)))
        told["POWER_USAGE"].append((at, str(watts)))
        told["TOTAL_ENERGY_CONSUMPTION"].append((at, str(millijoules)))
    return told


SINCE_4_9 = {"GPU_UTIL": ("GPU_UTIL_RATIO", 100), "POWER_USAGE": ("BOARD_POWER_WATTS", 1)}
SINCE_4_9 |= {"TOTAL_ENERGY_CONSUMPTION": ("GPU_ENERGY_JOULES_TOTAL", 1_000)}


@pytest.mark.parametrize("names", [{}, SINCE_4_9], ids=["names before 4.9", "names since 4.9"])
def test_a_history_in_prometheus_is_judged_as_the_same_rows_in_a_file(
    tmp_path: Path, names: dict[str, tuple[str, int]]
) -> None:
    until_ms = time.time_ns() // 1_000_000 // STEP_MS * STEP_MS
    told = resting(until_ms)
    labels = {**CARD, "exported_namespace": "research", "exported_pod": "notebook-0", **EXPORTER}
    history = {}
    for name, points in told.items():
        called, unit = names.get(name, (name, 1))
        key = frozenset({**labels, "__name__": f"DCGM_FI_DEV_{called}"}.items())
        history[key] = [(at, str(int(value) / unit if unit > 1 else value)) for at, value in points]
        for uuid in ("GPU-a", "GPU-of-ours"):
            ours = {**CARD, "UUID": uuid, "GPU_I_ID": "", "simulated": "false", "__name__": f"DCGM_FI_DEV_{name}"}
            history[frozenset(ours.items())] = [(at, str(place)) for place, (at, _) in enumerate(points)]
    real_prometheus.write_history(tmp_path, history)
    with real_prometheus.serving(tmp_path) as address:
        found = judged("--prometheus", address, "--since", "4h")
    rows = [
        f"{at},GPU-a,{percent},{int(millijoules) / 1_000},research/notebook-0"
        for (at, percent), (_, millijoules) in zip(told["GPU_UTIL"], told["TOTAL_ENERGY_CONSUMPTION"], strict=True)
    ]
    file = tmp_path / "same.csv"
    file.write_text("\n".join(["timestamp,gpu_uuid,utilization_percent,energy_joules,attempt", *rows, ""]))
    (attempt,), (same,) = found["attempts"], judged("--samples", str(file))["attempts"]
    assert attempt["attempt"] == same["attempt"] == "research/notebook-0"
    assert (len(attempt["warned_at"]), len(attempt["stopped_at"])) == (2, 1)
    assert attempt["stopped_at"] == same["stopped_at"]
    assert attempt["returned_gpu_hours"] == same["returned_gpu_hours"]
    assert found["gpus"][0]["idle_watts"] == 70.0
    assert [each["gpu_uuid"] for each in found["gpus"]] == ["GPU-a", "GPU-of-ours"]


@contextmanager
def exporter(page: bytes) -> Iterator[str]:
    """The host and port of a page that is always the same."""

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.send_header("Content-Length", str(len(page)))
            self.end_headers()
            self.wfile.write(page)

        def log_message(self, *arguments: Any) -> None:
            """Not to the test's output."""

    with HTTPServer(("127.0.0.1", 0), Page) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def dcgm_page() -> bytes:
    """A page as dcgm-exporter writes it: a GPU that a pod has, one of nobody, and a value that DCGM could not read."""
    with_pod, without = {**CARD, **POD}, {**CARD, "gpu": "1", "UUID": "GPU-b", "device": "nvidia1"}
    values = {"GPU_UTIL": ("85", "0"), "POWER_USAGE": ("412.5", "70.1"), "FB_USED": ("20480", "0")}
    values |= {"FB_FREE": ("61440", "81920"), "TOTAL_ENERGY_CONSUMPTION": ("123456789", "9223372036854775792")}
    lines = []
    for name, each in values.items():
        lines += [f"# HELP DCGM_FI_DEV_{name} As DCGM has it.", f"# TYPE DCGM_FI_DEV_{name} gauge"]
        for labels, value in zip((with_pod, without), each, strict=True):
            shown = ",".join(f'{label}="{text}"' for label, text in labels.items())
            lines.append(f"DCGM_FI_DEV_{name}{{{shown}}} {value}")
    return "\n".join([*lines, ""]).encode()


async def test_what_a_real_prometheus_scrapes_of_dcgm_exporter_is_read_with_whose_it_is(tmp_path: Path) -> None:
    started = Instant(time.time_ns() // 1_000_000)
    with (
        exporter(dcgm_page()) as page,
        real_prometheus.serving(tmp_path, page, EXPORTER) as address,
        closing(PrometheusApi(address)) as api,
    ):

        async def scraped() -> list[Any]:
            found: list[Any] = api.ask("query", {"query": "count_over_time(DCGM_FI_DEV_FB_FREE[1h]) >= 2"})
            return found

        await eventually(scraped, lambda series: len(series) == 2)
        known = {GpuUuid("GPU-a"): started, GpuUuid("GPU-b"): started}
        reading = PrometheusSensors(api, known, lag_ms=0).read(Instant(time.time_ns() // 1_000_000))
    last = {sample.gpu_uuid: sample for sample in reading.samples}
    used, free = (last[uuid] for uuid in sorted(last))
    assert used.utilization is not None
    assert used.utilization.max_percent == 85
    assert (used.power_milliwatts, used.energy_millijoules) == (412_500, 123_456_789)
    assert (used.memory_used_bytes, used.memory_total_bytes) == (20 << 30, 80 << 30)
    assert (used.granted, free.granted) == ((PodRef("research", "notebook-0"),), ())
    assert free.energy_millijoules is None, "DCGM's blank is no value"
    assert set(reading.node_of.values()) == {"gpu-7"}
    assert {(device.gpu_uuid, device.model) for device in reading.devices} == {
        ("GPU-a", CARD["modelName"]),
        ("GPU-b", CARD["modelName"]),
    }
