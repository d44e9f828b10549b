"""Triage: what is true of a line or a lane as the snapshot stands, before anybody is served.

A line whose owner cannot have it (hours, limits, no node for it) stands aside with its reason; the others stand in
the lane of those who want the same. A lane is open where quota and room would let one of it start.
"""

from collections.abc import Mapping, Sequence
from functools import partial

from scheduler.decision import evidence
from scheduler.decision.index import Index
from scheduler.decision.ordering.hours import need_at_launch
from scheduler.decision.ordering.queue import AGED, Lane, LaneKey, Line, Means, OrderKey, Party, Ruling
from scheduler.decision.placing.planned import NOTHING_PLANNED, Planned
from scheduler.domain.allowances import AllowanceBalance
from scheduler.domain.brakes import Brake
from scheduler.domain.funding import FundingShare, Shortfall, fund, payers, spendable_standard
from scheduler.domain.latest import put
from scheduler.domain.policy import ReclaimWithinCohort
from scheduler.domain.reasons import Reason
from scheduler.domain.terms import Need, Terms
from scheduler.domain.units import GpuClassName, PoolName
from scheduler.domain.workloads import WorkloadSpec

NO_POOL = PoolName("none")

Lack = tuple[Reason | None, GpuClassName | None]
"""Why a lane's work cannot start, and the class whose room it lacks."""

NOTHING: Lack = (None, None)
NO_MEANS: Mapping[GpuClassName, Means] = {}


def judge_line(index: Index, line: Line) -> LaneKey | None:
    """The lane that a line, which has left its place, belongs to; None where it stands aside, with a ruling of its own."""
    line.ruling, line.paid, line.within = None, None, None
    if not line.members:
        return None
    line.standing = index.standing(line)
    return lane_key(index, line)


def allow(line: Line, key: LaneKey) -> None:
    """It has the hours for the classes of its lane, and no limit forbids it."""
    if key.is_funded:
        line.ruling, line.paid = None, line.paid if line.paid is not None else key.gpu_classes


def judge_party(index: Index, party: Party) -> None:
    """Have those of its lines judged anew for which there is money where there was none, or none where there was."""
    dirty = index.dirty_lines
    for lines in party.lines.values():
        for line in lines:
            if line.paid is not None and line not in dirty and _paid(index, line) != line.paid:
                dirty[line] = None


def move_line(index: Index, line: Line, lane: Lane | None) -> LaneKey | None:
    """Only its place in the lane that it left changed: somebody came or went, or its owner's standing is another."""
    if not line.members:
        return None
    line.standing = index.standing(line)
    return lane.key if lane is not None else None


def judge_lane(index: Index, lane: Lane, first: OrderKey) -> bool:
    """Whether quota and room would let a workload of the lane start now. If not, the lane has the reason why, and
    waits from `first` on."""
    rule_on_lane(index, lane, first, lane_lacks(index, lane.key, lane.gpus))
    return lane.reason is None


def rule_on_lane(index: Index, lane: Lane, first: OrderKey, lacks: Lack) -> None:
    """The lane waits from `first` on for what it lacks."""
    lane.reason, lacks_room = lacks
    index.lanes.set_blocked(lane, lacks_room if lane.key.is_funded else None, first)
    is_short = lane.reason is Reason.QUOTA and lane.key.is_funded
    is_kept = is_short and (first[0] == AGED or _is_lent_for_good(index, lane))
    put(index.lanes.short, lane, _owed_class(index, lane) if is_kept else None)


def _is_lent_for_good(index: Index, lane: Lane) -> bool:
    """Whether others of its tree may borrow quota that its pool is owed, and it may not take that back of all of them."""
    pool = index.policy.pools[lane.key.pool]
    if pool.cohort is None or pool.reclaim_within_cohort is ReclaimWithinCohort.ANY:
        return False
    return any(lane.gpus <= index.quotas.nominal(pool.name, name) for name in lane.key.gpu_classes)


def _owed_class(index: Index, lane: Lane) -> GpuClassName:
    """The first class for which waiting ends, because its pool has that much nominal quota; else the one it likes best."""
    names = _in_service(index, lane.key)
    return next((name for name in names if lane.gpus <= index.quotas.nominal(lane.key.pool, name)), names[0])


def _in_service(index: Index, key: LaneKey) -> tuple[GpuClassName, ...]:
    """Of several classes, those whose nodes may give it room: what takes no work keeps it from none of the others. All of
    them, where none may."""
    return tuple(filter(partial(_is_in_service, index, key), key.gpu_classes)) or key.gpu_classes


def _is_in_service(index: Index, key: LaneKey, gpu_class: GpuClassName) -> bool:
    return index.capacity.may_ever_give(gpu_class, key.shape, key.pods)


