"""Rulings with the numbers they rest on, under the keys that the sentences of `domain.reasons` use."""

from collections.abc import Sequence
from functools import lru_cache

from scheduler.decision.keeping.bookings import Kept
from scheduler.decision.limits.spending import OverGuard
from scheduler.decision.ordering.queue import LaneKey, Line, Ruling
from scheduler.decision.placing.shape import Shape
from scheduler.domain.brakes import Pause
from scheduler.domain.cluster import Placement
from scheduler.domain.funding import Shortfall
from scheduler.domain.hours import hours_at_least, hours_at_most, hours_available
from scheduler.domain.periods import iso
from scheduler.domain.policy import PriorityClass
from scheduler.domain.reasons import Evidence, Reason
from scheduler.domain.units import GpuClassName, Instant, PoolName, WorkloadId
from scheduler.domain.wording import lasting
from scheduler.domain.workloads import Workload, WorkloadSpec


def launching(spec: WorkloadSpec, gpu_class: GpuClassName, placement: Placement) -> Ruling:
    nodes = ", ".join(name for name, _ in placement.pods_by_node)
    return Ruling(Reason.LAUNCHING, {"gpus": spec.gpus, "gpu_class": gpu_class, "nodes": nodes})


def awaiting_preemption(spec: WorkloadSpec, gpu_class: GpuClassName, victims: int) -> Ruling:
    return Ruling(Reason.AWAITING_PREEMPTION, {"gpus": spec.gpus, "gpu_class": gpu_class, "victims": victims})


def no_priority_class(spec: WorkloadSpec) -> Ruling:
    return Ruling(Reason.NO_PRIORITY_CLASS, {"priority_class": spec.priority_class})


def resources(key: LaneKey, gpu_class: GpuClassName, free: int, fitting: int) -> Ruling:
    """What is free may be scattered: `fitting` of its pods would find room in it."""
    pods, gpus_per_pod = key.pods, key.shape.pod.gpus
    room: Evidence = {"gpu_class": gpu_class, "free": free, "fitting": fitting}
    return Ruling(Reason.RESOURCES, {"pods": pods, "gpus_per_pod": gpus_per_pod, **room})


def quota(pool: PoolName, gpu_class: GpuClassName, used: int, limit: int, needed: int) -> Ruling:
    return Ruling(
        Reason.QUOTA, {"pool": pool, "gpu_class": gpu_class, "used": used, "limit": limit, "needed": needed}
    )


def allowance_short(shortfall: Shortfall) -> Ruling:
    return _allowance_short(shortfall.needed, shortfall.available)


@lru_cache(maxsize=4096)
def _allowance_short(needed: int, available: int) -> Ruling:
    return Ruling(
        Reason.ALLOWANCE_SHORT,
        {
            "needed_hours": hours_at_most(needed),
            "available_hours": hours_available(available, needed),
            "short_hours": hours_at_most(needed - available),
        },
    )


@lru_cache(maxsize=4096)
def gpu_limit(reason: Reason, used: int, limit: int, needed: int) -> Ruling:
    return Ruling(reason, {"used": used, "limit": limit, "needed": needed})


def spend_guard(over: OverGuard, reason: Reason = Reason.SPEND_GUARD) -> Ruling:
    return Ruling(
        reason,
        {
            "guard": over.guard.name,
            "of": over.guard.of.value,
            "window": over.guard.window.value,
            "which": over.which.value,
            "used_hours": hours_at_least(over.used),
            "needed_hours": hours_at_least(over.needed),
            "limit_hours": hours_at_least(over.limit),
        },
    )


def array_limit(used: int, limit: int) -> Ruling:
    return Ruling(Reason.ARRAY_LIMIT, {"used": used, "limit": limit})


def off_peak(terms: PriorityClass, gpu_class: GpuClassName, free_per_mille: int, time_zone: str) -> Ruling:
    hours = terms.off_peak
    assert hours is not None, "only a class with such hours has to wait for them"
    whens, room = [], dict[str, str | int]()
    if hours.from_hour is not None and hours.until_hour is not None:
        whens.append(f"from {hours.from_hour}:00 until {hours.until_hour}:00 ({time_zone})")
    if hours.includes_weekends:
        whens.append("on weekends")
    if hours.free is not None:
        free_percent = free_per_mille // 10
        whens.append(f"while {hours.free / 10:g} % of {gpu_class} are free ({free_percent} % are)")
        room = {"gpu_class": gpu_class, "free_percent": free_percent}
    return Ruling(Reason.OFF_PEAK, {"priority_class": terms.name, "when": " or ".join(whens), **room})


