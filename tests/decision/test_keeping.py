"""What is kept free for whom, and what is counted as coming free by when."""

from dataclasses import replace

from scheduler.decision.decide import decide, step
from scheduler.decision.placing.ends import Ends, latest_end
from scheduler.decision.placing.fit_table import FitTable
from scheduler.decision.snapshot import Changes
from scheduler.decision.state import State
from scheduler.domain.policy import WithinPool
from scheduler.domain.quantities import class_unit, money_unit
from scheduler.domain.reasons import Reason
from scheduler.domain.terms import Prices
from scheduler.domain.units import MS_PER_DAY, MS_PER_HOUR, Instant, PoolName
from tests.decision.builders import (
    A100,
    H100,
    NOW,
    SPARE,
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
    workload,
)
from tests.decision.test_bookings import booking, gone_in


def test_what_starts_beside_the_gang_ahead_takes_of_what_it_leaves_and_the_next_finds_the_rest() -> None:
    """In an hour the gang takes 8 of 12 GPUs: of the 6 that are free now, 4 may be taken for longer."""
    runs = attempt("r", "n1", gpus=6, running_for=0)
    longer = [workload(f"l{number}", owner=f"o{number}", gpus=2, hours=9, age=5 - number) for number in range(3)]
    plan = decide(snapshot(nodes(node("n1", 12)), [workload("gang", gpus=8, age=9), *longer], attempts=[runs]))

    assert placements(plan) == {"l0": {"n1": 1}, "l1": {"n1": 1}}
    assert (reasons(plan)["gang"], reasons(plan)["l2"]) == (Reason.RESOURCES, Reason.PRIORITY)


def test_what_a_cycle_starts_that_is_gone_in_time_is_free_for_a_booking_and_until_then_for_nobody() -> None:
    """Of 8 GPUs that are booked in two hours 4 are taken until then, and what is left must be left."""
    queued = [gone_in("short", 2, gpus=4, age=9, owner="bob"), workload("long", gpus=4, hours=3, owner="cyd")]
    plan = decide(snapshot(nodes(node("n1")), queued, attempts=[booking(project=None)]))

    assert reasons(plan) == {"short": Reason.LAUNCHING, "long": Reason.BOOKED}


def test_a_booking_on_a_node_that_is_gone_keeps_nothing_elsewhere() -> None:
    ahead, begun = booking("ahead", "gone"), booking("begun", "lost", in_hours=-1, hours=1.5)
    alone = snapshot(nodes(node("n1")), [workload("w", hours=9)], attempts=[ahead])
    assert placements(decide(alone)) == {"w": {"n1": 1}}

    runs = attempt("r", "n1", gpus=4, running_for=0)
    queued = [workload("gang", gpus=8, age=9, owner="eve", project=None), workload("w", gpus=4, hours=9, owner="bob")]
    world = snapshot(nodes(node("n1")), queued, attempts=[begun, runs])
    assert reasons(decide(world)) == {"gang": Reason.RESOURCES, "w": Reason.PRIORITY}


def test_of_two_who_have_waited_too_long_for_a_pools_quota_it_is_kept_for_the_first() -> None:
    runs = attempt("r", "n1", gpus=4, running_for=0)
    old = 8 * MS_PER_DAY // 1000
    gangs = [workload(f"gang{gpus}", gpus=gpus, age=old + gpus, priority_class=SPARE) for gpus in (8, 6)]
    by = policy(pool("red", gpus=8, within_pool=WithinPool.NEVER))
    later = workload("later", gpus=2, hours=2, owner="bob")
    plan = decide(snapshot(nodes(node("n1"), node("n2")), [*gangs, later], attempts=[runs], by=by))

    assert reasons(plan) == {"gang8": Reason.QUOTA, "gang6": Reason.QUOTA, "later": Reason.PRIORITY}
    assert next(told for told in plan.verdicts if told.workload_id == "later").evidence["ahead"] == "gang8"


def test_more_ends_than_there_was_space_for_and_those_on_nodes_that_are_gone() -> None:
    table, ends = FitTable(), Ends()
    table.replace_nodes([node("n1", 64), node("n2", 64)], {})
    runs = [attempt(f"r{i}", {"n1": 1, "n2": 1}, running_for=i) for i in range(20)]
    lost = attempt("lost", {"gone": 1, "n1": 1}, running_for=100)
    for each in (*runs, lost):
        ends.add(each, table)

    last = NOW + MS_PER_HOUR + 30_000
    assert ends.instants().tolist() == [last - 100_000, *(last - i * 1000 for i in reversed(range(20)))]
    assert ends.freed_by(last - 15_000, 2)[0].tolist() == [6, 5]
    for each in runs:
        ends.remove(each.id)
    assert ends.freed_by(last, 2)[0].tolist() == [1, 0]


# --- who pays ------------------------------------------------------------------------------------------------------


def test_hours_of_a_class_open_that_class_alone() -> None:
    own = balance(hours=2, unit=class_unit(A100))
    world = snapshot(nodes(node("n1"), node("n2", gpu_class=A100)), [workload("w", classes=(H100, A100))])
    world = replace(world, balances={own.allowance.id: own})
    assert placements(decide(world)) == {"w": {"n2": 1}}

    two = workload("w", gpus=3, classes=(H100, A100))
    assert reasons(decide(replace(world, queued={two.id: two}))) == {"w": Reason.ALLOWANCE_SHORT}


def test_money_pays_the_highest_price_of_the_time_ahead() -> None:
    unit = money_unit("EUR")
    own = replace(balance(unit=unit), available=5_000_000)
    prices = Prices(unit, {(H100, PoolName("red")): 2_500_000})
    for gpus, expected in ((2, Reason.LAUNCHING), (3, Reason.ALLOWANCE_SHORT)):
        world = snapshot(nodes(node("n1")), [workload("w", gpus=gpus)], balances=[own], prices=prices)
        plan = decide(world)
        assert reasons(plan) == {"w": expected}
        assert [share.amount for launch in plan.launches for share in launch.funding] == [5_000_000][: 3 - gpus]


def test_prices_that_change_leave_the_policy_as_it_was_and_a_policy_the_prices() -> None:
    unit = money_unit("EUR")
    own = replace(balance(unit=unit), available=5_000_000)
    dear, cheap = (Prices(unit, {(H100, PoolName("red")): price}) for price in (2_500_000, 1_000_000))
    small, large = (policy(pool("red", gpus=gpus)) for gpus in (2, 8))
    world = snapshot(nodes(node("n1")), [workload("w", gpus=3)], balances=[own])

    for by, prices, reason, change in (
        (small, cheap, Reason.QUOTA, Changes(policy=large)),
        (large, dear, Reason.ALLOWANCE_SHORT, Changes(prices=cheap)),
    ):
        state, plan = step(State(), everything(replace(world, policy=by, prices=prices)), world.now)
        assert reasons(plan) == {"w": reason}
        assert reasons(step(state, change, world.now)[1]) == {"w": Reason.LAUNCHING}


def test_a_time_limit_counts_from_the_start_and_before_it_from_the_launch() -> None:
    fifty_minutes = 50 * MS_PER_HOUR // 60
    ran = replace(attempt("r", "n1", running_for=600), launched_at=Instant(NOW - MS_PER_HOUR))
    assert latest_end(ran) - latest_end(replace(ran, started_at=None)) == fifty_minutes
