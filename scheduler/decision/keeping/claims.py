"""Claims: what reservations set aside of nodes and quotas, for workloads that start as soon as somebody has ended.

A preemptor claims what its victims still occupy. A move claims a place that is free: it occupies it at once.
"""

from scheduler.decision.limits.concurrency import Concurrency
from scheduler.decision.limits.quota import Quotas
from scheduler.decision.limits.spending import Spending
from scheduler.decision.ordering.lines import Lines
from scheduler.decision.ordering.standings import Standings
from scheduler.decision.placing.capacity import Capacity
from scheduler.decision.snapshot import Reservation
from scheduler.domain.policy import Policy
from scheduler.domain.units import GpuClassName, PoolName, WorkloadId
from scheduler.domain.workloads import Workload


class Claims:
    """By workload, with its reservation."""

    def __init__(
        self,
        policy: Policy,
        capacity: Capacity,
        quotas: Quotas,
        concurrency: Concurrency,
        counting: tuple[Spending, Standings],
    ) -> None:
        self._policy = policy
        self._capacity = capacity
        self._quotas = quotas
        self._concurrency = concurrency
        self._counting = counting
        self.of: dict[WorkloadId, tuple[Workload, Reservation]] = {}
        self.touched: set[tuple[PoolName | None, GpuClassName]] = set()
        """Of whose room and quota another part is set aside."""

    def make(self, workload: Workload, reservation: Reservation) -> Lines:
        """Returns the lines for which a limit flipped, as `drop` does."""
        self.of[workload.id] = (workload, reservation)
        return self._book(workload, reservation, 1)

    def drop(self, workload_id: WorkloadId) -> Lines:
        claim = self.of.pop(workload_id, None)
        return self._book(*claim, -1) if claim is not None else {}

    def _book(self, workload: Workload, reservation: Reservation, sign: int) -> Lines:
        pod = workload.spec.pod
        gpus = sign * reservation.pods * pod.gpus
        spending, standings = self._counting
        spending.reserve(workload, reservation, sign)
        if reservation.is_move:
            self._capacity.occupy(reservation.placement, pod, sign)
        else:
            self._capacity.claim(reservation.placement, pod, sign)
            standings.reserve(workload, reservation, sign)
        pool = self._policy.pool_of_team.get(workload.team)
        if pool is not None:
            self._quotas.promise(pool.name, reservation.gpu_class, gpus)
        self.touched.add((pool.name if pool is not None else None, reservation.gpu_class))
        return self._concurrency.count(workload.id, workload.owner, workload.team, gpus)
