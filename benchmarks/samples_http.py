"""What one replica takes of windows over HTTP: 1,000 nodes × 8 GPUs, each node posting its windows alone every 15 s.

python -m benchmarks.samples_http [--url postgresql://…] [--nodes 1000] [--rounds 4] starts `allot serve` on a simulated
cluster without load, in a process of its own, and plays the agents: 67 posts a second, each of eight windows, with the
agents' token and over a connection of its own, sent when it is due whether or not those before it were answered. One JSON
object is printed. Seconds of processor are the service's alone, its loops included; a database server's are not in them.
Without --url the database is a SQLite file; a PostgreSQL must be empty.
"""

import argparse
import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import aiohttp
import orjson

from benchmarks.measured import keep
from benchmarks.samples import GOAL_PER_SECOND, GPUS, WINDOW_MS, body_of, inventory_of
from benchmarks.submit import ROOT, _address, _percentile
from scheduler.domain.periods import to_instant
from scheduler.domain.units import Instant, NodeName

ADMIN = "greta"
INVENTORIES_AT_ONCE = 32
CLOCK_TICKS = os.sysconf("SC_CLK_TCK")
MS_PER_SECOND = 1_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", default="", help="of an empty database")
    parser.add_argument("--nodes", type=int, default=1_000)
    parser.add_argument("--rounds", type=int, default=4, help="windows of each GPU; the first is not measured")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        url = arguments.url or f"sqlite:///{scratch}/samples.db"
        with _service(url) as server:
            result = asyncio.run(_measure(_address(server), server.pid, arguments.nodes, arguments.rounds))
    name = "samples_http-postgresql" if arguments.url.startswith("postgres") else "samples_http"
    print(orjson.dumps(keep(name, result), option=orjson.OPT_INDENT_2).decode())


@contextmanager
def _service(url: str) -> "Iterator[subprocess.Popen[str]]":
    options = {
        "port": "0",
        "database": url,
        "policy": str(ROOT / "policies" / "example.yaml"),
        "people": str(ROOT / "policies" / "people.yaml"),
    }
    given = [f"--{name}={value}" for name, value in options.items()]
    command = [
        sys.executable,
        "-m",
        "scheduler.entrypoints.cli",
        "serve",
        "--no-stream",
        "--demo-sign-in",
        "--factor=1",
    ]
    with subprocess.Popen(
        [*command, *given], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as server:
        try:
            yield server
        finally:
            server.terminate()


async def _measure(address: str, pid: int, nodes: int, rounds: int) -> dict[str, Any]:
    names = [NodeName(f"node-{number:04}") for number in range(nodes)]
    connector = aiohttp.TCPConnector(limit=0, force_close=True)
    async with aiohttp.ClientSession(address, connector=connector) as http:
        http.headers["Authorization"] = f"Bearer {await _agents_token(http)}"
        starts_at = await _register(http, names)
        await _post_all(http, names, 1, starts_at)
        processor_before, began = processor_seconds(pid), time.perf_counter()
        taken: list[float] = []
        for number in range(2, rounds + 1):
            taken += await _post_all(http, names, number, starts_at)
        processor, seconds = processor_seconds(pid) - processor_before, time.perf_counter() - began
    return _summary(nodes, taken, processor, seconds)


def _summary(nodes: int, taken: Sequence[float], processor: float, seconds: float) -> dict[str, Any]:
    windows, ordered = GPUS * len(taken), sorted(taken)
    asked_for = GPUS * nodes * MS_PER_SECOND / WINDOW_MS
    return {
        "nodes": nodes,
        "windows": windows,
        "posts_per_second": round(len(taken) / seconds, 1),
        "windows_per_second": round(windows / seconds),
        "goal_per_second": GOAL_PER_SECOND,
        "is_kept_up_with": windows / seconds >= asked_for * 0.98,
        "processor_ms_per_post": round(processor / len(taken) * 1_000, 2),
        "share_of_a_core": round(processor / seconds, 3),
        "windows_per_second_of_processor": round(windows / processor),
        "post_p50_ms": _percentile(ordered, 500),
        "post_p99_ms": _percentile(ordered, 990),
        "post_max_ms": _percentile(ordered, 1_000),
    }


def processor_seconds(pid: int) -> float:
    """Of a process with all its threads, in the kernel and out of it."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / CLOCK_TICKS


async def _agents_token(http: aiohttp.ClientSession) -> str:
    """One that speaks for every node, as a DaemonSet has it."""
    admin = (await _answered(http.post("/v1/demo/tokens", json={"subject": ADMIN})))["token"]
    asked = {"subject": "node:*", "roles": ["agent"]}
    issued = await _answered(http.post("/v1/tokens", json=asked, headers={"Authorization": f"Bearer {admin}"}))
    return str(issued["token"])


async def _register(http: aiohttp.ClientSession, names: Sequence[NodeName]) -> Instant:
    """Tells of the nodes' GPUs; returns where their windows begin, by the service's own clock."""
    slots = asyncio.Semaphore(INVENTORIES_AT_ONCE)

    async def register(name: NodeName) -> int:
        async with slots, http.put(f"/v1/nodes/{name}/inventory", json=inventory_of(name)) as answer:
            answer.raise_for_status()
            return to_instant(datetime.fromisoformat(answer.headers["X-Allot-Now"]))

    return Instant(max(await asyncio.gather(*(register(name) for name in names))) - WINDOW_MS)


async def _post_all(
    http: aiohttp.ClientSession, names: Sequence[NodeName], number: int, starts_at: Instant
) -> list[float]:
    """A round of windows, spread over the length of one: seconds from due to answered of each post."""
    began = time.perf_counter()

    async def post(place: int, name: NodeName) -> float:
        due = began + place * WINDOW_MS / MS_PER_SECOND / len(names)
        await asyncio.sleep(due - time.perf_counter())
        body = orjson.dumps(body_of(name, number, starts_at))
        answer = await _answered(http.post(f"/v1/nodes/{name}/windows", data=body))
        assert not answer.get("refused"), answer
        return time.perf_counter() - due

    taken = await asyncio.gather(*(post(place, name) for place, name in enumerate(names)))
    await asyncio.sleep(max(0.0, began + WINDOW_MS / MS_PER_SECOND - time.perf_counter()))
    return list(taken)


async def _answered(request: Any) -> Any:
    async with request as answer:
        body = await answer.read()
        if answer.status >= 300:
            raise SystemExit(f"refused: {answer.status} {body.decode()}")
        return orjson.loads(body) if body else {}


if __name__ == "__main__":
    main()
