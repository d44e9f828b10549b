"""Free ahead: GPUs of a node that nothing known will use in a window to come."""

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from scheduler.decision.keeping.bookings import goes_before
from scheduler.decision.placing.ends import latest_end, latest_end_if_started
from scheduler.domain.cluster import Node
from scheduler.domain.units import AttemptId, GpuClassName, Instant, NodeName
from scheduler.domain.workloads import Attempt
from scheduler.lifecycle.memory.world import World
from scheduler.lifecycle.writing.batch import Batch

OnNode = Callable[[NodeName], list[tuple[Attempt, int]]]
"""The live attempts on a node, with the GPUs that each has there."""


@dataclass(frozen=True, slots=True)
class Had:
    """GPUs of a node that a booking has; `is_for_inside`: only because work runs inside there, and until that has ended, as
    the node has none for it any more."""

    gpus: int = 0
    is_for_inside: bool = False


def as_known(world: World) -> OnNode:
    """As the books have them."""

    def on_node(name: NodeName) -> list[tuple[Attempt, int]]:
        here = [(world.attempts.get(each), gpus) for each, gpus in list(world.attempts_on.get(name, {}).items())]
        return [(attempt, gpus) for attempt, gpus in here if attempt is not None]

    return on_node


def as_left_by(batch: Batch) -> OnNode:
    """As the batch leaves them so far: what it has moved somewhere is there already."""
    changed = {attempt.id: attempt for attempt in batch.changed_attempts}
    moved: dict[NodeName, list[tuple[Attempt, int]]] = defaultdict(list)
    for attempt in changed.values():
        for name, pods in attempt.everywhere.pods_by_node if attempt.is_live else ():
            moved[name].append((attempt, pods * attempt.pod.gpus))
    before = as_known(batch.world)
    return lambda name: [*(each for each in before(name) if each[0].id not in changed), *moved[name]]


def may_hold(node: Node, gpu_class: GpuClassName) -> bool:
    return node.gpu_class == gpu_class and node.accepts_work


def overlapping(windows: Iterable[tuple[Instant, Instant, int]], starts_at: Instant, ends_at: Instant) -> int:
    """The most GPUs at once in [starts_at, ends_at), of what takes (from, until, GPUs)."""
    known = [window for window in windows if window[0] < ends_at and starts_at < window[1]]
    instants = {max(starts_at, window[0]) for window in known}
    return max((sum(gpus for start, end, gpus in known if start <= at < end) for at in instants), default=0)


def free_in_window(
    world: World,
    on_node: OnNode,
    name: NodeName,
    starts_at: Instant,
    ends_at: Instant,
    now: Instant,
    *,
    without: AttemptId | None = None,
) -> int:
    """What is left of the node by time limits, bookings and reservations; `without` one attempt. May be negative.

    What has not started counts as if it did now; what is reserved for a preemptor, as late as that may start.
    """
    taken: list[tuple[Instant, Instant, int]] = []
    for attempt, gpus in on_node(name):
        if attempt.id != without and not _is_paid_for(world, attempt, now):
            taken.append((attempt.launched_at, _until(attempt, now), gpus))
    for workload_id, reservation in list(world.reservations.items()):
        workload = world.workloads.get(workload_id)
        pods = dict(reservation.placement.pods_by_node).get(name, 0)
        if workload is not None and pods:
            until = latest_end_if_started(workload.spec, max(now, reservation.until))
            taken.append((now, until, pods * workload.spec.pod.gpus))
    node = world.nodes.get(name)
    return (node.gpus if node is not None else 0) - overlapping(taken, starts_at, ends_at)


def booked_before(live: Iterable[tuple[Attempt, int]], booking: Attempt, now: Instant) -> int:
    """The most GPUs at once, in what is left of its window, of bookings on a node that have theirs before it."""
    windows = [(each.launched_at, each.booked_until, gpus) for each, gpus in live if goes_before(each, booking)]
    return overlapping(windows, max(now, booking.launched_at), booking.booked_until)


def booked_here(world: World, on_node: OnNode, booking: Attempt, at: Instant) -> dict[NodeName, Had]:
    """GPUs by node that a booking has at `at`, in its window: of its own those that nobody else still has, while their node
    takes work; else what runs inside, which it pays for in any case."""
    placed = {name: pods * booking.pod.gpus for name, pods in booking.placement.pods_by_node}
    return {name: _had_on(world, on_node(name), booking, name, gpus, at) for name, gpus in placed.items()}


def _had_on(
    world: World, live: list[tuple[Attempt, int]], booking: Attempt, name: NodeName, booked: int, at: Instant
) -> Had:
    inside = sum(gpus for attempt, gpus in live if attempt.is_inside and attempt.booking_id == booking.workload_id)
    alone = sum(gpus for attempt, gpus in live if _has_its_own(world, attempt, booking, at))
    node = world.nodes.get(name)
    left = max(0, node.gpus - alone) if node is not None and may_hold(node, booking.gpu_class) else 0
    return Had(min(booked, max(inside, left)), is_for_inside=inside > left)


def _has_its_own(world: World, attempt: Attempt, booking: Attempt, at: Instant) -> bool:
    """Whether its GPUs are not the booking's then, and are to be counted: of a booking that has its own first, what is
    booked; of one that comes after it, what runs inside; and what no active booking pays for."""
    if booking.workload_id == attempt.booking_id:
        return False
    other = world.live_attempt(attempt.booking_id) if attempt.booking_id is not None else None
    is_active = other is not None and other.launched_at <= at < other.booked_until
    if other is None or not is_active:
        return not attempt.is_booking
    return goes_before(other, booking) if attempt.is_booking else not goes_before(other, booking)


def _is_paid_for(world: World, attempt: Attempt, now: Instant) -> bool:
    """Whether its GPUs are those of the booking that it runs inside, with which it ends."""
    booking = world.live_attempt(attempt.booking_id) if attempt.is_inside and attempt.booking_id is not None else None
    return booking is not None and now < booking.booked_until


def _until(attempt: Attempt, now: Instant) -> Instant:
    """When its GPUs are free at the latest, by what is known now: not before it has ended, nor, where its pods have not
    started, as if they had."""
    if attempt.is_booking:
        return attempt.booked_until
    late_ms = 0 if attempt.started_at is not None else max(0, now - attempt.launched_at)
    return Instant(max(now + 1, latest_end(attempt) + late_ms))
