"""What a decision remembers from one cycle to the next. Whoever owns a State calls `decide.step` with it and reads it.

Everything in it but the verdicts follows from the snapshot that its changes amount to.
"""

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass
from heapq import merge
from itertools import islice

from scheduler.decision.absorbing import absorb
from scheduler.decision.forecast import forecast
from scheduler.decision.foreseeing.foreseen import Assumed, Forecast
from scheduler.decision.index import Index
from scheduler.decision.ordering.queue import Line, OrderKey
from scheduler.decision.plan import Verdict
from scheduler.decision.snapshot import Changes
from scheduler.decision.telling import Teller
from scheduler.decision.walking.triage import aside_now
from scheduler.domain.policy import Order, Policy
from scheduler.domain.terms import Prices
from scheduler.domain.units import Instant, PerMille, PoolName, PriorityClassName, WorkloadId
from scheduler.domain.usage import ages_at
from scheduler.domain.workloads import Workload


@dataclass(frozen=True, slots=True)
class Explanation:
    """Every factor of a workload's place in its pool. `rank` counts from 1.

    `place` (0 first, 9 last), `pace` (per mille) and `share` (millionths of the cluster) are pay data of its owner:
    None where the pool's order does not look at them. `standing` is the place divided by the project's importance.
    """

    verdict: Verdict
    pool: PoolName | None
    order: Order | None
    rank: int
    priority_class: PriorityClassName
    priority: int
    place: int | None
    pace: int | None
    share: int | None
    importance: PerMille
    standing: int
    waits_since: Instant
    waits_already: bool
    """Not where its begin time is ahead."""
    is_aged: bool
    ages_at: Instant | None
    """When it goes before everything younger, if it still waits; None while it does not grow old, too."""
    ages_behind: int
    """How much of its owner's work grows old, or begins to, before it does; 0 where nothing does."""
    ageing_at_once: int
    """How much of one engineer's work grows old at once in its pool."""


class State:
    """The index under the policy in force, and what everybody was told."""

    def __init__(self) -> None:
        self._index: Index | None = None
        self.teller = Teller()

    @property
    def index(self) -> Index:
        assert self._index is not None, "the first changes name a policy"
        return self._index

    @property
    def verdicts(self) -> Mapping[WorkloadId, Verdict]:
        """The verdict on every queued workload, with the evidence of when its code last changed."""
        return self.teller.verdicts

    def absorb(self, changes: Changes, now: Instant) -> Index:
        """Take the changes. Another policy, or other prices, has everything judged anew: linear in the world, and rare."""
        if changes.policy is not None or changes.prices is not None:
            self._take_terms(changes.policy, changes.prices, now)
        index = self.index
        absorb(index, changes, now)
        for workload_id, workload in changes.queued.items():
            if workload is None:
                self.teller.forget(workload_id)
        return index

    def _take_terms(self, policy: Policy | None, prices: Prices | None, now: Instant) -> None:
        known = self._index
        if known is None:
            assert policy is not None, "the first changes name a policy"
            self._index = Index(policy, prices)
            return
        policy = policy if policy is not None else known.policy
        prices = prices if prices is not None else known.prices
        if policy != known.policy or prices != known.prices:
            self.teller.forget_queues()
            self._index = Index(policy, prices)
            absorb(self._index, known.as_changes(), now)

    def queue(self, *, limit: int = 100) -> list[WorkloadId]:
        """The first that stand in line, of all pools: by priority, standing, age and id alike."""
        if self._index is None:
            return []
        in_order = merge(*(_keys(line) for line in self._index.lines.all()))
        return [key[3] for key in islice(in_order, limit)]

    def verdict_now(self, workload_id: WorkloadId) -> Verdict | None:
        """The verdict on a queued workload with the evidence of now; None where it does not wait (yet)."""
        index = self._index
        if index is None:
            return None
        ruling, line = self.teller.ruling(index, workload_id), index.lines.line_of(workload_id)
        if line is not None and ruling is line.ruling:
            ruling = aside_now(index, line)
        return Verdict(workload_id, ruling.reason, ruling.evidence) if ruling is not None else None

    def explain(self, workload_id: WorkloadId) -> Explanation | None:
        """Why a queued workload stands where it stands, with fresh evidence; None where it does not wait (yet)."""
        index = self._index
        if index is None:
            return None
        verdict = self.verdict_now(workload_id)
        workload = index.queued.get(workload_id)
        if verdict is None or workload is None:
            return None
        line = index.lines.line_of(workload_id)
        pool = index.policy.pool_of_team.get(workload.team)
        priority_class = index.policy.priority_classes.get(workload.spec.priority_class)
        order, since = pool.order if pool is not None else None, workload.grows_old_from
        standings = index.standings
        is_placed = order is not None and order is not Order.FIFO
        return Explanation(
            verdict=verdict,
            pool=pool.name if pool is not None else None,
            order=order,
            rank=self._rank(workload_id),
            priority_class=workload.spec.priority_class,
            priority=priority_class.value if priority_class is not None else 0,
            place=standings.place(order, workload.owner) if order is not None and is_placed else None,
            pace=standings.pace(workload.owner) if order is Order.PACE else None,
            share=standings.share(workload.owner) if order is Order.FAIR_SHARE else None,
            importance=index.policy.importance(workload.spec.project),
            standing=line.standing if line is not None else 0,
            waits_since=workload.waits_since,
            waits_already=workload.waits_since <= index.now,
            is_aged=line is not None and line.is_aged,
            ages_at=ages_at(since, pool.ageing_ms) if pool is not None and since is not None else None,
            ages_behind=index.ageing.ahead_of(workload),
            ageing_at_once=pool.ageing_per_engineer if pool is not None else 0,
        )

    def forecast(self, workload: Workload, usual: PerMille, gone: WorkloadId | None = None) -> Forecast | None:
        """Whether and when it would start, queued or not, where time limits are used so far and nobody waits who would be
        gone; None before the first decision."""
        return forecast(self._index, workload, Assumed(usual, gone)) if self._index is not None else None

    def _rank(self, workload_id: WorkloadId) -> int:
        """1 and those ahead in the pool: line by line, without looking at every workload. 0 where it stands in none."""
        line, mine = self.index.lines.line_of(workload_id), self.index.lines.place_of(workload_id)
        if line is None or mine is None:
            return 0
        others = self.index.lines.of_pool(line.pool.name) if line.pool is not None else [line]
        return 1 + sum(_ahead_in(other, mine) for other in others)


def _keys(line: Line) -> list[OrderKey]:
    return [line.order_key(position) for position in range(len(line.members))]


def _ahead_in(line: Line, mine: OrderKey) -> int:
    first = (line.rank, line.standing)
    if first != mine[:2]:
        return len(line.members) if first < mine[:2] else 0
    return bisect_left(line.members, mine[2:])
