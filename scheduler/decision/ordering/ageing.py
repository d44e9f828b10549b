"""Who of those that wait grows old, and until when: of one engineer's work in a pool only so much does at once.

What begins to grow old holds one of its owner's places from then on, until it waits no more or is old: so whoever is
next has one in bounded time, whatever becomes of those before. See docs/adr/0017-ageing.md.
"""

from bisect import bisect_left, insort
from collections.abc import Iterator
from dataclasses import dataclass, field
from heapq import heappop, heappush

from scheduler.decision.ordering.queue import Member
from scheduler.domain.policy import Policy, Pool
from scheduler.domain.units import EngineerId, Instant, PoolName, WorkloadId
from scheduler.domain.usage import ages_at
from scheduler.domain.workloads import Workload


def was_old(pool: Pool | None, workload: Workload, at: Instant) -> bool:
    """Whether a workload had, at that instant, grown old for as long as the pool lets anything wait."""
    since = workload.grows_old_from
    return pool is not None and since is not None and ages_at(since, pool.ageing_ms) <= at


@dataclass(eq=False, slots=True)
class _Seat:
    """An engineer in a pool: how much of theirs grows old, and in their order who does not yet."""

    pool: Pool
    growing: int = 0
    behind: list[Member] = field(default_factory=list)

    @property
    def growing_max(self) -> int:
        return self.pool.ageing_per_engineer

    @property
    def is_open(self) -> bool:
        return bool(self.behind) and self.growing < self.growing_max

    def forget(self, member: Member) -> None:
        """It is not behind any more, if it was."""
        position = bisect_left(self.behind, member)
        if self.behind[position : position + 1] == [member]:
            del self.behind[position]


class Ageing:
    """Workloads that wait and are not old, by their owner and pool, and by the instant at which they are."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._now = Instant(0)
        """When queues were last re-ordered: nothing becomes old in between."""
        self._seats: dict[tuple[PoolName, EngineerId], _Seat] = {}
        self._open: dict[_Seat, None] = {}
        """Those of whom somebody may begin to grow old."""
        self._at: dict[Instant, dict[WorkloadId, _Seat]] = {}
        """Who becomes old when."""
        self._instants: list[Instant] = []
        """A heap of those."""

    def is_old(self, workload: Workload) -> bool:
        return was_old(self._policy.pool_of_team.get(workload.team), workload, self._now)

    def are_alike(self, workload: Workload, known: Workload) -> bool:
        """Whether two that differ in since when they grow old stand at the same place."""
        return workload.grows_old_from == known.grows_old_from or not (self.is_old(workload) or self.is_old(known))

    def wait(self, workload: Workload, *, is_in_line: bool) -> None:
        """It waits. What stands in no line (for it waits for an instant, or for others) does not begin to grow old."""
        pool, since = self._policy.pool_of_team.get(workload.team), workload.grows_old_from
        if pool is None or self.is_old(workload) or (since is None and not is_in_line):
            return
        seat = self._seat_of(workload)
        if seat is None:
            seat = self._seats[pool.name, workload.owner] = _Seat(pool)
        if since is None:
            insort(seat.behind, (workload.waits_since, workload.id))
        else:
            self._grow(seat, ages_at(since, pool.ageing_ms), workload.id)
        self._look_at(seat)

    def leave(self, workload: Workload) -> None:
        """It waits no more, or is to be looked at anew: told as it was when it came."""
        seat, since = self._seat_of(workload), workload.grows_old_from
        if seat is None:
            return
        if since is None:
            seat.forget((workload.waits_since, workload.id))
        elif self._at.get(ages_at(since, seat.pool.ageing_ms), {}).pop(workload.id, None) is not None:
            seat.growing -= 1
        self._look_at(seat)
        if not seat.growing and not seat.behind:
            del self._seats[seat.pool.name, workload.owner]

    def pop_due(self, now: Instant) -> Iterator[WorkloadId]:
        """Queues are re-ordered: those that are old from now on."""
        self._now = now
        while self._instants and self._instants[0] <= now:
            for workload_id, seat in self._at.pop(heappop(self._instants)).items():
                seat.growing -= 1
                self._look_at(seat)
                yield workload_id

    def beginning(self) -> list[WorkloadId]:
        """Who begins to grow old, as there is a place for it now."""
        return sorted(
            workload_id for seat in self._open for _, workload_id in seat.behind[: seat.growing_max - seat.growing]
        )

    def ahead_of(self, workload: Workload) -> int:
        """How much of its owner's work grows old, or begins to, before it; 0 where there is a place for it."""
        seat, member = self._seat_of(workload), (workload.waits_since, workload.id)
        if seat is None or member not in seat.behind:
            return 0
        ahead = seat.growing + bisect_left(seat.behind, member)
        return ahead if ahead >= seat.growing_max else 0

    def _seat_of(self, workload: Workload) -> _Seat | None:
        pool = self._policy.pool_of_team.get(workload.team)
        return self._seats.get((pool.name, workload.owner)) if pool is not None else None

    def _grow(self, seat: _Seat, at: Instant, workload_id: WorkloadId) -> None:
        if at not in self._at:
            self._at[at] = {}
            heappush(self._instants, at)
        self._at[at][workload_id] = seat
        seat.growing += 1

    def _look_at(self, seat: _Seat) -> None:
        if seat.is_open:
            self._open[seat] = None
        else:
            self._open.pop(seat, None)
