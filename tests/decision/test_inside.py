"""What starts without being paid for, inside a booking or unfunded, and what it is held to all the same."""

from dataclasses import replace

from scheduler.decision.decide import decide
from scheduler.domain.policy import Limits
from scheduler.domain.reasons import Reason
from scheduler.domain.topology import LevelName, TopologyLevel, topology_ask
from scheduler.domain.units import Instant
from scheduler.domain.workloads import Attempt, AttemptState
from tests.decision.applying import ended, recorded
from tests.decision.builders import (
    A100,
    H100,
    NOW,
    SPARE,
    URGENT,
    attempt,
    balance,
    elastic,
    node,
    nodes,
    placements,
    policy,
    pool,
    reasons,
    snapshot,
    victims,
    workload,
)
from tests.decision.test_bookings import booking, gone_in
from tests.decision.test_topology import gang, standing


def on_two(first: str, second: str, gpus: int) -> Attempt:
    """A booking of so many GPUs on each of two nodes, which has begun."""
    made = booking(on=first, gpus=gpus, in_hours=-1)
    return replace(made, placement=attempt("x", {first: 1, second: 1}).placement)


def test_an_engineers_limit_holds_inside_a_booking_too() -> None:
    by = policy(pool("red", gpus=64), limits=Limits(gpus_per_engineer=4))
    queued = [gone_in(name, 2, gpus=3, age=9 - number) for number, name in enumerate(["first", "second"])]
    world = snapshot(nodes(node("n1")), queued, attempts=[booking(in_hours=-1)], by=by)
    plan = decide(world)

    assert placements(plan) == {"first": {"n1": 1}}
    after = decide(recorded(world, plan))
    assert (after.launches, reasons(after)) == ((), {"second": Reason.ENGINEER_GPU_LIMIT})


def test_nothing_starts_inside_a_booking_of_a_class_that_policy_has_dropped() -> None:
    made = workload("w", classes=(H100, A100))
    world = snapshot(nodes(node("n1"), node("n2", gpu_class=A100)), [made], attempts=[booking(in_hours=-1)])
    left = {name: each for name, each in policy().gpu_classes.items() if name != H100}

    assert placements(decide(world)) == {"w": {"n1": 1}}
    assert placements(decide(replace(world, policy=replace(policy(), gpu_classes=left)))) == {"w": {"n2": 1}}


def test_what_is_kept_for_a_booking_is_lent_to_nobody_while_others_are_stopped_beside_it() -> None:
    """Of eight GPUs four are booked and unused; who runs on the others is preempted for one of two."""
    by = policy(pool("red", gpus=64), pool("blue", gpus=64))
    runs = attempt("runs", {"n1": 1, "n2": 1}, gpus=4, priority_class=SPARE, team="blue", pool="blue")
    beside, there = {"rack": "b"}, {"rack": "a"}
    wishes = [
        workload("first", gpus=3, team="blue", priority_class=URGENT, age=2, nodes_with=tuple(there.items())),
        workload("second", gpus=3, team="blue", priority_class=URGENT, age=1),
    ]
    known = nodes(node("n1", labels=beside), node("n2", 4, labels=there))
    world = snapshot(known, wishes, attempts=[runs, booking(in_hours=-1, gpus=4)], by=by)
    plan = decide(world)

    assert victims(plan) == {"first": ["runs"]}
    assert plan.launches == ()
    assert placements(decide(ended(recorded(world, plan)))).keys() == {"first", "second"}


def test_nothing_starts_inside_on_gpus_that_somebodys_pods_have_not_left() -> None:
    """What should have ended before the booking began, and is still being stopped."""
    late = attempt("late", "n1", gpus=6, state=AttemptState.STOPPING, stop_reason=Reason.TIME_LIMIT)
    queued = [gone_in("first", 2, gpus=2, age=2), gone_in("second", 2, gpus=2, age=1)]
    world = snapshot(nodes(node("n1")), queued, attempts=[late, booking(in_hours=-1, gpus=8)])

    plan = decide(world)
    assert placements(plan) == {"first": {"n1": 1}}
    assert placements(decide(ended(recorded(world, plan)))) == {"second": {"n1": 1}}


