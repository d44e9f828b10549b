"""Pods on a real node: made, and seen as the apiserver, the kernel and the pod itself have them."""

from pathlib import Path

import aiohttp

from scheduler.entrypoints.devcluster.client import ApiClient, Json
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


async def answer_of(url: str) -> str:
    """What a server says, once it does."""

    async def asked() -> str:
        try:
            async with aiohttp.ClientSession() as http, http.get(url) as response:
                return await response.text()
        except aiohttp.ClientError:
            return ""

    return await eventually(asked, bool, LIMIT_SECONDS)


def environment_of(pid: int) -> dict[str, str]:
    """What a process was started with; empty where it is gone."""
    try:
        entries = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return {}
    pairs = (entry.decode(errors="replace").partition("=") for entry in entries if entry)
    return {name: value for name, _, value in pairs}
