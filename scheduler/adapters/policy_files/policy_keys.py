"""Every key of a policy file: its kind, its default and its meaning. The documentation's tables are made from this.

Amounts are in the units that people use, named last in the key; `policy_reader` turns them into the domain's.
"""

from scheduler.adapters.policy_files.allowance_keys import (
    PERIOD_GRANT,
    PROJECT,
    PROJECT_GRANT,
    PROJECT_HOURS,
    TIER_ALLOWANCES,
)
from scheduler.adapters.policy_files.approval_keys import APPROVALS, COVERAGE
from scheduler.adapters.policy_files.award_keys import AWARD_FIELDS
from scheduler.adapters.policy_files.booking_keys import BOOKINGS
from scheduler.adapters.policy_files.burn_keys import BURN, BURN_TOLD
from scheduler.adapters.policy_files.cohort_keys import COHORT, COHORTS, QUOTA_OF_COHORT
from scheduler.adapters.policy_files.consolidation_keys import CONSOLIDATION
from scheduler.adapters.policy_files.guard_keys import OFF_PEAK, SPEND_GUARD
from scheduler.adapters.policy_files.idle_keys import IDLE_RULE, MISUSE, RETENTION, THRESHOLDS
from scheduler.adapters.policy_files.kinds import Choice, Flag, ListOf, MapOf, Name, Text, Whole
from scheduler.adapters.policy_files.order_keys import FAIR_SHARE
from scheduler.adapters.policy_files.pool_keys import POOL, POOLS, QUOTA
from scheduler.adapters.policy_files.retry_keys import RETRY_RULE
from scheduler.adapters.policy_files.sections import Field, Section
from scheduler.adapters.policy_files.stop_keys import STOP_RATE, STOP_RATES
from scheduler.adapters.policy_files.taint_keys import TOLERATES
from scheduler.adapters.policy_files.topology_keys import LEVELS
from scheduler.domain.periods import PeriodLength
from scheduler.domain.policy import AtExhaustion
from scheduler.domain.workloads import HoldMode, WorkloadKind

# The bounds keep the largest possible hold (GPUs × time × weight × class factor) under 2^62, see domain.units.
_GPUS_MAX = 16_384
_HOURS_MAX = 8_784
_MINUTES_MAX = _HOURS_MAX * 60
_FACTOR_MAX = 20_000
_GPU_HOURS_MAX = 1_000_000_000

_GPUS = Whole(1, _GPUS_MAX, "GPUs")
_GPUS_OR_NONE = Whole(0, _GPUS_MAX, "GPUs")
_HOURS = Whole(1, _HOURS_MAX, "hours")
_GPU_HOURS = Whole(0, _GPU_HOURS_MAX, "standard GPU-hours")
_FACTOR = Whole(1, _FACTOR_MAX, "per mille")
_IMAGE = Text("an image, a trailing * matching any ending", r"[A-Za-z0-9][^\s*]*\*?|\*")
_ARGUMENT = Text("a command's argument", r"[^\x00]+", length_max=4096)
_LABEL_PART = r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?"
_DOMAIN = r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?"

# gpu_classes
WEIGHT = Field("weight_per_mille", _FACTOR, "standard GPU-hours charged per hour of one such GPU", is_required=True)
NODE_SELECTOR = Field(
    "node_selector",
    MapOf(Text("a label's key", rf"({_DOMAIN}/)?{_LABEL_PART}"), Text("a label's value", _LABEL_PART), "node labels"),
    "labels that a node must have, as GPU feature discovery writes them",
    default={},
    absent="every node",
)
RESOURCE = Field(
    "resource",
    Text("a resource name such as nvidia.com/gpu", rf"{_DOMAIN}/{_LABEL_PART}"),
    "the extended resource that its GPUs are; a MIG profile has one of its own",
    default="nvidia.com/gpu",
)
GPU_CLASS = Section(
    "gpu_classes.NAME", "An interchangeable sort of GPU.", (WEIGHT, NODE_SELECTOR, RESOURCE, TOLERATES)
)

