"""Forecast: whether a workload would start now, and if not, between when and when. Nothing is changed by asking.

Its end comes from replaying what is ahead with every time limit used to the full; its begin from replaying it with the
share of them that is usual, or from whenever there is first room for it alone where a quarter of that is used: some end
soon, and what is ahead may wait for something else and be passed. It knows no arrivals, none of those that wait for an
instant of their own, and no preemption of what it waits for: it is a forecast, no promise. What may start from a known
instant on alone, its begin time or the hours of its class, starts no earlier; and what could not end by its deadline any
more, not at all. While launching is paused no start is known, since nobody knows when it is resumed.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from heapq import merge
from operator import itemgetter

from scheduler.decision import evidence
from scheduler.decision.emptying import Emptying, Others
from scheduler.decision.index import Index
from scheduler.decision.keeping.backfill import Shadow
from scheduler.decision.keeping.bookings import Kept
from scheduler.decision.ordering.queue import Lane, LaneKey, Line, OrderKey, Ruling, is_held_back
from scheduler.decision.placing.booked import Booked
from scheduler.decision.preempting.outlook import Outlook
from scheduler.decision.preempting.preemption import find_victims
from scheduler.decision.walking.inside import Inside
from scheduler.decision.walking.starts import Room
from scheduler.decision.walking.triage import NOTHING, aside_ruling, lane_key, lane_lacks, lane_ruling, open_class
from scheduler.decision.walking.walk import Walk
from scheduler.domain.brakes import Brake
from scheduler.domain.policy import OffPeak
from scheduler.domain.reasons import Reason
from scheduler.domain.units import MS_PER_SECOND, GpuClassName, Instant, PerMille, WorkloadId
from scheduler.domain.workloads import Workload

_WAITS_FOR_AN_INSTANT = frozenset({Reason.BEGIN_TIME, Reason.BACKOFF})

Band = tuple[Instant, Instant]
Bands = tuple[tuple[GpuClassName, Band], ...]
"""Of each GPU class on which it may start, in the order in which its owner would like them."""

AHEAD_MAX = 300
"""How many of those ahead are replayed one by one; behind more than that, no band is named."""


@dataclass(frozen=True, slots=True)
class Forecast:
    """What would be said of it now. Without `bands`, nothing that is known lets it start; `liked_best` is the GPU class
    that it is told of then.

    `latest_limit_ms` is the longest time limit with which it would start now beside whoever has room kept free.
    `warning` is what it would be told beside, if it starts now or as soon as its victims have given way: that it goes
    beyond a soft limit. `booking_id`: inside which booking it would start, which is charged in its stead.
    """

    ruling: Ruling
    liked_best: GpuClassName
    bands: Bands = ()
    victims: int = 0
    latest_limit_ms: int | None = None
    warning: Ruling | None = None
    booking_id: WorkloadId | None = None

    @property
    def starts(self) -> Band | None:
        """It takes the first room that there is on any of them."""
        if not self.bands:
            return None
        return min(first for _, (first, _) in self.bands), min(last for _, (_, last) in self.bands)

    @property
    def gpu_class(self) -> GpuClassName:
        """Where it has started at the latest if all goes as slowly as it may."""
        return min(self.bands, key=lambda each: each[1][::-1])[0] if self.bands else self.liked_best

    @property
    def choices(self) -> Bands:
        """Of those on which it may be the first to find room."""
        return tuple(each for each in self.bands if self.starts is not None and each[1][0] <= self.starts[1])

    @property
    def starts_now(self) -> bool:
        return self.ruling.reason is Reason.LAUNCHING

    @classmethod
    def unknown(cls, workload: Workload) -> "Forecast":
        """Before the first decision."""
        return cls(Ruling(Reason.SUBMITTED), workload.spec.gpu_classes[0])


@dataclass(frozen=True, slots=True)
class Assumed:
    """`usual` is the share of time limits that is used. `gone` waits no more: it would be cancelled for what is asked.
    `since`: what is asked about starts no earlier."""

    usual: PerMille
    gone: WorkloadId | None = None
    since: Instant | None = None


def forecast(index: Index, workload: Workload, assumed: Assumed) -> Forecast:
    """Of a workload that is queued, or that is only asked about."""
    if is_held_back(workload, index.now):
        return _in_time(_held_back(index, workload, assumed), workload)
    line = index.lines.detached(workload, is_aged=index.ageing.is_old(workload))
    found = _in_time(_of_line(index, workload, line, assumed), workload)
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
    if ruling.reason in _WAITS_FOR_AN_INSTANT:
        since = replace(assumed, since=workload.not_before)
        as_if = forecast(index, replace(workload, not_before=index.now), since)
        return replace(found, bands=_from(workload.not_before, workload.not_before, as_if))
    return found


def _off_peak(index: Index, workload: Workload, line: Line, assumed: Assumed) -> Forecast:
    """It waits for hours of the day, or for so much to be free before."""
    found = Forecast(aside_ruling(line), line.spec.gpu_classes[0])
    assert line.priority_class is not None, "its class has such hours"
    hours = line.priority_class.off_peak
    assert hours is not None, "its class has such hours"
    opens_at = _open_from(hours, assumed.since or index.now, index.policy.time_zone)
    if opens_at is None:
        return found
    line.priority_class = replace(line.priority_class, off_peak=None)
    since = assumed.since if hours.free is not None else opens_at
    as_if = _of_line(index, workload, line, replace(assumed, since=since))
    return replace(found, bands=_from(index.now if hours.free is not None else opens_at, opens_at, as_if))


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
        return Forecast(aside_ruling(line), line.spec.gpu_classes[0])
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
            launching, found.gpu_class, now if assumed.since is None else _bands(index, lane, line, assumed)
        )
    stopping = _by_stopping(index, walk, lane, line, found, assumed) if paused is None else None
    if stopping is not None:
        return stopping
    ruling, longest = _waiting(index, lane, line, found)
    return Forecast(
        ruling, key.gpu_classes[0], _bands(index, lane, line, assumed), latest_limit_ms=max(0, longest) or None
    )


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
    victims = find_victims(outlook, walk.starts.backfill, Booked(), lane, line, waits_since)
    if victims is None:
        if said is None or found is not None or _behind(index, lane, line) is not None:
            return None
        return Forecast(said, lane.key.gpu_classes[0], _bands(index, lane, line, assumed))
    refusal = walk.starts.refusal_to_stop(victims)
    if refusal is not None:
        return Forecast(said or refusal, victims.gpu_class, _bands(index, lane, line, assumed))
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
            (walk.cross_key(first, other), other, known)
            for first, other in firsts
            if first[3] != me and _is_before(walk, (first, other), (mine, lane))
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
        (walk.cross_key(first, other), other, known)
        for first, other in waiting
        if _is_before(walk, (first, other), mine) and (known := index.lines.line_of(first[3])) is not None
    ]
    for place, other, known in sorted(before, key=itemgetter(0)):
        walk.starts.promised.wait(other, known, place[3], index.lanes.short[other], ())


def _is_before(walk: Walk, first: tuple[OrderKey, Lane], second: tuple[OrderKey, Lane]) -> bool:
    """Within a pool its order holds, whoever would borrow."""
    if first[1].key.pool == second[1].key.pool:
        return first[0] < second[0]
    return walk.cross_key(*first) < walk.cross_key(*second)


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
        and _is_before(walk, (first, other), mine)
        for _, cell in walk.index.lanes.room_cells(gpu_class)
        for other in cell.lanes
    )


def _bands(index: Index, lane: Lane, line: Line, assumed: Assumed) -> Bands:
    """From the earlier of what is usual and of room for it alone until what the time limits say, on each of the GPU classes
    that it may use."""
    if index.pause(Brake.LAUNCH) is not None:
        return ()
    bands = []
    for gpu_class in lane.key.gpu_classes:
        others = _others(index, line, gpu_class, assumed.gone)
        if len(others.ahead) > AHEAD_MAX or len(others.alike) > AHEAD_MAX:
            continue
        late, early, alone = (
            Emptying(index, gpu_class, PerMille(share), assumed.since).start_of(before, lane.key)
            for share, before in ((1000, others), (assumed.usual, others), (assumed.usual // 4, Others()))
        )
        if early is not None and late is not None:
            first = min(at for at in (early, late, alone) if at is not None)
            bands.append((gpu_class, (first, max(early, late))))
    return tuple(bands)


def _others(index: Index, line: Line, gpu_class: GpuClassName, gone: WorkloadId | None) -> Others:
    """Of those ahead no more than it takes to tell that they are too many."""
    mine = line.order_key()
    apart = (line.members[0][1], gone)
    rivals = [
        [(other.order_key(position), other, key) for position in range(min(len(other.members), AHEAD_MAX + 1))]
        for other in index.lines.all()
        if (key := _wanted_by(index, other, line)) is not None and gpu_class in key.gpu_classes
    ]
    found = Others()
    for place, other, key in merge(*rivals, key=itemgetter(0)):
        is_before = place < mine if other.pool == line.pool else (place[0], place[2]) < (mine[0], mine[2])
        if place[3] in apart:
            continue
        stands = (found.ahead if other.ruling is None else found.alike) if is_before else found.behind
        if len(stands) <= AHEAD_MAX and (is_before or other.ruling is None):
            stands.append((key, other.spec.time_limit_ms))
        if len(found.ahead) > AHEAD_MAX:
            break
    return found


def _wanted_by(index: Index, other: Line, line: Line) -> LaneKey | None:
    """What a line waits for; what waits for the hours of its class is there when they begin for another of the class."""
    if other.ruling is None:
        return other.lane.key if other.lane is not None else None
    terms, known = line.priority_class, other.priority_class
    if other.ruling.reason is not Reason.OFF_PEAK or terms is None or known is None:
        return None
    is_same_hour = terms.name == known.name and terms.off_peak is None
    return lane_key(index, replace(other, priority_class=terms)) if is_same_hour else None