def test_of_two_bookings_of_a_node_that_lacks_gpus_the_one_that_began_first_has_its_own() -> None:
    """Of eight GPUs, four are booked by each, and two are not left yet by whom nobody's booking pays for."""
    late = attempt("late", "n1", gpus=2, state=AttemptState.STOPPING, stop_reason=Reason.TIME_LIMIT)
    first = booking("first", gpus=4, in_hours=-2, hours=9, team="blue", owner="bob", project=None)
    second = booking("second", gpus=4, in_hours=-1, hours=9)
    queued = [
        workload("of-first", hours=1, gpus=4, team="blue", owner="bob", project=None, age=2),
        workload("of-second", hours=1, gpus=2, age=2),
        workload("no-more", hours=1, gpus=2, age=1),
    ]
    by = policy(pool("red"), pool("blue"))
    plan = decide(snapshot(nodes(node("n1")), queued, attempts=[late, first, second], by=by))

    assert placements(plan) == {"of-first": {"n1": 1}, "of-second": {"n1": 1}}


def test_a_gang_that_requires_a_rack_starts_inside_where_its_booking_stands_in_one() -> None:
    by = policy(pool("red", gpus=64), topology=tuple(TopologyLevel(LevelName(it), it) for it in ("block", "rack")))
    together = nodes(standing("n1", 4, "x/1"), standing("n2", 4, "x/1"))
    apart = nodes(standing("n1", 4, "x/1"), standing("n2", 4, "x/2"))
    wish = gang(2, "require:rack", hours=2 - 30 / 3600)
    kept = on_two("n1", "n2", 4)

    plan = decide(snapshot(together, [wish], attempts=[kept], by=by))
    assert [(launch.booking_id, launch.placement.pods) for launch in plan.launches] == [("bk", 2)]
    assert decide(snapshot(apart, [wish], attempts=[kept], by=by)).launches == ()
    single = gang(2, "require:node", hours=2 - 30 / 3600)
    assert decide(snapshot(together, [single], attempts=[kept], by=by)).launches == ()


def test_what_has_no_hours_starts_inside_its_booking_and_not_once_more_beside_it() -> None:
    spare = replace(gone_in("w", 2, priority_class=SPARE), submitted_at=Instant(NOW - 1))
    by = policy(pool("red", gpus=64), limits=Limits(unfunded_gpus_per_engineer=8))
    plan = decide(snapshot(nodes(node("n1", 16)), [spare], attempts=[booking(in_hours=-1)], balances=[], by=by))

    assert [(launch.workload_id, launch.booking_id, launch.is_funded) for launch in plan.launches] == [
        ("w", "bk", True)
    ]


def test_one_who_runs_unfunded_starts_as_many_as_they_may_and_in_turn_with_others() -> None:
    by = policy(pool("red", gpus=64), limits=Limits(unfunded_gpus_per_engineer=2))
    adas = [workload(f"a{number}", priority_class=SPARE, age=9 - number) for number in range(3)]
    bobs = [workload("b0", owner="bob", priority_class=SPARE)]
    plan = decide(snapshot(nodes(node("n1")), [*adas, *bobs], balances=[], by=by))

    assert [launch.workload_id for launch in plan.launches] == ["a0", "b0", "a1"]
    assert {launch.is_funded for launch in plan.launches} == {False}


def test_what_starts_unfunded_counts_against_its_owners_limit_at_once() -> None:
    by = policy(pool("red", gpus=64), limits=Limits(gpus_per_engineer=4, unfunded_gpus_per_engineer=8))
    both = [workload("a", gpus=3, age=9, priority_class=SPARE), workload("b", gpus=2, priority_class=SPARE)]

    assert placements(decide(snapshot(nodes(node("n1")), both, balances=[], by=by))) == {"a": {"n1": 1}}


