"""Policy files as the domain's policies: units, defaults, the examples, and the documentation of every key."""

import dataclasses
import hashlib
from pathlib import Path

from scheduler.adapters.policy_files import read_policy
from scheduler.adapters.policy_files.manual import people_reference, policy_reference
from scheduler.domain.approvals import ApprovalRules, Persons
from scheduler.domain.awards import PeriodGrant
from scheduler.domain.bookings import BookingTerms
from scheduler.domain.brakes import StopRate
from scheduler.domain.burning import BurnTerms
from scheduler.domain.cluster import GpuClass
from scheduler.domain.consolidation import ConsolidationTerms
from scheduler.domain.guards import GuardOf, GuardWindow, SpendGuard
from scheduler.domain.idleness import IdleAction, IdlePolicy, IdleRule, IdleThresholds, MisuseTerms, Retention
from scheduler.domain.periods import PeriodLength
from scheduler.domain.policy import (
    AtExhaustion,
    BorrowWithinCohort,
    Cohort,
    CoverageRule,
    FairShare,
    Limits,
    OffPeak,
    Order,
    Policy,
    Pool,
    PriorityClass,
    Project,
    Quota,
    ReclaimWithinCohort,
    SandboxTerms,
    Tier,
    WithinPool,
)
from scheduler.domain.quantities import TOKENS, class_unit, money_unit
from scheduler.domain.retries import RetriedEnd, RetryRule
from scheduler.domain.rollover import Rollover, RolloverRule
from scheduler.domain.topology import LevelName, TopologyLevel
from scheduler.domain.units import (
    CohortName,
    GpuClassName,
    PerMille,
    PoolName,
    PriorityClassName,
    ProjectName,
    TeamName,
    TierName,
)
from scheduler.domain.workloads import HoldMode, WorkloadKind

ROOT = Path(__file__).parents[2]
HOUR_MS = 3_600_000

