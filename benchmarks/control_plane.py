"""How fast the simulated cluster itself is: the floor under every other figure taken on it.

python -m benchmarks.control_plane [--jobs 600] [--nodes 75] prints one JSON object: seconds until the control plane is
ready, and to create, let go and complete that many one-GPU Jobs whose pods run for a second.
"""

import argparse
import asyncio
import tempfile
import time
from pathlib import Path

import orjson

from benchmarks.measured import keep
from scheduler.entrypoints.devcluster import binaries, simulated
from scheduler.entrypoints.devcluster.client import ApiClient, Json
from scheduler.entrypoints.devcluster.cluster import ControlPlane, Options, start
from scheduler.entrypoints.devcluster.nodes import H100, GpuNode

_JOBS = "/apis/batch/v1/namespaces/default/jobs"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=600)
    parser.add_argument("--nodes", type=int, default=75, help="of eight GPUs each")
    arguments = parser.parse_args()
    programs = binaries.provide(binaries.find_module())
    nodes = tuple(GpuNode(f"simulated-{index}", H100, gpus=8) for index in range(arguments.nodes))
    with tempfile.TemporaryDirectory() as scratch:
        began = time.perf_counter()
        plane = asyncio.run(start(programs, Path(scratch) / "cluster", Options(nodes)))
        ready_seconds = time.perf_counter() - began
        try:
            measured = asyncio.run(_flow(plane, arguments.jobs))
        finally:
            plane.stop()
    result = {"jobs": arguments.jobs, "nodes": arguments.nodes, "ready_seconds": ready_seconds} | measured
    print(orjson.dumps(keep("control_plane", {key: round(value, 3) for key, value in result.items()})).decode())


async def _flow(plane: ControlPlane, count: int) -> dict[str, float]:
    names = [f"job-{index}" for index in range(count)]
    async with plane.client(connections=32) as api:
        began = time.perf_counter()
        await asyncio.gather(*(api.post(_JOBS, _job(name)) for name in names))
        created = time.perf_counter()
        await asyncio.gather(*(api.patch(f"{_JOBS}/{name}", {"spec": {"suspend": False}}) for name in names))
        let_go = time.perf_counter()
        await _completions(api, count)
        completed = time.perf_counter()
    return {
        "create_seconds": created - began,
        "let_go_seconds": let_go - created,
        "complete_seconds": completed - let_go,
    }


async def _completions(api: ApiClient, count: int) -> None:
    """Returns when that many Jobs have completed, by watching: polling 600 Jobs would be part of the figure."""
    complete: set[str] = set()
    async for event in api.watch(_JOBS):
        job = event["object"]
        if job["status"].get("completionTime"):
            complete.add(job["metadata"]["name"])
            if len(complete) == count:
                return


def _job(name: str) -> Json:
    return {
        "metadata": {"name": name},
        "spec": {
            "suspend": True,
            "backoffLimit": 0,
            "podReplacementPolicy": "Failed",
            "template": {
                "metadata": {"annotations": {simulated.RUN_SECONDS: "1"}},
                "spec": {
                    "restartPolicy": "Never",
                    "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists"}],
                    "containers": [
                        {"name": "main", "image": "example/train", "resources": {"limits": {"nvidia.com/gpu": 1}}}
                    ],
                },
            },
        },
    }


if __name__ == "__main__":
    main()
