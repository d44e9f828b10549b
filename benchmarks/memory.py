"""How much memory the service needs with so many workloads known: queued, with a Job each, launched as GPUs come free.

python -m benchmarks.memory [--workloads 50000] [--seconds 120] writes the workloads into a SQLite file, starts the
service on it in a process of its own, and reads that process's resident memory until the time is over. The cluster is
simulated in the same process and counts in full, as the mirror of a real one would; it is not saved meanwhile, which
only the embedded default does.
"""

import argparse
import asyncio
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import orjson

from benchmarks.measured import keep
from scheduler.adapters.sql.store import open_store
from scheduler.domain.cluster import PodRequest
from scheduler.domain.people import Engineer
from scheduler.domain.units import GpuClassName, Instant, PriorityClassName, ProjectName, WorkloadId
from scheduler.domain.workloads import Workload, WorkloadKind, WorkloadSpec
from scheduler.entrypoints.bootstrap import build
from scheduler.entrypoints.cli.server import prefer_short_pauses, run
from scheduler.entrypoints.settings import Settings
from scheduler.lifecycle.asking.judge import new_workload
from scheduler.simulation.clock import SimulatedClock
from scheduler.simulation.cluster import SimulatedCluster
from scheduler.simulation.fates import fate_of
from scheduler.simulation.machines import example_machines
from scheduler.simulation.model import ClusterModel
from scheduler.simulation.stream import opening_instant

ROOT = Path(__file__).parents[1]
GOAL_MIB = 476  # 500 MB
FACTOR = 60
READY_SECONDS = 600.0
LOOK_EVERY_SECONDS = 1.0
AT_ONCE = 5_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workloads", type=int, default=50_000)
    parser.add_argument("--seconds", type=int, default=120, help="how long the service is watched")
    parser.add_argument("--serve", metavar="DATABASE", help="be the service that is watched")
    arguments = parser.parse_args()
    if arguments.serve is not None:
        _serve(arguments.serve)
        return
    with tempfile.TemporaryDirectory() as scratch:
        database = f"sqlite:///{scratch}/memory.db"
        fill(database, arguments.workloads)
        result = _watch(database, arguments.workloads, arguments.seconds)
    print(orjson.dumps(keep("memory", result), option=orjson.OPT_INDENT_2).decode())


def _serve(database: str) -> None:
    clock = SimulatedClock(opening_instant(Instant(int(time.time()) * 1000)), FACTOR, time.monotonic)
    model = ClusterModel(example_machines(), lambda workload: fate_of(1, workload.spec))
    settings = Settings(database=database, port=0)
    service = build(settings, clock=clock, cluster=SimulatedCluster(model, clock))
    prefer_short_pauses()
    asyncio.run(run(service))


def fill(database: str, count: int) -> None:
    """The example policy and people as `allot serve` would put them, and the workloads as submissions would."""
    service = build(Settings(database=database, stream=False))
    people = sorted(service.world.people.values(), key=lambda engineer: engineer.subject)
    now = service.clock.now()
    service.store.close()
    store = open_store(database, migrate=False)
    try:
        for start in range(0, count, AT_ONCE):
            numbers = range(start, min(count, start + AT_ONCE))
            with store.writing() as books:
                books.workloads.add([_workload(number, people[number % len(people)], now) for number in numbers])
    finally:
        store.close()


def _workload(number: int, owner: Engineer, now: Instant) -> Workload:
    """A name, an image and a command of its own each, as in life: nothing that interning could share."""
    spec = WorkloadSpec(
        name=f"train-{number:05d}",
        kind=WorkloadKind.JOB,
        project=ProjectName("atlas"),
        gpu_classes=(GpuClassName("A100"), GpuClassName("L40S")),
        priority_class=PriorityClassName("standard"),
        time_limit_ms=3_600_000,
        pod=PodRequest(gpus=1, cpu_milli=4_000, memory_mib=32_768),
        image=f"registry.example.com/team/train:{number % 500}",
        command=("python", "train.py", "--config", f"configs/run-{number}.yaml", "--seed", str(number)),
    )
    submitted_at = Instant(now - number * 10)
    return new_workload(spec, owner, workload_id=WorkloadId(f"w-{number:010d}"), namespace="allot", now=submitted_at)


def _watch(database: str, count: int, seconds: int) -> dict[str, object]:
    command = [sys.executable, "-m", "benchmarks.memory", "--serve", database]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        try:
            address = next(line.split()[3] for line in lines_of(server) if line.startswith("allot listens on "))
            looks = list(looks_at(server.pid, seconds))
            states = states_at(address)
        finally:
            server.terminate()
    peak, last = max(peak for peak, _ in looks), looks[-1][1]
    return {
        "workloads": count,
        "known": sum(states.values()),
        "states": states,
        "watched_seconds": seconds,
        "resident_mib": last,
        "peak_mib": peak,
        "goal_mib": GOAL_MIB,
        "is_met": peak < GOAL_MIB,
        "includes": "the simulated cluster, in the same process",
    }


def lines_of(server: "subprocess.Popen[str]") -> Iterator[str]:
    assert server.stdout is not None
    yield from server.stdout
    raise SystemExit("the server ended before it listened")


def looks_at(pid: int, seconds: int) -> Iterator[tuple[int, int]]:
    """(peak, present) resident MiB, once a second."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        status = Path(f"/proc/{pid}/status").read_text()
        yield _mib(status, "VmHWM"), _mib(status, "VmRSS")
        time.sleep(LOOK_EVERY_SECONDS)


def _mib(status: str, field: str) -> int:
    found = re.search(rf"^{field}:\s+(\d+) kB$", status, re.MULTILINE)
    assert found is not None, f"/proc says nothing of {field}"
    return int(found[1]) // 1024


def states_at(address: str) -> dict[str, int]:
    """How many workloads the service says it knows, by state."""
    text = httpx.get(f"{address}/metrics", timeout=READY_SECONDS).text
    return {
        state: int(float(count))
        for state, count in re.findall(r'^allot_workloads\{.*?state="(\w+)"\} (\S+)$', text, re.MULTILINE)
    }


if __name__ == "__main__":
    main()
