"""What launching costs over the bare patches: N suspended one-GPU Jobs, side by side on one apiserver.

`bare` is a plain client that sends ready-made patches and does nothing else. `adapter` is our Kubernetes adapter with
its watches running: it judges each Job by its generation, encodes its patch, reads the answer, and sees every launch
come back as a change. They take turns, on Jobs of their own. Run as `python -m benchmarks.launch [--jobs 5000]`.
"""

import argparse
import asyncio
import random
import statistics
import tempfile
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import aiohttp
import orjson

from benchmarks.measured import keep
from scheduler.adapters.kubernetes.cluster import ClusterSettings, KubernetesCluster
from scheduler.adapters.kubernetes.connection import ConnectionLimits
from scheduler.adapters.kubernetes.credentials import load_credentials
from scheduler.adapters.kubernetes.launching import launch_patch
from scheduler.domain.actions import ActionResult, CreateJob, LaunchJob
from scheduler.domain.cluster import GpuClass, Placement, PodRequest
from scheduler.domain.units import (
    AttemptId,
    EngineerId,
    GpuClassName,
    Instant,
    NodeName,
    PerMille,
    PriorityClassName,
    TeamName,
    WorkloadId,
)
from scheduler.domain.workloads import Workload, WorkloadKind, WorkloadSpec
from scheduler.entrypoints.devcluster import binaries
from scheduler.entrypoints.devcluster.cluster import ControlPlane, Options, start
from scheduler.entrypoints.devcluster.nodes import H100, GpuNode

GPUS_PER_NODE = 8
CLASS = GpuClass(GpuClassName("h100"), PerMille(1000), (("nvidia.com/gpu.product", H100.product),))
_JSON_PATCH = {"Content-Type": "application/json-patch+json"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=5_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--controllers", action="store_true", help="let controllers and scheduler run the Jobs, too")
    arguments = parser.parse_args()
    programs = binaries.provide(binaries.find_module())
    nodes = tuple(
        GpuNode(f"simulated-{index}", H100, gpus=GPUS_PER_NODE)
        for index in range(-(-arguments.jobs // GPUS_PER_NODE))
    )
    with tempfile.TemporaryDirectory() as scratch:
        options = Options(nodes, runs_workloads=arguments.controllers)
        plane = asyncio.run(start(programs, Path(scratch) / "cluster", options))
        try:
            rounds = [
                asyncio.run(_round(plane, number, arguments.jobs, arguments.connections))
                for number in range(arguments.rounds)
            ]
        finally:
            plane.stop()
    bare, adapter = (statistics.median(times) for times in zip(*rounds, strict=True))
    result = {
        "jobs": arguments.jobs,
        "connections": arguments.connections,
        "controllers": arguments.controllers,
        "bare_seconds": [round(times[0], 2) for times in rounds],
        "adapter_seconds": [round(times[1], 2) for times in rounds],
        "ratio_of_medians": round(adapter / bare, 2),
    }
    print(orjson.dumps(keep("launch", result), option=orjson.OPT_INDENT_2).decode())


async def _round(plane: ControlPlane, number: int, jobs: int, connections: int) -> tuple[float, float]:
    """Seconds of the bare patches and of the adapter, each on new Jobs; who goes first changes with each round."""
    async with plane.client() as api:
        for side in ("bare", "adapter"):
            await api.post("/api/v1/namespaces", {"metadata": {"name": f"{side}-{number}"}})
    seconds: dict[str, float] = {}
    for side in ("bare", "adapter") if number % 2 == 0 else ("adapter", "bare"):
        namespace = f"{side}-{number}"
        cluster = _adapter(plane, namespace, connections)
        await cluster.start()
        try:
            launches = await _created(cluster, namespace, jobs)
            if side == "bare":
                await cluster.close()
                seconds[side] = await _patch_barely(plane, launches, connections)
            else:
                seconds[side] = await _launch(cluster, launches)
        finally:
            await cluster.close()
    return seconds["bare"], seconds["adapter"]


async def _launch(cluster: KubernetesCluster, launches: Sequence[LaunchJob]) -> float:
    """Until every launch was answered and seen."""
    began = time.perf_counter()
    applying = asyncio.create_task(cluster.apply(launches))
    waiting = {launch.job_uid for launch in launches}
    while waiting:
        changes = await cluster.changes(1.0)
        waiting -= {uid for uid, job in changes.jobs.items() if job is not None and not job.is_suspended}
    outcomes = await applying
    seconds = time.perf_counter() - began
    assert all(outcome.result is ActionResult.DONE for outcome in outcomes), outcomes[0]
    return seconds


async def _patch_barely(plane: ControlPlane, launches: Sequence[LaunchJob], connections: int) -> float:
    """The same patches, ready-made, over as many connections."""
    tls = load_credentials(str(plane.kubeconfig)).tls()
    assert tls is not None
    ready = iter(
        [
            (
                f"{plane.server}/apis/batch/v1/namespaces/{launch.workload.namespace}/jobs/{launch.workload.job_name}",
                orjson.dumps(launch_patch(launch, changes_resource=False)),
            )
            for launch in launches
        ]
    )
    connector = aiohttp.TCPConnector(limit=connections, ssl=tls)
    async with aiohttp.ClientSession(connector=connector, headers=_JSON_PATCH) as session:

        async def send() -> None:
            for url, body in ready:
                async with session.patch(url, data=body) as response:
                    assert response.status == 200, await response.text()
                    await response.read()

        began = time.perf_counter()
        await asyncio.gather(*(send() for _ in range(connections)))
        return time.perf_counter() - began


async def _created(cluster: KubernetesCluster, namespace: str, jobs: int) -> list[LaunchJob]:
    workloads = [_workload(f"w-{number}", namespace) for number in range(jobs)]
    outcomes = await cluster.apply([CreateJob(workload, CLASS) for workload in workloads])
    launches: list[LaunchJob] = []
    for number, (workload, outcome) in enumerate(zip(workloads, outcomes, strict=True)):
        assert outcome.job_uid is not None, outcome.message
        node = NodeName(f"simulated-{number // GPUS_PER_NODE}")
        attempt_id = AttemptId(f"{workload.id}-a1")
        placement = Placement(((node, 1),))
        launches.append(LaunchJob(workload, attempt_id, outcome.job_uid, outcome.generation or 1, CLASS, placement))
    return launches


def _workload(name: str, namespace: str) -> Workload:
    spec = WorkloadSpec(
        name=name,
        kind=WorkloadKind.JOB,
        project=None,
        gpu_classes=(CLASS.name,),
        priority_class=PriorityClassName("standard"),
        time_limit_ms=3_600_000,
        pod=PodRequest(gpus=1, cpu_milli=1000, memory_mib=1024),
        image="example/train:1",
    )
    return Workload(
        id=WorkloadId(name),
        owner=EngineerId("e-1"),
        team=TeamName("team"),
        spec=spec,
        submitted_at=Instant(0),
        namespace=namespace,
        job_name=name,
    )


def _adapter(plane: ControlPlane, namespace: str, connections: int) -> KubernetesCluster:
    settings = ClusterSettings(namespaces=(namespace,), limits=ConnectionLimits(connections=connections))
    cluster = KubernetesCluster(
        partial(load_credentials, str(plane.kubeconfig)),
        settings,
        now=lambda: Instant(time.time_ns() // 1_000_000),
        jitter=random.Random(1).random,
    )
    cluster.use_gpu_classes({CLASS.name: CLASS})
    return cluster


if __name__ == "__main__":
    main()
