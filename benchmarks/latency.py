"""How long from submitting a sandbox to its pod bound: where GPUs are free, and where somebody must be preempted first.

python -m benchmarks.latency [--free 60] [--taken 24] [--rate 2] starts a control plane with simulated nodes and `allot
serve` on it in a process of its own, submits sandboxes through the API at a steady rate, and reads the binding of their
pods from a watch of its own. In the second part the cluster is full of preemptible jobs whose pods use up all of their
grace. Kubernetes is real; nodes and containers are not.
"""

import argparse
import asyncio
import os
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import aiohttp
import orjson

from benchmarks.measured import keep
from scheduler.entrypoints.devcluster import binaries, simulated
from scheduler.entrypoints.devcluster.client import ApiClient
from scheduler.entrypoints.devcluster.cluster import ControlPlane, Options, start
from scheduler.entrypoints.devcluster.nodes import H100, GpuNode

ROOT = Path(__file__).parents[1]
NAMESPACE = "allot"
PODS = f"/api/v1/namespaces/{NAMESPACE}/pods"
GPUS_PER_NODE = 8
GRACE_SECONDS = 3
GOAL_FREE_SECONDS = 1.0
GOAL_BEYOND_GRACE_SECONDS = 2.0
PATIENCE_SECONDS = 120.0
POLL_SECONDS = 0.1

POLICY = """
version: 1
images: ["*"]
gpu_classes:
  H100: {weight_per_mille: 1000, node_selector: {nvidia.com/gpu.product: NVIDIA-H100-80GB-HBM3}}
priority_classes:
  sandbox: {value: 800, hold: rolling, slice_minutes: 15, preemptible: false}
  off-peak: {value: 100}
tiers:
  staff: {allowance_gpu_hours: 100000}
pools:
  research: {teams: [research], quotas: {H100: {nominal_gpus: 1024}}, within_pool: LowerPriority}
projects:
  aurora: {team: research}
sandbox: {images: ["*"], default_image: registry.example/notebook:1}
"""
PEOPLE = """
version: 1
engineers:
  - {subject: ada, team: research, tier: staff}
"""

