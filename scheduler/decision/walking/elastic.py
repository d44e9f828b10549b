"""Elastic jobs beyond their minimum: what starts takes what is left, and what runs grows where nobody waits.

Everybody's minimum comes first: a start is widened when all who could start have, and leaves alone what is kept for
whoever waits first, as backfill does. Growing is stricter: only where nobody who would pay waits for that GPU class,
so that whoever a job was shrunk for has started before it grows again. See docs/adr/0025-elastic-jobs.md.
"""

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from scheduler.decision.index import Index
from scheduler.decision.keeping.backfill import beside
from scheduler.decision.ordering.queue import Lane, LaneKey, Line
from scheduler.decision.placing.fit_table import IntArray
from scheduler.decision.plan import Growth
from scheduler.decision.walking.triage import fund_line, may_run_unfunded, need_of
from scheduler.decision.walking.walk import Walk
from scheduler.domain.allowances import Holder, HolderKind
from scheduler.domain.brakes import Brake
from scheduler.domain.cluster import Placement
from scheduler.domain.funding import FundingShare, Shortfall
from scheduler.domain.reasons import Reason
from scheduler.domain.topology import TopologyAsk
from scheduler.domain.units import GpuClassName, NodeName, WorkloadId
from scheduler.domain.workloads import Attempt, ElasticTerms, Workload, WorkloadKind, WorkloadSpec

_LIMITS = frozenset({Reason.ENGINEER_GPU_LIMIT, Reason.TEAM_GPU_LIMIT, Reason.SPEND_GUARD})
"""What keeps somebody waiting that growing in the same team would make worse."""


def widen(index: Index, walk: Walk) -> None:
    """Give what starts in this cycle, and was not asked yet, more than its minimum, in the order in which it was served:
    first those who pay; then, when they are through, those who run unfunded."""
    starts = walk.starts
    for position, line in starts.widened:
        launch = starts.launches[position]
        least = launch.placement.pods
        more = _More(index, walk, line, launch.gpu_class, line.spec.topology, least, is_funded=launch.is_funded)
        index.hours.unbook(launch.funding)  # what it holds is rounded once, for all of its pods
        found = more.find(launch.placement, line.pods_max - least, more.counts(launch.placement))
        if found is None:
            index.hours.book(launch.funding)
            continue
        is_borrowed = more.book(launch.workload_id, found)
        starts.widen(position, found.placement, line, funding=found.shares, is_borrowed=is_borrowed)
    starts.widened.clear()


def grow(index: Index, walk: Walk) -> list[Growth]:
    """Give running attempts back what they are short of, the highest priority first, then the oldest."""
    growths: list[Growth] = []
    if index.pause(Brake.LAUNCH) is not None:
        return growths
    for gpu_class in sorted(name for name, attempts in index.running.growable.items() if attempts):
        if not _is_awaited(index, walk, gpu_class):
            attempts = index.running.growable[gpu_class].values()
            in_turn = sorted(attempts, key=lambda each: (-index.running.priority(each), each.launched_at, each.id))
            growths += (growth for each in in_turn if (growth := _grown(index, walk, each)) is not None)
    return growths


def _grown(index: Index, walk: Walk, attempt: Attempt) -> Growth | None:
    terms, gpu_class = attempt.elastic, attempt.gpu_class
    assert terms is not None, "only elastic attempts grow"
    left_ms = (attempt.started_at or index.now) + attempt.time_limit_ms - index.now
    pool, known = index.policy.pools.get(attempt.pool), index.policy.priority_classes.get(attempt.priority_class)
    if left_ms <= 0 or pool is None or known is None or not index.quotas.has(attempt.pool, gpu_class):
        return None
    if gpu_class not in index.policy.gpu_classes or _keeps_from_starting(index, walk, attempt):
        return None
    # Its team may be in another pool by now, or in none: it runs on the quota of the pool that launched it.
    line = replace(index.lines.detached(_one_pod_of(attempt, terms, left_ms), is_aged=False), pool=pool)
    more = _More(index, walk, line, gpu_class, terms.topology)
    counts = _onward(index, gpu_class, more.counts(attempt.placement), attempt.placement)
    found = more.find(attempt.placement, terms.pods_max - attempt.placement.pods, counts)
    if found is None:
        return None
    is_borrowed = more.book(attempt.workload_id, found)
    return Growth(
        attempt.id,
        attempt.workload_id,
        attempt.placement.together_with(found.placement),
        found.shares,
        is_borrowed=is_borrowed or attempt.is_borrowed,
    )


