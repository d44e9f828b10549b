"""What no move may ever do, checked from the outside over generated worlds."""

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler.decision.decide import decide, step
from scheduler.decision.plan import Launch, Plan
from scheduler.decision.snapshot import Changes, Snapshot
from scheduler.decision.state import State
from scheduler.domain.units import Instant, NodeName
from scheduler.domain.workloads import Attempt
from tests.decision.applying import ended, recorded
from tests.decision.builders import NOW, URGENT, workload
from tests.decision.scattered import moves_of, scattered
from tests.decision.test_bookings import booking
from tests.decision.worlds import EXAMPLES, splits

CYCLES_MAX = 60


@given(scattered())
@settings(max_examples=EXAMPLES, deadline=None)
def test_a_move_is_allowed_and_paid_and_goes_where_there_is_room(given: Snapshot) -> None:
    plan = decide(given)
    taken = _taken(given, plan)
    for preemption, move in moves_of(plan):
        was = _attempt_of(given, move)
        terms = given.policy.priority_classes[was.priority_class]
        preemptor = given.policy.priority_classes[given.queued[preemption.launch.workload_id].spec.priority_class]
        assert terms.value <= preemptor.value
        assert was.started_at is not None
        assert was.started_at + terms.minimum_runtime_ms <= given.now
        assert was.checkpointed_at is not None
        assert (given.now - was.checkpointed_at) * was.gpus <= given.policy.consolidation.lost_max
        assert move.funding
        for on, pods in move.placement.pods_by_node:
            taken[on] += pods * was.pod.gpus
            assert taken[on] <= given.nodes[on].gpus, "it has another node to go to right now"
        assert {victim.workload_id for victim in preemption.victims} == {m.workload_id for m in preemption.moves}
        assert len(preemption.moves) <= given.policy.consolidation.moves_max


