"""Elastic jobs: as many pods as fit at the start, shrinking before anybody is stopped, growing where nobody waits."""

from dataclasses import replace
from typing import Any

from scheduler.decision.decide import decide
from scheduler.decision.plan import Plan
from scheduler.decision.snapshot import Snapshot
from scheduler.domain.allowances import HolderKind
from scheduler.domain.brakes import Brake, Pause
from scheduler.domain.cluster import Placement
from scheduler.domain.policy import Limits, PriorityClass, ReclaimWithinCohort
from scheduler.domain.reasons import Reason
from scheduler.domain.topology import LevelName, TopologyAsk, TopologyLevel, TopologyMode
from scheduler.domain.units import MS_PER_HOUR, Instant, NodeName, PriorityClassName, ProjectName
from scheduler.domain.workloads import Attempt, AttemptState, ElasticTerms, HoldMode
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
    workload,
)
from tests.decision.test_bookings import booking


def running(name: str, on: dict[str, int], least: int, most: int, **changes: Any) -> Attempt:
    made = attempt(name, on, owner="ada", **changes)
    return replace(made, elastic=ElasticTerms(least, most, ProjectName("apollo")))


def shrunk(plan: Plan) -> dict[str, int | None]:
    """Workload → pods that it goes on with; None: it is stopped."""
    victims = (victim for preemption in plan.preemptions for victim in preemption.victims)
    return {victim.workload_id: victim.pods_left for victim in victims}


def grown(plan: Plan) -> dict[str, dict[str, int]]:
    return {growth.workload_id: dict(growth.placement.pods_by_node) for growth in plan.growths}


def test_it_starts_with_as_many_pods_as_fit() -> None:
    for gpus, expected in ((8, 8), (5, 5), (2, 2)):
        plan = decide(snapshot(nodes(node("n", gpus)), [elastic("job", 8, 2)]))
        assert placements(plan) == {"job": {"n": expected}}


def test_with_less_than_its_minimum_it_waits_whole() -> None:
    plan = decide(snapshot(nodes(node("n", 8)), [elastic("job", 16, 9)]))
    assert placements(plan) == {}
    assert reasons(plan) == {"job": Reason.UNPLACEABLE}
    assert plan.verdicts[0].evidence["fitting"] == 8
    busy = [attempt("other", {"n": 7})]
    plan = decide(snapshot(nodes(node("n", 8)), [elastic("job", 8, 2)], attempts=busy))
    assert placements(plan) == {}
    assert reasons(plan) == {"job": Reason.RESOURCES}


def test_everybodys_minimum_comes_before_anybodys_more() -> None:
    waiting = [elastic("old", 8, 2, age=9), elastic("young", 8, 2, age=5), workload("rigid", gpus=2, age=1)]
    plan = decide(snapshot(nodes(node("n", 8)), waiting))
    assert placements(plan) == {"old": {"n": 4}, "young": {"n": 2}, "rigid": {"n": 1}}


def test_it_holds_for_the_pods_that_it_starts_with_and_takes_no_more_than_its_hours_pay() -> None:
    world = snapshot(nodes(node("n", 8)), [elastic("job", 8, 2)], balances=[balance("ada", 3.5)])
    (launch,) = decide(world).launches
    assert launch.placement.pods == 3
    assert sum(share.amount for share in launch.funding) == 3 * MS_PER_HOUR


def test_limits_and_quota_bound_what_it_takes() -> None:
    bounded = policy(pool("red", gpus=64), limits=Limits(gpus_per_engineer=5))
    assert placements(decide(snapshot(nodes(node("n", 8)), [elastic("job", 8, 2)], by=bounded))) == {"job": {"n": 5}}
    small = policy(pool("red", gpus=3))
    assert placements(decide(snapshot(nodes(node("n", 8)), [elastic("job", 8, 2)], by=small))) == {"job": {"n": 3}}


def test_it_leaves_alone_what_is_kept_for_whoever_waits_first() -> None:
    """The gang can have the whole node in an hour: what would still run by then may take nothing of it."""
    first = attempt("first", {"n": 3}, running_for=0)
    waiting = [workload("gang", gpus=8, age=9), elastic("job", 5, 1, hours=9)]
    plan = decide(snapshot(nodes(node("n", 8), node("m", 2)), waiting, attempts=[first]))
    assert (shrunk(plan), placements(plan)) == ({}, {"job": {"m": 2}})


