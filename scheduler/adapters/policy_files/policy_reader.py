"""A policy file's keys as the domain's policy: names typed, amounts in the domain's units."""

import hashlib
from functools import partial

from scheduler.adapters.policy_files import allowance_keys, award_keys, order_keys, stop_keys
from scheduler.adapters.policy_files import policy_keys as keys
from scheduler.adapters.policy_files.approval_keys import approvals, coverage
from scheduler.adapters.policy_files.booking_keys import booking_terms
from scheduler.adapters.policy_files.burn_keys import BURN_TOLD, burn_terms
from scheduler.adapters.policy_files.cohort_keys import COHORTS, cohort
from scheduler.adapters.policy_files.consolidation_keys import consolidation_terms
from scheduler.adapters.policy_files.document import parse
from scheduler.adapters.policy_files.guard_keys import off_peak, spend_guard
from scheduler.adapters.policy_files.idle_keys import idle_rule, misuse, retention
from scheduler.adapters.policy_files.kinds import Reading
from scheduler.adapters.policy_files.policy_rules import check_rules
from scheduler.adapters.policy_files.pool_keys import POOLS, pool
from scheduler.adapters.policy_files.problems import Problem, Problems, refusal
from scheduler.adapters.policy_files.retry_keys import retry_rule
from scheduler.adapters.policy_files.sections import Record
from scheduler.adapters.policy_files.taint_keys import TOLERATES
from scheduler.adapters.policy_files.topology_keys import LEVELS, topology_levels
from scheduler.domain.approvals import ApprovalRules
from scheduler.domain.bookings import BookingTerms
from scheduler.domain.brakes import StopRate
from scheduler.domain.burning import BurnTerms
from scheduler.domain.cluster import GpuClass
from scheduler.domain.consolidation import ConsolidationTerms
from scheduler.domain.errors import RefusalCode
from scheduler.domain.idleness import MisuseTerms, Retention
from scheduler.domain.policy import (
    CoverageRule,
    FairShare,
    Limits,
    Policy,
    PriorityClass,
    Project,
    SandboxTerms,
    Tier,
)
from scheduler.domain.units import (
    MS_PER_HOUR,
    MS_PER_MINUTE,
    MS_PER_SECOND,
    CohortName,
    GpuClassName,
    PerMille,
    PoolName,
    PriorityClassName,
    ProjectName,
    TeamName,
    TierName,
)


def read_policy(source: bytes | str, name: str) -> Policy:
    """The policy that the text holds; `name` is the file's, for messages and for the policy.

    Raises InvalidInput `invalid-policy`, whose message has a line `name:line:column: …` for each problem.
    """
    policy, problems = check_policy(source, name)
    if policy is None:
        raise refusal(name, problems, RefusalCode.INVALID_POLICY)
    return policy


def check_policy(source: bytes | str, name: str) -> tuple[Policy | None, tuple[Problem, ...]]:
    """The policy, or None and everything that is wrong with it, in the order of the file."""
    data = source.encode("utf-8", errors="surrogatepass") if isinstance(source, str) else source
    problems = Problems()
    root = parse(data, problems)
    if root is None:
        return None, problems.in_order()
    reading = Reading(problems)
    record = keys.POLICY.read(root, "", reading)
    if record is not None:
        check_rules(record, reading)
    if record is None or problems:
        return None, problems.in_order()
    return _policy(record, name, hashlib.sha256(data).hexdigest()), ()


def _policy(record: Record, name: str, digest: str) -> Policy:
    rates = record.find(keys.RATES)
    images = record.value(keys.IMAGES)
    return Policy(
        name=name,
        hash=digest,
        gpu_classes={GpuClassName(n): _gpu_class(n, r) for n, r in record.value(keys.GPU_CLASSES).items()},
        priority_classes={
            PriorityClassName(n): _priority_class(n, r) for n, r in record.value(keys.PRIORITY_CLASSES).items()
        },
        tiers={TierName(n): _tier(n, r) for n, r in record.value(keys.TIERS).items()},
        pools={PoolName(n): pool(n, r) for n, r in record.value(POOLS).items()},
        cohorts={CohortName(n): cohort(n, r) for n, r in record.value(COHORTS).items()},
        projects={ProjectName(n): _project(n, r) for n, r in record.value(keys.PROJECTS).items()},
        project_hours=record.value(allowance_keys.PROJECT_HOURS) * MS_PER_HOUR,
        fair_share=record.made(keys.LOOKING_BACK, order_keys.fair_share, FairShare()),
        bookings=record.made(keys.BOOKED_AHEAD, booking_terms, BookingTerms()),
        consolidation=record.made(keys.MOVED, consolidation_terms, ConsolidationTerms()),
        limits=record.made(keys.LIMITS_OF_ALL, _limits, Limits()),
        sandbox=record.made(keys.SANDBOX_TERMS, partial(_sandbox, images=images), SandboxTerms(images=images)),
        images=images,
        period=record.value(keys.PERIOD),
        time_zone=record.value(keys.TIME_ZONE),
        default_priority_class=record.made(keys.DEFAULT_PRIORITY_CLASS, PriorityClassName, None),
        preempt_rate=_rate(rates.find(stop_keys.PREEMPT_RATE) if rates else None, Policy.preempt_rate),
        exhaustion_rate=_rate(rates.find(stop_keys.EXHAUSTION_RATE) if rates else None, Policy.exhaustion_rate),
        idle_rate=_rate(rates.find(stop_keys.IDLE_RATE) if rates else None, Policy.idle_rate),
        idle_rules=tuple(idle_rule(n, r) for n, r in record.value(keys.IDLE_RULES).items()),
        spend_guards=tuple(spend_guard(n, r) for n, r in record.value(keys.SPEND_GUARDS).items()),
        burn=record.made(BURN_TOLD, burn_terms, BurnTerms()),
        retry_rules=tuple(retry_rule(n, r) for n, r in record.value(keys.RETRY_RULES).items()),
        topology=topology_levels(record.value(LEVELS)),
        retention=record.made(keys.KEPT, retention, Retention()),
        misuse=record.made(keys.MISUSE_OF, misuse, MisuseTerms()),
        approvals=record.made(keys.APPROVED, approvals, ApprovalRules()),
        coverage=record.made(keys.COVERED, coverage, CoverageRule()),
    )


