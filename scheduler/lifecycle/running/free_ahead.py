"""Free ahead: GPUs of a node that nothing known will use in a window to come."""

from collections.abc import Iterable

from scheduler.decision.placing.ends import latest_end, latest_end_if_started
from scheduler.domain.records import PodRun
from scheduler.domain.units import Instant, NodeName
from scheduler.domain.workloads import Attempt
from scheduler.lifecycle.memory.world import World


def overlapping(windows: Iterable[tuple[Instant, Instant, int]], starts_at: Instant, ends_at: Instant) -> int:
    """The most GPUs at once in [starts_at, ends_at), of what takes (from, until, GPUs)."""
    known = [window for window in windows if window[0] < ends_at and starts_at < window[1]]
    instants = {max(starts_at, window[0]) for window in known}
    return max((sum(gpus for start, end, gpus in known if start <= at < end) for at in instants), default=0)


def free_in_window(
    world: World, name: NodeName, starts_at: Instant, ends_at: Instant, now: Instant, *, without: str = ""
) -> int:
    """What is left of the node by time limits, bookings and reservations; `without` one attempt. May be negative.

    What has not started counts as if it did now; what is reserved for a preemptor, as late as that may start.
    """
    taken: list[tuple[Instant, Instant, int]] = []
    for attempt_id, gpus in list(world.attempts_on.get(name, {}).items()):
        attempt = world.attempts.get(attempt_id)
        if attempt is not None and attempt_id != without and not attempt.is_inside:
            taken.append((attempt.launched_at, _until(attempt, now), gpus))
    for workload_id, reservation in list(world.reservations.items()):
        workload = world.workloads.get(workload_id)
        pods = dict(reservation.placement.pods_by_node).get(name, 0)
        if workload is not None and pods:
            until = latest_end_if_started(workload.spec, max(now, reservation.until))
            taken.append((now, until, pods * workload.spec.pod.gpus))
    node = world.nodes.get(name)
    return (node.gpus if node is not None else 0) - overlapping(taken, starts_at, ends_at)


def coming_free(world: World, booking: Attempt, runs: Iterable[PodRun], at: Instant) -> dict[NodeName, int]:
    """GPUs by node that a booking may have as of `at`, in its window, beside what its `runs` stand for."""
    lacks = {name: pods * booking.pod.gpus for name, pods in booking.placement.pods_by_node}
    for run in runs:
        if run.node is not None:
            lacks[run.node] -= run.gpus
    left = ((name, gpus - _in_the_way(world, booking, name, at)) for name, gpus in lacks.items() if gpus > 0)
    return {name: gpus for name, gpus in left if gpus > 0}


def _in_the_way(world: World, booking: Attempt, name: NodeName, at: Instant) -> int:
    """How many of the booking's GPUs there somebody else still has, who was to have ended before it began."""
    node = world.nodes.get(name)
    if node is None:
        return 0
    live = [(world.attempts.get(each), gpus) for each, gpus in list(world.attempts_on.get(name, {}).items())]
    used = sum(gpus for attempt, gpus in live if attempt is not None and _stands_alone(world, attempt, booking, at))
    return max(0, used + dict(booking.placement.pods_by_node)[name] * booking.pod.gpus - node.gpus)


def _stands_alone(world: World, attempt: Attempt, booking: Attempt, at: Instant) -> bool:
    """Whether its GPUs are its own then: not the booking's, nor those of another one that is active."""
    if booking.workload_id == attempt.booking_id:
        return False
    other = world.live_attempt(attempt.booking_id) if attempt.booking_id is not None else None
    is_active = other is not None and other.launched_at <= at < other.booked_until
    return is_active if attempt.is_booking else not is_active


def _until(attempt: Attempt, now: Instant) -> Instant:
    """When its GPUs are free at the latest, by what is known now: not before it has ended, nor, where its pods have not
    started, as if they had."""
    if attempt.is_booking:
        return attempt.booked_until
    late_ms = 0 if attempt.started_at is not None else max(0, now - attempt.launched_at)
    return Instant(max(now + 1, latest_end(attempt) + late_ms))
