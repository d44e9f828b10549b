"""Jobs and their pods, as the tests of the control plane itself need them."""

import asyncio
import datetime as dt

from scheduler.entrypoints.devcluster.client import ApiClient, Json
from tests.controlplane.planes import OWN
from tests.plugins.polling import DEADLINE_SECONDS, eventually

_ON_NOBODYS_NODES = {
    "requiredDuringSchedulingIgnoredDuringExecution": {
        "nodeSelectorTerms": [{"matchExpressions": [{"key": OWN, "operator": "DoesNotExist"}]}]
    }
}
"""Nodes that belong to another test go with it, and it counts on them."""


def suspended_job(
    name: str, told: dict[str, str], *, gpus: int = 1, grace_seconds: int = 30, command: tuple[str, ...] = ()
) -> Json:
    """A Job as allot creates them, whose pod does what the annotations tell it, else what its command says."""
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name},
        "spec": {
            "suspend": True,
            "backoffLimit": 0,
            "podReplacementPolicy": "Failed",
            "template": {
                "metadata": {"annotations": told},
                "spec": {
                    "restartPolicy": "Never",
                    "terminationGracePeriodSeconds": grace_seconds,
                    "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists"}],
                    "affinity": {"nodeAffinity": _ON_NOBODYS_NODES},
                    "containers": [
                        {
                            "name": "main",
                            "image": "example/train",
                            "command": list(command),
                            "resources": {"limits": {"nvidia.com/gpu": gpus}},
                        }
                    ],
                },
            },
        },
    }


class JobRun:
    """One Job in a namespace: its switch, its only pod, and what its conditions say."""

    def __init__(self, api: ApiClient, namespace: str, name: str) -> None:
        self._api = api
        self._job = f"/apis/batch/v1/namespaces/{namespace}/jobs/{name}"
        self._pods = f"/api/v1/namespaces/{namespace}/pods"
        self._selector = f"job-name={name}"

    @classmethod
    async def launched(
        cls,
        api: ApiClient,
        namespace: str,
        told: dict[str, str],
        *,
        grace_seconds: int = 30,
        command: tuple[str, ...] = (),
    ) -> "JobRun":
        """Created suspended and let go at once."""
        job = suspended_job("run", told, grace_seconds=grace_seconds, command=command)
        await api.post(f"/apis/batch/v1/namespaces/{namespace}/jobs", job)
        run = cls(api, namespace, "run")
        await run.suspend(False)
        return run

    async def suspend(self, is_suspended: bool = True) -> None:
        await self._api.patch(self._job, {"spec": {"suspend": is_suspended}})

    async def job(self) -> Json:
        return await self._api.get(self._job)

    async def pod(self) -> Json:
        """The pod; an empty object while there is none."""
        pods = await self._api.items(self._pods, labelSelector=self._selector)
        return pods[0] if pods else {}

    async def pod_in(self, phase: str, limit_seconds: float = DEADLINE_SECONDS) -> Json:
        return await eventually(self.pod, lambda pod: pod.get("status", {}).get("phase") == phase, limit_seconds)

    async def condition(self, kind: str) -> Json:
        """The Job, once it has that condition."""
        return await eventually(self.job, lambda job: has_condition(job, kind))

    async def removal_after(self, seen: Json, limit_seconds: float = DEADLINE_SECONDS) -> Json:
        """The pod as the last event about it, its deletion, showed it; `seen` is the pod as it was before."""
        since = seen["metadata"]["resourceVersion"]
        async with asyncio.timeout(limit_seconds):
            async for event in self._api.watch(self._pods, since, labelSelector=self._selector):
                if event["type"] == "DELETED":
                    pod: Json = event["object"]
                    return pod
        raise AssertionError("the watch ended before the pod was removed")


def has_condition(job: Json, kind: str) -> bool:
    conditions = job.get("status", {}).get("conditions", ())
    return any(condition["type"] == kind and condition["status"] == "True" for condition in conditions)


def terminated(pod: Json) -> Json:
    """The first container's terminated state."""
    state: Json = pod["status"]["containerStatuses"][0]["state"]["terminated"]
    return state


def seconds(stamp: str) -> int:
    """Kubernetes' stamp as whole seconds since the epoch."""
    return int(dt.datetime.fromisoformat(stamp).timestamp())