EVERY_KEY = """\
version: 1
period: quarter
time_zone: Europe/Berlin
images: [registry.example.com/*]
default_priority_class: urgent
gpu_classes:
  mig-3g:
    weight_per_mille: 450
    node_selector: {nvidia.com/gpu.product: NVIDIA-H100-80GB-HBM3, zone: a}
    resource: nvidia.com/mig-3g.40gb
    tolerates: [sku, kubernetes.azure.com/scalesetpriority]
priority_classes:
  urgent:
    value: -7
    class_factor_per_mille: 1500
    hold: rolling
    slice_minutes: 20
    minimum_runtime_minutes: 10
    preemption_delay_seconds: 20
    preemptible: false
    at_exhaustion: unfunded
    may_start_unfunded: true
    grace_max_seconds: 45
    refund_cap_minutes: 90
    off_peak: {from_hour: 20, until_hour: 6, weekends: false, free_per_mille: 300}
    kinds: [job, booking]
tiers:
  senior:
    allowance_gpu_hours: 400
    gpu_classes: [mig-3g]
    priority_classes: [urgent]
    gpus_max: 16
    time_limit_max_hours: 72
    overdraft_gpu_hours: 5
    rollover: decaying
    rollover_cap_gpu_hours: 80
    rollover_keep_per_mille: 250
    may_transfer: true
    may_donate: true
    allowances: {tokens: {amount: 9, rollover_cap: 3}, gpu/mig-3g: {amount: 2}}
pools:
  research:
    teams: [vision, speech]
    quotas:
      mig-3g: {nominal_gpus: 32, borrowing_limit_gpus: 16, lending_limit_gpus: 8}
    cohort: lab
    order: fifo
    ageing_hours: 72
    ageing_per_engineer: 5
    within_pool: Never
    reclaim_within_cohort: LowerPriority
    borrow_within_cohort: LowerPriority
    borrow_threshold: 50
cohorts:
  company:
  lab:
    parent: company
    quotas: {mig-3g: {nominal_gpus: 4, borrowing_limit_gpus: 2, lending_limit_gpus: 1}}
projects:
  atlas: {team: vision, importance_per_mille: 1200, allowance_gpu_hours: 30, allowances: {EUR: {amount: 5}}}
project_gpu_hours: 60
fair_share: {half_life_hours: 48}
bookings: {horizon_days: 30, late_cancel_hours: 12, late_cancel_percent: 25}
consolidation: {priority_classes: [urgent], lost_max_gpu_minutes: 90, moves_max: 2}
spend_guards:
  nights: {of: team, window: weekend, soft_gpu_hours: 100, hard_gpu_hours: 150}
burn: {jump_percent: 250, jump_gpu_hours: 48, warn_days: 14}
limits:
  gpus_per_engineer: 24
  gpus_per_team: 48
  gpus_per_workload: 12
  time_limit_max_hours: 100
  start_timeout_minutes: 6
  queued_per_engineer: 50
  runtime_max_hours: 200
  confirm_weekend_per_mille: 800
  protected_gpu_hours_per_day: 12
  unfunded_gpus_per_engineer: 3
sandbox:
  images: [registry.example.com/box:1]
  default_image: registry.example.com/box:1
  default_command: [jupyter, lab, lab]
  home_gib: 7
  port: 9000
  extensions_max: 2
stop_rates:
  preempt: {share_per_mille: 100, floor_gpus: 3}
  exhaustion: {rate: unlimited}
  idle: {share_per_mille: 20}
topology:
  block: example.com/block
  rack: example.com/rack
retry_rules:
  flaky:
    exit_codes: [1, 137]
    ends: [Failed, StartTimeout]
    retries_max: 5
    first_wait_seconds: 30
    longest_wait_seconds: 900
    jitter_per_mille: 100
idle_rules:
  sandboxes:
    kinds: [sandbox]
    priority_classes: [urgent]
    window_minutes: 60
    warn_at_minutes: [30, 50]
    lead_minutes: 5
    startup_minutes: 12
    coverage_per_mille: 950
    keep_alives_max: 1
    action: stop
    dry_run: false
    acts_without_checkpoint: true
    cpu_busy_percent: 150
    cpu_wait_minutes_max: 45
    thresholds:
      idle_percent: 2
      power_per_mille: 100
      power_watts: 20
      baseline_watts_max: 90
      hung_percent: 99
      coverage_per_mille: 800
  others:
retention: {windows_days: 7, hours_days: 400}
misuse:
  allowed_processes: [node-health, "a name of more than fifteen letters"]
  allowed_in_pods: [nvidia-cuda-mps-server]
approvals: {grants: one-person, policy: one-person, prices: one-person, access: one-person}
coverage: {ratio_max_per_mille: 1200, availability_per_mille: 900}
"""

MINIMAL = """\
version: 1
gpu_classes: {gpu: {weight_per_mille: 1000}}
priority_classes: {standard: {value: 500}}
tiers: {engineer: {allowance_gpu_hours: 100}}
pools: {everyone: {teams: [everyone], quotas: {gpu: {nominal_gpus: 8}}}}
projects: {atlas: {team: everyone}}
"""


