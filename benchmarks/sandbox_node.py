"""How long from submitting a sandbox to its first answer, on a real node with the image there already.

python -m benchmarks.sandbox_node [--sandboxes 20] starts a control plane and a real node (root on Linux), the service
with its API and an agent, and submits one sandbox after the other, each as soon as the last one is gone. Its clock stops
when its server answers at the pod's own address. Kubelet, containers and network are real; the GPUs are those of the fake
NVML library, and the server is busybox's, so what a notebook takes to start comes on top.
"""

import argparse
import asyncio
import tempfile
import time
from pathlib import Path

import aiohttp
import orjson

from benchmarks.measured import keep
from scheduler.domain.units import WorkloadId
from scheduler.domain.workloads import WorkloadState
from scheduler.entrypoints.devcluster import binaries
from scheduler.entrypoints.devcluster.client import ApiClient
from scheduler.entrypoints.devcluster.cluster import Options, this_process
from scheduler.entrypoints.devcluster.cluster import start as start_control_plane
from tests.nvml.machine import build_library
from tests.plugins.realnode import GPUS, IMAGE, LABELS
from tests.realnode.company import GREETING, SANDBOX_PORT, Company, working
from tests.realnode.machine import missing
from tests.realnode.node import start as start_node
from tests.realnode.pods import LIMIT_SECONDS
from tests.realnode.programs import provided_kubelet

GOAL_P95_SECONDS = 10.0
POLL_SECONDS = 0.02
NAMESPACE = "allot"
OWNER = "ada"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sandboxes", type=int, default=20, help="submitted one after the other")
    asked = parser.parse_args()
    reason = missing()
    if reason is not None:
        raise SystemExit(f"no real node can run here: {reason}")
    with tempfile.TemporaryDirectory() as folder:
        seconds = _on_a_node(Path(folder), asked.sandboxes)
    print(orjson.dumps(keep("sandbox_node", _summary(seconds)), option=orjson.OPT_INDENT_2).decode())


def _on_a_node(folder: Path, sandboxes: int) -> list[float]:
    programs = binaries.provide(binaries.find_module())
    plane = asyncio.run(start_control_plane(programs, folder / "cluster", Options(), this_process()))
    try:
        node = asyncio.run(start_node(plane, provided_kubelet(), GPUS, LABELS, (IMAGE,)))
        try:
            asyncio.run(_create_namespace(plane.client()))
            with working(node, NAMESPACE, build_library(folder), folder) as company:
                return asyncio.run(_measure(company, sandboxes))
        finally:
            node.stop()
    finally:
        plane.stop()


async def _create_namespace(client: ApiClient) -> None:
    async with client as api:
        await api.post("/api/v1/namespaces", {"metadata": {"name": NAMESPACE}})


async def _measure(company: Company, sandboxes: int) -> list[float]:
    """Seconds of each, in the order of their submission."""
    signed = {"Authorization": f"Bearer {company.token(OWNER)}"}
    # A connection each, as of people who submit one sandbox: one that is kept may be closed just as it is used again.
    once = aiohttp.TCPConnector(force_close=True)
    async with (
        aiohttp.ClientSession(company.server, headers=signed, connector=once) as service,
        aiohttp.ClientSession() as pods,
    ):
        return [await _one(company, service, pods) for _ in range(sandboxes)]


async def _one(company: Company, service: aiohttp.ClientSession, pods: aiohttp.ClientSession) -> float:
    began = time.perf_counter()
    asked = {"name": "notebook", "project": "aurora", "gpu_classes": ["H100"], "time_limit_ms": 3_600_000}
    async with service.post("/v1/sandboxes", json={**asked, "cpu_milli": 50, "memory_mib": 64}) as answer:
        answer.raise_for_status()
        sandbox = WorkloadId((await answer.json())["id"])
    async with asyncio.timeout(LIMIT_SECONDS):
        while not await _answers(company, pods, sandbox):
            await asyncio.sleep(POLL_SECONDS)
    seconds = time.perf_counter() - began
    await company.running.cancel(OWNER, sandbox)
    await company.running.until(sandbox, WorkloadState.CANCELLED, limit_seconds=LIMIT_SECONDS)
    return seconds


async def _answers(company: Company, pods: aiohttp.ClientSession, sandbox: WorkloadId) -> bool:
    """Its pod's address is the watch's word; its server's, that it is there."""
    address = next((pod.address for pod in company.witness.pods.values() if pod.name.startswith(sandbox)), "")
    if not address:
        return False
    try:
        async with pods.get(f"http://{address}:{SANDBOX_PORT}/") as answer:
            return (await answer.text()).strip() == GREETING
    except aiohttp.ClientError:
        return False


def _summary(seconds: list[float]) -> dict[str, object]:
    ordered = sorted(seconds)
    p95 = ordered[min(len(ordered) - 1, len(ordered) * 95 // 100)]
    return {
        "sandboxes": len(ordered),
        "p50_seconds": round(ordered[len(ordered) // 2], 3),
        "p95_seconds": round(p95, 3),
        "slowest_seconds": round(ordered[-1], 3),
        "goal_p95_seconds": GOAL_P95_SECONDS,
        "is_met": p95 < GOAL_P95_SECONDS,
    }


if __name__ == "__main__":
    main()