# priority_classes
VALUE = Field("value", Whole(-1_000_000_000, 1_000_000_000), "the higher goes first", is_required=True)
CLASS_FACTOR = Field("class_factor_per_mille", _FACTOR, "charged hours are multiplied by it", default=1000)
HOLD = Field("hold", Choice(HoldMode), "hold the whole time limit, or slice by slice", default=HoldMode.FULL)
SLICE = Field(
    "slice_minutes", Whole(1, 1440, "minutes"), "length of a rolling hold; only with `hold: rolling`", default=15
)
MINIMUM_RUNTIME = Field(
    "minimum_runtime_minutes", Whole(0, _MINUTES_MAX, "minutes"), "younger work is no victim", default=0
)
MINIMUM_RUNTIME_SECONDS = Field(
    "minimum_runtime_seconds",
    Whole(0, _MINUTES_MAX * 60, "seconds"),
    "the same in seconds, as Slurm's `PreemptExemptTime`, where work is shorter; one of the two",
    absent="as `minimum_runtime_minutes` says",
)
PREEMPTION_DELAY = Field(
    "preemption_delay_seconds",
    Whole(0, 86_400, "seconds"),
    "how long its work waits before it stops anybody: what would be free by then anyway is not killed for it",
    default=0,
)
PREEMPTIBLE = Field("preemptible", Flag(), "whether its work may be a victim at all", default=True)
AT_EXHAUSTION = Field(
    "at_exhaustion",
    Choice(AtExhaustion),
    "what happens when a rolling hold cannot be renewed",
    default=AtExhaustion.STOP,
)
MAY_START_UNFUNDED = Field(
    "may_start_unfunded", Flag(), "may run without a hold on capacity that nobody else wants", default=False
)
GRACE_MAX = Field(
    "grace_max_seconds", Whole(0, 3600, "seconds"), "longest grace after SIGTERM to be asked for", default=300
)
REFUND_CAP = Field(
    "refund_cap_minutes", Whole(0, _MINUTES_MAX, "minutes"), "most lost work that is refunded, per GPU", default=60
)
STARTS = Field("off_peak", OFF_PEAK, "when its work may start", absent="at any time")
CLASS_KINDS = Field("kinds", ListOf(Choice(WorkloadKind)), "the kinds of work that may be of it", absent="any")
PRIORITY_CLASS = Section(
    "priority_classes.NAME",
    "A priority class and the terms of running in it.",
    (
        VALUE,
        CLASS_FACTOR,
        HOLD,
        SLICE,
        MINIMUM_RUNTIME,
        MINIMUM_RUNTIME_SECONDS,
        PREEMPTION_DELAY,
        PREEMPTIBLE,
        AT_EXHAUSTION,
        MAY_START_UNFUNDED,
        GRACE_MAX,
        REFUND_CAP,
        STARTS,
        CLASS_KINDS,
    ),
)

# tiers
ALLOWANCE = Field(
    "allowance_gpu_hours", _GPU_HOURS, "granted to each engineer of the tier per period", is_required=True
)
TIER_GPU_CLASSES = Field(
    "gpu_classes", ListOf(Name("gpu_classes")), "GPU classes that its engineers may use", absent="any"
)
TIER_PRIORITY_CLASSES = Field(
    "priority_classes", ListOf(Name("priority_classes")), "priority classes that its engineers may use", absent="any"
)
TIER_GPUS_MAX = Field("gpus_max", _GPUS, "GPUs that an engineer of the tier may run at once", absent="no limit")
TIER_TIME_LIMIT = Field(
    "time_limit_max_hours", _HOURS, "longest time limit of an attempt", absent="no limit of its own"
)
OVERDRAFT = Field("overdraft_gpu_hours", _GPU_HOURS, "how far below 0 the allowance may go", default=0)
TIER = Section(
    "tiers.NAME",
    "What an engineer of the tier gets.",
    (
        ALLOWANCE,
        TIER_GPU_CLASSES,
        TIER_PRIORITY_CLASSES,
        TIER_GPUS_MAX,
        TIER_TIME_LIMIT,
        OVERDRAFT,
        *AWARD_FIELDS,
        TIER_ALLOWANCES,
    ),
)