def test_unfunded_work_starts_neither_in_the_room_kept_for_who_pays_nor_beside_it() -> None:
    by = policy(pool("red", gpus=64), limits=Limits(unfunded_gpus_per_engineer=8))
    runs = attempt("r", "n1", gpus=4, running_for=0)
    free = workload("free", owner="eve", gpus=2, hours=9, priority_class=SPARE)
    short = workload("short", gpus=1, hours=0.5)
    world = snapshot(
        nodes(node("n1"), node("n2", 4)), [workload("gang", gpus=8, age=9), short, free], attempts=[runs], by=by
    )
    world = replace(world, balances={each.allowance.id: each for each in [balance("ada")]})
    assert list(placements(decide(world))) == ["short"]
    assert placements(decide(replace(world, queued={free.id: free}))) == {"free": {"n1": 1}}


# --- elastic work --------------------------------------------------------------------------------------------------


def test_inside_a_booking_elastic_work_takes_what_is_left_when_everybodys_minimum_has_started() -> None:
    first = elastic("first", 8, 2, hours=2 - 30 / 3600, age=9)
    second = elastic("second", 3, 1, hours=2 - 30 / 3600, owner="carl")
    world = snapshot(nodes(node("n1", 16)), [first, second], attempts=[booking(in_hours=-1)], balances=[])
    plan = decide(world)

    assert placements(plan) == {"first": {"n1": 7}, "second": {"n1": 1}}
    assert {(launch.booking_id, launch.funding) for launch in plan.launches} == {("bk", ())}
    assert decide(recorded(world, plan)).is_empty


def test_inside_a_booking_it_takes_no_more_than_its_owner_may_run_at_once_nor_outside_its_rack() -> None:
    limited = policy(pool("red", gpus=64), limits=Limits(gpus_per_engineer=5))
    job = elastic("job", 8, 2, hours=2 - 30 / 3600)
    plan = decide(snapshot(nodes(node("n1")), [job], attempts=[booking(in_hours=-1)], by=limited))
    assert placements(plan) == {"job": {"n1": 5}}

    levels = tuple(TopologyLevel(LevelName(it), it) for it in ("block", "rack"))
    apart = nodes(standing("n1", 4, "x/1"), standing("n2", 4, "x/2"))
    for ask, expected in (("require:rack", {"n1": 4}), ("prefer:rack", {"n1": 4, "n2": 4})):
        placed = replace(job, spec=replace(job.spec, topology=topology_ask(ask)))
        world = snapshot(apart, [placed], attempts=[on_two("n1", "n2", 4)])
        plan = decide(replace(world, policy=policy(pool("red", gpus=64), topology=levels)))
        assert placements(plan) == {"job": expected}


def test_unfunded_elastic_work_takes_what_nobody_pays_for_up_to_its_owners_cap() -> None:
    by = policy(pool("red", gpus=64), limits=Limits(unfunded_gpus_per_engineer=5))
    first = elastic("first", 8, 2, priority_class=SPARE, age=9)
    paid = elastic("paid", 2, 1, owner="bob")
    world = snapshot(nodes(node("n1")), [first, paid], balances=[balance("bob")], by=by)
    plan = decide(world)

    assert placements(plan) == {"paid": {"n1": 2}, "first": {"n1": 5}}
    assert [launch.is_funded for launch in plan.launches] == [True, False]
    assert decide(recorded(world, plan)).is_empty


def test_unfunded_elastic_work_gives_back_before_it_is_stopped() -> None:
    by = policy(pool("red", gpus=64), limits=Limits(unfunded_gpus_per_engineer=8))
    world = snapshot(
        nodes(node("n1")), [elastic("free", 8, 2, priority_class=SPARE)], balances=[balance("bob")], by=by
    )
    running = recorded(world, decide(world))
    began = {key: replace(each, state=AttemptState.RUNNING, started_at=NOW) for key, each in running.attempts.items()}
    wish = workload("paid", owner="bob", gpus=5)
    plan = decide(replace(running, attempts=began, queued={wish.id: wish}))

    (victim,) = plan.preemptions[0].victims
    assert (victim.workload_id, victim.pods_left, victim.rule) == ("free", 3, "unfunded")
