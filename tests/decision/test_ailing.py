"""What becomes of plans while nodes fall ill, recover and are labelled anew, under gangs, elastic jobs and moves."""

from dataclasses import replace
from random import Random
from typing import Any

from hypothesis import event, given, settings
from hypothesis import strategies as st

from scheduler.decision.decide import decide, step
from scheduler.decision.keeping.bookings import is_active
from scheduler.decision.plan import Growth, Launch, Plan
from scheduler.decision.snapshot import Reservation, Snapshot
from scheduler.domain.cluster import Placement
from scheduler.domain.reasons import Reason
from scheduler.domain.topology import TopologyAsk, domain_of
from scheduler.domain.units import MS_PER_MINUTE, Instant, NodeName
from scheduler.domain.workloads import AttemptState
from tests.decision.ailing import a_while_later, ailing, changes_between
from tests.decision.applying import ended, recorded
from tests.decision.builders import H100, NOW, URGENT, attempt, cold, node, nodes, placements, snapshot, workload
from tests.decision.stretched import note_reach
from tests.decision.test_steps import explanations
from tests.decision.test_topology import gang, racked, standing
from tests.decision.worlds import EXAMPLES, TOPOLOGY

CYCLES = 5
CYCLES_MAX = 60
NEVER = 2**62


def test_room_that_is_kept_for_a_preemptor_is_given_up_when_it_may_not_start_there_any_more() -> None:
    """Its nodes are in two racks by now, or have another disk."""
    together = nodes(standing("a1", 8, "x/1"), standing("a2", 8, "x/1"))
    apart = nodes(standing("a1", 8, "x/1"), standing("a2", 8, "x/2"))
    wish = gang(2, "require:rack", gpus=8)
    kept = Reservation(wish.id, H100, attempt("gang", {"a1": 1, "a2": 1}).placement, Instant(NOW + MS_PER_MINUTE))
    world = snapshot(together, [wish], by=racked(), reservations=[kept])
    assert placements(decide(world)) == {"gang": {"a1": 1, "a2": 1}}
    plan = decide(replace(world, nodes=apart))
    assert (plan.launches, plan.lapsed) == ((), ("gang",))

    saves = workload("w", nodes_with=(("disk", "ssd"),))
    kept = replace(kept, workload_id=saves.id, placement=attempt("w", "n1").placement)
    for disk, launched in (("ssd", {"w": {"n1": 1}}), ("hdd", {})):
        known = nodes(node("n1", labels={"disk": disk}), node("n2", labels={"disk": "ssd"}))
        plan = decide(snapshot(known, [saves], reservations=[kept]))
        assert (placements(plan), plan.lapsed) == (launched, () if launched else ("w",))


def test_room_kept_on_a_node_that_lost_a_gpu_is_given_up_once_the_victims_have_ended_and_not_before() -> None:
    """Before, others would be stopped beside those that still end."""
    running = [attempt("gone", "n1", gpus=4), attempt("slow", "n1", gpus=4), attempt("other", "n2", gpus=8)]
    wish = [workload("u", gpus=8, priority_class=URGENT)]
    world = snapshot(nodes(node("n1"), node("n2")), wish, attempts=running)
    first = decide(world)
    assert {each.workload_id for each in first.preemptions[0].victims} == {"gone", "slow"}
    world = recorded(world, first)
    world = replace(world, nodes=nodes(node("n1", gpus=7), node("n2")))
    gone = {key: each for key, each in world.attempts.items() if each.workload_id != "gone"}

    plan = decide(replace(world, attempts=gone))
    assert (plan.lapsed, plan.preemptions) == ((), ())

    world = ended(world)
    plan = decide(world)
    assert (plan.lapsed, plan.preemptions) == (("u",), ())
    assert [each.launch.placement for each in decide(recorded(world, plan)).preemptions] == [
        Placement(((NodeName("n2"), 1),))
    ]