def topology(reason: Reason, shape: Shape, pods: int, gpu_class: GpuClassName, room: tuple[str, int]) -> Ruling:
    """Its pods must stand in one domain of a level: which has most room, and how many of them that holds."""
    assert shape.topology is not None, "only who asks for a level lacks room in it"
    return Ruling(
        reason,
        {
            "pods": pods,
            "gpus_per_pod": shape.pod.gpus,
            "gpu_class": gpu_class,
            "level": shape.topology.level,
            "domain": room[0] or "none",
            "fitting": room[1],
        },
    )


def unplaceable(spec: WorkloadSpec, fitting: int, largest: int) -> Ruling:
    """`fitting` of its pods would find room on the nodes if those were empty; the `largest` may have none of these GPUs,
    as where shares or MIG instances are made no longer."""
    if not largest:
        return Ruling(Reason.NOT_OFFERED, {"gpu_class": " or ".join(spec.gpu_classes)})
    return Ruling(
        Reason.UNPLACEABLE,
        {
            "pods": spec.pods,
            "gpus_per_pod": spec.pod.gpus,
            "gpu_class": " or ".join(spec.gpu_classes),
            "fitting": fitting,
            "largest": largest,
        },
    )


def held_back(workload: Workload, now: Instant) -> Ruling:
    """It may not start yet: it asked so, follows others, or is to be tried again; or it can no longer end in time."""
    latest_start = workload.spec.latest_start
    if latest_start is not None and latest_start < now:
        return Ruling(Reason.DEADLINE, {"by": iso(Instant(latest_start + workload.spec.time_limit_ms))})
    if workload.spec.after:
        return Ruling(Reason.DEPENDENCY, {"after": ", ".join(workload.spec.after)})
    if workload.state_reason is Reason.SUBMITTED:
        return Ruling(Reason.BEGIN_TIME, {"at": iso(workload.not_before)})
    seconds = -((now - workload.not_before) // 1000)
    return Ruling(Reason.BACKOFF, {"seconds": seconds, "cause": f"the last ended by {workload.state_reason.value}"})


def booked(kept: Kept, line: Line) -> Ruling:
    limit = lasting(line.spec.time_limit_ms)
    return Ruling(
        Reason.BOOKED,
        {"booking": kept.booking_id, "gpu_class": kept.gpu_class, "at": iso(kept.at), "limit": limit},
    )


def preemption_delay(spec: WorkloadSpec, gpu_classes: Sequence[GpuClassName], at: Instant) -> Ruling:
    return Ruling(Reason.PREEMPTION_DELAY, {"gpus": spec.gpus, "gpu_class": " or ".join(gpu_classes), "at": iso(at)})


def launch_paused(pause: Pause) -> Ruling:
    return Ruling(Reason.LAUNCH_PAUSED, {"by": pause.by, "why": pause.why})


def preemption_paused(pause: Pause, victims: int) -> Ruling:
    return Ruling(Reason.PREEMPTION_PAUSED, {"victims": victims, "by": pause.by, "why": pause.why})


def stop_rate(gpus: int, stopped: int, limit: int) -> Ruling:
    """So many would have to be stopped for it, beside those that were."""
    return Ruling(Reason.STOP_RATE, {"gpus": gpus, "stopped": stopped, "limit": limit})


def priority(ahead: WorkloadId, ahead_line: Line, line: Line) -> Ruling:
    """Somebody is ahead in the pool, or in another that borrows less. The comparison names classes, never what another has
    left."""
    if ahead_line.rank > line.rank:
        comparison = "it borrows less of other pools"
    elif ahead_line.is_aged and not line.is_aged:
        comparison = "it has waited longer than the pool lets anything wait"
    elif ahead_line.priority != line.priority and not line.is_aged:
        comparison = f"{ahead_line.spec.priority_class} over {line.spec.priority_class}"
    elif ahead_line.standing != line.standing:
        comparison = f"both {line.spec.priority_class}, ahead in the order of the pool"
    else:
        comparison = f"both {line.spec.priority_class}, submitted earlier"
    return Ruling(Reason.PRIORITY, {"ahead": ahead, "comparison": comparison})
