"""Rebooking: a booking has others in place of GPUs that it lost, as many as there are, and its owner is told of the rest.
So has one whose nodes are still in use at its start, where others are free.

Its hold stays as it is: the same GPUs for the same time. While some of them cannot be kept it costs nothing to give back,
and it is called off at no cost where it would begin with none.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from scheduler.domain.cluster import Placement
from scheduler.domain.periods import iso
from scheduler.domain.reasons import Evidence, Reason
from scheduler.domain.units import MS_PER_MINUTE, Instant, NodeName
from scheduler.domain.workloads import Attempt
from scheduler.lifecycle.memory.world import World
from scheduler.lifecycle.running.free_ahead import (
    OnNode,
    as_known,
    as_left_by,
    booked_before,
    free_in_window,
    may_hold,
)
from scheduler.lifecycle.writing.batch import Batch

ENDED_WITHIN_MS = MS_PER_MINUTE
"""What is to have ended by a booking's start may take so long to be seen to."""

GpusOn = Mapping[NodeName, int]


def tightest_first(free: Mapping[NodeName, int], pods: int, gpus_per_pod: int) -> Placement:
    """As many of the pods as have room, on the nodes with the least free first, so that large requests find whole nodes
    elsewhere."""
    chosen = []
    for name in sorted(free, key=lambda each: (free[each], each)):
        here = min(pods, max(0, free[name]) // gpus_per_pod)
        if here:
            chosen.append((name, here))
            pods -= here
    return Placement(tuple(sorted(chosen)))


def is_at_risk(world: World, booking: Attempt) -> bool:
    """Whether it is told so."""
    verdict = world.verdicts.get(booking.workload_id)
    return verdict is not None and verdict.reason is Reason.BOOKING_AT_RISK


def is_shaken(world: World, booking: Attempt, now: Instant) -> bool:
    """Whether there is something to do about its nodes: they have fewer GPUs for it than its owner knows, or more."""
    if not world.nodes or now >= booking.booked_until:
        return False
    lost = _lost(world, as_known(world), booking, now)
    if not lost:
        return is_at_risk(world, booking)
    return not _is_told(world, booking, lost) or _elsewhere(world, as_known(world), booking, now) is not None


def keep_booking(batch: Batch, booking: Attempt) -> Attempt:
    """Have others in place of what it lost, as far as there are any; say what is then not kept."""
    world, on_node = batch.world, as_left_by(batch)
    lost = _lost(world, on_node, booking, batch.now)
    placement = _elsewhere(world, on_node, booking, batch.now)
    if placement is not None:
        booking = replace(booking, placement=placement)
        batch.put_attempt(booking)
    left = _lost(world, on_node, booking, batch.now)
    if left:
        _say(batch, booking, Reason.BOOKING_AT_RISK, left, sum(left.values()))
    else:
        _say(batch, booking, Reason.BOOKING_MOVED, lost or _nodes_of(booking), booking.gpus)
    return booking


def begin_where_free(batch: Batch, booking: Attempt) -> Attempt:
    """At its start: what started late and will still be on its GPUs in a minute is avoided, as far as others are free.
    Where none are, it has what is left of its own until that has ended."""
    world, now, on_node = batch.world, batch.now, as_left_by(batch)
    soon = Instant(now + ENDED_WITHIN_MS)
    if soon >= booking.booked_until:
        return booking
    in_use = {}
    for name, pods in booking.placement.pods_by_node:
        free = free_in_window(world, on_node, name, soon, Instant(soon + 1), now, without=booking.id)
        if free < pods * booking.pod.gpus:
            in_use[name] = pods * booking.pod.gpus - max(0, free)
    placement = _with_others_for(world, on_node, booking, in_use, now)
    if placement is None:
        return booking
    moved = replace(booking, placement=placement)
    batch.put_attempt(moved)
    _say(batch, moved, Reason.BOOKING_MOVED, in_use, moved.gpus)
    return moved


def lacking(batch: Batch, booking: Attempt) -> int:
    """How many of its GPUs its nodes have not for it."""
    return sum(_lost(batch.world, as_left_by(batch), booking, batch.now).values())


def _elsewhere(world: World, on_node: OnNode, booking: Attempt, now: Instant) -> Placement | None:
    """In place of what it lost, but for nodes on which work still runs inside: it pays for that there."""
    lost = _lost(world, on_node, booking, now)
    leaves = {name: gpus for name, gpus in lost.items() if not _runs_inside(on_node, booking, name)}
    return _with_others_for(world, on_node, booking, leaves, now)


def _runs_inside(on_node: OnNode, booking: Attempt, name: NodeName) -> bool:
    return any(each.is_inside and each.booking_id == booking.workload_id for each, _ in on_node(name))


def _with_others_for(
    world: World, on_node: OnNode, booking: Attempt, lacks: GpusOn, now: Instant
) -> Placement | None:
    """Where it could stand for the rest of its window if as many as can be of its pods that lack GPUs went elsewhere; None
    where none can."""
    each = booking.pod.gpus
    stays = dict(booking.placement.pods_by_node)
    leave = {name: -(-lacks[name] // each) for name in sorted(lacks, key=lambda name: (-lacks[name], name))}
    for name, pods in leave.items():
        stays[name] -= pods
    start, until = max(now, booking.launched_at), booking.booked_until
    free = {
        name: free_in_window(world, on_node, name, start, until, now, without=booking.id) - stays.get(name, 0) * each
        for name, node in (world.nodes.items() if leave else ())
        if may_hold(node, booking.gpu_class)
    }
    others = tightest_first(free, sum(leave.values()), each)
    if not others.pods:
        return None
    left = sum(leave.values()) - others.pods
    for name, pods in reversed(leave.items()):
        kept = min(left, pods)
        stays[name] += kept
        left -= kept
    staying = Placement(tuple((name, pods) for name, pods in stays.items() if pods))
    return Placement(tuple(sorted(staying.together_with(others).pods_by_node)))


def _lost(world: World, on_node: OnNode, booking: Attempt, now: Instant) -> dict[NodeName, int]:
    """Of its GPUs by node, those that the node has not for it: it is gone, takes no work, or is too small by now for it
    beside the bookings that have theirs before it."""
    found = {}
    for name, pods in booking.placement.pods_by_node:
        node, booked = world.nodes.get(name), pods * booking.pod.gpus
        room = 0
        if node is not None and may_hold(node, booking.gpu_class):
            room = max(0, node.gpus - booked_before(on_node(name), booking, now))
        if room < booked:
            found[name] = booked - room
    return found


def _is_told(world: World, booking: Attempt, lost: GpusOn) -> bool:
    verdict = world.verdicts.get(booking.workload_id)
    told = verdict.evidence if verdict is not None and verdict.reason is Reason.BOOKING_AT_RISK else {}
    return (told.get("lost"), told.get("gpus")) == (_named(lost), sum(lost.values()))


def _nodes_of(booking: Attempt) -> list[NodeName]:
    return [name for name, _ in booking.placement.pods_by_node]


def _named(names: Iterable[NodeName]) -> str:
    return ", ".join(sorted(names))


def _say(batch: Batch, booking: Attempt, reason: Reason, lost: Iterable[NodeName], gpus: int) -> None:
    evidence: Evidence = {
        "gpus": gpus,
        "gpu_class": booking.gpu_class,
        "nodes": _named(_nodes_of(booking)),
        "lost": _named(lost),
        "from": iso(booking.launched_at),
    }
    batch.say(booking.workload_id, reason, evidence)