def test_the_place_of_what_is_moved_is_given_up_when_it_may_not_start_there_any_more() -> None:
    runs = replace(attempt("r", "n1"), state=AttemptState.STOPPING, stop_reason=Reason.PREEMPTED)
    was = workload("r", nodes_with=(("disk", "ssd"),))
    kept = Reservation(was.id, H100, attempt("r", "n2").placement, NOW, is_move=True)
    for disk, lapsed in (("ssd", ()), ("hdd", ("r",))):
        known = nodes(node("n1"), node("n2", labels={"disk": disk}))
        world = snapshot(known, attempts=[runs], reservations=[kept], launched={was.id: was})
        assert decide(world).lapsed == lapsed


@given(st.data())
@settings(max_examples=EXAMPLES, deadline=None)
def test_steps_through_a_history_of_ailing_nodes_say_what_cold_decisions_do(data: st.DataObject) -> None:
    world = data.draw(ailing(), label="world")
    state = cold(world)
    plan = decide(world)
    for number in range(CYCLES):
        after = recorded(world, plan) if data.draw(st.booleans(), label="recorded") else world
        after = data.draw(a_while_later(after, number), label="later")
        plan = step(state, changes_between(world, after), after.now)[1]
        world = after

        expected = decide(world)
        note_reach(plan, world)
        if plan.lapsed:
            event("lapses")
        assert plan.launches == expected.launches
        assert plan.preemptions == expected.preemptions
        assert plan.growths == expected.growths
        assert plan.lapsed == expected.lapsed
        told = {workload_id: verdict.reason for workload_id, verdict in state.verdicts.items()}
        assert told == {verdict.workload_id: verdict.reason for verdict in expected.verdicts}
        assert explanations(state, world) == explanations(cold(world), world)
        assert state.queue() == cold(world).queue()


@given(st.data())
@settings(max_examples=EXAMPLES, deadline=None)
def test_nothing_is_placed_promised_or_moved_where_it_cannot_run(data: st.DataObject) -> None:
    world = data.draw(ailing(), label="world")
    for number in range(CYCLES):
        plan = decide(world)
        _assert_places(world, plan)
        world = data.draw(a_while_later(recorded(world, plan), number), label="later")


@given(st.data())
@settings(max_examples=EXAMPLES, deadline=None)
def test_once_nothing_happens_any_more_plans_come_to_rest(data: st.DataObject) -> None:
    world = data.draw(ailing(), label="world")
    for number in range(data.draw(st.integers(0, CYCLES))):
        world = data.draw(a_while_later(recorded(world, decide(world)), number), label="later")
    for _ in range(CYCLES_MAX):
        plan = decide(world)
        if not (plan.launches or plan.preemptions or plan.lapsed or plan.growths):
            return
        world = recorded(world, plan)
        again = decide(world)
        assert {each.launch.workload_id for each in again.preemptions}.isdisjoint(world.reservations)
        world = ended(world)
    raise AssertionError(f"still planning after {CYCLES_MAX} cycles")


@given(ailing(), st.randoms(use_true_random=False))
@settings(max_examples=EXAMPLES, deadline=None)
def test_the_plan_for_an_ailing_cluster_does_not_depend_on_the_order_of_the_inputs(
    world: Snapshot, shuffler: Random
) -> None:
    shuffled: dict[str, Any] = {}
    for name in ("nodes", "queued", "attempts", "launched", "balances"):
        items = list(getattr(world, name).items())
        shuffler.shuffle(items)
        shuffled[name] = dict(items)
    assert decide(replace(world, **shuffled)) == decide(world)


@given(ailing())
@settings(max_examples=EXAMPLES, deadline=None)
def test_nobody_is_stopped_where_shrinking_alone_is_enough(world: Snapshot) -> None:
    classes = {name: replace(each, minimum_runtime_ms=10**12) for name, each in world.policy.priority_classes.items()}
    paid = {key: replace(each, is_funded=True) for key, each in world.attempts.items()}
    for waiting in world.queued.values():
        alone = replace(world, queued={waiting.id: waiting}, attempts=paid)
        shrinking = decide(replace(alone, policy=replace(alone.policy, priority_classes=classes)))
        if len(waiting.spec.gpu_classes) == 1 and shrinking.preemptions and not shrinking.preemptions[0].moves:
            event("shrinking is enough")
            for preemption in decide(alone).preemptions:
                assert all(victim.pods_left is not None for victim in preemption.victims)