def test_it_leaves_a_booking_its_gpus_and_whoever_waits_first_their_quota() -> None:
    job = elastic("job", 8, 1, hours=9)
    booked = snapshot(nodes(node("n", 8)), [job], attempts=[booking(gpus=5, on="n")])
    assert placements(decide(booked)) == {"job": {"n": 3}}

    by = policy(pool("red", gpus=14))
    first = attempt("first", "n", gpus=4, running_for=0)
    waiting = [workload("gang", gpus=8, age=9), job]
    plan = decide(snapshot(nodes(node("n", 8), node("m", 4)), waiting, attempts=[first], by=by))
    assert (shrunk(plan), placements(plan)) == ({}, {"job": {"m": 2}}), "4 run, and 8 are the gang's"


def test_who_runs_elastic_gives_back_before_anybody_is_stopped_and_no_more_than_is_needed() -> None:
    """The spare job would be stopped first by its class; but nobody is stopped where shrinking is enough."""
    runs = [running("elastic", {"n": 6}, 2, 6), attempt("spare", {"n": 2}, priority_class=SPARE)]
    plan = decide(snapshot(nodes(node("n", 8)), [workload("urgent", gpus=3, priority_class=URGENT)], attempts=runs))
    assert shrunk(plan) == {"elastic": 3}
    assert plan.preemptions[0].launch.placement == Placement(((NodeName("n"), 1),))


def test_those_shrink_first_who_would_be_stopped_first() -> None:
    runs = [
        running("standard", {"n": 4}, 1, 4),
        running("spare", {"n": 4}, 1, 4, priority_class=SPARE),
    ]
    world = snapshot(nodes(node("n", 8)), [workload("urgent", gpus=2, priority_class=URGENT)], attempts=runs)
    assert shrunk(decide(world)) == {"spare": 2}
    more = snapshot(nodes(node("n", 8)), [workload("urgent", gpus=5, priority_class=URGENT)], attempts=runs)
    assert shrunk(decide(more)) == {"spare": 1, "standard": 2}


def test_somebody_is_stopped_where_shrinking_is_not_enough_and_then_no_more_is_given_back_than_needed() -> None:
    runs = [running("standard", {"n": 4}, 2, 4), attempt("spare", "n", gpus=4, priority_class=SPARE)]
    world = snapshot(nodes(node("n", 8)), [workload("urgent", gpus=5, priority_class=URGENT)], attempts=runs)
    assert shrunk(decide(world)) == {"standard": 3, "spare": None}


def test_an_elastic_attempt_is_stopped_whole_where_its_minimum_is_in_the_way() -> None:
    runs = [running("standard", {"n": 8}, 4, 8)]
    world = snapshot(nodes(node("n", 8)), [workload("urgent", gpus=8, priority_class=URGENT)], attempts=runs)
    assert shrunk(decide(world)) == {"standard": None}


def test_the_minimum_runtime_protects_the_minimum_and_not_what_is_above_it() -> None:
    young = PriorityClass(PriorityClassName("standard"), 200, minimum_runtime_ms=MS_PER_HOUR)
    by = policy(pool("red", gpus=8), classes=(URGENT, young, SPARE))
    runs = [running("standard", {"n": 8}, 4, 8, running_for=60)]
    for gpus, expected in ((3, {"standard": 5}), (5, {})):
        urgent = workload("urgent", gpus=gpus, priority_class=URGENT)
        plan = decide(snapshot(nodes(node("n", 8)), [urgent], attempts=runs, by=by))
        assert shrunk(plan) == expected


def test_what_is_not_preemptible_gives_nothing_back() -> None:
    firm = PriorityClass(PriorityClassName("standard"), 200, is_preemptible=False)
    by = policy(pool("red", gpus=8), classes=(URGENT, firm, SPARE))
    urgent = workload("urgent", gpus=2, priority_class=URGENT)
    plan = decide(snapshot(nodes(node("n", 8)), [urgent], attempts=[running("firm", {"n": 8}, 1, 8)], by=by))
    assert plan.preemptions == ()


def test_another_pool_takes_no_more_back_than_was_borrowed() -> None:
    by = policy(
        pool("red", gpus=4, cohort="all"),
        pool("blue", gpus=4, cohort="all", reclaim_within_cohort=ReclaimWithinCohort.ANY),
    )
    runs = [running("lent", {"n": 6}, 1, 8, is_borrowed=True), attempt("own", {"n": 2}, team="blue", pool="blue")]
    for gpus, expected in ((2, {"lent": 4}), (3, {})):
        mine = workload("mine", gpus=gpus, team="blue", owner="eve")
        plan = decide(snapshot(nodes(node("n", 8)), [mine], attempts=runs, by=by))
        assert shrunk(plan) == expected


