"""The turnstile where somebody else waits for room, or takes it."""

from dataclasses import replace

from scheduler.decision.decide import step
from scheduler.decision.snapshot import Changes, Snapshot
from scheduler.decision.state import State
from scheduler.domain.policy import Limits, Order
from scheduler.domain.reasons import Reason
from scheduler.domain.units import MS_PER_MINUTE
from scheduler.domain.workloads import ArrayPlace, Workload
from tests.decision.builders import (
    A100,
    H100,
    SPARE,
    STANDARD,
    URGENT,
    attempt,
    balance,
    everything,
    node,
    nodes,
    placements,
    policy,
    pool,
    reasons,
    snapshot,
    tier,
    workload,
)
from tests.decision.crowds import first_in_first_out, launched, nobody_is_held, seen


def test_whose_lane_others_close_before_their_turn_are_told_of_the_limit_all_the_same() -> None:
    """What Bob and Cyd want is the same as what Ada does, and Cyd finds no room: so would Ada's second."""
    queued = [
        workload("a1", gpus=4, age=400, hours=2),
        workload("b", gpus=4, age=300, owner="bob"),
        workload("c", gpus=4, age=200, owner="cyd"),
        workload("a2", gpus=4, age=100),
    ]
    known = snapshot(
        nodes(node("n1")),
        queued,
        by=first_in_first_out(limit=4),
        balances=[balance(owner) for owner in ("ada", "bob", "cyd")],
    )
    with seen() as happened:
        assert launched(known) == ["a1", "b"]

    assert happened == ["held"] * 4 + ["came"] * 2
    assert reasons(step(State(), everything(known), known.now)[1])["a2"] is Reason.ENGINEER_GPU_LIMIT


def test_who_lacks_room_is_let_in_to_wait_for_it_and_hears_of_the_limit_that_another_reaches() -> None:
    queued = [
        workload("large", gpus=4, age=300, classes=(A100,)),
        *(workload(f"w{number}", gpus=4, age=200 - number, hours=number) for number in (1, 2, 3)),
    ]
    in_the_way = attempt("r", "o1", gpus=8, gpu_class=A100, priority_class=URGENT)
    known = snapshot(
        nodes(node("n1"), node("n2"), node("o1", gpu_class=A100)),
        queued,
        by=first_in_first_out(limit=4),
        attempts=[in_the_way],
    )
    with seen() as happened:
        assert launched(known) == ["w1"]

    assert happened == ["held"] * 3 + ["came"]
    assert reasons(step(State(), everything(known), known.now)[1]) == {
        "large": Reason.ENGINEER_GPU_LIMIT,
        "w1": Reason.LAUNCHING,
        "w2": Reason.ENGINEER_GPU_LIMIT,
        "w3": Reason.ENGINEER_GPU_LIMIT,
    }


def test_an_owner_s_limit_is_one_for_work_in_two_pools() -> None:
    by = policy(pool("red", cohort="all"), pool("blue", cohort="all"), limits=Limits(gpus_per_engineer=1))
    queued = [workload("w1"), workload("w2", team="blue"), workload("w3", hours=2)]
    known = snapshot(nodes(node("n1")), queued, by=by)
    with seen() as happened:
        assert launched(known) == ["w1"]

    assert happened == ["held"] * 3 + ["came"]


def test_where_one_starts_that_waited_before_it_does_so_between_those_held() -> None:
    """What waited finds room in the cycle in which one that is older and one that is newer may run again."""
    waits = workload("waits", gpus=1, age=200, classes=(A100,))
    in_the_way = attempt("r", "o1", gpus=8, gpu_class=A100, priority_class=URGENT)
    known = snapshot(
        nodes(node("n1"), node("o1", gpu_class=A100)),
        [waits],
        by=first_in_first_out(limit=3),
        attempts=[in_the_way],
    )
    state, plan = step(State(), everything(known), known.now)
    assert reasons(plan) == {"waits": Reason.RESOURCES}

    fresh = [workload(f"w{age}", gpus=2, age=age, hours=age / 100) for age in (400, 300, 100)]
    changes = Changes(attempts={in_the_way.id: None}, queued={each.id: each for each in fresh})
    with seen() as happened:
        plan = step(state, changes, known.now)[1]

    assert [launch.workload_id for launch in plan.launches] == ["w400", "waits"]
    assert happened == ["held"] * 3 + ["came"]
    with nobody_is_held():
        state = step(State(), everything(known), known.now)[0]
        assert step(state, changes, known.now)[1] == plan


def test_whose_lane_is_closed_by_their_owner_s_first_wait_for_room_as_it_does() -> None:
    """The node is full once Bob has started."""
    gang = workload("gang", owner="bob", gpus=8, age=900)
    on_both = [workload(f"a{number}", gpus=2, age=800 - number, hours=number + 1) for number in range(6)]
    known = snapshot(
        nodes(node("n1")),
        [gang, *on_both],
        by=policy(pool("red", gpus=64, order=Order.FIFO), tiers=[tier("small", gpus_max=2)]),
        balances=[balance("ada"), balance("bob")],
        tiers={"ada": "small"},
    )
    with seen() as happened:
        assert launched(known) == ["gang"]

    assert happened == ["held"] * 6 + ["came"] * 6


