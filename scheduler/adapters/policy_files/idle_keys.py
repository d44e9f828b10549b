"""The keys of a policy file that say what is idle and what follows, and how long readings are kept."""

from collections.abc import Iterable

from scheduler.adapters.policy_files.kinds import Choice, Flag, ListOf, Name, Text, Whole
from scheduler.adapters.policy_files.sections import Field, Record, Section
from scheduler.domain.idleness import (
    ALLOWED_PROCESSES,
    PROCESS_NAME_LETTERS,
    IdleAction,
    IdlePolicy,
    IdleRule,
    IdleThresholds,
    MisuseTerms,
    Retention,
)
from scheduler.domain.units import MS_PER_DAY, MS_PER_MINUTE, PriorityClassName
from scheduler.domain.workloads import WorkloadKind

_MINUTES = Whole(1, 10_080, "minutes")
_PERCENT = Whole(0, 100, "percent")
_PER_MILLE = Whole(0, 1000, "per mille")
_DAYS = Whole(1, 36_500, "days")
_MILLIWATTS_PER_WATT = 1_000
_MILLICORES_PER_PERCENT = 10

# idle_rules.NAME.thresholds
IDLE_PERCENT = Field("idle_percent", _PERCENT, "the highest sample of utilisation that is still idle", default=0)
POWER = Field(
    "power_per_mille", _PER_MILLE, "power near idle: the GPU's own baseline plus this share of it …", default=250
)
POWER_WATTS = Field("power_watts", Whole(0, 1000, "watts"), "… plus this", default=15)
BASELINE_MAX = Field(
    "baseline_watts_max",
    Whole(1, 2000, "watts"),
    "most that is learned as a baseline of idleness: a GPU that idles above it is never idle",
    default=160,
)
HUNG_PERCENT = Field("hung_percent", Whole(1, 100, "percent"), "least utilisation of a suspected hang", default=95)
DEVICE_COVERAGE = Field(
    "coverage_per_mille",
    Whole(1, 1000, "per mille"),
    "least part of a reading's time that must be covered",
    default=900,
)
THRESHOLDS = Section(
    "idle_rules.NAME.thresholds",
    "When a GPU counts as idle, or as hung.",
    (IDLE_PERCENT, POWER, POWER_WATTS, BASELINE_MAX, HUNG_PERCENT, DEVICE_COVERAGE),
)

# idle_rules.NAME
KINDS = Field("kinds", ListOf(Choice(WorkloadKind)), "the kinds of work that it covers", absent="any")
PRIORITY_CLASSES = Field(
    "priority_classes", ListOf(Name("priority_classes")), "the priority classes that it covers", absent="any"
)
WINDOW = Field("window_minutes", _MINUTES, "rest after which the action is due", default=30)
WARN_AT = Field(
    "warn_at_minutes",
    ListOf(_MINUTES, low=2, high=2),
    "rest after which the owner is warned: two, in order, within the window",
    default=(15, 25),
)
LEAD = Field(
    "lead_minutes", Whole(0, 1440, "minutes"), "least time between the last warning and the action", default=2
)
STARTUP = Field("startup_minutes", Whole(0, 1440, "minutes"), "not judged for so long after the launch", default=10)
COVERAGE = Field(
    "coverage_per_mille",
    Whole(1, 1000, "per mille"),
    "least part of the window that must have been read",
    default=900,
)
KEEP_ALIVES = Field("keep_alives_max", Whole(0, 1000), "how often the owner may set the clock back", default=3)
ACTION = Field("action", Choice(IdleAction), "what is done in the end", default=IdleAction.SUSPEND)
DRY_RUN = Field("dry_run", Flag(), "say what would be done, and do nothing", default=True)
WITHOUT_CHECKPOINT = Field(
    "acts_without_checkpoint",
    Flag(),
    "act on a job that has written no checkpoint, and on a sandbox that has neither home nor preStop hook, too",
    default=False,
)
CPU_BUSY = Field(
    "cpu_busy_percent",
    Whole(10, 100_000, "percent of one core"),
    "the clock waits while the pods on a node of the GPUs use so much of its CPUs: they prepare data",
    absent="it never waits",
)
CPU_WAIT = Field("cpu_wait_minutes_max", _MINUTES, "but no longer in one spell of rest", default=120)
THRESHOLDS_OF_RULE = Field("thresholds", THRESHOLDS, "when a GPU counts as idle", absent="its defaults")
IDLE_RULE = Section(
    "idle_rules.NAME",
    "What follows from rest, for work of these kinds and classes; of several rules the first that covers it holds.",
    (
        KINDS,
        PRIORITY_CLASSES,
        WINDOW,
        WARN_AT,
        LEAD,
        STARTUP,
        COVERAGE,
        KEEP_ALIVES,
        ACTION,
        DRY_RUN,
        WITHOUT_CHECKPOINT,
        CPU_BUSY,
        CPU_WAIT,
        THRESHOLDS_OF_RULE,
    ),
)

