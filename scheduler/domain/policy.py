"""The policy: what admins write as files, as checked values. Reading and checking files is an adapter's work."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from zoneinfo import ZoneInfo

from scheduler.domain.approvals import ApprovalRules
from scheduler.domain.awards import PeriodGrant
from scheduler.domain.bookings import BookingTerms
from scheduler.domain.brakes import StopRate
from scheduler.domain.burning import BurnTerms
from scheduler.domain.cluster import GpuClass
from scheduler.domain.consolidation import ConsolidationTerms
from scheduler.domain.guards import SpendGuard, weekend_at
from scheduler.domain.idleness import IdleRule, MisuseTerms, Retention
from scheduler.domain.periods import PeriodLength, to_datetime
from scheduler.domain.retries import RetryRule
from scheduler.domain.rollover import Rollover
from scheduler.domain.terms import KeptTerms
from scheduler.domain.topology import TopologyLevel
from scheduler.domain.units import (
    MS_PER_DAY,
    MS_PER_HOUR,
    MS_PER_MINUTE,
    CohortName,
    GpuClassName,
    Instant,
    PerMille,
    PoolName,
    PriorityClassName,
    ProjectName,
    TeamName,
    TierName,
)
from scheduler.domain.workloads import HoldMode, WorkloadKind


class AtExhaustion(StrEnum):
    """What happens when a rolling hold cannot be renewed."""

    STOP = "stop"
    UNFUNDED = "unfunded"


class WithinPool(StrEnum):
    """Who of the own pool may be a victim; Kueue's withinClusterQueue."""

    NEVER = "Never"
    LOWER_PRIORITY = "LowerPriority"
    LOWER_OR_NEWER_EQUAL_PRIORITY = "LowerOrNewerEqualPriority"


class ReclaimWithinCohort(StrEnum):
    """Whose borrowed capacity a pool may take back."""

    NEVER = "Never"
    LOWER_PRIORITY = "LowerPriority"
    ANY = "Any"


class BorrowWithinCohort(StrEnum):
    """Whether a workload may preempt in other pools while it would itself borrow."""

    NEVER = "Never"
    LOWER_PRIORITY = "LowerPriority"


class Order(StrEnum):
    PACE = "pace"
    FAIR_SHARE = "fair-share"
    FIFO = "fifo"


_QUARTER_MS = 15 * MS_PER_MINUTE
_QUARTERS_OF_A_WEEK = 7 * 24 * 4


@dataclass(frozen=True, slots=True)
class OffPeak:
    """Hours of the day, from … until, on the wall clock (None: none), whole weekends, and the share of a GPU class
    that must be free at any other time (None: then it waits)."""

    from_hour: int | None = None
    until_hour: int | None = None
    includes_weekends: bool = True
    free: PerMille | None = None

    def contains(self, now: Instant, time_zone: str) -> bool:
        """Whether the calendar says off-peak. From 20 until 6 is the night."""
        if self.includes_weekends and weekend_at(now, time_zone) is not None:
            return True
        if self.from_hour is None or self.until_hour is None:
            return False
        hour = to_datetime(now).astimezone(ZoneInfo(time_zone)).hour
        if self.from_hour <= self.until_hour:
            return self.from_hour <= hour < self.until_hour
        return hour >= self.from_hour or hour < self.until_hour

    def opens_at(self, now: Instant, time_zone: str) -> Instant | None:
        """The next quarter of an hour at which the calendar says off-peak; None where it never does."""
        first = now - now % _QUARTER_MS
        coming = (Instant(first + step * _QUARTER_MS) for step in range(1, _QUARTERS_OF_A_WEEK + 1))
        return next((at for at in coming if self.contains(at, time_zone)), None)


@dataclass(frozen=True, slots=True)
class PriorityClass:
    """A priority class and the terms of running in it.

    `class_factor` multiplies charged hours. `slice_ms` is the length of a rolling hold. Work younger than
    `minimum_runtime_ms` is no victim, and work of the class stops nobody before it has waited for `preemption_delay_ms`
    since its submission (LSF: `PREEMPT_DELAY`). `refund_cap_ms` caps the lost work that a preemption refunds, per GPU.
    `may_start_unfunded` lets work run without a hold on capacity that nobody else wants.
    """

    name: PriorityClassName
    value: int
    class_factor: PerMille = PerMille(1000)
    hold: HoldMode = HoldMode.FULL
    slice_ms: int = 900_000
    minimum_runtime_ms: int = 0
    preemption_delay_ms: int = 0
    is_preemptible: bool = True
    at_exhaustion: AtExhaustion = AtExhaustion.STOP
    may_start_unfunded: bool = False
    grace_seconds_max: int = 300
    refund_cap_ms: int = MS_PER_HOUR
    off_peak: OffPeak | None = None
    """When its work may start; None: at any time."""
    kinds: frozenset[WorkloadKind] | None = None
    """Of what work it may be; None: of any."""

    def is_for(self, kind: WorkloadKind) -> bool:
        return self.kinds is None or kind in self.kinds