@dataclass(frozen=True, slots=True)
class _Found:
    """More pods of one workload: where, and who pays for them."""

    line: Line
    placement: Placement
    shares: tuple[FundingShare, ...]


@dataclass(frozen=True, slots=True)
class _More:
    """A look for more pods like those of a line, on one GPU class. `least` are those that it starts with, whose hours are
    held together with those of the others: none of what runs already, which holds its own."""

    index: Index
    walk: Walk
    line: Line
    gpu_class: GpuClassName
    topology: TopologyAsk | None
    least: int = 0
    is_funded: bool = True

    def counts(self, on: Placement) -> IntArray:
        """Pods that fit on each node beside what is kept for others; within the domain that it must stay in."""
        starts, spec = self.walk.starts, self.line.spec
        table = self.index.capacity.table(self.gpu_class)
        row = table.row(self.index.lines.shape(replace(spec, topology=None)))
        counts = table.counts(row)
        kept = starts.backfill.kept(self.gpu_class, spec)
        if kept is not None:
            counts = kept.beside(table, row, counts)
        shadow = starts.backfill.shadow(self.gpu_class, spec)
        if shadow is not None:
            counts = beside(shadow, table, row, counts)
        if self.topology is not None and self.topology.is_required:
            counts = table.domains.around(self.topology.level, counts, [name for name, _ in on.pods_by_node])
        return counts

    def find(self, on: Placement, most: int, counts: IntArray) -> _Found | None:
        """As many as fit, are paid for and allowed; first where it stands already."""
        most = min(most, int(counts.sum()))
        pods = bisect_left(range(1, most + 1), True, key=lambda each: self._shares(each) is None)
        shares = self._shares(pods) if pods else None
        if shares is None:
            return None
        return _Found(self._sized(pods), self._placed(on, pods, counts), shares)

    def book(self, workload_id: WorkloadId, found: _Found) -> bool:
        """Count them against everything that a start counts against. Returns whether the pool borrows for them."""
        return self.walk.starts.add_pods(
            self._lane(found.line), found.line, workload_id, found.placement, found.shares
        )

    def _shares(self, pods: int) -> tuple[FundingShare, ...] | None:
        """Who pays, with so many more; None where nobody does, or quota, limits or what is promised to others forbid them.
        Unfunded, nobody needs to, up to the owner's cap."""
        line, starts = self._sized(pods), self.walk.starts
        if self.walk.limited(line, self.gpu_class) is not None:
            return None
        if not self.is_funded:
            return () if may_run_unfunded(self.index, line, starts.planned) else None
        lane = self._lane(line)
        if self.index.quotas.free(lane.key.pool, self.gpu_class) < lane.gpus:
            return None
        promised = starts.promised.shadow(self.gpu_class, lane, line.spec)
        for shadow in (promised, starts.backfill.shadow(self.gpu_class, line.spec)):
            if shadow is not None and not self.walk.leaves_quota(shadow, lane, self.gpu_class):
                return None
        shares = fund_line(self.index, line, self.gpu_class)
        return None if isinstance(shares, Shortfall) else shares

    def _sized(self, pods: int) -> Line:
        """A line of so many pods alone: its array counts it already. Only what it costs is that of all that start."""
        line = self.line
        spec = replace(line.spec, pods=pods, topology=None)
        cost = need_of(self.index, line, replace(spec, pods=self.least + pods), self.gpu_class)
        shape = self.index.lines.shape(spec)
        return replace(
            line, spec=spec, shape=shape, gpus=spec.gpus, costs=((self.gpu_class, cost),), array=None, members=[]
        )

    def _lane(self, line: Line) -> Lane:
        assert line.pool is not None, "who starts or runs has a pool"
        key = LaneKey(line.pool.name, (self.gpu_class,), line.shape, line.spec.pods, self.is_funded)
        return Lane(key, line.gpus)

    def _placed(self, on: Placement, pods: int, counts: IntArray) -> Placement:
        table, left = self.index.capacity.table(self.gpu_class), counts.copy()
        chosen: list[tuple[NodeName, int]] = []
        for name, _ in on.pods_by_node:
            position = table.index.get(name)
            taken = min(pods, int(left[position])) if position is not None else 0
            if taken:
                chosen.append((name, taken))
                left[position] = 0
                pods -= taken
        if pods:
            rest = table.placement(
                table.row(self.index.lines.shape(replace(self.line.spec, topology=None))), left, pods
            )
            assert rest is not None, "so many were counted"
            chosen += rest.pods_by_node
        return Placement(tuple(chosen))