def lane_lacks(index: Index, key: LaneKey, gpus: int) -> Lack:
    """What keeps a workload of such a lane from starting now, and the class whose room it lacks; None: nothing."""
    without_room: list[GpuClassName] = []
    for gpu_class in key.gpu_classes:
        if not key.is_funded or index.quotas.free(key.pool, gpu_class) >= gpus:
            if index.capacity.table(gpu_class).total(key.shape) >= key.pods:
                return NOTHING
            without_room.append(gpu_class)
    is_in_service = partial(_is_in_service, index, key)
    lacks_room = next(filter(is_in_service, without_room), None)
    if lacks_room is None and without_room and not any(map(is_in_service, key.gpu_classes)):
        lacks_room = without_room[0]
    if lacks_room is None:
        return Reason.QUOTA, None
    is_gathered = key.shape.topology is not None and key.shape.topology.is_required
    return (Reason.TOPOLOGY if is_gathered else Reason.RESOURCES), lacks_room


def open_class(index: Index, key: LaneKey, gpus: int) -> GpuClassName:
    """The first class on which a workload of such a lane, which lacks nothing, could start now."""
    return next(filter(partial(is_open, index, key, gpus), key.gpu_classes))


def is_open(index: Index, key: LaneKey, gpus: int, gpu_class: GpuClassName) -> bool:
    has_quota = not key.is_funded or index.quotas.free(key.pool, gpu_class) >= gpus
    return has_quota and index.capacity.table(gpu_class).total(key.shape) >= key.pods


def lane_ruling(index: Index, lane: Lane) -> Ruling | None:
    """The lane's reason with fresh evidence: of the class whose room it lacks, or whose quota it waits for."""
    key, gpu_class = lane.key, lane.blocked_class or _owed_class(index, lane)
    if lane.reason is Reason.RESOURCES:
        table = index.capacity.table(gpu_class)
        return evidence.resources(key, gpu_class, table.free_gpus(table.row(key.shape)), table.total(key.shape))
    if lane.reason is Reason.TOPOLOGY:
        fullest = index.capacity.table(gpu_class).most_room(key.shape)
        return evidence.topology(Reason.TOPOLOGY, key.shape, key.pods, gpu_class, fullest)
    if lane.reason is Reason.QUOTA:
        used = index.quotas.used(key.pool, gpu_class)
        limit = used + max(0, index.quotas.available(key.pool, gpu_class))
        return evidence.quota(key.pool, gpu_class, used=used, limit=limit, needed=lane.gpus)
    pause = index.pause(Brake.LAUNCH)
    return evidence.launch_paused(pause) if lane.reason is not None and pause is not None else None


def fund_line(index: Index, line: Line, gpu_class: GpuClassName) -> tuple[FundingShare, ...] | Shortfall:
    """Who would pay for one workload of the line on that GPU class, after what this cycle has booked."""
    return index.hours.fund(payers_of(index, line, gpu_class), dict(line.costs)[gpu_class])


def payers_of(index: Index, line: Line, gpu_class: GpuClassName) -> Sequence[AllowanceBalance]:
    """The allowances that may pay for work of the line on that class, in the funding order."""
    return means_of(index, line, gpu_class).payers


def means_of(index: Index, line: Line, gpu_class: GpuClassName) -> Means:
    """The same, and what they can spend together."""
    party, spec = line.party, line.spec
    known = party.means.get(line.use)
    if known is None:
        known = party.means[line.use] = {}
    means = known.get(gpu_class)
    if means is None:
        ordered = payers(balances_of(index, party), spec, gpu_class, index.now)
        means = known[gpu_class] = Means(ordered, _together(ordered))
    return means


def balances_of(index: Index, party: Party) -> Sequence[AllowanceBalance]:
    """The allowances of whoever may pay for its work, whatever they pay for."""
    if party.balances is None:
        party.balances = index.hours.of(party.holders)
    return party.balances


def _together(balances: Sequence[AllowanceBalance]) -> int | None:
    """What they can spend; None where some of it is not in standard time."""
    spendable = 0
    for balance in balances:
        if not balance.allowance.is_plain:
            return None
        spendable += max(0, balance.spendable)
    return spendable


def _paid(index: Index, line: Line) -> tuple[GpuClassName, ...]:
    """The GPU classes on which its party has the hours for one workload of the line, as the snapshot stands."""
    paid = []
    known = line.party.means.get(line.use, NO_MEANS)
    for gpu_class, need in line.costs:
        means = known.get(gpu_class) or means_of(index, line, gpu_class)
        if means.spendable is None:
            is_paid = not isinstance(fund(means.payers, need), Shortfall)
        else:
            is_paid = means.spendable >= need.standard
        if is_paid:
            paid.append(gpu_class)
    return tuple(paid)


