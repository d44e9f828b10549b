"""Conditions: queued work that follows other work, or that has a deadline, found by what it waits for."""

from collections import defaultdict
from collections.abc import Iterable

from scheduler.domain.units import Instant, WorkloadId
from scheduler.domain.workloads import Workload, WorkloadState


class Conditions:
    """Kept up to date with every workload that is put into the world."""

    def __init__(self) -> None:
        self._followers: dict[WorkloadId, set[WorkloadId]] = defaultdict(set)
        self._after: dict[WorkloadId, tuple[WorkloadId, ...]] = {}
        self._latest_starts: dict[WorkloadId, Instant] = {}

    def note(self, workload: Workload) -> None:
        for leader in self._after.pop(workload.id, ()):
            self._followers[leader].discard(workload.id)
            if not self._followers[leader]:
                del self._followers[leader]
        self._latest_starts.pop(workload.id, None)
        if workload.state is not WorkloadState.QUEUED:
            return
        if workload.spec.after:
            self._after[workload.id] = workload.spec.after
            for leader in workload.spec.after:
                self._followers[leader].add(workload.id)
        if workload.spec.latest_start is not None:
            self._latest_starts[workload.id] = workload.spec.latest_start

    def followers(self, leader: WorkloadId) -> list[WorkloadId]:
        return sorted(self._followers.get(leader, ()))

    def overdue(self, now: Instant) -> Iterable[WorkloadId]:
        """Those that could not end before their deadline any more, were they started now."""
        return [workload_id for workload_id, latest in list(self._latest_starts.items()) if latest < now]