# limits
GPUS_PER_ENGINEER = Field("gpus_per_engineer", _GPUS, "GPUs that an engineer may run at once", absent="no limit")
GPUS_PER_TEAM = Field("gpus_per_team", _GPUS, "GPUs that a team may run at once", absent="no limit")
GPUS_PER_WORKLOAD = Field("gpus_per_workload", _GPUS, "GPUs of one workload", default=4096)
TIME_LIMIT = Field("time_limit_max_hours", _HOURS, "longest time limit of an attempt", default=336)
START_TIMEOUT = Field(
    "start_timeout_minutes",
    Whole(1, 1440, "minutes"),
    "from launch to the first container's start, paid by the platform; then the attempt is released, after 2 where "
    "Kubernetes refuses its pods",
    default=15,
)
QUEUED_PER_ENGINEER = Field(
    "queued_per_engineer",
    Whole(1, 1_000_000, "workloads"),
    "workloads that an engineer may have queued",
    default=10_000,
)
UNFUNDED_GPUS = Field(
    "unfunded_gpus_per_engineer", _GPUS_OR_NONE, "GPUs that an engineer may run unfunded at once", default=8
)
RUNTIME_MAX = Field("runtime_max_hours", _HOURS, "longest all attempts of a job may run together", absent="no limit")
PROTECTED = Field(
    "protected_gpu_hours_per_day",
    Whole(0, 1_000_000, "GPU-hours"),
    "minimum runtimes that the attempts of an engineer are given per day together; those beyond it have none",
    absent="no limit",
)
CONFIRM_WEEKEND = Field(
    "confirm_weekend_per_mille",
    Whole(0, 1000, "per mille"),
    "share of what pays for it that a submission which runs into a weekend may use up by its end, unconfirmed, with what "
    "its owner has waiting for the same hours; once that is beyond the share, each further submission is asked about",
    absent="nothing needs confirmation",
)
LIMITS = Section(
    "limits",
    "Bounds for everybody.",
    (
        GPUS_PER_ENGINEER,
        GPUS_PER_TEAM,
        GPUS_PER_WORKLOAD,
        TIME_LIMIT,
        START_TIMEOUT,
        QUEUED_PER_ENGINEER,
        UNFUNDED_GPUS,
        RUNTIME_MAX,
        PROTECTED,
        CONFIRM_WEEKEND,
    ),
)

# sandbox
SANDBOX_IMAGES = Field("images", ListOf(_IMAGE), "images that a sandbox may run", absent="those of `images`")
DEFAULT_IMAGE = Field("default_image", _IMAGE, "the image where none is named", absent="one must be named")
DEFAULT_COMMAND = Field(
    "default_command",
    ListOf(_ARGUMENT, low=0, high=100, is_distinct=False),
    "the command where none is given",
    default=(),
    absent="the image's own",
)
HOME = Field("home_gib", Whole(1, 65_536, "GiB"), "size of the home volume that survives the sandbox", default=20)
PORT = Field("port", Whole(1, 65_535), "port that its server listens on", default=8888)
EXTENSIONS_MAX = Field("extensions_max", Whole(0, 1000), "how often one may be extended", default=8)
SANDBOX = Section(
    "sandbox",
    "What a sandbox may be.",
    (SANDBOX_IMAGES, DEFAULT_IMAGE, DEFAULT_COMMAND, HOME, PORT, EXTENSIONS_MAX),
)

