"""Who may be moved for a gang: work that loses little by it, that its owner can pay for again, and that matters no more
than the gang does."""

from collections.abc import Iterator
from dataclasses import dataclass

from scheduler.decision.index import Index
from scheduler.decision.ordering.queue import Line
from scheduler.decision.placing.movable import compared_at
from scheduler.decision.placing.node_use import Amounts
from scheduler.decision.placing.shape import amounts
from scheduler.decision.plan import Launch
from scheduler.decision.walking.triage import fund_line, need_of, over_guard
from scheduler.domain.cluster import Placement
from scheduler.domain.funding import FundingShare, Shortfall
from scheduler.domain.policy import Policy
from scheduler.domain.units import (
    MS_PER_SECOND,
    AttemptId,
    EngineerId,
    GpuClassName,
    Instant,
    NodeName,
    ProjectName,
    TeamName,
)
from scheduler.domain.workloads import Attempt, Workload, WorkloadKind


@dataclass(frozen=True, slots=True)
class Mover:
    """An attempt that may be moved, and the GPU-milliseconds of its work that a move throws away, as they are compared."""

    attempt: Attempt
    workload: Workload
    lost: int
    priority: int
    asked: Amounts
    """What all its pods have of their node."""
    until: Instant
    """From when on it stays where it is."""

    @property
    def cost(self) -> tuple[int, int, AttemptId]:
        """Whom to move first: whose loss is least, then the smaller."""
        return (self.lost, self.attempt.gpus, self.attempt.id)

    @property
    def node(self) -> NodeName:
        return self.attempt.placement.pods_by_node[0][0]

    @property
    def payer(self) -> tuple[EngineerId, TeamName, ProjectName | None]:
        """Whose allowances its second start is paid from."""
        return (self.workload.owner, self.workload.team, self.workload.spec.project)


def movers(index: Index, gpu_class: GpuClassName) -> list[Mover]:
    """Those who may be moved now, the cheapest first, for whoever is of no lower priority."""
    return sorted(_movers(index, gpu_class), key=lambda mover: mover.cost)


def _movers(index: Index, gpu_class: GpuClassName) -> Iterator[Mover]:
    terms, running, now = index.policy.consolidation, index.running, index.now
    for attempt in running.movable.of(gpu_class):
        workload = index.launched.get(attempt.workload_id)
        if workload is None or not _is_ordinary(attempt, workload, index.policy):
            continue
        since = max(attempt.checkpointed_at or 0, attempt.started_at or 0)
        until = _stays_from(attempt, workload, since, terms.lost_max)
        if now < until and running.protected_until(attempt) <= now:
            gpus, cpu_milli, memory_mib = amounts(attempt.pod)
            pods = attempt.placement.pods
            asked = (pods * gpus, pods * cpu_milli, pods * memory_mib)
            lost = max(0, compared_at(now) - since) * attempt.gpus
            yield Mover(attempt, workload, lost, running.priority(attempt), asked, until)


def _stays_from(attempt: Attempt, workload: Workload, since: int, lost_max: int) -> Instant:
    """From when on it loses too much of what it did `since`, or could no longer end in time, were it to use all of its
    grace before it starts anew."""
    until = since + lost_max // attempt.gpus + 1 if attempt.gpus else _NEVER
    latest_start = workload.spec.latest_start
    if latest_start is None:
        return Instant(until)
    return Instant(min(until, latest_start + 1 - attempt.grace_seconds * MS_PER_SECOND))


def _is_ordinary(attempt: Attempt, workload: Workload, policy: Policy) -> bool:
    """A job that could be launched again as it is, by the same pool."""
    pool = policy.pool_of_team.get(attempt.team)
    return workload.spec.kind is WorkloadKind.JOB and pool is not None and pool.name == attempt.pool


def line_of(index: Index, mover: Mover) -> Line:
    """The line that it would stand in if it were queued alone."""
    return index.lines.detached(mover.workload, is_aged=False)


def relaunch(index: Index, mover: Mover, placement: Placement) -> Launch | None:
    """Its launch there, on new holds: those of its attempt last until that has ended. None where its owner has not the
    hours for both, or a spend guard does not let them use both."""
    attempt, line = mover.attempt, line_of(index, mover)
    shares = _shares(index, line, attempt.gpu_class)
    if shares is None or over_guard(index, line, attempt.gpu_class) is not None:
        return None
    return Launch(
        attempt.workload_id, attempt.gpu_class, placement, attempt.pool, shares, is_borrowed=attempt.is_borrowed
    )


def book(index: Index, gpu_class: GpuClassName, line: Line, shares: tuple[FundingShare, ...]) -> None:
    """Count a start that is looked at against hours and spend guards."""
    index.hours.book(shares)
    index.spending.book_line(line, gpu_class)


def unbook(index: Index, gpu_class: GpuClassName, line: Line, shares: tuple[FundingShare, ...]) -> None:
    index.hours.unbook(shares)
    index.spending.book_line(line, gpu_class, by=-1)


def _shares(index: Index, line: Line, gpu_class: GpuClassName) -> tuple[FundingShare, ...] | None:
    if line.priority_class is None:
        return None
    line.costs = ((gpu_class, need_of(index, line, line.spec, gpu_class)),)
    shares = fund_line(index, line, gpu_class)
    return None if isinstance(shares, Shortfall) else shares


_NEVER = 2**62
