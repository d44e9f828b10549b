"""Who of those in line grows old when: so that re-ordering the queues looks at nobody else."""

from collections.abc import Iterator

from scheduler.domain.policy import Pool
from scheduler.domain.units import Instant, WorkloadId
from scheduler.domain.usage import ages_at


class Ageing:
    """Workloads by the instant at which they have waited longer than their pool lets anything wait."""

    def __init__(self) -> None:
        self._at: dict[Instant, dict[WorkloadId, None]] = {}

    def wait(self, pool: Pool | None, submitted_at: Instant, workload_id: WorkloadId) -> None:
        if pool is not None:
            self._at.setdefault(ages_at(submitted_at, pool.ageing_ms), {})[workload_id] = None

    def leave(self, pool: Pool | None, submitted_at: Instant, workload_id: WorkloadId) -> None:
        """It stands in no line any more, or among the aged."""
        if pool is None:
            return
        at = ages_at(submitted_at, pool.ageing_ms)
        waiting = self._at.get(at, {})
        waiting.pop(workload_id, None)
        if not waiting:
            self._at.pop(at, None)

    def pop_due(self, now: Instant) -> Iterator[WorkloadId]:
        """Those that have waited too long by now."""
        for at in sorted(at for at in self._at if at <= now):
            yield from self._at.pop(at)