def over_limit(index: Index, line: Line, planned: Planned) -> Ruling | None:
    """Whether the owner or the team would run more GPUs than they may at once, with what this cycle has booked."""
    own = over_own_limit(index, line, planned)
    if own is not None:
        return own
    needed, concurrency = line.gpus, index.concurrency
    limit = index.policy.limits.gpus_per_team
    if limit is not None:
        used = concurrency.gpus_of_team.get(line.team, 0) + planned.of_team.get(line.team, 0)
        if used + needed > limit:
            return evidence.gpu_limit(Reason.TEAM_GPU_LIMIT, used, limit, needed)
    return _over_array(index, line, planned) if line.array is not None else None


def over_own_limit(index: Index, line: Line, planned: Planned) -> Ruling | None:
    """The same of the owner alone."""
    owner, concurrency = line.party.owner, index.concurrency
    limit = concurrency.gpu_limit(owner)
    if limit is None:
        return None
    used = concurrency.gpus_of_owner.get(owner, 0) + planned.of_owner.get(owner, 0)
    if used + line.gpus <= limit:
        return None
    return evidence.gpu_limit(Reason.ENGINEER_GPU_LIMIT, used, limit, line.gpus)


def _over_array(index: Index, line: Line, planned: Planned) -> Ruling | None:
    """Whether as many indexes of its array run as may at once."""
    if line.array is None or line.spec.array is None or line.spec.array.at_once is None:
        return None
    used = index.concurrency.of_array.get(line.array, 0) + planned.of_array.get(line.array, 0)
    return evidence.array_limit(used, line.spec.array.at_once) if used >= line.spec.array.at_once else None


def on_peak(index: Index, line: Line, gpu_class: GpuClassName) -> Ruling | None:
    """Whether its class starts off-peak alone, and this is none for that GPU class."""
    terms = line.priority_class
    if terms is None or index.off_peak.is_open(terms, gpu_class):
        return None
    free = index.off_peak.free_per_mille(gpu_class)
    return evidence.off_peak(terms, gpu_class, free, index.policy.time_zone)


def over_guard(index: Index, line: Line, gpu_class: GpuClassName) -> Ruling | None:
    """Whether a start would use more of an hour, day or weekend than a guard lets its owner or team."""
    over = index.over_guard(line, gpu_class)
    return evidence.spend_guard(over) if over is not None else None


def may_run_unfunded(index: Index, line: Line, planned: Planned) -> bool:
    """Whether the line's class lets it run without hours, and its owner has not as much of that as one may have."""
    if line.priority_class is None or not line.priority_class.may_start_unfunded:
        return False
    running = index.running.unfunded_gpus_of_owner.get(line.owner, 0)
    used = running + planned.unfunded_of_owner.get(line.owner, 0)
    return used + line.gpus <= index.policy.limits.unfunded_gpus_per_engineer


def lane_key(index: Index, line: Line) -> LaneKey | None:
    """The lane it belongs to. Where its owner cannot have it, `line.ruling` says why, the most lasting obstacle
    first, and only what may run without hours has a lane even so."""
    if line.costs_as_of != index.nodes_taken:
        line.ruling = _look_where(index, line)
    if line.ruling is None:
        line.ruling = over_limit(index, line, NOTHING_PLANNED)
    return key_beside_limits(index, line) if line.ruling is None else None


def key_beside_limits(index: Index, line: Line) -> LaneKey | None:
    """The same where no limit on what runs at once is in its way."""
    pool, spec = line.pool, line.spec
    assert pool is not None, "it has quota of some class"
    line.within, line.paid = index.within_guards(line), _paid(index, line)
    able = line.paid if len(line.within) == len(line.costs) else tuple(n for n in line.paid if n in line.within)
    if able:
        return LaneKey(pool.name, able, line.shape, spec.pods, True, line.aged_priority)
    line.ruling = over_guard(index, line, _wish(line)) or lacks_hours(index, line)
    if not line.within or not may_run_unfunded(index, line, NOTHING_PLANNED):
        return None
    return LaneKey(pool.name, line.within, line.shape, spec.pods, False, line.aged_priority)