def _one_pod_of(attempt: Attempt, terms: ElasticTerms, left_ms: int) -> Workload:
    """What it grows by, as if it were submitted now: it ends when the attempt does."""
    spec = WorkloadSpec(
        name=attempt.workload_id,
        kind=WorkloadKind.JOB,
        project=terms.project,
        gpu_classes=(attempt.gpu_class,),
        priority_class=attempt.priority_class,
        time_limit_ms=left_ms,
        pod=attempt.pod,
        grace_seconds=attempt.grace_seconds,
        uses_compensation=terms.uses_compensation,
        nodes_with=terms.nodes_with,
    )
    return Workload(attempt.workload_id, attempt.owner, attempt.team, spec, attempt.launched_at)


def _onward(index: Index, gpu_class: GpuClassName, counts: IntArray, placement: Placement) -> IntArray:
    """Without the nodes that it stands on, but for the last: indexes are dealt out node by node, and those that run
    keep theirs."""
    table = index.capacity.table(gpu_class)
    behind = [table.index[name] for name, _ in placement.pods_by_node[:-1] if name in table.index]
    onward = counts.copy()
    onward[np.array(behind, dtype=np.int64)] = 0
    return onward


def _is_awaited(index: Index, walk: Walk, gpu_class: GpuClassName) -> bool:
    """Whether somebody who would pay waits for the class, even if it is for more quota than there is; or has had
    others stopped and shrunk for it."""
    started = {launch.workload_id for launch in walk.starts.launches}
    if any(
        reservation.gpu_class == gpu_class and workload_id not in started
        for workload_id, (_, reservation) in index.claims.of.items()
    ):
        return True
    # Who would have taken this class, too, has had others stopped on another one.
    started |= {each.launch.workload_id for each in walk.starts.preemptions if each.launch.gpu_class != gpu_class}
    aside = set(walk.set_aside)
    return any(
        workload_id not in started
        for line in _waiting(index, gpu_class)
        if line not in aside
        for _, workload_id in line.members
    )


def _waiting(index: Index, gpu_class: GpuClassName) -> Iterator[Line]:
    for _, cell in index.lanes.room_cells(gpu_class):
        for lane in cell.lanes:
            if lane.key.is_funded:
                yield from (line for _, line in lane.lines)


def _keeps_from_starting(index: Index, walk: Walk, attempt: Attempt) -> bool:
    """Whether its owner or team has something waiting for a limit that growing would use up."""
    started = {launch.workload_id for launch in walk.starts.launches}
    return any(
        line.ruling is not None
        and line.ruling.reason in _LIMITS
        and any(workload_id not in started for _, workload_id in line.members)
        for line in index.lines.of_holder(Holder(HolderKind.TEAM, attempt.team))
    )