@dataclass(frozen=True, slots=True)
class Tier:
    """What an engineer of the tier gets per period: an allowance in standard GPU-milliseconds, and its limits.

    None for the classes means any; `gpus_max` is how many GPUs an engineer of the tier may run at once.
    """

    name: TierName
    allowance: int
    gpu_classes: frozenset[GpuClassName] | None = None
    priority_classes: frozenset[PriorityClassName] | None = None
    gpus_max: int | None = None
    time_limit_max_ms: int | None = None
    overdraft: int = 0
    rollover: Rollover | None = None
    """What of its rest goes on at the period's end; None: it expires."""
    may_transfer: bool = False
    may_donate: bool = False
    beside: tuple[PeriodGrant, ...] = ()
    """What is granted in other units."""


@dataclass(frozen=True, slots=True)
class Quota:
    """GPUs of one class: guaranteed, borrowable on top, and lent at most (None: without limit)."""

    gpu_class: GpuClassName
    nominal: int
    borrowing_limit: int | None = None
    lending_limit: int | None = None


@dataclass(frozen=True, slots=True)
class Pool:
    """Guaranteed capacity of teams, with Kueue's meaning. `borrow_threshold` is its maxPriorityThreshold.

    What has grown old for `ageing_ms` goes before everything younger, whatever its priority, and is no victim of its
    own pool's any more: so nothing starves. Of one engineer's work `ageing_per_engineer` grow old at once, whoever waits
    longest: so that a backlog does not push everybody else aside.
    """

    name: PoolName
    teams: tuple[TeamName, ...]
    quotas: Mapping[GpuClassName, Quota]
    cohort: CohortName | None = None
    order: Order = Order.PACE
    within_pool: WithinPool = WithinPool.LOWER_PRIORITY
    reclaim_within_cohort: ReclaimWithinCohort = ReclaimWithinCohort.ANY
    borrow_within_cohort: BorrowWithinCohort = BorrowWithinCohort.NEVER
    borrow_threshold: int | None = None
    ageing_ms: int = 7 * MS_PER_DAY
    ageing_per_engineer: int = 2


@dataclass(frozen=True, slots=True)
class FairShare:
    """How the order `fair-share` looks back: use weighs half after `half_life_ms`."""

    half_life_ms: int = 7 * MS_PER_DAY


@dataclass(frozen=True, slots=True)
class Cohort:
    """Pools that lend to each other; a cohort may lie in another. `quotas` are shared by its members, beside what they
    lend; their limits are of what the cohort borrows from, and lends to, the one that it lies in."""

    name: CohortName
    parent: CohortName | None = None
    quotas: Mapping[GpuClassName, Quota] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Project:
    """Work with a purpose. `importance` weighs it in the order; `allowance` is granted to it per period (0: what its
    importance comes to of `Policy.project_hours`), and what is `beside` in other units."""

    name: ProjectName
    team: TeamName
    importance: PerMille = PerMille(1000)
    allowance: int = 0
    beside: tuple[PeriodGrant, ...] = ()


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds for everybody. None is no limit."""

    gpus_per_engineer: int | None = None
    gpus_per_team: int | None = None
    gpus_per_workload: int = 4096
    time_limit_max_ms: int = 14 * MS_PER_DAY
    start_timeout_ms: int = 900_000
    queued_per_engineer: int = 10_000
    unfunded_gpus_per_engineer: int = 8
    runtime_max_ms: int | None = None
    """Of all attempts of a job together."""
    protected_per_day: int | None = None
    """GPU-milliseconds of minimum runtime that an owner's attempts of one day are given together."""
    confirm_weekend: PerMille | None = None
    """Share of what pays for it that a submission may use up over a weekend without its owner's confirmation."""


@dataclass(frozen=True, slots=True)
class SandboxTerms:
    """What a sandbox may be: images (a trailing * matches any ending), home volume, port, and extensions."""

    images: tuple[str, ...] = ()
    default_image: str = ""
    default_command: tuple[str, ...] = ()
    home_gib: int = 20
    port: int = 8888
    extensions_max: int = 8


