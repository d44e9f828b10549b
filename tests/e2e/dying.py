"""Between the service and its cluster: where a process can die, so that a test can have it die there."""

import asyncio
from collections.abc import Mapping, Sequence
from enum import Enum, auto

from scheduler.domain.actions import Action, ActionOutcome
from scheduler.domain.cluster import GpuClass
from scheduler.domain.observations import ClusterChanges
from scheduler.domain.units import GpuClassName, JobUid
from scheduler.ports import Cluster


class Killed(Exception):
    """The process is no more: nothing that it was about to do is done."""


class Moment(Enum):
    BEFORE_THE_CALL = auto()
    """The intent is committed, and nothing was sent."""
    AFTER_THE_CALL = auto()
    """The cluster did it, and the answer was lost with the process."""


class Through:
    """A cluster seen through something that a test puts before it: here everything gets through."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    @property
    def is_simulated(self) -> bool:
        return self._cluster.is_simulated

    @property
    def is_reachable(self) -> bool:
        return self._cluster.is_reachable

    async def start(self) -> None:
        await self._cluster.start()

    async def close(self) -> None:
        await self._cluster.close()

    def use_gpu_classes(self, classes: Mapping[GpuClassName, GpuClass]) -> None:
        self._cluster.use_gpu_classes(classes)

    def account_for(self, jobs: Mapping[JobUid, int]) -> None:
        self._cluster.account_for(jobs)

    async def changes(self, timeout_seconds: float) -> ClusterChanges:
        return await self._cluster.changes(timeout_seconds)

    async def apply(self, actions: Sequence[Action]) -> list[ActionOutcome]:
        return await self._cluster.apply(actions)


class DyingCluster(Through):
    """The cluster, until the first action of this sort: from then on nothing gets through in either direction."""

    def __init__(self, cluster: Cluster, sort: type[Action], moment: Moment) -> None:
        super().__init__(cluster)
        self._sort = sort
        self._moment = moment
        self.died = asyncio.Event()

    async def changes(self, timeout_seconds: float) -> ClusterChanges:
        if self.died.is_set():
            raise Killed
        return await self._cluster.changes(timeout_seconds)

    async def apply(self, actions: Sequence[Action]) -> list[ActionOutcome]:
        if self.died.is_set():
            raise Killed
        if not any(isinstance(action, self._sort) for action in actions):
            return await self._cluster.apply(actions)
        if self._moment is Moment.AFTER_THE_CALL:
            await self._cluster.apply(actions)
        self.died.set()
        raise Killed
