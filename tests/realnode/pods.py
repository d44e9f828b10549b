"""Pods on a real node: made, and seen as the apiserver, the kernel and the pod itself have them."""

import asyncio
from enum import Enum
from pathlib import Path

import aiohttp

from scheduler.entrypoints.devcluster.client import ApiClient, Json
from scheduler.entrypoints.devcluster.cluster import ControlPlane
from tests.plugins.polling import eventually

LIMIT_SECONDS = 300.0
"""Until a pod runs, has ended, or is at rest: many times what it takes on a quiet machine."""


async def in_phase(api: ApiClient, namespace: str, name: str, phase: str) -> Json:
    """The pod, once it is there."""
    return await eventually(
        lambda: api.get(f"/api/v1/namespaces/{namespace}/pods/{name}"),
        lambda pod: pod["status"].get("phase") == phase,
        LIMIT_SECONDS,
    )


async def idle_pod(api: ApiClient, namespace: str, name: str, node: str, image: str) -> Json:
    """One of nobody's, without a GPU, that runs on the node until it is deleted."""
    container = {"name": "main", "image": image, "imagePullPolicy": "Never", "command": ["sleep", "2147483647"]}
    spec = {
        "nodeSelector": {"kubernetes.io/hostname": node},
        "tolerations": [{"operator": "Exists"}],
        "automountServiceAccountToken": False,
        "terminationGracePeriodSeconds": 0,
        "containers": [container],
    }
    await api.post(f"/api/v1/namespaces/{namespace}/pods", {"metadata": {"name": name}, "spec": spec})
    return await in_phase(api, namespace, name, "Running")


async def answer_of(url: str) -> str:
    """What a server says, once it does."""

    async def asked() -> str:
        try:
            async with aiohttp.ClientSession() as http, http.get(url) as response:
                return await response.text()
        except aiohttp.ClientError:
            return ""

    return await eventually(asked, bool, LIMIT_SECONDS)


async def run_in(plane: ControlPlane, namespace: str, pod: str, *command: str) -> tuple[int | None, str]:
    """By `kubectl exec`: a program's exit code, and what it said."""
    process = await asyncio.create_subprocess_exec(
        *(plane.kubectl, f"--kubeconfig={plane.kubeconfig}", "exec", f"--namespace={namespace}", pod, "--"),
        *command,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    return process.returncode, said.decode()


class Reached(Enum):
    """What a pod meets at another's port."""

    ANSWER = "an answer"
    NOBODY = "nobody who listens"
    BAR = "somebody who lets nobody through"


async def reached_from(plane: ControlPlane, namespace: str, pod: str, url: str) -> Reached:
    """From inside a pod of busybox. Nothing is taken for a bar but what a firewall says of itself."""
    code, said = await run_in(plane, namespace, pod, "wget", "-q", "-O", "/dev/null", url)
    if code == 0:
        return Reached.ANSWER
    if "Connection refused" in said:
        return Reached.NOBODY
    assert "No route to host" in said or "Host is unreachable" in said, said
    return Reached.BAR


def environment_of(pid: int) -> dict[str, str]:
    """What a process was started with; empty where it is gone."""
    try:
        entries = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return {}
    pairs = (entry.decode(errors="replace").partition("=") for entry in entries if entry)
    return {name: value for name, _, value in pairs}