def _gpu_class(name: str, record: Record) -> GpuClass:
    return GpuClass(
        name=GpuClassName(name),
        weight=PerMille(record.value(keys.WEIGHT)),
        node_selector=tuple(sorted(record.value(keys.NODE_SELECTOR).items())),
        resource=record.value(keys.RESOURCE),
        tolerates=record.value(TOLERATES),
    )


def _priority_class(name: str, record: Record) -> PriorityClass:
    return PriorityClass(
        name=PriorityClassName(name),
        value=record.value(keys.VALUE),
        class_factor=PerMille(record.value(keys.CLASS_FACTOR)),
        hold=record.value(keys.HOLD),
        slice_ms=record.value(keys.SLICE) * MS_PER_MINUTE,
        minimum_runtime_ms=_minimum_runtime_ms(record),
        preemption_delay_ms=record.value(keys.PREEMPTION_DELAY) * MS_PER_SECOND,
        is_preemptible=record.value(keys.PREEMPTIBLE),
        at_exhaustion=record.value(keys.AT_EXHAUSTION),
        may_start_unfunded=record.value(keys.MAY_START_UNFUNDED),
        grace_seconds_max=record.value(keys.GRACE_MAX),
        refund_cap_ms=record.value(keys.REFUND_CAP) * MS_PER_MINUTE,
        off_peak=record.made(keys.STARTS, off_peak, None),
        kinds=record.made(keys.CLASS_KINDS, frozenset, None),
    )


def _minimum_runtime_ms(record: Record) -> int:
    seconds = record.find(keys.MINIMUM_RUNTIME_SECONDS)
    return record.value(keys.MINIMUM_RUNTIME) * MS_PER_MINUTE if seconds is None else seconds * MS_PER_SECOND


def _tier(name: str, record: Record) -> Tier:
    return Tier(
        name=TierName(name),
        allowance=record.value(keys.ALLOWANCE) * MS_PER_HOUR,
        gpu_classes=record.made(keys.TIER_GPU_CLASSES, lambda names: frozenset(map(GpuClassName, names)), None),
        priority_classes=record.made(
            keys.TIER_PRIORITY_CLASSES, lambda names: frozenset(map(PriorityClassName, names)), None
        ),
        gpus_max=record.find(keys.TIER_GPUS_MAX),
        time_limit_max_ms=record.made(keys.TIER_TIME_LIMIT, _hours, None),
        overdraft=record.value(keys.OVERDRAFT) * MS_PER_HOUR,
        rollover=award_keys.rollover(record),
        may_transfer=record.value(award_keys.MAY_TRANSFER),
        may_donate=record.value(award_keys.MAY_DONATE),
        beside=allowance_keys.period_grants(record.value(allowance_keys.TIER_ALLOWANCES)),
    )


def _project(name: str, record: Record) -> Project:
    return Project(
        name=ProjectName(name),
        team=TeamName(record.value(allowance_keys.PROJECT_TEAM)),
        importance=PerMille(record.value(allowance_keys.IMPORTANCE)),
        allowance=record.value(allowance_keys.PROJECT_ALLOWANCE) * MS_PER_HOUR,
        beside=allowance_keys.period_grants(record.value(allowance_keys.PROJECT_ALLOWANCES)),
    )


def _limits(record: Record) -> Limits:
    return Limits(
        gpus_per_engineer=record.find(keys.GPUS_PER_ENGINEER),
        gpus_per_team=record.find(keys.GPUS_PER_TEAM),
        gpus_per_workload=record.value(keys.GPUS_PER_WORKLOAD),
        time_limit_max_ms=record.value(keys.TIME_LIMIT) * MS_PER_HOUR,
        start_timeout_ms=record.value(keys.START_TIMEOUT) * MS_PER_MINUTE,
        queued_per_engineer=record.value(keys.QUEUED_PER_ENGINEER),
        unfunded_gpus_per_engineer=record.value(keys.UNFUNDED_GPUS),
        runtime_max_ms=record.made(keys.RUNTIME_MAX, _hours, None),
        protected_per_day=record.made(keys.PROTECTED, _hours, None),
        confirm_weekend=record.made(keys.CONFIRM_WEEKEND, PerMille, None),
    )


def _hours(number: int) -> int:
    """In milliseconds."""
    return number * MS_PER_HOUR


def _sandbox(record: Record, images: tuple[str, ...]) -> SandboxTerms:
    return SandboxTerms(
        images=record.find(keys.SANDBOX_IMAGES) or images,
        default_image=record.find(keys.DEFAULT_IMAGE) or "",
        default_command=record.value(keys.DEFAULT_COMMAND),
        home_gib=record.value(keys.HOME),
        port=record.value(keys.PORT),
        extensions_max=record.value(keys.EXTENSIONS_MAX),
    )


def _rate(record: Record | None, default: StopRate) -> StopRate:
    if record is None:
        return default
    if record.value(stop_keys.RATE) is stop_keys.Stops.UNLIMITED:
        return StopRate(None)
    return StopRate(PerMille(record.value(stop_keys.SHARE)), floor=record.value(stop_keys.FLOOR))