GPU_CLASS, URGENT, LAB = GpuClassName("mig-3g"), PriorityClassName("urgent"), CohortName("lab")
MIG = GpuClass(
    GPU_CLASS,
    PerMille(450),
    (("nvidia.com/gpu.product", "NVIDIA-H100-80GB-HBM3"), ("zone", "a")),
    "nvidia.com/mig-3g.40gb",
    ("sku", "kubernetes.azure.com/scalesetpriority"),
)
URGENT_TERMS = PriorityClass(
    name=URGENT,
    value=-7,
    class_factor=PerMille(1500),
    hold=HoldMode.ROLLING,
    slice_ms=20 * 60_000,
    minimum_runtime_ms=10 * 60_000,
    preemption_delay_ms=20_000,
    is_preemptible=False,
    at_exhaustion=AtExhaustion.UNFUNDED,
    may_start_unfunded=True,
    grace_seconds_max=45,
    refund_cap_ms=90 * 60_000,
    off_peak=OffPeak(20, 6, False, PerMille(300)),
    kinds=frozenset({WorkloadKind.JOB, WorkloadKind.BOOKING}),
)
SENIOR = Tier(
    name=TierName("senior"),
    allowance=400 * HOUR_MS,
    gpu_classes=frozenset({GPU_CLASS}),
    priority_classes=frozenset({URGENT}),
    gpus_max=16,
    time_limit_max_ms=72 * HOUR_MS,
    overdraft=5 * HOUR_MS,
    rollover=Rollover(RolloverRule.DECAYING, 80 * HOUR_MS, PerMille(250)),
    may_transfer=True,
    may_donate=True,
    beside=(PeriodGrant(class_unit(GPU_CLASS), 2 * HOUR_MS), PeriodGrant(TOKENS, 9, 3)),
)
RESEARCH = Pool(
    name=PoolName("research"),
    teams=(TeamName("vision"), TeamName("speech")),
    quotas={GPU_CLASS: Quota(GPU_CLASS, 32, 16, 8)},
    cohort=LAB,
    order=Order.FIFO,
    within_pool=WithinPool.NEVER,
    reclaim_within_cohort=ReclaimWithinCohort.LOWER_PRIORITY,
    borrow_within_cohort=BorrowWithinCohort.LOWER_PRIORITY,
    borrow_threshold=50,
    ageing_ms=72 * HOUR_MS,
    ageing_per_engineer=5,
)
SANDBOXES = IdleRule(
    "sandboxes",
    frozenset({WorkloadKind.SANDBOX}),
    frozenset({URGENT}),
    IdleThresholds(2, 100, 20_000, 90_000, 99, 800),
    IdlePolicy(
        60 * 60_000,
        (30 * 60_000, 50 * 60_000),
        5 * 60_000,
        12 * 60_000,
        950,
        1,
        IdleAction.STOP,
        False,
        True,
        1_500,
        45 * 60_000,
    ),
)
FLAKY = RetryRule(
    "flaky",
    frozenset({1, 137}),
    frozenset({RetriedEnd.FAILED, RetriedEnd.START_TIMEOUT}),
    5,
    30_000,
    900_000,
    PerMille(100),
)
ATLAS = Project(
    ProjectName("atlas"),
    TeamName("vision"),
    PerMille(1200),
    30 * HOUR_MS,
    (PeriodGrant(money_unit("EUR"), 5_000_000),),
)
BOX = "registry.example.com/box:1"


def test_every_key_arrives_in_the_domain_in_its_unit() -> None:
    assert read_policy(EVERY_KEY, "every.yaml") == Policy(
        name="every.yaml",
        hash=hashlib.sha256(EVERY_KEY.encode()).hexdigest(),
        gpu_classes={GPU_CLASS: MIG},
        priority_classes={URGENT: URGENT_TERMS},
        tiers={SENIOR.name: SENIOR},
        pools={RESEARCH.name: RESEARCH},
        cohorts={
            CohortName("company"): Cohort(CohortName("company")),
            LAB: Cohort(LAB, CohortName("company"), {GPU_CLASS: Quota(GPU_CLASS, 4, 2, 1)}),
        },
        projects={ATLAS.name: ATLAS},
        project_hours=60 * HOUR_MS,
        fair_share=FairShare(48 * HOUR_MS),
        bookings=BookingTerms(30 * 24 * HOUR_MS, 12 * HOUR_MS, PerMille(250)),
        consolidation=ConsolidationTerms(frozenset({PriorityClassName("urgent")}), 90 * 60_000, 2),
        limits=Limits(24, 48, 12, 100 * HOUR_MS, 6 * 60_000, 50, 3, 200 * HOUR_MS, 12 * HOUR_MS, PerMille(800)),
        spend_guards=(SpendGuard("nights", GuardOf.TEAM, GuardWindow.WEEKEND, 100 * HOUR_MS, 150 * HOUR_MS),),
        burn=BurnTerms(PerMille(2500), 48 * HOUR_MS, 14 * 24 * HOUR_MS),
        sandbox=SandboxTerms((BOX,), BOX, ("jupyter", "lab", "lab"), 7, 9000, 2),
        images=("registry.example.com/*",),
        period=PeriodLength.QUARTER,
        time_zone="Europe/Berlin",
        default_priority_class=URGENT,
        preempt_rate=StopRate(PerMille(100), floor=3),
        exhaustion_rate=StopRate(None),
        idle_rate=StopRate(PerMille(20), floor=8),
        retry_rules=(FLAKY,),
        topology=(
            TopologyLevel(LevelName("block"), "example.com/block"),
            TopologyLevel(LevelName("rack"), "example.com/rack"),
        ),
        idle_rules=(SANDBOXES, IdleRule("others")),
        retention=Retention(7 * 24 * HOUR_MS, 400 * 24 * HOUR_MS),
        misuse=MisuseTerms(frozenset({"node-health", "a name of more "}), frozenset({"nvidia-cuda-mps"})),
        approvals=ApprovalRules(Persons.ONE, Persons.ONE, Persons.ONE, Persons.ONE),
        coverage=CoverageRule(PerMille(1200), PerMille(900)),
    )


