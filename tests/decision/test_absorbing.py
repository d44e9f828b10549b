"""What changes between two cycles, one thing at a time: each has those judged anew whom it concerns."""

from dataclasses import replace

from scheduler.decision.decide import decide, step
from scheduler.decision.snapshot import Changes, Reservation
from scheduler.decision.state import State
from scheduler.domain.allowances import Holder, HolderKind
from scheduler.domain.brakes import Brake, Pause
from scheduler.domain.cluster import Placement
from scheduler.domain.guards import GuardOf, GuardWindow, PastSpend, SpendGuard, window_at
from scheduler.domain.policy import Limits, PriorityClass, WithinPool
from scheduler.domain.reasons import Reason
from scheduler.domain.topology import LevelName, TopologyLevel, topology_ask
from scheduler.domain.units import (
    MS_PER_HOUR,
    MS_PER_MINUTE,
    AttemptId,
    EngineerId,
    Instant,
    NodeName,
    PriorityClassName,
    TierName,
    WorkloadId,
)
from scheduler.domain.workloads import AttemptState
from tests.decision.applying import recorded, workload_of
from tests.decision.builders import (
    A100,
    H100,
    NOW,
    SPARE,
    STANDARD,
    URGENT,
    attempt,
    balance,
    cold,
    everything,
    node,
    nodes,
    placements,
    policy,
    pool,
    reasons,
    snapshot,
    tier,
    victims,
    workload,
)
from tests.decision.scattered import moves, saved, world
from tests.decision.test_bookings import booking
from tests.decision.test_elastic import grown, running
from tests.decision.test_ordering import FAIR, used


def test_before_the_first_changes_nobody_stands_in_line_and_nothing_is_explained() -> None:
    state = State()
    assert state.queue() == []
    assert state.explain(WorkloadId("w")) is None


def test_whoever_is_not_queued_is_not_explained() -> None:
    assert cold(snapshot(nodes(node("n1")), [workload("w")])).explain(WorkloadId("other")) is None


def test_a_node_that_gains_gpus_takes_what_no_node_could() -> None:
    state = cold(snapshot(nodes(node("n1", 4)), [workload("w", gpus=8)]))
    assert state.verdicts[WorkloadId("w")].reason is Reason.UNPLACEABLE

    repaired = Changes(nodes={NodeName("n1"): node("n1", 8)})
    assert placements(step(state, repaired, NOW)[1]) == {"w": {"n1": 1}}
    broken = Changes(nodes={NodeName("n1"): node("n1", 4)})
    assert reasons(step(state, broken, NOW)[1]) == {"w": Reason.UNPLACEABLE}


def test_nodes_of_another_class_or_of_none_change_nothing_for_those_of_this() -> None:
    cluster = nodes(node("n1", 8), replace(node("login", 0), gpu_class=None))
    state = cold(snapshot(cluster, [workload("w", gpus=8, classes=(A100,))]))
    assert state.verdicts[WorkloadId("w")].reason is Reason.NOT_OFFERED

    tainted = replace(cluster[NodeName("login")], accepts_work=False)
    assert step(state, Changes(nodes={tainted.name: tainted}), NOW)[1].is_empty
    added = Changes(nodes={NodeName("n2"): node("n2", 8, gpu_class=A100)})
    assert placements(step(state, added, NOW)[1]) == {"w": {"n2": 1}}


def test_a_cordon_that_is_lifted_lets_work_start() -> None:
    state = cold(snapshot(nodes(node("n1", accepts_work=False)), [workload("w")]))
    assert state.verdicts[WorkloadId("w")].reason is Reason.RESOURCES

    assert placements(step(state, Changes(nodes=nodes(node("n1"))), NOW)[1]) == {"w": {"n1": 1}}


def test_another_tier_brings_its_own_limit_and_none_takes_it_away() -> None:
    by = policy(pool("red", gpus=64), tiers=[tier("small", gpus_max=2)])
    state = cold(snapshot(nodes(node("n1")), [workload("w", gpus=4)], by=by))
    assert placements(step(state, Changes(), NOW)[1]) == {"w": {"n1": 1}}

    ada, small = EngineerId("ada"), TierName("small")
    assert reasons(step(state, Changes(tiers={ada: small}), NOW)[1]) == {"w": Reason.ENGINEER_GPU_LIMIT}
    assert step(state, Changes(tiers={ada: small}), NOW)[1].is_empty
    assert placements(step(state, Changes(tiers={ada: None}), NOW)[1]) == {"w": {"n1": 1}}