# the whole file
VERSION = Field("version", Whole(1, 1), "the version of this format", is_required=True)
PERIOD = Field("period", Choice(PeriodLength), "how long an allowance's period is", default=PeriodLength.MONTH)
TIME_ZONE = Field(
    "time_zone",
    Text("a time zone such as Europe/Berlin", r"[A-Za-z0-9+_/-]+"),
    "where the period's midnight is",
    default="UTC",
)
IMAGES = Field("images", ListOf(_IMAGE), "images that any workload may run", default=("*",), absent="any")
DEFAULT_PRIORITY_CLASS = Field(
    "default_priority_class",
    Name("priority_classes"),
    "the class of work that names none",
    absent="one must be named",
)
GPU_CLASSES = Field(
    "gpu_classes", MapOf(Name(), GPU_CLASS, "GPU classes", low=1), "the sorts of GPU", is_required=True
)
PRIORITY_CLASSES = Field(
    "priority_classes",
    MapOf(Name(), PRIORITY_CLASS, "priority classes", low=1),
    "who goes first, and its price",
    is_required=True,
)
TIERS = Field("tiers", MapOf(Name(), TIER, "tiers", low=1), "what an engineer gets", is_required=True)
PROJECTS = Field("projects", MapOf(Name(), PROJECT, "projects"), "what work is for", default={}, absent="none")
LOOKING_BACK = Field("fair_share", FAIR_SHARE, "how `order: fair-share` looks back", absent="its defaults")
BOOKED_AHEAD = Field("bookings", BOOKINGS, "how far ahead GPUs may be booked", absent="its defaults")
MOVED = Field(
    "consolidation",
    CONSOLIDATION,
    "whose work may be moved so that a gang fits",
    absent="nothing is moved",
)
LIMITS_OF_ALL = Field("limits", LIMITS, "bounds for everybody", absent="its defaults")
SANDBOX_TERMS = Field("sandbox", SANDBOX, "what a sandbox may be", absent="its defaults")
RATES = Field("stop_rates", STOP_RATES, "how fast each loop may stop work", absent="its defaults")
IDLE_RULES = Field(
    "idle_rules",
    MapOf(Name(), IDLE_RULE, "idle rules"),
    "what follows from idle GPUs",
    default={},
    absent="none: rest is shown, and nothing follows",
)
SPEND_GUARDS = Field(
    "spend_guards",
    MapOf(Name(), SPEND_GUARD, "spend guards"),
    "how much may be used per hour, day or weekend",
    default={},
    absent="none",
)
RETRY_RULES = Field(
    "retry_rules",
    MapOf(Name(), RETRY_RULE, "retry rules"),
    "which ends of a job are tried again",
    default={},
    absent="none: what fails has failed",
)
MISUSE_OF = Field("misuse", MISUSE, "whom misuse does not accuse", absent="its defaults")
KEPT = Field("retention", RETENTION, "for how long readings are kept", absent="its defaults")
APPROVED = Field("approvals", APPROVALS, "what waits for a second person", absent="its defaults")
COVERED = Field("coverage", COVERAGE, "how much may be promised", absent="its defaults")
POLICY = Section(
    "the file",
    "One version of everything that admins decide.",
    (
        VERSION,
        PERIOD,
        TIME_ZONE,
        IMAGES,
        DEFAULT_PRIORITY_CLASS,
        GPU_CLASSES,
        PRIORITY_CLASSES,
        TIERS,
        POOLS,
        COHORTS,
        LEVELS,
        PROJECTS,
        PROJECT_HOURS,
        LOOKING_BACK,
        BOOKED_AHEAD,
        MOVED,
        LIMITS_OF_ALL,
        SPEND_GUARDS,
        BURN_TOLD,
        SANDBOX_TERMS,
        RATES,
        IDLE_RULES,
        RETRY_RULES,
        KEPT,
        MISUSE_OF,
        APPROVED,
        COVERED,
    ),
)

SECTIONS: tuple[Section, ...] = (
    POLICY,
    GPU_CLASS,
    PRIORITY_CLASS,
    OFF_PEAK,
    TIER,
    PERIOD_GRANT,
    POOL,
    QUOTA,
    COHORT,
    QUOTA_OF_COHORT,
    PROJECT,
    PROJECT_GRANT,
    FAIR_SHARE,
    BOOKINGS,
    CONSOLIDATION,
    LIMITS,
    SPEND_GUARD,
    BURN,
    SANDBOX,
    STOP_RATES,
    STOP_RATE,
    IDLE_RULE,
    THRESHOLDS,
    RETRY_RULE,
    RETENTION,
    MISUSE,
    APPROVALS,
    COVERAGE,
)
"""In the order of the documentation."""