@given(scattered())
@settings(max_examples=EXAMPLES, deadline=None)
def test_no_move_is_made_that_the_gang_does_not_need(given: Snapshot) -> None:
    """Were all but one of them made, it would still not fit."""
    plan = decide(given)
    for preemption in plan.preemptions[:1]:
        spec = given.queued[preemption.launch.workload_id].spec
        for left_out in preemption.moves:
            free = {name: given.nodes[name].gpus - used for name, used in _taken(given, plan).items()}
            for move in preemption.moves:
                if move is not left_out:
                    was = _attempt_of(given, move)
                    free[was.placement.pods_by_node[0][0]] += was.gpus
                    free[move.placement.pods_by_node[0][0]] -= was.gpus
            assert sum(max(0, gpus) // spec.pod.gpus for gpus in free.values()) < spec.pods


@given(scattered())
@settings(max_examples=EXAMPLES, deadline=None)
def test_moves_come_to_rest_and_what_was_moved_runs_again_in_the_cycle_after_its_end(given: Snapshot) -> None:
    """Without arrivals and ends there is no cycle of moves: each time, one workload more runs than before."""
    known = given
    for _ in range(CYCLES_MAX):
        plan = decide(known)
        if not (plan.launches or plan.preemptions or plan.lapsed):
            return
        moved = {move.workload_id for _, move in moves_of(plan)}
        known = recorded(known, plan)
        quiet = decide(known)
        # Of another lane the next who waits may have moves made for it: nobody is helped twice, and nobody moved twice.
        assert quiet.lapsed == ()
        assert not any(each.launch.workload_id in known.reservations for each, _ in moves_of(quiet))
        assert moved.isdisjoint(move.workload_id for _, move in moves_of(quiet))
        known = ended(known)
        again = {launch.workload_id: launch for launch in decide(known).launches}
        assert moved <= again.keys()
        assert all(again[each].is_reserved for each in moved)
    raise AssertionError(f"still moving after {CYCLES_MAX} cycles")


@given(st.data())
@settings(max_examples=EXAMPLES, deadline=None)
def test_moves_are_the_same_in_steps_as_in_a_cold_decision(data: st.DataObject) -> None:
    first, last = data.draw(scattered(), label="first"), data.draw(scattered(), label="last")
    last = replace(last, now=Instant(NOW + data.draw(st.sampled_from([0, 60_000, 1_200_000]))))
    state, changes = State(), data.draw(splits(first, last), label="changes")
    for each in changes[:-1]:
        step(state, each, first.now)
    plan = step(state, changes[-1], last.now)[1]

    assert (plan.launches, plan.preemptions, plan.lapsed) == _parts(decide(last))
    following = recorded(last, plan)
    after = Changes(
        queued={name: following.queued.get(name) for name in last.queued},
        attempts=following.attempts,
        launched=following.launched,
        reservations=following.reservations,
        balances=following.balances,
    )
    told = step(state, after, last.now)[1]
    assert (told.launches, told.preemptions, told.lapsed) == _parts(decide(following))


@given(
    scattered(),
    st.lists(st.tuples(st.integers(0, 3), st.sampled_from([2, 4]), st.sampled_from([0.5, 2, 3.1, 4]))),
    st.sampled_from([0, 30, 329]),
)
@settings(max_examples=EXAMPLES, deadline=None)
def test_a_booking_finds_its_gpus_whoever_was_moved_or_preempted_before_it(
    given: Snapshot, wishes: list[tuple[int, int, float]], seconds_to_end: int
) -> None:
    """Bookings are made where, beside what will still run by then, their GPUs are free. Who is stopped takes its time."""
    booked: list[Attempt] = []
    for number, gpus, hours in wishes:
        made = booking(
            f"bk{len(booked)}", f"n{number}", gpus=gpus, in_hours=hours, hours=3, owner="eve", project=None
        )
        with_it = {**given.attempts, made.id: made}
        after = replace(given, attempts=with_it)
        if f"n{number}" in given.nodes and all(_fits_at(after, each.launched_at) for each in [*booked, made]):
            given = after
            booked.append(made)
    urgent = workload("urgent", gpus=8, priority_class=URGENT, hours=3, owner="ada")
    known = replace(given, queued={**given.queued, urgent.id: urgent})
    for _ in range(CYCLES_MAX):
        plan = decide(known)
        known = ended(recorded(known, plan))
        known = replace(known, now=Instant(known.now + seconds_to_end * 1000))
        if plan.is_empty or not (plan.launches or plan.preemptions or plan.lapsed):
            break
    for each in booked:
        assert _fits_at(known, each.launched_at)


def _fits_at(known: Snapshot, at: Instant) -> bool:
    """Whether no node has more to hold at an instant than it has, of what may still run by its time limit."""
    used: dict[NodeName, int] = dict.fromkeys(known.nodes, 0)
    for each in known.attempts.values():
        since = each.started_at if each.started_at is not None else each.launched_at
        if since <= at < since + each.time_limit_ms + each.grace_seconds * 1000:
            for on, pods in each.placement.pods_by_node:
                used[on] += pods * each.pod.gpus
    return all(used[name] <= node.gpus for name, node in known.nodes.items())


def _parts(plan: Plan) -> tuple[object, object, object]:
    return plan.launches, plan.preemptions, plan.lapsed


def _taken(given: Snapshot, plan: Plan) -> dict[NodeName, int]:
    """GPUs in use on each node once the plan's launches are."""
    taken: dict[NodeName, int] = dict.fromkeys(given.nodes, 0)
    for each in given.attempts.values():
        for on, pods in each.placement.pods_by_node:
            taken[on] += pods * each.pod.gpus
    for launch in plan.launches:
        for on, pods in launch.placement.pods_by_node:
            taken[on] += pods * given.queued[launch.workload_id].spec.pod.gpus
    return taken


def _attempt_of(given: Snapshot, move: Launch) -> Attempt:
    return next(each for each in given.attempts.values() if each.workload_id == move.workload_id)
