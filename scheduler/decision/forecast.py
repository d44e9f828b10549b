"""Forecast: whether a workload would start now, and if not, between when and when. Nothing is changed by asking.

Between when and when comes from replaying what is known. It knows no arrivals, none of those that wait for an instant of
their own, and no preemption of what it waits for: it is a forecast, no promise. What may start from a known instant on
alone, its begin time or the hours of its class, starts no earlier, nor does what follows others before they may have ended;
and what could not end by its deadline any more, not at all. While launching is paused no start is known, since nobody knows
when it is resumed.
"""

from collections.abc import Iterator
from dataclasses import replace
from operator import itemgetter

from scheduler.decision import evidence
from scheduler.decision.foreseeing.bands import bands, widened
from scheduler.decision.foreseeing.emptying import ends_at
from scheduler.decision.foreseeing.foreseen import Assumed, Band, Bands, Forecast
from scheduler.decision.foreseeing.rivals import WHOSE_LIMIT
from scheduler.decision.index import Index
from scheduler.decision.keeping.backfill import Shadow
from scheduler.decision.keeping.bookings import Kept
from scheduler.decision.ordering.queue import Lane, Line, OrderKey, Ruling, is_held_back
from scheduler.decision.placing.planned import Planned
from scheduler.decision.preempting.outlook import Outlook
from scheduler.decision.preempting.preemption import find_victims
from scheduler.decision.walking.competing import cross_key
from scheduler.decision.walking.inside import Inside
from scheduler.decision.walking.starts import Room
from scheduler.decision.walking.triage import (
    NOTHING,
    aside_ruling,
    key_beside_limits,
    lane_key,
    lane_lacks,
    lane_ruling,
    open_class,
)
from scheduler.decision.walking.walk import Walk
from scheduler.domain.brakes import Brake
from scheduler.domain.policy import OffPeak
from scheduler.domain.reasons import Reason
from scheduler.domain.units import MS_PER_SECOND, GpuClassName, Instant, WorkloadId
from scheduler.domain.workloads import Workload

_WAITS_FOR_AN_INSTANT = frozenset({Reason.BEGIN_TIME, Reason.BACKOFF})


def forecast(index: Index, workload: Workload, assumed: Assumed) -> Forecast:
    """Of a workload that is queued, or that is only asked about."""
    return _in_time(widened(index, workload, _known(index, workload, assumed)), workload)


def _known(index: Index, workload: Workload, assumed: Assumed) -> Forecast:
    """As far as what is known goes."""
    if is_held_back(workload, index.now):
        return _held_back(index, workload, assumed)
    line = index.lines.detached(workload, is_aged=index.ageing.is_old(workload))
    found = _of_line(index, workload, line, assumed)
    return replace(found, warning=_warning(index, workload, line, found))


def _warning(index: Index, workload: Workload, line: Line, found: Forecast) -> Ruling | None:
    """Elastic work may start with all of its pods: they are what is warned of."""
    if not (found.starts_now or found.victims):
        return None
    assert line.priority_class is not None, "without a class it cannot start"
    weight = index.policy.gpu_classes[found.gpu_class].weight
    over = index.spending.over_soft(line.owner, line.team, workload.spec, weight, line.priority_class)
    return evidence.spend_guard(over, Reason.SPEND_WARNING) if over is not None else None


def _in_time(found: Forecast, workload: Workload) -> Forecast:
    """What of the band is left before it would be given up."""
    latest = workload.spec.latest_start
    if latest is None:
        return found
    in_time = ((name, (first, min(last, latest))) for name, (first, last) in found.bands if first <= latest)
    return replace(found, bands=tuple(in_time))


def _held_back(index: Index, workload: Workload, assumed: Assumed) -> Forecast:
    ruling = evidence.held_back(workload, index.now)
    found = Forecast(ruling, workload.spec.gpu_classes[0])
    if ruling.reason is Reason.DEPENDENCY:
        ends = _ends_of(index, workload, assumed)
    else:
        ends = (index.now, index.now) if ruling.reason in _WAITS_FOR_AN_INSTANT else None
    if ends is None:
        return found
    first, last = (max(workload.not_before, end) for end in ends)
    free = replace(workload, not_before=index.now, spec=replace(workload.spec, after=()))
    return replace(found, bands=_from(first, last, _known(index, free, replace(assumed, since=(first, last)))))