def test_of_pods_of_two_gpus_another_pool_takes_half_as_many_as_gpus_were_borrowed() -> None:
    by = policy(
        pool("red", gpus=6, cohort="all"),
        pool("green", gpus=1, cohort="all"),
        pool("blue", gpus=5, cohort="all", reclaim_within_cohort=ReclaimWithinCohort.ANY),
    )
    pairs = running("pairs", {"n": 4}, 1, 4, gpus=2, is_borrowed=True, priority_class=SPARE)
    others = running("others", {"n": 4}, 1, 4, team="green", pool="green", is_borrowed=True)
    mine = workload("mine", gpus=4, team="blue", owner="eve")
    plan = decide(snapshot(nodes(node("n", 12)), [mine], attempts=[pairs, others], by=by))
    assert shrunk(plan) == {"pairs": 3, "others": 2}


def test_what_was_lent_is_lent_once_however_many_would_give_it_back() -> None:
    """One GPU is borrowed: one of them falls for it, and nothing is taken of the other."""
    by = policy(pool("red", gpus=4, cohort="all"), pool("blue", gpus=4, cohort="all"))
    runs = [running("one", {"n": 3}, 1, 8, is_borrowed=True), running("two", {"m": 2}, 1, 8, is_borrowed=True)]
    mine = workload("mine", gpus=4, team="blue", owner="eve")
    plan = decide(snapshot(nodes(node("n", 4), node("m", 4)), [mine], attempts=runs, by=by))
    assert shrunk(plan) == {"two": None}


def test_who_gave_back_for_nothing_keeps_their_pods() -> None:
    """The first of equals has one pod to spare, which helps nobody; the second makes room alone."""
    runs = [running("first", {"a": 4}, 3, 4), running("second", {"b": 4}, 1, 4)]
    urgent = workload("urgent", gpus=3, priority_class=URGENT)
    plan = decide(snapshot(nodes(node("a", 4), node("b", 4)), [urgent], attempts=runs))
    assert shrunk(plan) == {"second": 1}


def test_the_last_pods_of_several_nodes_are_given_back_until_the_preemptor_fits_on_one() -> None:
    runs = [running("elastic", {"a": 4, "b": 4}, 1, 8)]
    cluster = nodes(node("a", 4), node("b", 4))
    plan = decide(snapshot(cluster, [workload("urgent", gpus=3, priority_class=URGENT)], attempts=runs))
    assert shrunk(plan) == {"elastic": 5}
    assert dict(plan.preemptions[0].launch.placement.pods_by_node) == {"b": 1}


def test_two_preemptors_of_one_cycle_shrink_the_same_attempt_further() -> None:
    runs = [running("elastic", {"n": 8}, 2, 8)]
    waiting = [
        workload("first", gpus=2, priority_class=URGENT, age=9),
        workload("second", gpus=3, priority_class=URGENT),
    ]
    world = snapshot(nodes(node("n", 8)), waiting, attempts=runs)
    plan = decide(world)
    assert [victim.pods_left for each in plan.preemptions for victim in each.victims] == [6, 3]
    after = recorded(world, plan)
    assert after.attempts[runs[0].id].leaving == Placement(((NodeName("n"), 5),))
    again = decide(after)
    assert (again.preemptions, again.launches, again.growths) == ((), (), ())
    assert placements(decide(ended(after))) == {"first": {"n": 1}, "second": {"n": 1}}


def test_of_what_the_first_preemptor_shrank_to_its_minimum_the_second_takes_no_pod() -> None:
    runs = [running("elastic", {"n": 6}, 2, 8), attempt("rigid", "n", gpus=2, running_for=60)]
    waiting = [
        workload("first", gpus=4, priority_class=URGENT, age=9),
        workload("second", gpus=2, priority_class=URGENT),
    ]
    plan = decide(snapshot(nodes(node("n", 8)), waiting, attempts=runs))
    assert [shrunk(replace(plan, preemptions=(each,))) for each in plan.preemptions] == [
        {"elastic": 2},
        {"rigid": None},
    ]


def test_it_grows_where_nobody_waits_and_holds_for_the_pods_that_come() -> None:
    world = snapshot(nodes(node("n", 8)), attempts=[running("job", {"n": 3}, 2, 6)], balances=[balance("ada", 100)])
    world = _half_way(world)
    plan = decide(world)
    assert grown(plan) == {"job": {"n": 6}}
    assert sum(share.amount for share in plan.growths[0].funding) == 3 * MS_PER_HOUR // 2
    assert decide(recorded(world, plan)).is_empty