_ANY: dict[str, object] = {"project": "aurora", "gpu_classes": ["H100"], "time_limit_ms": 3_600_000}
SANDBOX = {**_ANY, "name": "sandbox", "priority_class": "sandbox"}
JOB = {
    **_ANY,
    "name": "job",
    "priority_class": "off-peak",
    "image": "registry.example/train:1",
    "grace_seconds": GRACE_SECONDS,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--free", type=int, default=60, help="sandboxes submitted while GPUs are free")
    parser.add_argument("--taken", type=int, default=24, help="sandboxes submitted while none is")
    parser.add_argument("--rate", type=float, default=2.0, help="submissions a second")
    arguments = parser.parse_args()
    programs = binaries.provide(binaries.find_module())
    nodes = tuple(
        GpuNode(f"simulated-{number}", H100, gpus=GPUS_PER_NODE)
        for number in range(-(-arguments.free // GPUS_PER_NODE))
    )
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        plane = asyncio.run(start(programs, scratch / "cluster", Options(nodes)))
        try:
            result = asyncio.run(_measure(plane, scratch, arguments.free, arguments.taken, arguments.rate))
        finally:
            plane.stop()
    print(orjson.dumps(keep("latency", result), option=orjson.OPT_INDENT_2).decode())


async def _measure(plane: ControlPlane, scratch: Path, free: int, taken: int, rate: float) -> dict[str, object]:
    token = secrets.token_hex(16)
    async with plane.client() as api:
        managed = {"name": NAMESPACE, "labels": {"allot.dev/managed": "true"}}
        await api.post("/api/v1/namespaces", {"metadata": managed})
        gpus = GPUS_PER_NODE * len(await api.items("/api/v1/nodes"))
        watching = asyncio.create_task((bound := Bindings(api)).follow())
        server = await asyncio.to_thread(_serve, plane, scratch, token)
        try:
            address = await asyncio.to_thread(_address, server)
            async with aiohttp.ClientSession(address) as http:
                company = await Company.open(http, token)
                await company.until_seen(gpus)
                at_once = await _bound_after(await company.submit("sandboxes", SANDBOX, free, rate), bound)
                await company.end_all()
                await bound.wait_for(await company.submit("workloads", JOB, gpus, 20 * rate))
                await _make_slow_to_end(api)
                by_preemption = await _bound_after(await company.submit("sandboxes", SANDBOX, taken, rate), bound)
        finally:
            server.terminate()
            await asyncio.to_thread(server.wait)
            watching.cancel()
    return _summary(at_once, by_preemption)


class Bindings:
    """When each workload's pod was first seen with a node, by this process's clock."""

    def __init__(self, api: ApiClient) -> None:
        self._api = api
        self._at: dict[str, float] = {}
        self._news = asyncio.Event()

    async def follow(self) -> None:
        version = ""
        while True:
            async for event in self._api.watch(PODS, version, allowWatchBookmarks="true"):
                pod = event["object"]
                version = pod["metadata"]["resourceVersion"]
                if pod.get("spec", {}).get("nodeName"):
                    workload = pod["metadata"]["labels"]["batch.kubernetes.io/job-name"]
                    self._at.setdefault(workload, time.perf_counter())
                    self._news.set()

    async def wait_for(self, submitted: Mapping[str, float]) -> dict[str, float]:
        """Their instants, once all are bound."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not submitted.keys() <= self._at.keys():
                self._news.clear()
                await self._news.wait()
        return {workload: self._at[workload] for workload in submitted}


class Company:
    """One engineer and what they ask of the API."""

    def __init__(self, http: aiohttp.ClientSession, token: str) -> None:
        self._http = http
        self._headers = {"Authorization": f"Bearer {token}"}

    @classmethod
    async def open(cls, http: aiohttp.ClientSession, bootstrap_token: str) -> "Company":
        headers = {"Authorization": f"Bearer {bootstrap_token}"}
        body = {"subject": "ada", "roles": ["engineer"]}
        async with http.post("/v1/tokens", json=body, headers=headers) as answer:
            return cls(http, str((await answer.json())["token"]))

    async def until_seen(self, gpus: int) -> None:
        """Until the service knows every GPU of the cluster."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while (await self._ask("GET", "/v1/cluster"))["gpus"] < gpus:
                await asyncio.sleep(POLL_SECONDS)

    async def submit(self, path: str, body: Mapping[str, object], count: int, rate: float) -> dict[str, float]:
        """That many, one every 1/rate seconds whether or not the last was answered: each id with when it was sent."""
        began = time.perf_counter()

        async def one(number: int) -> tuple[str, float]:
            await asyncio.sleep(max(0.0, began + number / rate - time.perf_counter()))
            sent = time.perf_counter()
            return str((await self._ask("POST", f"/v1/{path}", body))["id"]), sent

        return dict(await asyncio.gather(*(one(number) for number in range(count))))

    async def end_all(self) -> None:
        """Cancel everything, and wait until its GPUs are free."""
        page = await self._ask("GET", "/v1/workloads?limit=200")
        await asyncio.gather(*(self._ask("POST", f"/v1/workloads/{each['id']}/cancel") for each in page["items"]))
        async with asyncio.timeout(PATIENCE_SECONDS):
            while (await self._ask("GET", "/v1/cluster"))["in_use"] > 0:
                await asyncio.sleep(POLL_SECONDS)

    async def _ask(self, method: str, path: str, body: Mapping[str, object] | None = None) -> dict[str, Any]:
        async with self._http.request(method, path, json=body, headers=self._headers) as answer:
            found: dict[str, Any] = await answer.json(content_type=None)
            if answer.status >= 400:
                raise SystemExit(f"{method} {path}: {found}")
            return found


async def _bound_after(submitted: Mapping[str, float], bound: Bindings) -> list[float]:
    """Seconds from submitting to being bound, the shortest first."""
    at = await bound.wait_for(submitted)
    return sorted(at[workload] - sent for workload, sent in submitted.items())


async def _make_slow_to_end(api: ApiClient) -> None:
    """Every pod takes the whole of its grace from now on."""
    slow = {"metadata": {"annotations": {simulated.TERMINATION_SECONDS: str(GRACE_SECONDS)}}}
    pods = await api.items(PODS)
    await asyncio.gather(*(api.patch(f"{PODS}/{pod['metadata']['name']}", slow) for pod in pods))


def _serve(plane: ControlPlane, scratch: Path, token: str) -> "subprocess.Popen[str]":
    (scratch / "policy.yaml").write_text(POLICY)
    (scratch / "people.yaml").write_text(PEOPLE)
    options = {
        "cluster": "kubernetes",
        "kubeconfig": plane.kubeconfig,
        "port": 0,
        "database": f"sqlite:///{scratch}/latency.db",
        "policy": scratch / "policy.yaml",
        "people": scratch / "people.yaml",
    }
    program = "from scheduler.entrypoints.cli import main; main()"
    command = [sys.executable, "-c", program, "serve", *(f"--{name}={value}" for name, value in options.items())]
    env = {**os.environ, "ALLOT_BOOTSTRAP_TOKEN": token}
    return subprocess.Popen(command, cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)


def _address(server: "subprocess.Popen[str]") -> str:
    assert server.stdout is not None
    for line in server.stdout:
        if line.startswith("allot listens on "):
            return line.split()[3]
    raise SystemExit("the server ended before it listened")


def _summary(at_once: Sequence[float], by_preemption: Sequence[float]) -> dict[str, object]:
    free, taken = _percentile(at_once, 950), _percentile(by_preemption, 950)
    goal_taken = GRACE_SECONDS + GOAL_BEYOND_GRACE_SECONDS
    return {
        "free": {"sandboxes": len(at_once), "p50_seconds": _percentile(at_once, 500), "p95_seconds": free},
        "taken": {
            "sandboxes": len(by_preemption),
            "victims_grace_seconds": GRACE_SECONDS,
            "p50_seconds": _percentile(by_preemption, 500),
            "p95_seconds": taken,
        },
        "goal_free_p95_seconds": GOAL_FREE_SECONDS,
        "goal_taken_p95_seconds": goal_taken,
        "is_met": free < GOAL_FREE_SECONDS and taken < goal_taken,
    }


def _percentile(ordered: Sequence[float], per_mille: int) -> float:
    return round(ordered[min(len(ordered) - 1, len(ordered) * per_mille // 1000)], 3)


if __name__ == "__main__":
    main()