def _ends_of(index: Index, workload: Workload, assumed: Assumed) -> Band | None:
    """When all that it follows have ended, if all goes as fast and as slowly as it may; None where nobody knows."""
    leaders = workload.spec.after
    waiting = sum(leader in index.queued for leader in leaders)
    if waiting > assumed.leaders_max:
        return None
    of_each = replace(assumed, since=None, leaders_max=(assumed.leaders_max - waiting) // max(1, waiting))
    ends = [_end_of(index, leader, of_each) for leader in leaders]
    known = [end for end in ends if end is not None]
    return (max(first for first, _ in known), max(last for _, last in known)) if len(known) == len(ends) else None


def _end_of(index: Index, leader: WorkloadId, assumed: Assumed) -> Band | None:
    waiting = index.queued.get(leader)
    if waiting is not None:
        starts, lasts_ms = forecast(index, waiting, assumed).starts, waiting.spec.time_limit_ms
    else:
        running = [ends_at(each) for each in index.running.attempts.values() if each.workload_id == leader]
        starts, lasts_ms = (index.now, index.now) if running else None, max(0, max(running, default=0) - index.now)
    if starts is None:
        return None
    return Instant(starts[0] + lasts_ms * assumed.least // 1000), Instant(starts[1] + lasts_ms)


def _off_peak(index: Index, workload: Workload, line: Line, assumed: Assumed) -> Forecast:
    """It waits for hours of the day, or for so much to be free before."""
    found = Forecast(aside_ruling(line), line.spec.gpu_classes[0])
    assert line.priority_class is not None, "its class has such hours"
    hours = line.priority_class.off_peak
    assert hours is not None, "its class has such hours"
    first, last = assumed.since or (index.now, index.now)
    opens_at = _open_from(hours, last, index.policy.time_zone)
    if opens_at is None:
        return found
    line.priority_class = replace(line.priority_class, off_peak=None)
    if hours.free is None:
        first = _open_from(hours, first, index.policy.time_zone) or opens_at
    as_if = _of_line(index, workload, line, replace(assumed, since=(first, opens_at)))
    return replace(found, bands=_from(first, opens_at, as_if))


def _open_from(hours: OffPeak, at: Instant, time_zone: str) -> Instant | None:
    return at if hours.contains(at, time_zone) else hours.opens_at(at, time_zone)


def _from(earliest: Instant, latest: Instant, found: Forecast) -> Bands:
    """The bands of what would be found otherwise, from these instants on."""
    return tuple((name, (max(earliest, first), max(latest, last))) for name, (first, last) in found.bands)


def _at(gpu_class: GpuClassName, first: Instant, last: Instant) -> Bands:
    return ((gpu_class, (first, last)),)


def _of_line(index: Index, workload: Workload, line: Line, assumed: Assumed) -> Forecast:
    line.standing = index.standing(line)
    walk = Walk(index)
    inside = Inside(index, walk.starts).room_for(line) if assumed.since is None else None
    if inside is not None:
        booking, placement = inside
        ruling = evidence.launching(line.spec, booking.gpu_class, placement)
        now = _at(booking.gpu_class, index.now, index.now)
        return Forecast(ruling, booking.gpu_class, now, booking_id=booking.workload_id)
    key = lane_key(index, line)
    if key is None:
        if line.ruling is not None and line.ruling.reason is Reason.OFF_PEAK:
            return _off_peak(index, workload, line, assumed)
        return _aside(index, line, assumed)
    lane = Lane(key, gpus=line.gpus)
    paused = index.pause(Brake.LAUNCH)
    if paused is not None and lane_lacks(index, key, lane.gpus) is NOTHING:
        return Forecast(line.ruling or evidence.launch_paused(paused), open_class(index, key, lane.gpus))
    _keep_room(index, walk, lane, line, assumed.gone)
    _keep_quota(index, walk, lane, line, assumed.gone)
    found = walk.find_room(lane, line)
    if isinstance(found, Room) and assumed.gone is not None:
        mine = (line.order_key(), lane)
        found = found if not _is_taken_first(walk, mine, found.gpu_class, assumed.gone) else None
    if isinstance(found, Room):
        launching = evidence.launching(line.spec, found.gpu_class, found.placement)
        now = _at(found.gpu_class, index.now, index.now)
        return Forecast(
            launching, found.gpu_class, now if assumed.since is None else bands(index, lane.key, line, assumed)
        )
    stopping = _by_stopping(index, walk, lane, line, found, assumed) if paused is None else None
    if stopping is not None:
        return stopping
    ruling, longest = _waiting(index, lane, line, found)
    return Forecast(
        ruling, key.gpu_classes[0], bands(index, lane.key, line, assumed), latest_limit_ms=max(0, longest) or None
    )


def _aside(index: Index, line: Line, assumed: Assumed) -> Forecast:
    """It stands in no lane; at a limit it may start once others that count against it have ended."""
    ruling = aside_ruling(line)
    key = key_beside_limits(index, replace(line)) if ruling.reason in WHOSE_LIMIT else None
    return Forecast(ruling, line.spec.gpu_classes[0], bands(index, key, line, assumed) if key is not None else ())


def _by_stopping(
    index: Index, walk: Walk, lane: Lane, line: Line, found: Shadow | Kept | None, assumed: Assumed
) -> Forecast | None:
    """Having others stopped for it, now or when its preemption delay is over; None where that is not what it waits for."""
    outlook, (waits_since, _) = Outlook(index), line.members[0]
    if not lane.key.is_funded or isinstance(found, Shadow) or not outlook.is_hopeful(lane, line.priority):
        return None
    alike, delay_over_at = index.lanes.known(lane.key), line.stops_others_from(waits_since)
    if alike is not None:
        delay_over_at = alike.stops_others_from(line, waits_since)
    at = max(index.now, delay_over_at)
    said = evidence.preemption_delay(line.spec, lane.key.gpu_classes, at) if at > index.now else None
    victims = find_victims(outlook, walk.starts.backfill, Planned(), lane, line, waits_since)
    if victims is None:
        if said is None or found is not None or _behind(index, lane, line) is not None:
            return None
        return Forecast(said, lane.key.gpu_classes[0], bands(index, lane.key, line, assumed))
    refusal = walk.starts.refusal_to_stop(victims)
    if refusal is not None:
        return Forecast(said or refusal, victims.gpu_class, bands(index, lane.key, line, assumed))
    grace = max(attempt.grace_seconds for attempt in victims.attempts) * MS_PER_SECOND
    said = said or evidence.awaiting_preemption(line.spec, victims.gpu_class, len(victims.victims))
    return Forecast(
        said, victims.gpu_class, _at(victims.gpu_class, index.now, Instant(at + grace)), len(victims.victims)
    )


def _waiting(index: Index, lane: Lane, line: Line, found: Shadow | Kept | None) -> tuple[Ruling, int]:
    """Why it does not start, and the longest time limit with which it would: 0 where none is short enough."""
    longest = 0
    if isinstance(found, Kept):
        ruling = evidence.booked(found, line)
    elif isinstance(found, Shadow):
        ruling = evidence.priority(found.workload_id, found.line, line)
    else:
        lane.reason, lane.blocked_class = lane_lacks(index, lane.key, lane.gpus)
        ruling = _behind(index, lane, line) or lane_ruling(index, lane) or Ruling(Reason.RESOURCES)
    if found is not None:
        longest = found.at - index.now - line.spec.grace_seconds * MS_PER_SECOND
    return line.ruling or ruling, longest


def _behind(index: Index, lane: Lane, line: Line) -> Ruling | None:
    """Who is first of those of its pool that wait for the room that it lacks, if they go before it."""
    _, gpu_class = lane_lacks(index, lane.key, lane.gpus)
    if gpu_class is None:
        return None
    other = index.lanes.first_waiting((lane.key.pool, gpu_class))
    if other is None or other.first_waiting is None or other.first_waiting >= line.order_key():
        return None
    first = other.first_waiting[3]
    ahead = index.lines.line_of(first)
    return evidence.priority(first, ahead, line) if ahead is not None else None


def _keep_room(index: Index, walk: Walk, lane: Lane, line: Line, gone: WorkloadId | None) -> None:
    """Of those who wait for room, whoever is before it has it kept free."""
    mine, (_, me) = line.order_key(), line.members[0]
    for gpu_class in lane.key.gpu_classes:
        firsts = [*_first_of_pools(index, gpu_class, gone), *_first_of_booked(index, gpu_class, gone)]
        waiting = [
            (cross_key(index, first, other.key, other.gpus), other, known)
            for first, other in firsts
            if first[3] != me and _is_before(index, (first, other), (mine, lane))
            if (known := index.lines.line_of(first[3])) is not None
        ]
        for place, other, known in sorted(waiting, key=itemgetter(0))[:1]:
            walk.starts.backfill.wait(other, known, place[3], gpu_class)


def _keep_quota(index: Index, walk: Walk, lane: Lane, line: Line, gone: WorkloadId | None) -> None:
    """Of those who have quota kept, whoever is before it has it kept free."""
    mine, (_, me) = (line.order_key(), lane), line.members[0]
    firsts = [(_next_of(other, other.head(), gone), other) for other in index.lanes.short]
    waiting = [(first, other) for first, other in firsts if first is not None and first[3] != me]
    before = [
        (cross_key(index, first, other.key, other.gpus), other, known)
        for first, other in waiting
        if _is_before(index, (first, other), mine) and (known := index.lines.line_of(first[3])) is not None
    ]
    for place, other, known in sorted(before, key=itemgetter(0)):
        walk.starts.promised.wait(other, known, place[3], index.lanes.short[other], ())


def _is_before(index: Index, first: tuple[OrderKey, Lane], second: tuple[OrderKey, Lane]) -> bool:
    """Within a pool its order holds, whoever would borrow."""
    if first[1].key.pool == second[1].key.pool:
        return first[0] < second[0]
    keys = [cross_key(index, place, lane.key, lane.gpus) for place, lane in (first, second)]
    return keys[0] < keys[1]


def _first_of_pools(
    index: Index, gpu_class: GpuClassName, gone: WorkloadId | None
) -> Iterator[tuple[OrderKey, Lane]]:
    """Who waits first in each pool for what runs to end."""
    for pool in index.lanes.pools_waiting(gpu_class):
        others = index.lanes.waiting((pool, gpu_class))
        firsts = [(_next_of(other, other.first_waiting, gone), other) for other in others]
        known = [(first, other) for first, other in firsts if first is not None]
        yield from sorted(known, key=itemgetter(0))[:1]


def _first_of_booked(
    index: Index, gpu_class: GpuClassName, gone: WorkloadId | None
) -> Iterator[tuple[OrderKey, Lane]]:
    """Who waits first in each lane for a booking to pass."""
    for _, cell in index.lanes.room_cells(gpu_class):
        for other in cell.lanes:
            for withheld in other.withheld if other.is_open else ():
                first = _next_of(other, withheld.first, gone, withheld.lasts_ms)
                if withheld.awaits == gpu_class and first is not None:
                    yield first, other


def _next_of(lane: Lane, first: OrderKey | None, gone: WorkloadId | None, lasts_ms: int = 0) -> OrderKey | None:
    """Who waits first in a lane, of those that last so long, but for one that would wait no more."""
    if first is None or first[3] != gone:
        return first
    lines = [line for _, line in lane.lines if line.lasts_ms >= lasts_ms]
    keys = (line.order_key(position) for line in lines for position in range(min(2, len(line.members))))
    return min((key for key in keys if key[3] != gone), default=None)


def _is_taken_first(walk: Walk, mine: tuple[OrderKey, Lane], gpu_class: GpuClassName, gone: WorkloadId) -> bool:
    """Whether somebody before it waits beside that room only for the sake of who would be gone, as far as can be told."""
    return any(
        other.is_open
        and other.withheld
        and (first := _next_of(other, other.head(), gone)) is not None
        and _is_before(walk.index, (first, other), mine)
        for _, cell in walk.index.lanes.room_cells(gpu_class)
        for other in cell.lanes
    )
