"""How long a submission through the API takes, at a steady rate, against the whole service on a SQLite file.

python -m benchmarks.submit [--rate 100] [--seconds 30] starts `allot serve` on a quiet simulated cluster in a process
of its own, so that the loops run and launch what is submitted, and prints one JSON object. Latency counts from the
instant at which a submission was due, not from when it could be sent: a server that stalls is not excused.
"""

import argparse
import asyncio
import os
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import aiohttp
import orjson

from benchmarks.measured import keep

ROOT = Path(__file__).parents[1]
GOAL_P99_MS = 25.0
READY_SECONDS = 60.0
WARM_UP_SECONDS = 3.0
PEOPLE = ("ada", "bao", "chiara")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=int, default=100, help="submissions a second")
    parser.add_argument("--seconds", type=int, default=30)
    arguments = parser.parse_args()
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as scratch:
        command = _command(Path(scratch))
        with subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        ) as server:
            try:
                address = _address(server)
                result = asyncio.run(_measure(address, arguments.rate, arguments.seconds))
                result["server_processor_seconds"] = _processor_seconds(server.pid)
            finally:
                server.terminate()
    print(orjson.dumps(keep("submit", {**result, "load_average_before": load}), option=orjson.OPT_INDENT_2).decode())


def _command(scratch: Path) -> list[str]:
    options = {
        "port": "0",
        "database": f"sqlite:///{scratch / 'submit.db'}",
        "policy": str(ROOT / "policies" / "example.yaml"),
        "people": str(ROOT / "policies" / "people.yaml"),
    }
    program = "from scheduler.entrypoints.cli import main; main()"
    given = [f"--{name}={value}" for name, value in options.items()]
    return [sys.executable, "-c", program, "serve", "--no-stream", "--demo-sign-in", *given]


def _address(server: "subprocess.Popen[str]") -> str:
    """Where it listens, from the line that says so."""
    assert server.stdout is not None
    deadline = time.monotonic() + READY_SECONDS
    for line in server.stdout:
        if line.startswith("allot listens on "):
            return line.split()[3]
        if time.monotonic() > deadline:
            break
    raise SystemExit(f"the server did not start within {READY_SECONDS:.0f} s")


def _processor_seconds(pid: int) -> float:
    """What the server used from its start to now, in every thread: user and system time of /proc/PID/stat."""
    fields = Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def _measure(address: str, rate: int, seconds: int) -> dict[str, object]:
    connector = aiohttp.TCPConnector(limit=64)
    async with aiohttp.ClientSession(address, connector=connector) as http:
        tokens = [await _token(http, subject) for subject in PEOPLE]
        await _flow(http, tokens, rate, round(WARM_UP_SECONDS * rate))
        taken = sorted(await _flow(http, tokens, rate, rate * seconds))
    p99 = _percentile(taken, 990)
    return {
        "rate_per_second": rate,
        "submissions": len(taken),
        "p50_ms": _percentile(taken, 500),
        "p95_ms": _percentile(taken, 950),
        "p99_ms": p99,
        "max_ms": round(taken[-1] * 1000, 2),
        "goal_p99_ms": GOAL_P99_MS,
        "is_met": p99 < GOAL_P99_MS,
    }


async def _flow(http: aiohttp.ClientSession, tokens: Sequence[str], rate: int, count: int) -> list[float]:
    """Seconds from due to answered, each on its own."""
    began = time.perf_counter() + 0.1

    async def one(number: int) -> float:
        due = began + number / rate
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        headers = {
            "Authorization": f"Bearer {tokens[number % len(tokens)]}",
            "Idempotency-Key": secrets.token_hex(12),
        }
        async with http.post("/v1/workloads", json=_job(number), headers=headers) as answer:
            body = await answer.read()
            if answer.status != 201:
                raise SystemExit(f"refused: {body.decode()}")
        return time.perf_counter() - due

    return list(await asyncio.gather(*(one(number) for number in range(count))))


async def _token(http: aiohttp.ClientSession, subject: str) -> str:
    async with http.post("/v1/demo/tokens", json={"subject": subject}) as answer:
        issued = await answer.json()
    return str(issued["token"])


def _job(number: int) -> dict[str, object]:
    return {
        "name": f"job-{number}",
        "project": "atlas",
        "gpu_classes": ["A100"],
        "gpus_per_pod": 1,
        "time_limit_ms": 600_000,
        "image": "registry.example.com/train:1",
        "command": ["python", "train.py"],
    }


def _percentile(ordered: Sequence[float], per_mille: int) -> float:
    return round(ordered[min(len(ordered) - 1, len(ordered) * per_mille // 1000)] * 1000, 2)


if __name__ == "__main__":
    main()