def test_what_was_cancelled_before_its_begin_time_does_not_come_back_at_it() -> None:
    begins = Instant(NOW + MS_PER_MINUTE)
    state = cold(snapshot(nodes(node("n1")), [replace(workload("w"), not_before=begins)]))
    step(state, Changes(queued={WorkloadId("w"): None}), NOW)

    plan = step(state, Changes(), begins)[1]
    assert (plan.launches, state.queue()) == ((), [])


def test_what_ended_inside_its_minimum_runtime_is_no_victim_when_that_is_over() -> None:
    sheltered = PriorityClass(PriorityClassName("standard"), 200, minimum_runtime_ms=10 * MS_PER_MINUTE)
    by = policy(pool("red", gpus=64), classes=(URGENT, sheltered, SPARE))
    young, old = (attempt(name, "n1", gpus=4, running_for=60) for name in ("young", "old"))
    known = snapshot(nodes(node("n1")), [workload("u", gpus=8, priority_class=URGENT)], by=by, attempts=[young, old])
    state = cold(known)
    assert step(state, Changes(), NOW)[1].preemptions == ()

    step(state, Changes(attempts={young.id: None}), NOW)
    plan = step(state, Changes(), Instant(NOW + 10 * MS_PER_MINUTE))[1]
    assert victims(plan) == {"u": ["old"]}


def test_a_move_is_known_by_its_workload_in_whatever_order_the_two_come() -> None:
    """The reservation may be read before the workload that it is for."""
    was = attempt("m", "n1", gpus=4, state=AttemptState.STOPPING, stop_reason=Reason.PREEMPTED)
    place = Reservation(was.workload_id, H100, Placement(((NodeName("n2"), 1),)), NOW, is_move=True)
    wish = [workload("w", gpus=8)]
    known = snapshot(nodes(node("n1"), node("n2")), wish, attempts=[was], reservations=[place])
    state = cold(known)
    assert step(state, Changes(), NOW)[1].lapsed == ("m",)

    told = Changes(launched={was.workload_id: workload_of(was)})
    plan = step(state, told, NOW)[1]
    assert (plan.lapsed, placements(plan)) == ((), {}), "its place on n2 is taken"


def test_a_booking_that_is_told_again_stays_as_it_is() -> None:
    ahead = booking(in_hours=1, hours=1)
    state = cold(snapshot(nodes(node("n1")), [workload("w", hours=9, owner="eve")], attempts=[ahead]))
    assert state.verdicts[WorkloadId("w")].reason is Reason.BOOKED

    assert step(state, Changes(attempts={ahead.id: ahead}), NOW)[1].is_empty
    assert placements(step(state, Changes(attempts={ahead.id: None}), NOW)[1]) == {"w": {"n1": 1}}


def test_a_checkpoint_of_what_runs_short_of_pods_keeps_it_growing() -> None:
    """Its last checkpoint alone is another: it is taken by a way of its own."""
    job = running("job", {"n": 2}, 2, 6, running_for=60)
    known = snapshot(nodes(node("n", 8)), [workload("big", gpus=8)], attempts=[job], balances=[balance("ada", 100)])
    state = cold(known)
    assert grown(step(state, Changes(), NOW)[1]) == {}

    saved = replace(job, checkpointed_at=NOW)
    step(state, Changes(attempts={job.id: saved}), NOW)
    (growth,) = step(state, Changes(queued={WorkloadId("big"): None}), NOW)[1].growths
    assert growth.placement.pods == 6


def test_what_turns_out_to_have_no_checkpoint_is_no_longer_moved() -> None:
    fragments = (saved("a", "n1", 4), saved("b", "n2", 4, minutes_ago=3), saved("c", "n3", 6))
    state = cold(world(*fragments))
    assert moves(step(state, Changes(), NOW)[1]) == {"b": {"n1": 1}}

    unsaved = replace(fragments[1], checkpointed_at=None)
    assert moves(step(state, Changes(attempts={unsaved.id: unsaved}), NOW)[1]) == {"a": {"n2": 1}}