def _look_where(index: Index, line: Line) -> Ruling | None:
    """Have `line.costs` name the GPU classes that it may run on, whoever pays and whatever else runs; else say why there is
    none. It holds until nodes change: a line at a limit is judged each time that its owner starts or ends something."""
    pool, spec = line.pool, line.spec
    line.costs, line.costs_as_of, line.full_key = (), None, None
    if line.priority_class is None:
        return evidence.no_priority_class(spec)
    placeable = [name for name in dict.fromkeys(spec.gpu_classes) if _is_placeable(index, line, name)]
    if not placeable:
        return _unplaceable(index, line)
    allowed = [gpu_class for gpu_class in placeable if pool is not None and index.quotas.has(pool.name, gpu_class)]
    if not allowed:
        name = pool.name if pool is not None else NO_POOL
        return evidence.quota(name, placeable[0], used=0, limit=0, needed=line.gpus)
    off_peak = [name for name in allowed if on_peak(index, line, name) is None]
    if not off_peak:
        return on_peak(index, line, allowed[0])
    line.costs = tuple((gpu_class, need_of(index, line, line.spec, gpu_class)) for gpu_class in off_peak)
    if line.priority_class.off_peak is None:  # else the hour changes it, too, and what runs
        line.costs_as_of = index.nodes_taken
        needs = [need.standard for _, need in line.costs]
        line.cheapest, line.dearest = min(needs), max(needs)
        assert pool is not None, "it has quota of some class"
        line.full_key = LaneKey(pool.name, tuple(off_peak), line.shape, spec.pods, True, line.aged_priority)
    return None


def _unplaceable(index: Index, line: Line) -> Ruling:
    """No nodes could ever hold it; where some could, but for the level that it requires: the largest domain."""
    spec, shape = line.spec, line.shape
    known = [gpu_class for gpu_class in spec.gpu_classes if gpu_class in index.policy.gpu_classes]
    if shape.topology is not None and shape.topology.is_required and known:
        rooms = [(index.capacity.table(name).most_room(shape, if_empty=True), name) for name in known]
        room, gpu_class = max(rooms, key=lambda entry: entry[0][1])
        if room[1]:
            return evidence.topology(Reason.TOPOLOGY_UNPLACEABLE, shape, spec.pods, gpu_class, room)
    fitting = max((index.capacity.fitting_if_empty(name, shape) for name in known), default=0)
    return evidence.unplaceable(spec, fitting, index.capacity.largest(known, shape))


def aside_ruling(line: Line) -> Ruling:
    assert line.ruling is not None, "who stands in no lane was told why"
    return line.ruling


def aside_now(index: Index, line: Line) -> Ruling | None:
    """Why it stands aside, with the evidence of now: who is short of hours is not judged anew while they have ever less,
    nor who is at a limit or a guard while that still forbids it. What it was told stands where the snapshot does not say
    so, because the last cycle's own launches took the rest."""
    told = line.ruling
    if told is None or not line.costs:
        return told
    if told.reason is Reason.ALLOWANCE_SHORT:
        shortfall = _shortfall(index, line)
        return evidence.allowance_short(shortfall) if shortfall.available < shortfall.needed else told
    now = over_limit(index, line, NOTHING_PLANNED) or over_guard(index, line, _wish(line))
    return now if now is not None and now.reason is told.reason else told


def _wish(line: Line) -> GpuClassName:
    """What it would like best of what its party can pay for, or else of all."""
    return line.paid[0] if line.paid else line.costs[0][0]


def lacks_hours(index: Index, line: Line) -> Ruling:
    """What it would need on the class it would like best, and what there is."""
    return evidence.allowance_short(_shortfall(index, line))


def _shortfall(index: Index, line: Line) -> Shortfall:
    gpu_class, need = line.costs[0]
    return Shortfall(need.standard, spendable_standard(payers_of(index, line, gpu_class), need))


def need_of(index: Index, line: Line, spec: WorkloadSpec, gpu_class: GpuClassName) -> Need:
    """What a workload of the line, of that size, needs to start on the class."""
    assert line.priority_class is not None, "a line without a priority class stands aside"
    pool = line.pool.name if line.pool is not None else None
    key = (gpu_class, line.priority_class.name, pool)
    terms = index.terms.get(key)
    if terms is None:
        weight = index.policy.gpu_classes[gpu_class].weight
        terms = Terms(gpu_class, line.priority_class.name, weight, line.priority_class.class_factor)
        if index.prices is not None and pool is not None:
            terms = terms.priced(index.prices, pool)
        index.terms[key] = terms
    return need_at_launch(spec, line.priority_class, terms)


def _is_placeable(index: Index, line: Line, gpu_class: GpuClassName) -> bool:
    """Whether nodes of the class could ever hold it. As long as no node is known at all, nothing is ruled out."""
    if gpu_class not in index.policy.gpu_classes:
        return False
    if not index.capacity.nodes:
        return True
    key = (gpu_class, line.shape, line.spec.pods)
    known = index.placeable.get(key)
    if known is None:
        known = index.placeable[key] = index.capacity.could_ever_hold(*key)
    return known
