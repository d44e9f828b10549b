"""The watches of a cluster, the mirror that they fill, and what a change sets in motion beside being reported."""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import replace
from typing import Any, Final

from scheduler.adapters.kubernetes.backoff import Jitter
from scheduler.adapters.kubernetes.connection import Connection
from scheduler.adapters.kubernetes.gates import Gatekeeper
from scheduler.adapters.kubernetes.heartbeats import last_heartbeat
from scheduler.adapters.kubernetes.mirror import ClusterMirror
from scheduler.adapters.kubernetes.names import RawObject
from scheduler.adapters.kubernetes.podless import pods_refused
from scheduler.adapters.kubernetes.watching import Shelf, Watch, WatchListener, WatchTiming
from scheduler.domain.errors import Unavailable
from scheduler.domain.units import JobUid, NodeName

logger = logging.getLogger(__name__)

_NAMESPACES: Final = "/api/v1/namespaces"
_JOBS: Final = "/apis/batch/v1/jobs"
_NODES: Final = "/api/v1/nodes"
_PODS: Final = "/api/v1/pods"


class Observer:
    """Runs the watches. `on_change` is called whenever the mirror may have something new."""

    def __init__(
        self,
        connection: Connection,
        mirror: ClusterMirror,
        jitter: Jitter,
        timing: WatchTiming,
        on_change: Callable[[], None],
    ) -> None:
        self._connection = connection
        self._mirror = mirror
        self._on_change = on_change
        self._gatekeeper = Gatekeeper(connection, mirror.hostname, jitter)
        self._podless_seconds = timing.podless_seconds
        self._silent: set[str] = set()
        self._following: dict[str, asyncio.Task[None]] = {}
        self._duties: set[asyncio.Task[None]] = set()
        self._watches = {
            shelf.path: Watch(connection, shelf, jitter, timing, self._listener(shelf.path))
            for shelf in self._shelves()
        }

    @property
    def is_reachable(self) -> bool:
        """False while a watch is broken: what the mirror shows may be out of date."""
        return not self._silent

    async def start(self, *, opens_gates: bool) -> None:
        """List everything, then begin to watch. Raises Unavailable where a list cannot be had."""
        for watch in self._watches.values():
            await watch.list()
        for path in self._watches:
            self._follow(path)
        if opens_gates:
            self._spawn(self._gatekeeper.run())
            self._spawn(self._ask_after_podless())

    async def close(self) -> None:
        tasks = [*self._following.values(), *self._duties]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def look_again(self) -> None:
        """List Jobs and pods anew: what of them concerns us is judged by something that has changed."""
        for path in (_JOBS, _PODS):
            if path in self._following:
                self._following.pop(path).cancel()
                self._watches[path].forget()
                self._follow(path)

    def _follow(self, path: str) -> None:
        self._following[path] = asyncio.create_task(self._watches[path].run(), name=f"watch {path}")

    def _spawn(self, duty: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(duty)
        self._duties.add(task)
        task.add_done_callback(self._duties.discard)

    def _listener(self, path: str) -> WatchListener:
        def contact(is_answered: bool) -> None:
            (self._silent.discard if is_answered else self._silent.add)(path)

        return WatchListener(changed=self._take_note, contact=contact)

    def _take_note(self) -> None:
        """A watch has put something on its shelf: report it, open gates, ask after nodes that were lost."""
        self._gatekeeper.admit(self._mirror.drain_gated())
        for node in self._mirror.drain_lost_nodes():
            self._spawn(self._ask_after(node))
        if self._mirror.has_changes:
            self._on_change()

    async def _ask_after(self, node: NodeName) -> None:
        heartbeat = await last_heartbeat(self._connection, node)
        if heartbeat is not None:
            self._mirror.note_evidence(node, heartbeat)
            self._on_change()

    async def _ask_after_podless(self) -> None:
        """Until cancelled. Kubernetes makes pods within moments: who has none for longer may be refused them."""
        before: frozenset[JobUid] = frozenset()
        is_refused = False
        while True:
            await asyncio.sleep(self._podless_seconds)
            podless = self._mirror.podless
            waiting, before = {uid: podless[uid] for uid in before & podless.keys()}, frozenset(podless)
            try:
                for namespace in sorted(set(waiting.values())):
                    told = await pods_refused(self._connection, namespace)
                    for uid in [uid for uid, there in waiting.items() if there == namespace]:
                        self._mirror.note_refused_pods(uid, told.get(uid, ()))
                is_refused = False
            except Unavailable as error:
                if not is_refused:  # once, however long it lasts: what gets no pod ends at the start timeout, too
                    logger.warning("why Jobs have no pods cannot be read: %s", error.message)
                is_refused = True
            if self._mirror.has_changes:
                self._on_change()

    def _put_namespace(self, raw: RawObject) -> None:
        before = self._mirror.managed_namespaces
        self._mirror.put_namespace(raw)
        if self._mirror.managed_namespaces != before:
            self.look_again()

    def _shelves(self) -> list[Shelf]:
        """In the order in which they are listed first: a pod is judged by its Job, a Job by its namespace."""
        mirror = self._mirror
        namespaces = _shelf(_NAMESPACES, _name, self._put_namespace, mirror.drop_namespace, mirror.namespace_names)
        jobs = _shelf(_JOBS, _uid, mirror.put_job, mirror.drop_job, mirror.job_uids)
        nodes = _shelf(_NODES, _name, mirror.put_node, mirror.drop_node, mirror.node_names)
        pods = _shelf(_PODS, _uid, mirror.put_pod, mirror.drop_pod, mirror.pod_uids)
        pods = replace(pods, remove=mirror.remove_pod)  # its last status comes with the news that it is gone
        return [*([] if mirror.has_fixed_namespaces else [namespaces]), jobs, nodes, pods]


def _shelf(
    path: str,
    key: Callable[[RawObject], str],
    put: Callable[[RawObject], None],
    drop: Callable[[str], None],
    held: Callable[[], Iterable[str]],
) -> Shelf:
    return Shelf(path=path, key=key, put=put, remove=lambda raw: drop(key(raw)), held=held, drop=drop)


def _name(raw: RawObject) -> str:
    return str(raw["metadata"]["name"])


def _uid(raw: RawObject) -> str:
    return str(raw["metadata"]["uid"])