def _assert_places(world: Snapshot, plan: Plan) -> None:
    taken = _taken(world, plan)
    for launch in plan.launches:
        spec = world.queued[launch.workload_id].spec
        known = world.reservations.get(launch.workload_id)
        is_inside = launch.booking_id is not None
        if not is_inside and (known is None or not known.is_move):
            _take(taken, launch.placement, spec.pod.gpus)
        _assert_place(world, {} if is_inside else taken, launch)
        assert spec.pods_at_least <= launch.placement.pods <= spec.pods
    for growth in plan.growths:
        _assert_more(world, taken, growth)
    for preemption in plan.preemptions:
        for move in preemption.moves:
            was = next(each for each in world.attempts.values() if each.workload_id == move.workload_id)
            _take(taken, move.placement, was.pod.gpus)
            _assert_place(world, taken, move)
            terms = world.policy.priority_classes[was.priority_class]
            assert was.state is AttemptState.RUNNING
            assert (was.started_at or NEVER) + terms.minimum_runtime_ms <= world.now
        _assert_place(world, {}, preemption.launch)


def _taken(world: Snapshot, plan: Plan) -> dict[NodeName, int]:
    """GPUs that somebody is on, that are booked, or that wait for somebody who is moved."""
    taken: dict[NodeName, int] = {}
    for each in world.attempts.values():
        if is_active(each, world.now) if each.is_booking else not each.is_inside:
            _take(taken, each.everywhere, each.pod.gpus)
    for name, reservation in world.reservations.items():
        if reservation.is_move and name not in plan.lapsed:
            workload = world.queued.get(name) or world.launched[name]
            _take(taken, reservation.placement, workload.spec.pod.gpus)
    return taken


def _assert_more(world: Snapshot, taken: dict[NodeName, int], growth: Growth) -> None:
    attempt = world.attempts[growth.attempt_id]
    terms, stands = attempt.elastic, attempt.placement
    assert terms is not None
    assert stands.pods < growth.placement.pods <= terms.pods_max
    more = growth.placement.beyond(stands.pods)
    _take(taken, more, attempt.pod.gpus)
    for on, _ in more.pods_by_node:
        assert world.nodes[on].accepts_work
        assert world.nodes[on].gpu_class == attempt.gpu_class
        assert taken[on] <= world.nodes[on].gpus
        assert all(world.nodes[on].labels.get(key) == value for key, value in terms.nodes_with)
    if terms.topology is not None and terms.topology.is_required:
        assert _domains(world, terms.topology, more) <= _domains(world, terms.topology, stands)


def _assert_place(world: Snapshot, taken: dict[NodeName, int], launch: Launch) -> None:
    spec = (world.queued.get(launch.workload_id) or world.launched[launch.workload_id]).spec
    for on, _ in launch.placement.pods_by_node:
        known = world.nodes[on]
        assert known.accepts_work
        assert known.gpu_class == launch.gpu_class
        assert taken.get(on, 0) <= known.gpus
        assert all(known.labels.get(key) == value for key, value in spec.nodes_with)
    if spec.topology is not None and spec.topology.is_required:
        assert len(_domains(world, spec.topology, launch.placement)) == 1


def _domains(world: Snapshot, ask: TopologyAsk, placement: Placement) -> set[object]:
    """Those of its nodes that are still there."""
    known = (world.nodes[on] for on, _ in placement.pods_by_node if on in world.nodes)
    return {domain_of(each.name, each.labels, TOPOLOGY, ask.level) for each in known}


def _take(taken: dict[NodeName, int], placement: Placement, gpus: int) -> None:
    for on, pods in placement.pods_by_node:
        taken[on] = taken.get(on, 0) + pods * gpus