def test_it_does_not_grow_while_somebody_waits_for_the_class() -> None:
    """Neither where who waits could not have what it would take, nor where its GPUs are still coming free."""
    runs = [running("job", {"n": 3}, 2, 6, running_for=60)]
    world = snapshot(nodes(node("n", 8)), [workload("big", gpus=8)], attempts=runs)
    assert grown(decide(world)) == {}
    alone = replace(world, queued={})
    assert grown(decide(alone)) == {"job": {"n": 6}}
    assert grown(decide(replace(alone, balances={}))) == {}, "nobody pays for it"


def test_it_grows_in_the_cycle_in_which_who_waited_has_others_stopped_on_another_class() -> None:
    stays = running("stays", {"n2": 4}, 1, 8, gpu_class=A100, priority_class=URGENT, running_for=60)
    falls = attempt("falls", "n1", gpus=8, priority_class=SPARE)
    waits = workload("waits", gpus=8, classes=(A100, H100), priority_class=URGENT)
    known = nodes(node("n1"), node("n2", gpu_class=A100))

    plan = decide(snapshot(known, [waits], attempts=[stays, falls]))

    assert shrunk(plan) == {"falls": None}
    assert grown(plan) == {"stays": {"n2": 8}}


def test_unfunded_work_that_waits_keeps_nobody_from_growing() -> None:
    spare = workload("spare", owner="eve", gpus=8, priority_class=SPARE)
    runs = [running("job", {"n": 3}, 2, 6, running_for=60)]
    world = snapshot(nodes(node("n", 8)), [spare], attempts=runs, balances=[balance("ada", 100)])
    assert grown(decide(world)) == {"job": {"n": 6}}


def test_pods_that_leave_unfunded_work_use_none_of_its_pools_quota() -> None:
    free = replace(running("free", {"n": 6}, 2, 6), is_funded=False).shrunk_to(2)
    by = policy(pool("red", gpus=2))
    world = snapshot(nodes(node("n", 8)), [workload("w", gpus=2)], attempts=[free], by=by)
    assert placements(decide(world)) == {"w": {"n": 1}}


def test_it_does_not_grow_beyond_what_its_own_team_waits_for_by_its_limits() -> None:
    by = policy(pool("red", gpus=64), limits=Limits(gpus_per_engineer=5))
    runs = [running("job", {"n": 3}, 2, 8, running_for=60)]
    mine = workload("mine", gpus=3)
    world = snapshot(nodes(node("n", 8)), [mine], attempts=runs, balances=[balance("ada", 100)], by=by)
    plan = decide(world)
    assert reasons(plan) == {"mine": Reason.ENGINEER_GPU_LIMIT}
    assert grown(plan) == {}
    assert grown(decide(replace(world, queued={}))) == {"job": {"n": 5}}


def test_it_grows_by_what_its_limits_quota_and_hours_allow() -> None:
    runs = [running("job", {"n": 2}, 2, 8, running_for=60)]
    few_hours = snapshot(nodes(node("n", 8)), attempts=runs, balances=[balance("ada", 2.99)])
    assert grown(decide(few_hours)) == {"job": {"n": 5}}
    by = policy(pool("red", gpus=3))
    small = snapshot(nodes(node("n", 8)), attempts=runs, balances=[balance("ada", 100)], by=by)
    assert grown(decide(small)) == {"job": {"n": 3}}


def test_what_it_still_gives_back_is_gone_before_it_grows() -> None:
    job = running("job", {"n": 6}, 2, 6, running_for=60).shrunk_to(2)
    world = snapshot(nodes(node("n", 8)), attempts=[job], balances=[balance("ada", 100)])
    assert grown(decide(world)) == {}
    assert grown(decide(ended(world))) == {"job": {"n": 6}}


def test_it_grows_on_its_last_node_and_then_on_new_ones_so_that_indexes_keep_their_place() -> None:
    job = running("job", {"b": 2, "c": 1}, 2, 8, running_for=60)
    cluster = nodes(node("a", 2), node("b", 4), node("c", 3))
    plan = decide(snapshot(cluster, attempts=[job], balances=[balance("ada", 100)]))
    assert plan.growths[0].placement.pods_by_node == (("b", 2), ("c", 3), ("a", 2))


def test_from_a_node_that_is_full_or_gone_it_grows_on_to_another() -> None:
    for on, expected in (({"b": 1}, {"b": 2, "a": 2}), ({"0-gone": 1, "b": 1}, {"0-gone": 1, "b": 2, "a": 1})):
        job = running("job", on, 1, 4, running_for=60)
        world = snapshot(nodes(node("a"), node("b", 2)), attempts=[job], balances=[balance("ada", 100)])
        assert grown(decide(world)) == {"job": expected}


