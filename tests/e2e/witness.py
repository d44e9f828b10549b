"""What the apiserver itself says about pods, read by a watch of its own: nothing of the service's adapter is in it."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from scheduler.entrypoints.devcluster.client import ApiClient
from tests.controlplane.jobs import seconds

GPU = "nvidia.com/gpu"
ATTEMPT = "allot.dev/attempt"


@dataclass(frozen=True, slots=True)
class PodSeen:
    """One pod as its last status had it; instants are whole seconds since the epoch."""

    uid: str
    name: str
    job_uid: str
    attempt: str
    node: str
    gpus: int
    phase: str
    started_at: int | None
    finished_at: int | None
    exit_code: int | None
    is_removed: bool
    told_at: int | None = None
    """When its deletion was first asked for."""
    grace_seconds: int | None = None
    """The grace that it was given then."""
    address: str = ""
    """Its own in the pods' network, once it has one."""

    @property
    def has_ended(self) -> bool:
        return self.is_removed or self.phase in {"Succeeded", "Failed"}

    @property
    def gpu_seconds(self) -> int:
        """From its container's start to its end, as stamped; 0 where it never started."""
        if self.started_at is None:
            return 0
        assert self.ended_at is not None, f"nothing tells the end of {self}"
        return max(0, self.ended_at - self.started_at) * self.gpus

    @property
    def ended_at(self) -> int | None:
        """Its finishedAt. One that was removed without, as a pod deleted before it was bound is, had no grace: it
        ended when it was deleted. Of one that had a grace nothing tells how much of it was used."""
        if self.finished_at is not None or not self.is_removed:
            return self.finished_at
        return self.told_at if self.grace_seconds == 0 else None


class Witness:
    """Follows every pod of a namespace from the moment of `begin`."""

    def __init__(self, api: ApiClient, namespace: str) -> None:
        self._api = api
        self._path = f"/api/v1/namespaces/{namespace}/pods"
        self._watching: asyncio.Task[None] | None = None
        self.pods: dict[str, PodSeen] = {}

    async def begin(self) -> None:
        listed = await self._api.get(self._path)
        for raw in listed["items"]:
            self._note(raw, is_removed=False)
        version = listed["metadata"]["resourceVersion"]
        self._watching = asyncio.create_task(self._follow(version), name="witness")

    async def end(self) -> None:
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)

    def of_job(self, job_uid: str | None) -> list[PodSeen]:
        """In the order of their starts; those that never started come last."""
        found = [pod for pod in self.pods.values() if pod.job_uid == job_uid]
        return sorted(found, key=lambda pod: (pod.started_at is None, pod.started_at or 0, pod.name))

    def running(self) -> list[PodSeen]:
        return [pod for pod in self.pods.values() if pod.started_at is not None and not pod.has_ended]

    async def _follow(self, version: str) -> None:
        while True:
            async for event in self._api.watch(self._path, version, allowWatchBookmarks="true"):
                assert event["type"] != "ERROR", f"the witness lost sight of the pods: {event['object']}"
                version = event["object"]["metadata"]["resourceVersion"]
                if event["type"] != "BOOKMARK":
                    self._note(event["object"], is_removed=event["type"] == "DELETED")

    def _note(self, raw: dict[str, Any], *, is_removed: bool) -> None:
        metadata, status = raw["metadata"], raw.get("status") or {}
        state: dict[str, Any] = next((container["state"] for container in status.get("containerStatuses") or ()), {})
        ran = state.get("terminated") or state.get("running") or {}
        told_at, grace_seconds = self._deletion(metadata)
        self.pods[metadata["uid"]] = PodSeen(
            uid=metadata["uid"],
            name=metadata["name"],
            job_uid=next((owner["uid"] for owner in metadata.get("ownerReferences") or ()), ""),
            attempt=(metadata.get("annotations") or {}).get(ATTEMPT, ""),
            node=raw["spec"].get("nodeName", ""),
            gpus=sum(int(c["resources"].get("limits", {}).get(GPU, 0)) for c in raw["spec"]["containers"]),
            phase=status.get("phase", ""),
            started_at=seconds(ran["startedAt"]) if ran.get("startedAt") else None,
            finished_at=seconds(ran["finishedAt"]) if ran.get("finishedAt") else None,
            exit_code=ran.get("exitCode"),
            is_removed=is_removed,
            told_at=told_at,
            grace_seconds=grace_seconds,
            address=status.get("podIP", ""),
        )

    def _deletion(self, metadata: dict[str, Any]) -> tuple[int | None, int | None]:
        """As it was first seen: the removal writes both anew."""
        before = self.pods.get(metadata["uid"])
        if before is not None and before.told_at is not None:
            return before.told_at, before.grace_seconds
        stamp = metadata.get("deletionTimestamp")
        if not stamp:
            return None, None
        grace_seconds = metadata.get("deletionGracePeriodSeconds") or 0
        return seconds(stamp) - grace_seconds, grace_seconds


def _end_of(pod: PodSeen) -> int:
    """One whose end nothing tells is taken to run for ever."""
    assert pod.started_at is not None, "asked of pods that ran alone"
    return max(pod.started_at, pod.ended_at) if pod.ended_at is not None else 2**40


def most_at_once(pods: Iterable[PodSeen]) -> int:
    """The most GPUs that these pods ever ran at the same time. One that ends in the second in which another starts
    is over before it: stamps are whole seconds, rounded down."""
    moves = [
        move
        for pod in pods
        if pod.started_at is not None and _end_of(pod) > pod.started_at
        for move in ((pod.started_at, 1, pod.gpus), (_end_of(pod), 0, -pod.gpus))
    ]
    now = most = 0
    for _, _, gpus in sorted(moves):
        now += gpus
        most = max(most, now)
    return most
