"""Rebooking: a booking whose nodes are lost or cordoned has others in their place, or its owner is told. So has one
whose nodes are still in use at its start, where others are free.

Its hold stays as it is: the same GPUs for the same time. One that cannot be kept costs nothing to give back, and is
called off at no cost where that is still so at its start.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from scheduler.domain.cluster import Placement
from scheduler.domain.periods import iso
from scheduler.domain.reasons import Evidence, Reason
from scheduler.domain.units import MS_PER_MINUTE, Instant, NodeName
from scheduler.domain.workloads import Attempt
from scheduler.lifecycle.memory.world import World
from scheduler.lifecycle.running.free_ahead import free_in_window, may_hold
from scheduler.lifecycle.writing.batch import Batch

ENDED_WITHIN_MS = MS_PER_MINUTE
"""What is to have ended by a booking's start may take so long to be seen to."""


def tightest_first(free: dict[NodeName, int], pods: int, gpus_per_pod: int) -> Placement | None:
    """The nodes with the least free first, so that large requests find whole nodes elsewhere; None where all of them
    together have too few."""
    chosen = []
    for name in sorted(free, key=lambda each: (free[each], each)):
        here = min(pods, max(0, free[name]) // gpus_per_pod)
        if here:
            chosen.append((name, here))
            pods -= here
    return Placement(tuple(sorted(chosen))) if not pods else None


def is_at_risk(world: World, booking: Attempt) -> bool:
    """Whether it is told so."""
    verdict = world.verdicts.get(booking.workload_id)
    return verdict is not None and verdict.reason is Reason.BOOKING_AT_RISK


def is_shaken(world: World, booking: Attempt, now: Instant) -> bool:
    """Whether there is something to do about its nodes: they take no work any more, or do again."""
    if not world.nodes or now >= booking.booked_until:
        return False
    if not _lost(world, booking):
        return is_at_risk(world, booking)
    return not is_at_risk(world, booking) or _elsewhere(world, booking, now) is not None


def keep_booking(batch: Batch, booking: Attempt) -> Attempt:
    """Have other nodes in place of what it lost where there are any; else say that it is not kept."""
    world, lost = batch.world, _lost(batch.world, booking)
    if not lost:
        _say(batch, booking, Reason.BOOKING_MOVED, _nodes_of(booking))
        return booking
    placement = _elsewhere(world, booking, batch.now)
    if placement is None:
        _say(batch, booking, Reason.BOOKING_AT_RISK, lost)
        return booking
    moved = replace(booking, placement=placement)
    batch.put_attempt(moved)
    _say(batch, moved, Reason.BOOKING_MOVED, lost)
    return moved


def begin_where_free(batch: Batch, booking: Attempt) -> Attempt:
    """At its start: placed anew where what started late will still be on a node of it in a minute, and others are free.
    Where none are, it has what is left of its own until that has ended."""
    world, now = batch.world, batch.now
    soon = Instant(now + ENDED_WITHIN_MS)
    if soon >= booking.booked_until:
        return booking
    in_use = [
        name
        for name, pods in booking.placement.pods_by_node
        if free_in_window(world, name, soon, Instant(soon + 1), now, without=booking.id) < pods * booking.pod.gpus
    ]
    placement = _with_others_for(world, booking, in_use, now)
    if placement is None:
        return booking
    moved = replace(booking, placement=placement)
    batch.put_attempt(moved)
    _say(batch, moved, Reason.BOOKING_MOVED, in_use)
    return moved


def is_lost(world: World, booking: Attempt) -> bool:
    """Whether it cannot begin: a node that it stands on takes no work, and no others have room."""
    return bool(world.nodes) and bool(_lost(world, booking))


def _elsewhere(world: World, booking: Attempt, now: Instant) -> Placement | None:
    """Away from what it lost, but for nodes on which work still runs inside: it pays for that there."""
    left = [name for name in _lost(world, booking) if not _runs_inside(world, booking, name)]
    return _with_others_for(world, booking, left, now)


def _runs_inside(world: World, booking: Attempt, name: NodeName) -> bool:
    here = [world.attempts.get(each) for each in list(world.attempts_on.get(name, {}))]
    return any(each is not None and each.is_inside and each.booking_id == booking.workload_id for each in here)


def _with_others_for(world: World, booking: Attempt, left: Sequence[NodeName], now: Instant) -> Placement | None:
    """Where it could stand for the rest of its window if it left these nodes, as far as it must; None where there is no
    such place, and where it leaves none."""
    if not left:
        return None
    start, until = max(now, booking.launched_at), booking.booked_until
    stays = {name: pods for name, pods in booking.placement.pods_by_node if name not in left}
    free = {
        name: free_in_window(world, name, start, until, now, without=booking.id)
        - stays.get(name, 0) * booking.pod.gpus
        for name, node in world.nodes.items()
        if may_hold(node, booking.gpu_class)
    }
    others = tightest_first(free, booking.placement.pods - sum(stays.values()), booking.pod.gpus)
    if others is None:
        return None
    return Placement(tuple(sorted(Placement(tuple(stays.items())).together_with(others).pods_by_node)))


def _lost(world: World, booking: Attempt) -> list[NodeName]:
    known = {name: world.nodes.get(name) for name in _nodes_of(booking)}
    return [name for name, node in known.items() if node is None or not may_hold(node, booking.gpu_class)]


def _nodes_of(booking: Attempt) -> list[NodeName]:
    return [name for name, _ in booking.placement.pods_by_node]


def _say(batch: Batch, booking: Attempt, reason: Reason, lost: Iterable[NodeName]) -> None:
    evidence: Evidence = {
        "gpus": booking.gpus,
        "gpu_class": booking.gpu_class,
        "nodes": ", ".join(_nodes_of(booking)),
        "lost": ", ".join(lost),
        "from": iso(booking.launched_at),
    }
    batch.say(booking.workload_id, reason, evidence)