def test_it_grows_within_the_domain_that_it_must_stand_in() -> None:
    rack = LevelName("rack")
    by = policy(pool("red", gpus=64), topology=(TopologyLevel(rack, "rack"),))
    cluster = nodes(node("a", 2, labels={"rack": "1"}), node("b", 8, labels={"rack": "2"}))
    ask = TopologyAsk(TopologyMode.REQUIRE, rack)
    job = replace(
        running("job", {"a": 1}, 1, 8, running_for=60),
        elastic=ElasticTerms(1, 8, ProjectName("apollo"), topology=ask),
    )
    plan = decide(snapshot(cluster, attempts=[job], balances=[balance("ada", 100)], by=by))
    assert grown(plan) == {"job": {"a": 2}}
    waiting = elastic("new", 8, 1)
    waiting = replace(waiting, spec=replace(waiting.spec, topology=ask))
    plan = decide(snapshot(nodes(cluster[NodeName("a")]), [waiting], by=by))
    assert placements(plan) == {"new": {"a": 2}}


def test_neither_paused_launches_nor_unfunded_or_unstarted_work_grows() -> None:
    runs = running("job", {"n": 2}, 2, 8, running_for=60)
    world = snapshot(nodes(node("n", 8)), attempts=[runs], balances=[balance("ada", 100)])
    assert grown(decide(replace(world, pauses=(Pause(Brake.LAUNCH, "ops", "upgrade", NOW),)))) == {}
    for other in (replace(runs, is_funded=False), replace(runs, state=AttemptState.LAUNCHING, started_at=None)):
        assert grown(decide(replace(world, attempts={other.id: other}))) == {}


def test_who_was_shrunk_grows_back_once_the_other_has_gone_and_never_before() -> None:
    """A shrink is paid for by a start, and growing waits for everybody who waits: so the two cannot alternate."""
    job = running("job", {"n": 8}, 2, 8, running_for=60)
    urgent = workload("urgent", gpus=5, priority_class=URGENT, owner="eve")
    owners = [balance("ada", 100), balance("eve", 100)]
    world = snapshot(nodes(node("n", 8)), [urgent], attempts=[job], balances=owners)
    seen: list[tuple[dict[str, int | None], dict[str, dict[str, int]], dict[str, dict[str, int]]]] = []
    for _ in range(6):
        plan = decide(world)
        seen.append((shrunk(plan), placements(plan), grown(plan)))
        world = ended(recorded(world, plan))
    assert seen == [({"job": 3}, {}, {}), ({}, {"urgent": {"n": 1}}, {}), *[({}, {}, {})] * 4]
    alone = replace(world, attempts={job.id: world.attempts[job.id]})
    assert grown(decide(alone)) == {"job": {"n": 8}}


def test_a_rolling_hold_pays_one_slice_of_the_pods_that_come() -> None:
    rolling = PriorityClass(PriorityClassName("standard"), 200, hold=HoldMode.ROLLING, slice_ms=MS_PER_HOUR // 4)
    by = policy(pool("red", gpus=64), classes=(URGENT, rolling, SPARE))
    runs = [running("job", {"n": 2}, 2, 6, running_for=60)]
    (growth,) = decide(snapshot(nodes(node("n", 8)), attempts=runs, balances=[balance("ada", 100)], by=by)).growths
    assert sum(share.amount for share in growth.funding) == 4 * MS_PER_HOUR // 4


def test_the_allowances_of_its_project_and_team_pay_for_growing_as_they_paid_for_the_start() -> None:
    runs = [running("job", {"n": 2}, 2, 3, running_for=60)]
    owed = [balance("apollo", 100, kind=HolderKind.PROJECT), balance("ada", 100)]
    (growth,) = decide(snapshot(nodes(node("n", 8)), attempts=runs, balances=owed)).growths
    assert [share.allowance_id for share in growth.funding] == ["project-apollo"]


def test_it_grows_on_the_quota_of_the_pool_that_launched_it_whichever_pool_its_team_is_in_by_now() -> None:
    job = running("job", {"n": 2}, 1, 8, running_for=60)
    for others in ((), (pool("blue", teams=["red"], gpus=64),)):
        by = policy(pool("red", teams=["grey"], gpus=5), *others)
        world = snapshot(nodes(node("n", 8)), attempts=[job], balances=[balance("ada", 100)], by=by)
        assert grown(decide(world)) == {"job": {"n": 5}}


def _half_way(world: Snapshot) -> Snapshot:
    started_at = Instant(NOW - MS_PER_HOUR // 2)
    attempts = {key: replace(each, started_at=started_at) for key, each in world.attempts.items()}
    return replace(world, attempts=attempts)
