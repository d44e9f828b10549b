"""How an attempt used its GPUs, how it rests, and what follows: for its owner, and for those who run the platform.

Efficiency is pay data: whoever shows these values asks first who may see them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from scheduler.domain.idleness import CurvePoint, IdleDecision
from scheduler.domain.units import MS_PER_DAY, AttemptId, Instant
from scheduler.domain.workloads import Attempt, Workload, WorkloadKind
from scheduler.lifecycle.memory.named import exemption_named
from scheduler.lifecycle.memory.world import World
from scheduler.lifecycle.views.advice import advice_for
from scheduler.lifecycle.views.cluster import is_fresh
from scheduler.lifecycle.views.usage_shapes import DecisionView, IdleView, UsageView
from scheduler.metering.curve import curve_of
from scheduler.metering.efficiency import efficiency_of
from scheduler.metering.use import HourOfUse, total
from scheduler.metering.windows import Window
from scheduler.ports import Books

CURVE_POINTS = 120
CURVE_MS_MAX = 2 * MS_PER_DAY
"""The curve shows the last of a long attempt."""


@dataclass(frozen=True, slots=True)
class Readings:
    """An attempt's GPUs now: mean utilisation of those that were read, power and memory of all of them."""

    utilization_percent: int | None = None
    power_watts: int | None = None
    memory_used_bytes: int | None = None


def readings(world: World, attempt: Attempt, now: Instant) -> Readings:
    """By the latest windows; a sum of which a part is missing is absent."""
    windows = [window for window in _latest(world, attempt) if is_fresh(window, now)]
    shares = [w.utilization.mean_permille for w in windows if w.utilization is not None]
    known = [share for share in shares if share is not None]
    return Readings(
        utilization_percent=sum(known) // len(known) // 10 if known else None,
        power_watts=_whole(
            [w.energy.mean_milliwatts if w.energy is not None else None for w in windows], attempt.gpus, 1_000
        ),
        memory_used_bytes=_whole([w.memory_used_bytes_max for w in windows], attempt.gpus, 1),
    )


def _latest(world: World, attempt: Attempt) -> list[Window]:
    nodes = [world.readings.inventories.get(node) for node, _ in attempt.placement.pods_by_node]
    return [
        world.readings.windows[device.gpu_uuid]
        for inventory in nodes
        if inventory is not None
        for device in inventory.devices
        if world.readings.attempt_of_gpu.get(device.gpu_uuid) == attempt.id
        and device.gpu_uuid in world.readings.windows
    ]


def _whole(parts: Sequence[int | None], count: int, divisor: int) -> int | None:
    known = [part for part in parts if part is not None]
    return sum(known) // divisor if known and len(known) == count else None


def usage_views(books: Books, world: World, attempts: Sequence[Attempt], now: Instant) -> tuple[UsageView, ...]:
    """Of the attempts of which anything was read."""
    hours: dict[AttemptId, list[HourOfUse]] = {}
    for hour in books.samples.hours(attempts=[attempt.id for attempt in attempts]):
        if hour.attempt_id is not None:
            hours.setdefault(hour.attempt_id, []).append(hour)
    return tuple(_usage(world, attempt, hours[attempt.id], now) for attempt in attempts if attempt.id in hours)


def _usage(world: World, attempt: Attempt, hours: Sequence[HourOfUse], now: Instant) -> UsageView:
    found = efficiency_of(total(hour.use for hour in hours))
    return UsageView(
        attempt_id=attempt.id,
        number=attempt.number,
        measure=found.measure.value,
        mean_permille=found.mean_permille,
        percent_max=found.percent_max,
        idle_permille=found.idle_permille,
        energy_joules=found.energy_joules,
        joules_per_active_gpu_hour=found.joules_per_active_gpu_hour,
        memory_bytes_max=found.memory_bytes_max,
        covered_permille=found.covered_permille,
        advice=advice_for(world, attempt, hours, (Instant(0), now)),
    )


def curve_view(books: Books, attempt: Attempt, now: Instant) -> tuple[CurvePoint, ...]:
    """The attempt's readings over its time, or the last of it."""
    ends_at = attempt.ended_at if attempt.ended_at is not None else now
    starts_at = attempt.started_at if attempt.started_at is not None else attempt.launched_at
    starts_at = Instant(max(starts_at, ends_at - CURVE_MS_MAX))
    uuids = {hour.gpu_uuid for hour in books.samples.hours(attempts=[attempt.id])}
    stretches = books.samples.windows(uuids, starts_at, ends_at)
    return curve_of((s for s in stretches if s.attempt_id == attempt.id), starts_at, ends_at, CURVE_POINTS)


def idle_view(
    books: Books, world: World, workload: Workload, attempt: Attempt | None, now: Instant
) -> IdleView | None:
    """None where no rule covers it."""
    policy = world.policy
    rule = policy.idle_rule(workload.spec.kind, workload.spec.priority_class) if policy is not None else None
    if rule is None:
        return None
    watch = books.idleness.watch(attempt.id) if attempt is not None and attempt.is_live else None
    clock = watch.clock if watch is not None else None
    since = clock.since if clock is not None else None
    rested_ms = clock.rested_ms if clock is not None else 0
    left_ms = max(0, rule.policy.window_ms - rested_ms)
    sandbox = books.control.sandbox(workload.id) if workload.spec.kind is WorkloadKind.SANDBOX else None
    return IdleView(
        rule=rule.name,
        action=rule.policy.action.value,
        is_dry_run=rule.policy.is_dry_run,
        window_ms=rule.policy.window_ms,
        since=since,
        rested_ms=rested_ms,
        warned_at=clock.warned_at if clock is not None else (),
        due_at=Instant(now + left_ms) if since is not None and clock is not None and not clock.is_due else None,
        cpu_waited_ms=clock.waited_ms if clock is not None else 0,
        cpu_wait_ms_max=None if rule.policy.cpu_busy_millicores is None else rule.policy.cpu_wait_ms_max,
        keep_alives_left=max(0, rule.policy.keep_alives_max - (clock.keep_alives if clock is not None else 0)),
        exemption=exemption_named(world, books.idleness.exemptions(now).get(workload.id)),
        decisions=tuple(decision_view(each) for each in books.idleness.decisions(workload_id=workload.id, limit=10)),
        served_at=None if sandbox is None else sandbox.active_at,
    )


def decision_view(decision: IdleDecision) -> DecisionView:
    return DecisionView(
        attempt_id=decision.attempt_id,
        workload_id=decision.workload_id,
        at=decision.at,
        since=decision.since,
        rested_ms=decision.rested_ms,
        action=decision.action.value,
        is_taken=decision.is_taken,
        hindrance=decision.hindrance,
        hours_back_ms=decision.hours_back,
        curve=decision.curve,
    )