def test_work_of_an_hour_that_runs_on_a_node_that_is_gone_frees_nothing_there() -> None:
    """Neither for who looks for victims nor for who looks when room comes free."""
    lost = attempt("lost", "gone", gpus=8, priority_class=SPARE)
    known = snapshot(
        nodes(node("n1", 4)), [workload("gang", pods=2, gpus=4, priority_class=STANDARD)], attempts=[lost]
    )
    other = attempt("r", "n1", gpus=4)
    plan = decide(replace(known, attempts={each.id: each for each in (lost, other)}))
    assert (victims(plan), reasons(plan)) == ({}, {"gang": Reason.UNPLACEABLE})


def test_who_waited_for_room_and_now_for_whoever_has_it_kept_is_told_nothing_anew() -> None:
    """Of one lane: of two short ones the first starts, the other waits for room, and the long one for the gang's."""
    running = [attempt("long", "n1", gpus=4, running_for=60), attempt("soon", "n1", gpus=2, running_for=3000)]
    running += [attempt("ends", "n1", gpus=1, running_for=60), attempt("stays", "n1", gpus=1, running_for=60)]
    waiting = [workload("gang", owner="gus", gpus=8, hours=5, age=900)]
    waiting += [workload(name, owner=name, hours=0.1, age=age) for name, age in (("short1", 800), ("short2", 700))]
    waiting.append(workload("slow", owner="slow", hours=9, age=850))
    world = snapshot(nodes(node("n1")), waiting, attempts=running)
    state = State()
    told = step(state, everything(world), world.now)[1]
    assert reasons(told) == {
        "gang": Reason.RESOURCES,
        "short1": Reason.PRIORITY,
        "short2": Reason.PRIORITY,
        "slow": Reason.PRIORITY,
    }

    plan = step(state, Changes(attempts={AttemptId("ends/1"): None}), world.now)[1]

    assert reasons(plan) == {"short1": Reason.LAUNCHING}
    assert told_of(state, "slow") == told_of(state, "short2") == Reason.PRIORITY


def test_whom_no_nodes_could_hold_hears_of_the_largest_as_it_changes() -> None:
    """Of two pods that must stand in one block one fits; then that node has lost a GPU for good, and none does."""
    by = policy(topology=(TopologyLevel(LevelName("block"), "block"),))
    wish = workload("gang", gpus=8, pods=2)
    wish = replace(wish, spec=replace(wish.spec, topology=topology_ask("require:block")))
    state = cold(snapshot(nodes(node("n1")), [wish], by=by))
    assert told_of(state, "gang") is Reason.TOPOLOGY_UNPLACEABLE

    assert reasons(step(state, Changes(nodes=nodes(node("n1", 7))), NOW)[1]) == {"gang": Reason.UNPLACEABLE}
    step(state, Changes(nodes=nodes(node("n1", 6))), NOW)
    verdict = state.verdict_now(wish.id)
    assert verdict is not None
    assert verdict.evidence == decide(snapshot(nodes(node("n1", 6)), [wish], by=by)).verdicts[0].evidence


def test_whom_no_node_would_take_by_its_labels_hears_that_none_is_offered_and_who_is_too_large_hears_of_the_largest() -> (
    None
):
    labelled, large = workload("w", nodes_with=(("disk", "ssd"),)), workload("large", gpus=16)
    state = cold(snapshot(nodes(node("n1")), [labelled, large]))
    assert told_of(state, "w") is Reason.NOT_OFFERED
    assert state.verdicts[large.id].evidence["largest"] == 8


def test_a_node_that_comes_before_the_others_by_name_leaves_known_what_ends_on_those() -> None:
    """A gang waits for an end in an hour: what lasts longer than that leaves it the rest of the node."""
    runs, gang = attempt("r", "n1", gpus=2, running_for=0), workload("gang", gpus=8, age=99)
    state = cold(snapshot(nodes(node("n1")), [gang], attempts=[runs]))
    for name, hours, expected in (("long", 9, {}), ("short", 0.9, {"short": {"n1": 1}})):
        queued = {WorkloadId(name): workload(name, gpus=6, hours=hours)}
        small = nodes(node(f"a-{name}", 1))
        assert placements(step(state, Changes(nodes=small, queued=queued), NOW)[1]) == expected


