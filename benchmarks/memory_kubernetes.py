"""The same over a real apiserver: the service's memory with so many workloads known, each with a Job there.

python -m benchmarks.memory_kubernetes [--workloads 50000] writes the workloads into a SQLite file, starts etcd and an
apiserver with nodes of eight A100s, and the service on both in a process of its own. It creates a suspended Job for each
workload, watches them all, and launches what fits. Its resident memory is read until every Job is there and for
`--seconds` after that. Nobody runs the Jobs: neither controllers nor kubelets are started.
"""

import argparse
import asyncio
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import orjson

from benchmarks.measured import keep
from benchmarks.memory import GOAL_MIB, ROOT, fill, lines_of, looks_at, states_at
from scheduler.entrypoints.bootstrap import build
from scheduler.entrypoints.cli.server import prefer_short_pauses, run
from scheduler.entrypoints.devcluster import binaries
from scheduler.entrypoints.devcluster.cluster import ControlPlane, Options, start
from scheduler.entrypoints.devcluster.nodes import A100, GpuNode
from scheduler.entrypoints.settings import ClusterKind, Settings

NAMESPACE = "allot"
LONGEST_SECONDS = 1_800
LOOK_SECONDS = 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workloads", type=int, default=50_000)
    parser.add_argument("--nodes", type=int, default=100, help="of eight GPUs each")
    parser.add_argument("--seconds", type=int, default=30, help="how long it is watched once every Job is there")
    parser.add_argument("--serve", nargs=2, metavar=("DATABASE", "KUBECONFIG"), help="be the service that is watched")
    arguments = parser.parse_args()
    if arguments.serve is not None:
        _serve(*arguments.serve)
        return
    programs = binaries.provide(binaries.find_module())
    nodes = tuple(GpuNode(f"simulated-{index}", A100, gpus=8) for index in range(arguments.nodes))
    with tempfile.TemporaryDirectory() as scratch:
        database = f"sqlite:///{scratch}/memory.db"
        fill(database, arguments.workloads)
        plane = asyncio.run(start(programs, Path(scratch) / "cluster", Options(nodes, runs_workloads=False)))
        try:
            asyncio.run(_make_namespace(plane))
            result = _watch(plane, database, arguments.workloads, arguments.seconds)
        finally:
            plane.stop()
    print(orjson.dumps(keep("memory_kubernetes", result), option=orjson.OPT_INDENT_2).decode())


def _serve(database: str, kubeconfig: str) -> None:
    settings = Settings(cluster=ClusterKind.KUBERNETES, database=database, kubeconfig=kubeconfig, port=0)
    service = build(settings)
    prefer_short_pauses()
    asyncio.run(run(service))


async def _make_namespace(plane: ControlPlane) -> None:
    async with plane.client() as api:
        labels = {"allot.dev/managed": "true"}
        await api.post("/api/v1/namespaces", {"metadata": {"name": NAMESPACE, "labels": labels}})


async def _jobs(plane: ControlPlane) -> int:
    async with plane.client() as api:
        listed = await api.get(f"/apis/batch/v1/namespaces/{NAMESPACE}/jobs", limit="1")
    return len(listed["items"]) + int(listed["metadata"].get("remainingItemCount", 0))


def _watch(plane: ControlPlane, database: str, count: int, seconds: int) -> dict[str, object]:
    command = [sys.executable, "-m", "benchmarks.memory_kubernetes", "--serve", database, str(plane.kubeconfig)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        try:
            address = next(line.split()[3] for line in lines_of(server) if line.startswith("allot listens on "))
            began = time.monotonic()
            while (jobs := asyncio.run(_jobs(plane))) < count and time.monotonic() - began < LONGEST_SECONDS:
                time.sleep(LOOK_SECONDS)
            created_seconds = time.monotonic() - began
            peak, last = list(looks_at(server.pid, seconds))[-1]
            states = states_at(address)
        finally:
            server.terminate()
    return {
        "workloads": count,
        "known": sum(states.values()),
        "states": states,
        "jobs": jobs,
        "created_seconds": round(created_seconds),
        "resident_mib": last,
        "peak_mib": peak,
        "goal_mib": GOAL_MIB,
        "is_met": peak < GOAL_MIB and jobs == count,
        "over": "a real apiserver through the Kubernetes adapter; nobody runs the Jobs",
    }


if __name__ == "__main__":
    main()
