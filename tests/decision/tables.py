"""Worlds in one line each: pools and cohorts of one GPU class, what runs in them, and what asks to."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from scheduler.decision.decide import decide
from scheduler.decision.plan import Plan
from scheduler.domain.policy import (
    BorrowWithinCohort,
    Cohort,
    Order,
    Policy,
    Pool,
    PriorityClass,
    Quota,
    ReclaimWithinCohort,
    WithinPool,
)
from scheduler.domain.units import (
    MS_PER_MINUTE,
    CohortName,
    GpuClassName,
    Instant,
    PoolName,
    PriorityClassName,
    TeamName,
)
from scheduler.domain.workloads import Attempt, Workload
from tests.decision.builders import A100, H100, NOW, attempt, balance, node, nodes, policy, snapshot, workload

CLASSES = {value: PriorityClass(PriorityClassName(f"p{value}"), value) for value in range(-10, 11)}
LOWER, NEWER = WithinPool.LOWER_PRIORITY, WithinPool.LOWER_OR_NEWER_EQUAL_PRIORITY
ANY, OF_LOWER = ReclaimWithinCohort.ANY, ReclaimWithinCohort.LOWER_PRIORITY
TAKES_LOWER = BorrowWithinCohort.LOWER_PRIORITY

Member = Pool | Cohort


def queue(
    name: str,
    nominal: int | tuple[int, int],
    of: str | None = None,
    *,
    borrows: int | None = None,
    lends: int | None = None,
    within: WithinPool = WithinPool.NEVER,
    reclaims: ReclaimWithinCohort = ReclaimWithinCohort.NEVER,
    takes: int | None = None,
) -> Pool:
    """A pool with Kueue's defaults: it stops nobody. `takes`: it borrows by stopping lower work up to that priority.
    Two numbers are its quota of either GPU class."""
    each = nominal if isinstance(nominal, tuple) else (nominal,)
    quotas = {name: Quota(name, gpus, borrows, lends) for name, gpus in zip((H100, A100), each, strict=False)}
    return Pool(
        PoolName(name),
        (TeamName(name),),
        quotas,
        CohortName(of) if of is not None else None,
        order=Order.FIFO,
        within_pool=within,
        reclaim_within_cohort=reclaims,
        borrow_within_cohort=BorrowWithinCohort.NEVER if takes is None else TAKES_LOWER,
        borrow_threshold=takes,
    )


def cohort(name: str, nominal: int = 0, of: str | None = None) -> Cohort:
    return Cohort(CohortName(name), CohortName(of) if of is not None else None, {H100: Quota(H100, nominal)})


def by_members(members: Iterable[Member]) -> Policy:
    known = list(members)
    pools = [each for each in known if isinstance(each, Pool)]
    cohorts = {each.name: each for each in known if isinstance(each, Cohort)}
    named = {each.cohort for each in pools if each.cohort is not None} - cohorts.keys()
    return policy(*pools, classes=CLASSES.values(), cohorts=[*cohorts.values(), *map(Cohort, sorted(named))])


@dataclass(frozen=True)
class World:
    """`runs` and `asks` are work after work, commas between: its name, pool, GPUs, priority, and where it matters since
    how many minutes, and on an `a100`; what asks may run on either with `both`."""

    members: tuple[Member, ...]
    runs: str
    asks: str

    def plan(self) -> Plan:
        running = [_running(*each.split()) for each in self.runs.split(",") if each.strip()]
        queued = [_waiting(*each.split()) for each in self.asks.split(",")]
        room = nodes(node("h100", 1000), node("a100", 1000, gpu_class=A100))
        paid = [balance(each.owner, 10**6) for each in queued]
        return decide(snapshot(room, queued, attempts=running, by=by_members(self.members), balances=paid))


def _running(name: str, of: str, gpus: str, priority: str, minutes: str = "60", on: str = "h100") -> Attempt:
    made = attempt(
        name,
        on,
        owner=name,
        team=of,
        pool=of,
        gpus=int(gpus),
        priority_class=CLASSES[int(priority)],
        running_for=60 * int(minutes),
        gpu_class=GpuClassName(on),
    )
    return replace(made, submitted_at=_since(minutes))


def _waiting(name: str, of: str, gpus: str, priority: str, minutes: str = "60", on: str = "h100") -> Workload:
    classes = (H100, A100) if on == "both" else (GpuClassName(on),)
    made = workload(
        name, owner=name, team=of, gpus=int(gpus), priority_class=CLASSES[int(priority)], classes=classes, cpu=1
    )
    return replace(made, submitted_at=_since(minutes))


def _since(minutes: str) -> Instant:
    return Instant(NOW - int(minutes) * MS_PER_MINUTE)
