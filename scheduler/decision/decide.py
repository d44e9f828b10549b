"""One cycle: what is launched, who is preempted for whom, and why everybody else waits.

`step` looks only at what its changes may concern; `decide` is `step` from nothing with everything as changes, so
that the fast path is the only path. Nothing planned is taken as done: whoever owns the state records the plan, which
may refuse some of it, and feeds back what became of it; what is not fed back is planned again.
"""

from scheduler.decision.index import Index
from scheduler.decision.ordering.queue import Lane, Line
from scheduler.decision.plan import Plan
from scheduler.decision.preempting.outlook import Outlook
from scheduler.decision.snapshot import Changes, Snapshot
from scheduler.decision.state import State
from scheduler.decision.walking.elastic import grow, widen
from scheduler.decision.walking.flips import touch_lanes
from scheduler.decision.walking.inside import Inside
from scheduler.decision.walking.limited import Fitting, fit_again, tell_limits
from scheduler.decision.walking.reserved import serve_reservations
from scheduler.decision.walking.triage import judge_lane, judge_line, judge_party, move_line
from scheduler.decision.walking.turnstile import Turnstile
from scheduler.decision.walking.walk import Walk
from scheduler.domain.brakes import Brake
from scheduler.domain.reasons import Reason
from scheduler.domain.units import GpuClassName, Instant, WorkloadId
from scheduler.domain.values import value


def decide(snapshot: Snapshot) -> Plan:
    """The plan for a snapshot, from nothing."""
    changes = Changes(
        policy=snapshot.policy,
        nodes=snapshot.nodes,
        queued=snapshot.queued,
        attempts=snapshot.attempts,
        launched=snapshot.launched,
        balances=snapshot.balances,
        reservations=snapshot.reservations,
        tiers=snapshot.tiers,
        usage=snapshot.usage,
        spent=snapshot.spent,
        pauses=snapshot.pauses,
        stops=snapshot.stops,
        prices=snapshot.prices,
    )
    return step(State(), changes, snapshot.now)[1]


def step(state: State, changes: Changes, now: Instant) -> tuple[State, Plan]:
    """Take what changed and plan anew. The state is changed in place and returned; nobody else may use it meanwhile."""
    index = state.absorb(changes, now)
    turnstile = Turnstile(index)
    lines, fitting = _judge_lines(index, turnstile)
    touch_lanes(index)
    cycle = _serve(index, turnstile)
    walk = cycle.walk
    fitting.tell_short(walk)
    tell_limits(index, walk)
    walk.join_lanes()
    widen(index, walk)
    growths = grow(index, walk)
    walk.serve_unfunded(cycle.unfunded)
    widen(index, walk)
    cycle.inside.serve_again()
    # Who is first to wait is walked unjudged, and what this cycle starts may leave it waiting for something else.
    verdicts = state.teller.tell(index, walk, [*cycle.lanes, *walk.cursors], [*lines, *walk.set_aside])
    walk.undo()
    starts = walk.starts
    launches, preemptions, warnings = (
        tuple(starts.launches),
        tuple(starts.preemptions),
        tuple(starts.warnings.values()),
    )
    lapsed, ageing = tuple(sorted(cycle.lapsed)), tuple(index.ageing.beginning())
    return state, Plan(now, launches, preemptions, verdicts, lapsed, tuple(growths), warnings, ageing)


@value(frozen=True, slots=True)
class _Cycle:
    """The lanes judged, those of them that may start unfunded, reservations that have lapsed, and what started
    so far: inside bookings, and on the walk."""

    lanes: list[Lane]
    unfunded: list[Lane]
    lapsed: list[WorkloadId]
    inside: Inside
    walk: Walk


def _serve(index: Index, turnstile: Turnstile) -> _Cycle:
    """Judge lanes, and serve whoever pays, and whoever the turnstile has held back."""
    lanes = [lane for lane in index.dirty_lanes if lane.lines]
    index.dirty_lanes.clear()
    outlook = Outlook(index)
    paying, unfunded = _judge_lanes(index, lanes, outlook)
    open_classes = {name for lane in paying if lane.is_open for name in lane.key.gpu_classes} | turnstile.gpu_classes
    served = [*paying, *_first_waiting(index, paying, open_classes)]
    outlook.expect({name for lane in served for name in lane.key.gpu_classes} | turnstile.gpu_classes)
    walk = Walk(index)
    lapsed = serve_reservations(index, walk.starts)
    inside = Inside(index, walk.starts)
    inside.serve()
    walk.serve(served, outlook, turnstile.held)
    return _Cycle(lanes, unfunded, lapsed, inside, walk)


def _judge_lines(index: Index, turnstile: Turnstile) -> tuple[list[Line], Fitting]:
    """Put every line that a change may concern where it belongs now. Returns them, and those that their limit allows again.

    All leave their places before any takes one: a workload that changed may stand at the same one in another line.
    """
    for party in index.dirty_parties:
        judge_party(index, party)
    index.dirty_parties.clear()
    again = dict.fromkeys(fit_again(index))
    dirty = list(index.dirty_lines)
    moved = [(line, line.lane) for line in index.moved_lines if line not in index.dirty_lines]
    judged = [*dirty, *(line for line, _ in moved)]
    left = dict.fromkeys([index.lanes.leave(line) for line in judged if line.lane is not None])
    others = [line for line in dirty if line not in again]
    coming = [(line, key) for line in others if (key := judge_line(index, line)) is not None]
    fitting = Fitting(index, list(again))
    coming += fitting.coming
    coming += [(line, key) for line, lane in moved if (key := move_line(index, line, lane)) is not None]
    turnstile.admit(coming)
    for lane in left:
        index.dirty_lanes[lane] = None
        index.lanes.forget_if_empty(lane)
    index.dirty_lines.clear()
    index.moved_lines.clear()
    return judged, fitting


def _judge_lanes(index: Index, lanes: list[Lane], outlook: Outlook) -> tuple[list[Lane], list[Lane]]:
    """Lanes that may start something or preempt for it, and those that may start unfunded."""
    is_paused = index.pause(Brake.LAUNCH) is not None
    paying: list[Lane] = []
    unfunded: list[Lane] = []
    for lane in lanes:
        lane.withheld.clear()
        lane.is_open = judge_lane(index, lane, lane.head())
        if is_paused:
            if lane.is_open:
                lane.reason = Reason.LAUNCH_PAUSED
        elif not lane.key.is_funded:
            if lane.is_open:
                unfunded.append(lane)
        elif lane.is_open or outlook.is_hopeful(lane, lane.priority):
            paying.append(lane)
    return paying, unfunded


def _first_waiting(index: Index, paying: list[Lane], open_classes: set[GpuClassName]) -> list[Lane]:
    """Of each pool, who waits first for a class's room that others might start in, or could be moved out of: to have it
    kept free."""
    if not index.lanes.is_any_waiting:
        return []
    walked = set(paying)
    contested = open_classes | set(index.running.movable.classes())
    firsts: dict[Lane, None] = {}
    for gpu_class in sorted(contested):
        for pool in index.lanes.pools_waiting(gpu_class):
            lane = index.lanes.first_waiting((pool, gpu_class))
            if lane is not None and lane not in walked:
                firsts[lane] = None
    firsts.update(
        (lane, None) for lane, name in index.lanes.short.items() if name in contested and lane not in walked
    )
    return list(firsts)
