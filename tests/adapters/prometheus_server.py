"""Prometheus' query API in this process, over real HTTP: raw scrapes by a range selector, at the instant asked for."""

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import orjson

Labels = dict[str, str]
SELECTOR = re.compile(r'\{__name__=~"(?P<names>[^"]+)",UUID!="",simulated=""\}\[(?P<ms>\d+)ms\]')


@dataclass
class PrometheusServer:
    """`now_ms` is its clock. Series are kept by their labels, `__name__` among them; what is asked beyond its clock is
    not there yet."""

    now_ms: int
    series: dict[frozenset[tuple[str, str]], list[tuple[int, str]]] = field(default_factory=dict)
    asked: list[dict[str, str]] = field(default_factory=list)
    tokens: list[str | None] = field(default_factory=list)
    status: int = 200
    address: str = ""

    def scrape(self, at_ms: int, labels: Labels, values: dict[str, str]) -> None:
        for name, value in values.items():
            self.series.setdefault(frozenset({**labels, "__name__": name}.items()), []).append((at_ms, value))

    def answer(self, path: str) -> bytes:
        asked = {name: values[0] for name, values in parse_qs(urlsplit(path).query).items()}
        self.asked.append(asked)
        if self.status != 200:
            return orjson.dumps({"status": "error", "errorType": "internal", "error": "out of sorts"})
        if asked["query"] == "time()":
            result: Any = [self.now_ms / 1_000, f"{self.now_ms / 1_000:.3f}"]
            return _success("scalar", result)
        selector = SELECTOR.fullmatch(asked["query"])
        assert selector is not None, asked["query"]
        end = round(float(asked["time"]) * 1_000)
        return _success("matrix", list(self._matrix(selector["names"].split("|"), end - int(selector["ms"]), end)))

    def _matrix(self, names: list[str], after: int, until: int) -> Iterator[dict[str, Any]]:
        """Left-open, as from Prometheus 3 on."""
        for key, points in self.series.items():
            labels = dict(key)
            inside = [[at / 1_000, value] for at, value in points if after < at <= min(until, self.now_ms)]
            if labels["__name__"] in names and labels.get("UUID") and not labels.get("simulated") and inside:
                yield {"metric": labels, "values": inside}


def _success(kind: str, result: Any) -> bytes:
    return orjson.dumps({"status": "success", "data": {"resultType": kind, "result": result}})


@contextmanager
def serving(prometheus: PrometheusServer) -> Iterator[PrometheusServer]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            prometheus.tokens.append(self.headers.get("Authorization"))
            body = prometheus.answer(self.path)
            self.send_response(prometheus.status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments: Any) -> None:
            """Not to the test's output."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        prometheus.address = f"http://127.0.0.1:{server.server_port}/"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield prometheus
        finally:
            server.shutdown()
            thread.join()