@dataclass(frozen=True, slots=True)
class CoverageRule:
    """Of what may be promised: (outstanding + promised) ÷ deliverable per GPU class and period stays at or below
    `ratio_max` (None: it is shown, and nothing is refused). Nodes deliver their GPUs for `availability` of the time."""

    ratio_max: PerMille | None = None
    availability: PerMille = PerMille(950)


@dataclass(frozen=True)
class Policy:
    """One version of everything admins decide. `hash` is the SHA-256 of the file it was read from."""

    name: str
    hash: str
    gpu_classes: Mapping[GpuClassName, GpuClass]
    priority_classes: Mapping[PriorityClassName, PriorityClass]
    tiers: Mapping[TierName, Tier]
    pools: Mapping[PoolName, Pool]
    cohorts: Mapping[CohortName, Cohort] = field(default_factory=dict)
    projects: Mapping[ProjectName, Project] = field(default_factory=dict)
    project_hours: int = 0
    """Standard GPU-milliseconds a period, shared by importance among projects without an allowance of their own."""
    fair_share: FairShare = FairShare()
    bookings: BookingTerms = BookingTerms()
    consolidation: ConsolidationTerms = ConsolidationTerms()
    limits: Limits = Limits()
    sandbox: SandboxTerms = SandboxTerms()
    images: tuple[str, ...] = ("*",)
    period: PeriodLength = PeriodLength.MONTH
    time_zone: str = "UTC"
    default_priority_class: PriorityClassName | None = None
    preempt_rate: StopRate = StopRate(None)
    exhaustion_rate: StopRate = StopRate(PerMille(50), floor=8)
    idle_rate: StopRate = StopRate(PerMille(50), floor=8)
    idle_rules: tuple[IdleRule, ...] = ()
    spend_guards: tuple[SpendGuard, ...] = ()
    burn: BurnTerms = BurnTerms()
    retry_rules: tuple[RetryRule, ...] = ()
    topology: tuple[TopologyLevel, ...] = ()
    """Levels above that of single nodes, the widest first."""
    retention: Retention = Retention()
    misuse: MisuseTerms = MisuseTerms()
    approvals: ApprovalRules = ApprovalRules()
    coverage: CoverageRule = CoverageRule()

    def idle_rule(self, kind: WorkloadKind, priority_class: PriorityClassName) -> IdleRule | None:
        """The first that covers such work; None: its rest is shown and nothing follows."""
        return next((rule for rule in self.idle_rules if rule.covers(kind, priority_class)), None)

    def has_classes_of(self, priority_class: PriorityClassName, gpu_classes: Collection[GpuClassName]) -> bool:
        """Whether it knows them all: work that is here already may name some that an earlier policy had."""
        return priority_class in self.priority_classes and self.gpu_classes.keys() >= set(gpu_classes)

    def importance(self, project: ProjectName | None) -> PerMille:
        """How much the project weighs in the order; personal work, and a project gone from the policy, as usual."""
        known = self.projects.get(project) if project is not None else None
        return known.importance if known is not None else PerMille(1000)

    @cached_property
    def pay_terms(self) -> KeptTerms:
        """What pay that is granted under this policy keeps."""
        weights = tuple((name, item.weight) for name, item in sorted(self.gpu_classes.items()))
        return KeptTerms(weights, tuple((n, item.class_factor) for n, item in sorted(self.priority_classes.items())))

    @cached_property
    def project_shares(self) -> Mapping[ProjectName, int]:
        """What each project is granted per period in standard GPU-milliseconds: its own, else its share, rounded down."""
        sharing = [project for project in self.projects.values() if project.allowance == 0]
        of_all = max(1, sum(project.importance for project in sharing))
        own = {project.name: project.allowance for project in self.projects.values()}
        return own | {each.name: self.project_hours * each.importance // of_all for each in sharing}

    def nominal_gpus(self, gpu_class: GpuClassName) -> int:
        """What all pools and cohorts together are guaranteed of a class."""
        members: tuple[Pool | Cohort, ...] = (*self.pools.values(), *self.cohorts.values())
        return sum(each.quotas[gpu_class].nominal for each in members if gpu_class in each.quotas)

    @cached_property
    def looks_back(self) -> bool:
        """Whether any pool orders by what people used before."""
        return any(pool.order is Order.FAIR_SHARE for pool in self.pools.values())

    @cached_property
    def pool_of_team(self) -> Mapping[TeamName, Pool]:
        return {team: pool for pool in self.pools.values() for team in pool.teams}


def image_is_allowed(image: str, allowed: tuple[str, ...]) -> bool:
    """Exact names, or a prefix before a trailing `*`."""
    if image in allowed:
        return True
    return any(item.endswith("*") and image.startswith(item[:-1]) for item in allowed)