def test_a_node_that_has_less_than_is_taken_there_has_none_left_even_for_the_smallest_pod() -> None:
    runs = attempt("r", "n1", gpus=4)  # and 1000 milli-CPU and 1024 MiB
    smallest = workload("w", cpu=1, memory=1)
    for has in (node("n1", 3), node("n1", 8, cpu=999), node("n1", 8, memory=1023)):
        assert placements(decide(snapshot(nodes(has), [smallest], attempts=[runs]))) == {}


def test_who_waits_for_an_instant_stands_nowhere_and_of_who_left_nothing_is_looked_at_again() -> None:
    later = workload("later", not_before=Instant(NOW + 1000))
    state = cold(snapshot(nodes(node("n1", accepts_work=False)), [later, workload("w")]))
    explained = state.explain(later.id)
    assert explained is not None
    assert (explained.rank, explained.standing) == (0, 0)

    step(state, Changes(queued={WorkloadId("w"): None}), NOW)
    assert state.verdicts.keys() == {later.id}
    assert not any(state.index.lines.by_shape.values())


def test_who_stood_behind_a_preemptor_hears_at_once_that_what_starts_now_leaves_it_no_quota() -> None:
    """Nothing that it waits for came or went before the cycle: it is walked as who is first to wait for room, no more."""
    known = nodes(node("n1", labels={"disk": "ssd"}), node("n2"), node("n3"))
    first = workload("first", gpus=8, age=9, priority_class=URGENT, nodes_with=(("disk", "ssd"),))
    behind = workload("behind", gpus=8, pods=3, age=5, priority_class=SPARE)
    runs = attempt("runs", "n1", gpus=8, priority_class=SPARE)
    given = snapshot(known, [first, behind], attempts=[runs], by=policy(pool("red", gpus=32)))
    state = cold(given)
    assert told_of(state, "behind") is Reason.PRIORITY

    after = recorded(given, decide(given))
    small = workload("small", priority_class=URGENT)
    plan = step(
        state,
        Changes(
            queued={small.id: small},
            attempts=after.attempts,
            reservations=after.reservations,
            balances=after.balances,
        ),
        NOW,
    )[1]
    assert reasons(plan) == {"behind": Reason.QUOTA, "small": Reason.LAUNCHING}


def told_of(state: State, name: str) -> Reason:
    return state.verdicts[WorkloadId(name)].reason


def test_an_allowance_that_is_gone_pays_no_more() -> None:
    paid = balance("ada")
    state = cold(snapshot(nodes(node("n1", 0)), [workload("w")], balances=[paid]))
    plan = step(state, Changes(balances={paid.allowance.id: None}, nodes=nodes(node("n1"))), NOW)[1]
    assert (placements(plan), reasons(plan)) == ({}, {"w": Reason.ALLOWANCE_SHORT})


def test_who_ran_unfunded_and_has_ended_may_run_as_much_again() -> None:
    by = policy(limits=Limits(unfunded_gpus_per_engineer=8))
    free = attempt("free", "n1", owner="ada", gpus=8, priority_class=SPARE, is_funded=False)
    again = workload("again", gpus=8, priority_class=SPARE)
    state = cold(snapshot(nodes(node("n1"), node("n2")), [again], by=by, attempts=[free], balances=[]))
    assert placements(step(state, Changes(attempts={free.id: None}), NOW)[1]) == {"again": {"n1": 1}}


def test_what_waited_without_hours_and_was_withdrawn_leaves_its_room_to_the_next_who_asks_alike() -> None:
    full = attempt("full", "n1", owner="bob", gpus=8)
    first, next_one = (workload(name, gpus=8, priority_class=SPARE) for name in ("first", "next"))
    state = cold(snapshot(nodes(node("n1")), [first], attempts=[full], balances=[]))
    assert reasons(step(state, Changes(queued={first.id: None}, attempts={full.id: None}), NOW)[1]) == {}
    assert placements(step(state, Changes(queued={next_one.id: next_one}), NOW)[1]) == {"next": {"n1": 1}}