def test_who_may_run_again_is_judged_by_itself_where_its_hours_are_not_enough_for_each_class() -> None:
    """An A100 costs half as much. What Ada can pay for on one class alone has another lane than what she can on both."""
    running = attempt("r", "n1", gpus=4, owner="ada")
    short = workload("short", gpus=4, age=100, classes=(H100, A100))
    long = workload("long", gpus=4, hours=8, classes=(H100, A100))
    sweep = workload("sweep-i0", gpus=4, age=50)
    sweep = replace(sweep, spec=replace(sweep.spec, array=ArrayPlace(0, 2)))
    known = snapshot(
        nodes(node("n1"), node("o1", gpu_class=A100)),
        [short, long, sweep],
        attempts=[running],
        by=first_in_first_out(limit=4),
        balances=[balance("ada", 20)],
    )
    state, plan = step(State(), everything(known), known.now)
    assert set(reasons(plan).values()) == {Reason.ENGINEER_GPU_LIMIT}

    plan = step(state, Changes(attempts={running.id: None}, queued={short.id: None, sweep.id: None}), known.now)[1]
    assert placements(plan) == {"long": {"o1": 1}}
    state = step(State(), everything(known), known.now)[0]
    plan = step(state, Changes(attempts={running.id: None}), known.now)[1]
    assert placements(plan) == {"short": {"n1": 1}}


def test_whose_class_only_those_held_want_is_walked_all_the_same() -> None:
    """Bob's urgent work spends the hours that his gang would need: it is told so in the same cycle, because Ada's second
    might start on the class that it waits for."""
    queued = [
        workload("b", owner="bob", hours=10, priority_class=URGENT),
        workload("gang", owner="bob", gpus=8, hours=4, age=900, classes=(A100,)),
        workload("a1", gpus=4, age=400),
        workload("a2", gpus=2, age=300, classes=(A100,)),
        workload("a3", gpus=2, age=200, classes=(A100,), hours=2),
    ]
    known = beside_half_a_node(*queued, limit=5)
    with seen() as happened:
        assert launched(known) == ["b", "a1"]

    assert happened == ["held"] * 3 + ["came"]
    assert reasons(step(State(), everything(known), known.now)[1])["gang"] is Reason.ALLOWANCE_SHORT


def test_who_is_first_to_wait_for_a_class_is_looked_at_beside_those_held() -> None:
    """Bob's gang is set aside, and who waits behind it is newer than Dan."""
    gang = workload("gang", owner="bob", gpus=8, hours=4, age=900, classes=(A100,))
    dan = workload("dan", owner="dan", gpus=6, age=500, classes=(A100,))
    behind = workload("behind", owner="cyd", gpus=8, hours=4, age=100, classes=(A100,))
    known = beside_half_a_node(gang, dan, behind, limit=8)
    fresh = [
        workload("b", owner="bob", hours=10, priority_class=URGENT),
        *(workload(f"a{hours}", gpus=4, hours=hours, age=50 - hours, classes=(A100,)) for hours in (20, 21, 22, 23)),
    ]
    changes = Changes(queued={each.id: each for each in fresh})
    state = step(State(), everything(known), known.now)[0]
    with seen() as happened:
        plan = step(state, changes, known.now)[1]

    assert happened == ["held"] * 4 + ["came"] * 4
    assert reasons(plan)["gang"] is Reason.ALLOWANCE_SHORT
    with nobody_is_held():
        state = step(State(), everything(known), known.now)[0]
        assert step(state, changes, known.now)[1] == plan


def beside_half_a_node(*queued: Workload, limit: int) -> Snapshot:
    """Of an A100 node one half is in use. Ada alone has a limit; Bob has hours for one of the things that he would like."""
    return snapshot(
        nodes(node("n1"), node("o1", gpu_class=A100)),
        queued,
        by=policy(pool("red", gpus=64, order=Order.FIFO), tiers=[tier("small", gpus_max=limit)]),
        tiers={"ada": "small"},
        attempts=[attempt("r", "o1", owner="eve", gpus=4, gpu_class=A100, priority_class=URGENT)],
        balances=[balance("bob", 20), *(balance(owner) for owner in ("ada", "cyd", "dan"))],
    )


def test_with_preemption_delays_nobody_is_held_for_the_oldest_of_a_lane_counts() -> None:
    patient = replace(STANDARD, preemption_delay_ms=MS_PER_MINUTE)
    by = policy(pool("red"), classes=(URGENT, patient, SPARE), limits=Limits(gpus_per_engineer=1))
    known = snapshot(nodes(node("n1")), [workload("w1"), workload("w2", hours=2)], by=by)
    with seen() as happened:
        assert launched(known) == ["w1"]

    assert happened == []