# retention
WINDOWS_KEPT = Field("windows_days", _DAYS, "single readings of a GPU", default=14)
HOURS_KEPT = Field("hours_days", _DAYS, "the hours that they add up to", default=800)
RETENTION = Section("retention", "For how long readings are kept.", (WINDOWS_KEPT, HOURS_KEPT))

# misuse
ALLOWED_OF_HOST = Field(
    "allowed_processes",
    ListOf(Text("the name of a process", length_max=64)),
    "names of the host's processes that may be on any GPU; the kernel keeps fifteen letters",
    default=tuple(sorted(ALLOWED_PROCESSES)),
    absent="what comes with drivers, DCGM, MPS and displays",
)
ALLOWED_IN_PODS = Field(
    "allowed_in_pods",
    ListOf(Text("the name of a process", length_max=64)),
    "the same of pods that are not ours, such as nvidia-cuda-mps-server where the device plugin runs it in one: whoever "
    "may make such a pod can take the name",
    default=(),
    absent="none",
)
MISUSE = Section(
    "misuse",
    "Whom misuse does not accuse. No name excuses a process of our own pods.",
    (ALLOWED_OF_HOST, ALLOWED_IN_PODS),
)


def misuse(record: Record) -> MisuseTerms:
    return MisuseTerms(*(_as_cut(record.value(field)) for field in (ALLOWED_OF_HOST, ALLOWED_IN_PODS)))


def _as_cut(names: Iterable[str]) -> frozenset[str]:
    return frozenset(name[:PROCESS_NAME_LETTERS] for name in names)


def idle_rule(name: str, record: Record) -> IdleRule:
    """The domain's rule. Only of records without problems."""
    kinds, classes = record.find(KINDS), record.find(PRIORITY_CLASSES)
    cpu_busy = record.find(CPU_BUSY)
    thresholds = record.find(THRESHOLDS_OF_RULE)
    first, second = record.value(WARN_AT)
    return IdleRule(
        name=name,
        kinds=None if kinds is None else frozenset(kinds),
        priority_classes=None if classes is None else frozenset(map(PriorityClassName, classes)),
        thresholds=IdleThresholds() if thresholds is None else _thresholds(thresholds),
        policy=IdlePolicy(
            window_ms=record.value(WINDOW) * MS_PER_MINUTE,
            warn_at_ms=(first * MS_PER_MINUTE, second * MS_PER_MINUTE),
            lead_ms=record.value(LEAD) * MS_PER_MINUTE,
            startup_ms=record.value(STARTUP) * MS_PER_MINUTE,
            coverage_permille=record.value(COVERAGE),
            keep_alives_max=record.value(KEEP_ALIVES),
            action=record.value(ACTION),
            is_dry_run=record.value(DRY_RUN),
            acts_without_checkpoint=record.value(WITHOUT_CHECKPOINT),
            cpu_busy_millicores=None if cpu_busy is None else cpu_busy * _MILLICORES_PER_PERCENT,
            cpu_wait_ms_max=record.value(CPU_WAIT) * MS_PER_MINUTE,
        ),
    )


def retention(record: Record) -> Retention:
    return Retention(
        windows_ms=record.value(WINDOWS_KEPT) * MS_PER_DAY, hours_ms=record.value(HOURS_KEPT) * MS_PER_DAY
    )


def _thresholds(record: Record) -> IdleThresholds:
    return IdleThresholds(
        percent=record.value(IDLE_PERCENT),
        power_permille=record.value(POWER),
        power_milliwatts=record.value(POWER_WATTS) * _MILLIWATTS_PER_WATT,
        baseline_milliwatts_max=record.value(BASELINE_MAX) * _MILLIWATTS_PER_WATT,
        hung_percent=record.value(HUNG_PERCENT),
        coverage_permille=record.value(DEVICE_COVERAGE),
    )
