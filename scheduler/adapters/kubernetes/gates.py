"""Sends the pods of a gang where the placement says: each waits at our scheduling gate until its node is on it."""

import asyncio
import logging
from collections.abc import Callable

import orjson

from scheduler.adapters.kubernetes.backoff import Backoff, Jitter
from scheduler.adapters.kubernetes.connection import Connection
from scheduler.adapters.kubernetes.launching import node_of_pod, placement_of, pod_patch
from scheduler.adapters.kubernetes.names import JSON_PATCH, RawObject
from scheduler.adapters.kubernetes.watching import status_message
from scheduler.domain.errors import Unavailable
from scheduler.domain.units import NodeName

logger = logging.getLogger(__name__)


class Gatekeeper:
    """Opens gates as pods appear. A pod names its node by itself, so that after a restart nothing is remembered."""

    def __init__(self, connection: Connection, hostname: Callable[[NodeName], str], jitter: Jitter) -> None:
        self._connection = connection
        self._hostname = hostname
        self._jitter = jitter
        self._waiting: asyncio.Queue[RawObject] = asyncio.Queue()

    def admit(self, pods: list[RawObject]) -> None:
        for pod in pods:
            self._waiting.put_nowait(pod)

    async def run(self) -> None:
        """Until cancelled. What fails for now is tried again, after the others."""
        backoff = Backoff(self._jitter)
        while True:
            batch = [await self._waiting.get()]
            while not self._waiting.empty():
                batch.append(self._waiting.get_nowait())
            opened = await asyncio.gather(*map(self._open, batch))
            failed = [pod for pod, is_settled in zip(batch, opened, strict=True) if not is_settled]
            if failed:
                await asyncio.sleep(backoff.failed())
                self.admit(failed)
            else:
                backoff.succeeded()

    async def _open(self, pod: RawObject) -> bool:
        """Whether the pod is settled: open, gone, changed (then its next event brings it again), or hopeless."""
        metadata = pod["metadata"]
        path = f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}"
        placement = placement_of(metadata.get("annotations")) or await self._placement_of_job(metadata)
        if placement is None:
            return False
        node = node_of_pod(pod, placement)
        if node is None:
            logger.warning("pod %s has no place in its placement; its gate stays shut", path)
            return True
        body = orjson.dumps(pod_patch(pod, self._hostname(node)))
        try:
            answer = await self._connection.request("PATCH", path, body=body, content_type=JSON_PATCH)
        except Unavailable as error:
            logger.warning("gate of pod %s: %s", path, error.message)
            return False
        if answer.is_success or answer.status == 404:
            return True
        logger.warning("gate of pod %s: %d %s", path, answer.status, status_message(answer))
        return not (answer.asks_to_retry or answer.status in {401, 403, 409})

    async def _placement_of_job(self, metadata: RawObject) -> str | None:
        """The pods of an elastic Job go where the Job itself says as it is now: what is known of it may be older than
        they are. None where it cannot be had for now."""
        name = next((o["name"] for o in metadata.get("ownerReferences") or () if o.get("kind") == "Job"), None)
        if name is None:
            return ""
        path = f"/apis/batch/v1/namespaces/{metadata['namespace']}/jobs/{name}"
        try:
            answer = await self._connection.request("GET", path)
        except Unavailable as error:
            logger.warning("placement of %s: %s", path, error.message)
            return None
        if not answer.is_success:
            return None if answer.asks_to_retry or answer.status in {401, 403} else ""
        return placement_of(orjson.loads(answer.body)["metadata"].get("annotations"))
