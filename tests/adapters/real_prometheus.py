"""A real Prometheus of Debian's package, for one test: with a history that promtool wrote, or scraping a page."""

import json
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

READY_SECONDS = 120.0
LEFT_OUT = (
    "no prometheus and promtool here: tests against a real Prometheus are left out (Debian's package prometheus)"
)
PROGRAMS = ("prometheus", "promtool")

needed = pytest.mark.skipif(not all(map(shutil.which, PROGRAMS)), reason=LEFT_OUT)

Point = tuple[int, str]
"""Milliseconds and a value, as an exporter writes it."""
History = Mapping[frozenset[tuple[str, str]], list[Point]]
"""Series by their labels, `__name__` among them."""


def write_history(folder: Path, history: History) -> None:
    """Blocks of the past, as promtool makes them of OpenMetrics text."""
    text = folder / "history.txt"
    lines: list[str] = []
    for name in sorted({dict(key)["__name__"] for key in history}):
        lines.append(f"# TYPE {name} gauge")
        for key in sorted(history, key=sorted):
            labels = dict(key)
            if labels.pop("__name__") == name:
                shown = ",".join(f'{label}="{value}"' for label, value in sorted(labels.items()))
                lines += [f"{name}{{{shown}}} {value} {at_ms / 1_000:.3f}" for at_ms, value in history[key]]
    text.write_text("\n".join([*lines, "# EOF", ""]))
    command = ["promtool", "tsdb", "create-blocks-from", "openmetrics", "-q", str(text), str(folder / "data")]
    subprocess.run(command, check=True, capture_output=True, timeout=READY_SECONDS)


@contextmanager
def serving(folder: Path, scraped: str = "", labels: Mapping[str, str] | None = None) -> Iterator[str]:
    """The address of a Prometheus over `folder`, ready to be asked. `scraped` is host:port of an exporter, read twice a
    second; `labels` are what service discovery would add to it."""
    config = folder / "prometheus.yml"
    targets = {"targets": [scraped], "labels": dict(labels or {})}
    settings = {
        "global": {"scrape_interval": "500ms", "scrape_timeout": "500ms"},
        "scrape_configs": [{"job_name": "dcgm", "static_configs": [targets]}] if scraped else [],
    }
    config.write_text(json.dumps(settings))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    with (folder / "prometheus.log").open("wb") as log:
        server = subprocess.Popen(
            [
                *("prometheus", f"--config.file={config}", f"--storage.tsdb.path={folder / 'data'}"),
                *("--storage.tsdb.retention.time=100y", f"--web.listen-address=127.0.0.1:{port}"),
            ],
            stdout=log,
            stderr=log,
        )
    try:
        _wait_until_ready(server, address, folder / "prometheus.log")
        yield address
    finally:
        server.terminate()
        server.wait(READY_SECONDS)


def _wait_until_ready(server: subprocess.Popen[bytes], address: str, log: Path) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        assert server.poll() is None, log.read_text()
        try:
            if httpx.get(f"{address}/-/ready").is_success:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.05)
    raise AssertionError(f"Prometheus was not ready within {READY_SECONDS:.0f} s: {log.read_text()}")