def test_a_preemptor_whose_victims_have_ended_starts_once_launching_is_resumed() -> None:
    promised = Reservation(WorkloadId("u"), H100, Placement(((NodeName("n1"), 1),)), Instant(NOW + MS_PER_MINUTE))
    paused = (Pause(Brake.LAUNCH, "ops", "a look", NOW),)
    before = snapshot(nodes(node("n1")), [workload("u", gpus=4)], reservations=[promised], pauses=paused)
    assert (placements(decide(before)), reasons(decide(before))) == ({}, {"u": Reason.LAUNCH_PAUSED})
    assert placements(step(cold(before), Changes(pauses=()), NOW)[1]) == {"u": {"n1": 1}}


def test_whoever_is_short_of_hours_is_told_what_is_left_of_them_as_it_shrinks() -> None:
    state = cold(snapshot(nodes(node("n1")), [workload("w", hours=6)], balances=[balance("ada", 5)]))
    told = []
    for hours in (5, 3, 4):
        left = balance("ada", hours)
        step(state, Changes(balances={left.allowance.id: left}), NOW)
        verdict = state.verdict_now(WorkloadId("w"))
        assert verdict is not None
        told.append((verdict.evidence["available_hours"], verdict.evidence["short_hours"]))
    assert told == [("5.0", "1.0"), ("3.0", "3.0"), ("4.0", "2.0")]
    assert state.verdicts[WorkloadId("w")].evidence["available_hours"] == "5.0"


def test_what_a_cycle_starts_takes_its_hours_before_the_snapshot_says_so() -> None:
    queued = [workload("w1", hours=6), workload("w2", hours=6)]
    state = cold(snapshot(nodes(node("n1")), queued, balances=[balance("ada", 10)]))
    verdict = state.verdict_now(WorkloadId("w2"))
    assert verdict is not None
    assert verdict.evidence["available_hours"] == "4.0"


def test_before_the_first_changes_there_is_no_verdict() -> None:
    assert State().verdict_now(WorkloadId("w")) is None


def test_who_used_much_stands_where_the_others_do_once_that_is_forgotten() -> None:
    queued = [workload("ada-1", owner="ada", age=60), workload("bob-1", owner="bob")]
    state = cold(snapshot(nodes(node("n1", 1, accepts_work=False)), queued, by=FAIR, usage=used(ada=40)))
    assert list(state.queue()) == ["bob-1", "ada-1"]
    state, _ = step(state, Changes(usage={EngineerId("ada"): None}), NOW)
    assert list(state.queue()) == ["ada-1", "bob-1"]


def test_whoever_waits_takes_back_what_another_pool_borrows_when_its_own_room_comes_free() -> None:
    rules = policy(pool("red", cohort="all", within_pool=WithinPool.NEVER), pool("blue", gpus=0, cohort="all"))
    own = attempt("own", "n1", gpus=8, priority_class=URGENT)
    state = cold(snapshot(nodes(node("n1")), [workload("w", gpus=8)], by=rules, attempts=[own]))
    borrower = attempt("other", "n1", gpus=8, pool="blue", owner="eve", team="blue", is_borrowed=True)
    _, plan = step(state, Changes(attempts={own.id: None, borrower.id: borrower}), NOW)
    assert victims(plan) == {"w": ["other"]}


def test_whose_past_use_is_forgotten_is_stopped_by_no_guard_any_more() -> None:
    ada, today = Holder(HolderKind.ENGINEER, "ada"), window_at(GuardWindow.DAY, NOW, "UTC")
    assert today is not None
    spent = {ada: PastSpend(((GuardWindow.DAY, today.starts_at, 9 * MS_PER_HOUR),))}
    guard = SpendGuard("daily", GuardOf.ENGINEER, GuardWindow.DAY, hard=9 * MS_PER_HOUR)
    rules = replace(policy(), spend_guards=(guard,))
    state = cold(snapshot(nodes(node("n1")), [workload("w")], by=rules, spent=spent))
    assert state.verdicts[WorkloadId("w")].reason is Reason.SPEND_GUARD
    assert placements(step(state, Changes(spent={ada: None}), NOW)[1]) == {"w": {"n1": 1}}
