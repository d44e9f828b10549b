"""Who starts, and where."""

from dataclasses import replace

from scheduler.decision.decide import decide
from scheduler.domain.reasons import Reason
from scheduler.domain.units import MS_PER_HOUR, WorkloadId
from tests.decision.builders import (
    A100,
    H100,
    STANDARD,
    URGENT,
    balance,
    node,
    nodes,
    placements,
    policy,
    pool,
    reasons,
    snapshot,
    workload,
)


def test_what_fits_is_launched_on_the_tightest_node_with_hours_for_its_whole_time_limit() -> None:
    plan = decide(snapshot(nodes(node("n1"), node("n2", 4)), [workload("a", gpus=4, hours=2)]))

    assert placements(plan) == {"a": {"n2": 1}}
    assert [(share.allowance_id, share.amount) for share in plan.launches[0].funding] == [
        ("engineer-ada", 4 * 2 * 3_600_000)
    ]
    assert reasons(plan) == {"a": Reason.LAUNCHING}


def test_the_higher_class_starts_first_then_the_one_further_behind_plan_then_the_older() -> None:
    queued = [
        workload("urgent", owner="spent", priority_class=URGENT),
        workload("behind plan", owner="thrifty"),
        workload("older", owner="spent", age=60),
        workload("younger", owner="spent", age=30),
    ]
    balances = [balance("spent", 10, granted=1000), balance("thrifty", 1000)]

    order: list[set[WorkloadId]] = []
    for room in (1, 2, 3, 4):
        plan = decide(snapshot(nodes(node("n1", room)), queued, balances=balances))
        order.append({launch.workload_id for launch in plan.launches} - set().union(*order))

    assert order == [{"urgent"}, {"behind plan"}, {"older"}, {"younger"}]


def test_a_gang_starts_whole_on_the_fewest_nodes_or_not_at_all() -> None:
    world = nodes(node("n1", 4), node("n2", 8), node("n3", 4))

    assert placements(decide(snapshot(world, [workload("g", gpus=4, pods=3)]))) == {"g": {"n1": 1, "n2": 2}}
    blocked = decide(snapshot(world, [workload("g", gpus=4, pods=4), workload("h", gpus=4, pods=2, age=5)]))
    assert placements(blocked) == {"h": {"n2": 2}}
    assert reasons(blocked) == {"g": Reason.RESOURCES, "h": Reason.LAUNCHING}


def test_a_class_further_down_the_list_is_used_where_the_first_is_full() -> None:
    world = nodes(node("h", 1), node("a", 2, gpu_class=A100))

    plan = decide(snapshot(world, [workload("w1", classes=(H100, A100)), workload("w2", classes=(H100, A100))]))

    assert placements(plan) == {"w1": {"h": 1}, "w2": {"a": 1}}


def test_a_pool_that_is_full_waits_and_one_in_a_cohort_borrows() -> None:
    world = nodes(node("n1", 8))
    queued = [workload(f"w{number}", gpus=2) for number in range(4)]

    alone = decide(snapshot(world, queued, by=policy(pool("red", gpus=4), pool("blue", gpus=4))))
    assert reasons(alone) == {
        "w0": Reason.LAUNCHING,
        "w1": Reason.LAUNCHING,
        "w2": Reason.QUOTA,
        "w3": Reason.QUOTA,
    }

    lent = decide(
        snapshot(world, queued, by=policy(pool("red", gpus=4, cohort="all"), pool("blue", gpus=4, cohort="all")))
    )
    assert [(launch.workload_id, launch.is_borrowed) for launch in lent.launches] == [
        ("w0", False),
        ("w1", False),
        ("w2", True),
        ("w3", True),
    ]


def test_what_is_needed_never_looks_like_what_is_there() -> None:
    queued = [workload("w1", hours=1)]

    plan = decide(
        snapshot(nodes(node("n1")), queued, balances=[replace(balance("ada", 1), available=MS_PER_HOUR - 1)])
    )

    (short,) = plan.verdicts
    assert short.evidence == {"needed_hours": "1.0", "available_hours": "0.9", "short_hours": "0.1"}


def test_two_launches_never_count_on_the_same_hours() -> None:
    queued = [
        workload("w1", hours=6),
        workload("w2", hours=6),
        workload("other", owner="bob", priority_class=STANDARD),
    ]

    plan = decide(snapshot(nodes(node("n1")), queued, balances=[balance("ada", 10), balance("bob", 10)]))

    assert reasons(plan) == {"w1": Reason.LAUNCHING, "w2": Reason.ALLOWANCE_SHORT, "other": Reason.LAUNCHING}
    short = next(verdict for verdict in plan.verdicts if verdict.workload_id == "w2")
    assert short.evidence == {"needed_hours": "6.0", "available_hours": "4.0", "short_hours": "2.0"}
