"""Who of those in line grows old when: so that re-ordering the queues looks at nobody else."""

from collections.abc import Iterator
from heapq import heappop, heappush

from scheduler.domain.policy import Pool
from scheduler.domain.units import Instant, WorkloadId
from scheduler.domain.usage import ages_at


class Ageing:
    """Workloads by the instant at which they have waited longer than their pool lets anything wait."""

    def __init__(self) -> None:
        self._at: dict[Instant, dict[WorkloadId, None]] = {}
        self._instants: list[Instant] = []
        """A heap of them; those of whom everybody has left are dropped when they come to the top."""

    def wait(self, pool: Pool | None, waits_since: Instant, workload_id: WorkloadId) -> None:
        if pool is None:
            return
        at = ages_at(waits_since, pool.ageing_ms)
        waiting = self._at.get(at)
        if waiting is None:
            waiting = self._at[at] = {}
            heappush(self._instants, at)
        waiting[workload_id] = None

    def leave(self, pool: Pool | None, waits_since: Instant, workload_id: WorkloadId) -> None:
        """It stands in no line any more, or among the aged."""
        if pool is None:
            return
        at = ages_at(waits_since, pool.ageing_ms)
        waiting = self._at.get(at, {})
        waiting.pop(workload_id, None)
        if not waiting:
            self._at.pop(at, None)

    def pop_due(self, now: Instant) -> Iterator[WorkloadId]:
        """Those that have waited too long by now."""
        while self._instants and self._instants[0] <= now:
            yield from self._at.pop(heappop(self._instants), ())
