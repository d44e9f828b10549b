"""Entrance: how much each engineer has queued, and Jobs of users that were not taken in, some of them for want of room."""

from collections import Counter
from heapq import nsmallest

from scheduler.domain.observations import ObservedJob
from scheduler.domain.units import EngineerId, JobUid
from scheduler.domain.workloads import Workload, WorkloadState


class Entrance:
    """Kept up to date with every workload that is put into the world."""

    def __init__(self) -> None:
        self.refused: dict[JobUid, ObservedJob] = {}
        """Jobs that were not taken in and have been told so, as they were then."""
        self._queued: Counter[EngineerId] = Counter()
        self._crowds: dict[EngineerId, dict[JobUid, ObservedJob]] = {}

    def note(self, workload: Workload, known: Workload | None) -> None:
        """The workload is so now, and was as it was `known` until now."""
        was_queued = known is not None and known.state is WorkloadState.QUEUED
        self._queued[workload.owner] += (workload.state is WorkloadState.QUEUED) - was_queued

    def queued_of(self, owner: EngineerId) -> int:
        return self._queued[owner]

    def wait_for_room(self, owner: EngineerId, job: ObservedJob) -> None:
        self._crowds.setdefault(owner, {})[job.uid] = job

    def forget(self, uid: JobUid) -> None:
        """It was taken in, is gone, or waits for nothing any more."""
        self.refused.pop(uid, None)
        for owner in [owner for owner, crowd in self._crowds.items() if crowd.pop(uid, None) and not crowd]:
            del self._crowds[owner]

    def with_room(self, most: int) -> list[JobUid]:
        """Those that may come in where so many of each engineer's may be queued: of each the first that were created."""
        found: list[JobUid] = []
        for owner, crowd in self._crowds.items():
            room = most - self._queued[owner]
            if room > 0:
                first = nsmallest(room, crowd.values(), key=lambda job: (job.created_at, job.name, job.uid))
                found += [job.uid for job in first]
        return found
