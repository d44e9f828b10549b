"""The `Cluster` port on Kubernetes: the observer feeds the mirror, `changes` empties it, `apply` writes."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from scheduler.adapters.kubernetes.applying import Batch
from scheduler.adapters.kubernetes.backoff import Jitter
from scheduler.adapters.kubernetes.checking import (
    ClusterCheck,
    check_cluster,
    check_version,
    labelled_namespaces,
    own_username,
)
from scheduler.adapters.kubernetes.claiming import Claimant, Claims, ClaimTiming
from scheduler.adapters.kubernetes.connection import Connection, ConnectionLimits
from scheduler.adapters.kubernetes.credentials import Credentials
from scheduler.adapters.kubernetes.manifests import SandboxShape
from scheduler.adapters.kubernetes.mirror import ClusterMirror
from scheduler.adapters.kubernetes.observing import Observer
from scheduler.adapters.kubernetes.watching import WatchTiming
from scheduler.adapters.kubernetes.writing import Writer, WriterIdentity
from scheduler.domain.actions import Action, ActionOutcome, ActionResult
from scheduler.domain.cluster import GpuClass
from scheduler.domain.observations import ClusterChanges
from scheduler.domain.units import GpuClassName, Instant, JobUid


@dataclass(frozen=True, slots=True)
class ClusterSettings:
    """`namespaces` None manages those labelled `allot.dev/managed=true`. An observer has no right to write.

    `instance` names this process in Events. `claimant` is who claims the managed namespaces; None claims none.
    """

    namespaces: tuple[str, ...] | None = None
    is_observer: bool = False
    instance: str = "allot"
    claimant: Claimant | None = None
    claiming: ClaimTiming = ClaimTiming()
    sandbox: SandboxShape = SandboxShape()
    finished_jobs_kept_seconds: int = 86_400
    limits: ConnectionLimits = ConnectionLimits()
    timing: WatchTiming = WatchTiming()


@dataclass(frozen=True, slots=True)
class _Session:
    """What lives from `start` to `close`."""

    connection: Connection
    mirror: ClusterMirror
    observer: Observer
    writer: Writer


class KubernetesCluster:
    """A Kubernetes cluster of version 1.36 or later.

    `credentials` is asked anew at each start, so that a kubeconfig that was mended is read without a restart.
    """

    def __init__(
        self,
        credentials: Callable[[], Credentials],
        settings: ClusterSettings,
        *,
        now: Callable[[], Instant],
        jitter: Jitter,
    ) -> None:
        self._credentials = credentials
        self._settings = settings
        self._now = now
        self._jitter = jitter
        self._classes: Mapping[GpuClassName, GpuClass] = {}
        self._accounted: dict[JobUid, int] = {}
        self._session: _Session | None = None
        self._is_first = True
        self._changed = asyncio.Event()
        claimant = None if settings.is_observer else settings.claimant
        self._claims = Claims(claimant, now, settings.claiming) if claimant is not None else None
        self._keeping: asyncio.Task[None] | None = None

    @property
    def is_simulated(self) -> bool:
        return False

    @property
    def is_reachable(self) -> bool:
        """False while a watch is broken: what was reported may be out of date, and nothing ended unconfirmed. So it may be
        where another service has our namespaces."""
        return self._session is not None and self._session.observer.is_reachable and self._may_write

    async def start(self) -> None:
        """See the port."""
        connection = Connection(self._credentials(), self._jitter, self._settings.limits)
        await connection.open()
        try:
            await check_version(connection)
            if self._claims is not None:
                await self._claims.take(connection, await self._managed(connection))
            session = self._make(connection, await own_username(connection))
            await session.observer.start(opens_gates=not self._settings.is_observer)
        except BaseException:
            await connection.close()
            raise
        self._session = session
        if self._claims is not None:
            renewing = self._claims.keep(connection, lambda: session.mirror.managed_namespaces)
            self._keeping = asyncio.create_task(renewing, name="keep claims")
        self._is_first = True
        self._changed.set()

    async def close(self) -> None:
        session, self._session = self._session, None
        if session is None:
            return
        await session.observer.close()
        if self._claims is not None and self._keeping is not None:
            self._keeping.cancel()
            await asyncio.gather(self._keeping, return_exceptions=True)
            await self._claims.give_back(session.connection)
        await session.connection.close()

    def use_gpu_classes(self, classes: Mapping[GpuClassName, GpuClass]) -> None:
        if classes == self._classes:
            return
        self._classes = dict(classes)
        if self._session is not None:
            self._session.mirror.use_classes(classes.values())
            self._session.writer.use_classes(classes)
            self._session.observer.look_again()
            self._changed.set()

    def account_for(self, jobs: Mapping[JobUid, int]) -> None:
        """See the port. Remembered here, because each start has a mirror of its own."""
        self._accounted.update(jobs)
        for uid in [uid for uid, pods in jobs.items() if not pods]:
            del self._accounted[uid]
        if self._session is not None:
            self._session.mirror.account_for(jobs)
            if self._session.mirror.has_changes:
                self._changed.set()

    async def check(self) -> ClusterCheck:
        """For `allot doctor`. Raises Unavailable where the cluster does not answer."""
        async with Connection(self._credentials(), self._jitter, self._settings.limits) as connection:
            managed = await self._managed(connection)
            return await check_cluster(connection, managed, is_observer=self._settings.is_observer)

    async def changes(self, timeout_seconds: float) -> ClusterChanges:
        """See the port. A later relist shows as the differences that it found, so that nothing is told twice.

        Raises Unavailable (`namespace-claimed`) where another service has a namespace of ours.
        """
        session = self._session
        if self._claims is not None and self._claims.lost is not None:
            raise self._claims.lost
        if session is None:
            await asyncio.sleep(timeout_seconds)
            return ClusterChanges()
        if self._is_first:
            self._is_first = False
            return session.mirror.drain(is_relist=True)
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_seconds
        while True:
            self._changed.clear()
            found = session.mirror.drain()
            if not found.is_empty:
                return found
            try:
                async with asyncio.timeout_at(deadline):
                    await self._changed.wait()
            except TimeoutError:
                return session.mirror.drain()

    async def apply(self, actions: Sequence[Action]) -> list[ActionOutcome]:
        """See the port."""
        session = self._session
        if self._settings.is_observer:
            return [ActionOutcome(action, ActionResult.REFUSED, "observing only") for action in actions]
        if session is None:
            return [ActionOutcome(action, ActionResult.RETRY, "not connected") for action in actions]
        if not self._may_write:
            return [
                ActionOutcome(action, ActionResult.RETRY, "the namespace is not surely ours") for action in actions
            ]
        return await Batch(session.writer, actions, self._jitter).carry_out(self._settings.limits.connections)

    @property
    def _may_write(self) -> bool:
        return self._claims is None or self._claims.may_write

    async def _managed(self, connection: Connection) -> tuple[str, ...]:
        fixed = self._settings.namespaces
        return fixed if fixed is not None else await labelled_namespaces(connection)

    def _make(self, connection: Connection, username: str) -> _Session:
        settings = self._settings
        mirror = ClusterMirror(settings.namespaces)
        mirror.use_classes(self._classes.values())
        mirror.account_for(self._accounted)
        writer = Writer(
            connection,
            mirror,
            now=self._now,
            identity=WriterIdentity(username, settings.instance),
            shape=settings.sandbox,
            kept_seconds=settings.finished_jobs_kept_seconds,
        )
        writer.use_classes(self._classes)
        observer = Observer(connection, mirror, self._jitter, settings.timing, self._changed.set)
        return _Session(connection, mirror, observer, writer)