def _parts(policy: Policy) -> list[object]:
    """A policy's values, one of each type, the policy itself among them."""
    pool = next(iter(policy.pools.values()))
    return [
        policy,
        next(iter(policy.gpu_classes.values())),
        next(iter(policy.priority_classes.values())),
        next(iter(policy.tiers.values())),
        pool,
        next(iter(pool.quotas.values())),
        *(each for each in policy.cohorts.values() if each.quotas),
        next(iter(policy.projects.values())),
        policy.limits,
        policy.sandbox,
        *((rule, rule.policy, rule.thresholds) if (rule := next(iter(policy.idle_rules), None)) else ()),
        policy.retention,
        policy.misuse,
        policy.approvals,
        policy.coverage,
    ]


def test_the_domain_has_no_term_that_a_file_cannot_set() -> None:
    # A field that is added to the domain and not to the reader keeps its default here.
    for part in _parts(read_policy(EVERY_KEY, "every.yaml")):
        assert dataclasses.is_dataclass(part)
        for field in dataclasses.fields(part):
            if field.default is not dataclasses.MISSING:
                assert getattr(part, field.name) != field.default, f"{type(part).__name__}.{field.name}"


def test_a_key_that_is_left_out_has_the_domain_s_default() -> None:
    for part in _parts(read_policy(MINIMAL, "minimal.yaml")):
        assert dataclasses.is_dataclass(part)
        for field in dataclasses.fields(part):
            # A sandbox without a list of its own may run what any workload may.
            is_own_list = isinstance(part, SandboxTerms) and field.name == "images"
            is_own_terms = isinstance(part, Policy) and field.name == "sandbox"
            if field.default is not dataclasses.MISSING and not is_own_list and not is_own_terms:
                assert getattr(part, field.name) == field.default, f"{type(part).__name__}.{field.name}"
    assert read_policy(MINIMAL, "minimal.yaml").sandbox == SandboxTerms(images=("*",))


def test_a_file_that_begins_with_a_byte_order_mark_is_read() -> None:
    assert read_policy(b"\xef\xbb\xbf" + MINIMAL.encode(), "bom.yaml").tiers


def test_a_default_written_out_changes_nothing_but_the_hash() -> None:
    written = MINIMAL + "period: month\ntime_zone: UTC\ncohorts: {}\nlimits: {}\nsandbox:\nstop_rates:\n"
    left_out, written_out = read_policy(MINIMAL, "a"), read_policy(written, "a")
    assert dataclasses.replace(written_out, hash=left_out.hash) == left_out


def test_the_documentation_has_every_key_and_no_other() -> None:
    text = (ROOT / "docs/policies.md").read_text(encoding="utf-8")
    policy_part, people_part = text.split("## The people directory")
    assert policy_part.split("## The keys of a policy")[1].split("\n\n", 2)[2].strip() == policy_reference()
    assert people_part.split("\n\n", 2)[2].strip() == people_reference()


def test_every_example_of_every_key_is_in_the_widest_example() -> None:
    # Admins copy from it: a key that nobody can see used there is one that nobody finds.
    example = (ROOT / "policies/example.yaml").read_text(encoding="utf-8")
    for key in (
        "weight_per_mille",
        "node_selector",
        "slice_minutes",
        "minimum_runtime_minutes",
        "preemption_delay_seconds",
        "may_start_unfunded",
    ):
        assert f"{key}:" in example
