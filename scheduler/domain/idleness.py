"""What a policy says of idle GPUs: when a device counts as idle, and what follows when an attempt's rest goes on."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from scheduler.domain.units import MS_PER_DAY, MS_PER_MINUTE, AttemptId, Instant, PriorityClassName, WorkloadId
from scheduler.domain.workloads import WorkloadKind


class IdleAction(StrEnum):
    REPORT = "report"
    SUSPEND = "suspend"
    """Its owner may resume it."""
    STOP = "stop"
    """It ends for good; a sandbox's home is kept."""


@dataclass(frozen=True, slots=True)
class IdleThresholds:
    """When a device counts as idle.

    `percent` is the highest sample that is still idle. Power is near idle up to the device's own baseline plus
    `power_permille` of it plus `power_milliwatts`; `baseline_milliwatts_max` bounds what may be learned as a baseline,
    so that silent work is not taken for rest. `hung_percent` is the least utilisation of a hang.
    """

    percent: int = 0
    power_permille: int = 250
    power_milliwatts: int = 15_000
    baseline_milliwatts_max: int = 160_000
    hung_percent: int = 95
    coverage_permille: int = 900


@dataclass(frozen=True, slots=True)
class IdlePolicy:
    """Instants of the clock are milliseconds of rest.

    `warn_at_ms` are two, in order, both before `window_ms`; the action comes `lead_ms` after the last warning at the
    earliest. `startup_ms` after its launch an attempt is not judged. `keep_alives_max` is how often its owner may set
    the clock back. `is_dry_run`: say what would be done, and do nothing. `acts_without_checkpoint`: a job that has
    written none, and a sandbox with neither a home volume nor a hook that saves its state, are only reported otherwise,
    since acting would lose their work. Pods that use at least
    `cpu_busy_millicores` on a node prepare data there: the clock waits for them, for `cpu_wait_ms_max` of one spell of
    rest at most; None waits for nobody.
    """

    window_ms: int = 30 * MS_PER_MINUTE
    warn_at_ms: tuple[int, int] = (15 * MS_PER_MINUTE, 25 * MS_PER_MINUTE)
    lead_ms: int = 2 * MS_PER_MINUTE
    startup_ms: int = 10 * MS_PER_MINUTE
    coverage_permille: int = 900
    keep_alives_max: int = 3
    action: IdleAction = IdleAction.SUSPEND
    is_dry_run: bool = True
    acts_without_checkpoint: bool = False
    cpu_busy_millicores: int | None = None
    cpu_wait_ms_max: int = 120 * MS_PER_MINUTE


@dataclass(frozen=True, slots=True)
class IdleRule:
    """What holds for work of these kinds in these priority classes; None is any."""

    name: str
    kinds: frozenset[WorkloadKind] | None = None
    priority_classes: frozenset[PriorityClassName] | None = None
    thresholds: IdleThresholds = IdleThresholds()
    policy: IdlePolicy = IdlePolicy()

    def covers(self, kind: WorkloadKind, priority_class: PriorityClassName) -> bool:
        return (self.kinds is None or kind in self.kinds) and (
            self.priority_classes is None or priority_class in self.priority_classes
        )


@dataclass(frozen=True, slots=True)
class Retention:
    """For how long single windows, and the hours they add up to, are kept."""

    windows_ms: int = 14 * MS_PER_DAY
    hours_ms: int = 800 * MS_PER_DAY


ALLOWED_PROCESSES: Final = frozenset(
    {
        "Xorg",
        "Xwayland",
        "dcgm-exporter",
        "gnome-shell",
        "nv-hostengine",
        "nvidia-cuda-mps",
        "nvidia-fabricma",
        "nvidia-persiste",
        "nvidia-smi",
        "nvsm_core",
    }
)
"""Processes of the host that may be on GPUs where policy does not say otherwise, by the first fifteen letters of their
name, as the kernel has it. A name can be taken by anybody, so it excuses no process of a pod, unless policy says so."""

PROCESS_NAME_LETTERS = 15


@dataclass(frozen=True, slots=True)
class MisuseTerms:
    """Whom misuse does not accuse: names as the kernel cuts them. `allowed_in_pods` are of pods that are not ours."""

    allowed_processes: frozenset[str] = ALLOWED_PROCESSES
    allowed_in_pods: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Exemption:
    """Somebody's word that a workload may rest, until it expires: `by` is who answers for it, a person by
    their opaque id."""

    workload_id: WorkloadId
    why: str
    by: str
    since: Instant
    expires_at: Instant


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """An attempt's devices over a while: mean utilisation of all in per mille, the highest sample of any in percent,
    and power of all, and the most that its pods used of a node's CPUs. What was not read is None; `state` is the
    attempt's."""

    start: Instant
    end: Instant
    state: str
    utilization_permille: int | None = None
    percent_max: int | None = None
    milliwatts: int | None = None
    cpu_millicores_max: int | None = None


@dataclass(frozen=True, slots=True)
class IdleDecision:
    """An attempt that was due by the idle rules, with the readings it rests on.

    `action` is the policy's; `is_taken` False is a dry run, a report, or what `hindrance` names. `hours_back` are the
    standard GPU-milliseconds that its holds still held then.
    """

    attempt_id: AttemptId
    workload_id: WorkloadId
    at: Instant
    since: Instant
    rested_ms: int
    action: IdleAction
    is_taken: bool
    hindrance: str
    hours_back: int
    curve: tuple[CurvePoint, ...] = ()
    seq: int = 0
