"""Who is held back at the turnstile has their turn as if they stood in their lane: nothing else comes of it."""

from dataclasses import replace

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from scheduler.decision.decide import step
from scheduler.decision.snapshot import Changes, Snapshot
from scheduler.decision.state import State
from scheduler.domain.allowances import AllowanceBalance, HolderKind
from scheduler.domain.policy import Limits
from scheduler.domain.reasons import Reason
from scheduler.domain.units import (
    MS_PER_MINUTE,
    GpuClassName,
    Instant,
    WorkloadId,
)
from scheduler.domain.workloads import ArrayPlace
from tests.decision.applying import recorded
from tests.decision.builders import (
    A100,
    H100,
    NOW,
    URGENT,
    attempt,
    balance,
    everything,
    node,
    nodes,
    policy,
    pool,
    reasons,
    snapshot,
    workload,
)
from tests.decision.crowds import at_the_limit, changes_between, crowds, launched, nobody_is_held, seen, waiting
from tests.decision.worlds import EXAMPLES, mostly


@given(st.data())
@settings(max_examples=4 * EXAMPLES, deadline=None)
def test_what_is_planned_and_told_is_the_same_as_when_everybody_is_let_in(data: st.DataObject) -> None:
    """Cycle by cycle: some of what runs ends, somebody new comes, and now and then a plan is not recorded."""
    known = data.draw(crowds(), label="crowd")
    short, full, changes = State(), State(), everything(known)
    for number in range(5):
        with seen() as happened:
            plan = step(short, changes, known.now)[1]
        for each in happened:
            event(each)
        if "held" in happened and short.index.lanes.standing:
            event("held beside others who wait")
        for _ in plan.preemptions if "held" in happened else ():
            event("held while others are stopped")
        with nobody_is_held():
            expected = step(full, changes, known.now)[1]
        assert plan == expected
        assert short.verdicts == full.verdicts
        assert short.queue() == full.queue()
        assert [short.explain(each) for each in known.queued] == [full.explain(each) for each in known.queued]

        following = recorded(known, plan) if data.draw(mostly(True, False), label="is recorded") else known
        running = sorted(following.attempts)
        gone = data.draw(st.sets(st.sampled_from(running), max_size=2), label="ends") if running else set()
        arrived = data.draw(waiting(20 + number), label="comes")
        following = replace(
            following,
            now=Instant(known.now + data.draw(mostly(MS_PER_MINUTE, 20 * MS_PER_MINUTE))),
            attempts={key: each for key, each in following.attempts.items() if key not in gone},
            queued={**following.queued, arrived.id: replace(arrived, submitted_at=known.now)},
        )
        known, changes = following, changes_between(known, following)


def test_of_an_owner_at_the_limit_those_behind_who_starts_are_held_and_told_of_it() -> None:
    queued = [workload(f"w{number}", gpus=4, hours=number + 1, age=100 - number) for number in range(5)]
    with seen() as happened:
        state, plan = step(State(), everything(at_the_limit(*queued)), at_the_limit().now)

    assert [launch.workload_id for launch in plan.launches] == ["w0", "w1"]
    assert reasons(plan) == {
        "w0": Reason.LAUNCHING,
        "w1": Reason.LAUNCHING,
        "w2": Reason.ENGINEER_GPU_LIMIT,
        "w3": Reason.ENGINEER_GPU_LIMIT,
        "w4": Reason.ENGINEER_GPU_LIMIT,
    }
    assert state.verdicts[WorkloadId("w4")].evidence == {"used": 8, "limit": 8, "needed": 4}
    assert happened == ["held"] * 5 + ["came"]


def test_one_that_lacks_the_hours_by_its_turn_leaves_the_limit_to_one_behind_it() -> None:
    """The first takes the hours that the second, a long one, would need: the third, a short one, starts in its place. By
    then their owner is at the limit, of which the second is told."""
    queued = [workload(f"w{number}", gpus=4, hours=hours, age=100 - number) for number, hours in enumerate((2, 3, 1))]
    known = at_the_limit(*queued, hours=14)
    with seen() as happened:
        plan = step(State(), everything(known), known.now)[1]

    assert reasons(plan) == {"w0": Reason.LAUNCHING, "w1": Reason.ENGINEER_GPU_LIMIT, "w2": Reason.LAUNCHING}
    assert happened == ["held"] * 3 + ["came"]


def test_where_hours_end_before_the_limit_those_held_are_told_of_the_hours() -> None:
    queued = [workload(f"w{number}", gpus=4, hours=hours, age=100 - number) for number, hours in enumerate((5, 6, 7))]
    known = at_the_limit(*queued, hours=30)
    with seen() as happened:
        state, plan = step(State(), everything(known), known.now)

    assert reasons(plan) == {"w0": Reason.LAUNCHING, "w1": Reason.ALLOWANCE_SHORT, "w2": Reason.ALLOWANCE_SHORT}
    assert state.verdicts[WorkloadId("w2")].evidence == {
        "needed_hours": "28.0",
        "available_hours": "10.0",
        "short_hours": "18.0",
    }
    assert happened == ["held"] * 3 + ["came"]
    assert launched(known) == ["w0"]


def test_where_a_team_s_hours_end_before_the_limit_those_held_are_told_of_them() -> None:
    queued = [workload(f"w{number}", gpus=4, hours=hours, age=100 - number) for number, hours in enumerate((5, 6, 7))]
    known = with_balances(at_the_limit(*queued), balance("red", 30, kind=HolderKind.TEAM))
    with seen() as happened:
        plan = step(State(), everything(known), known.now)[1]

    assert reasons(plan) == {"w0": Reason.LAUNCHING, "w1": Reason.ALLOWANCE_SHORT, "w2": Reason.ALLOWANCE_SHORT}
    assert happened == ["held"] * 3 + ["came"]


@pytest.mark.parametrize(
    "classes",
    [
        pytest.param((H100,), id="it wants one class: whoever lacks hours is told so, whether there is room or not"),
        pytest.param((H100, A100), id="it wants two: of which it is told hangs on where there was room"),
    ],
)
def test_where_room_has_gone_as_well_as_hours(classes: tuple[GpuClassName, ...]) -> None:
    queued = [
        workload(f"w{number}", gpus=4, hours=hours, age=100 - number, classes=classes)
        for number, hours in enumerate((5, 4, 2, 3))
    ]
    known = at_the_limit(*queued, hours=30, limit=16)
    in_the_way = attempt("r", "o1", owner="eve", gpus=8, gpu_class=A100, priority_class=URGENT)
    known = replace(known, nodes=nodes(node("n1"), node("o1", gpu_class=A100)), attempts={in_the_way.id: in_the_way})
    with seen() as happened:
        assert launched(known) == ["w0", "w2"]
    assert happened == ["held"] * 4 + ["came"] * 2


def test_who_has_hours_that_another_start_does_not_take_is_not_overtaken() -> None:
    """The team pays for the project's work, so that Ada's own hours are enough for the third: before the last, which is
    like the first."""
    queued = [
        workload("w0", gpus=4, age=100, hours=1, project=None),
        workload("w1", gpus=4, age=90, hours=7),
        workload("w2", gpus=4, age=80, hours=1.25, project=None),
        workload("w3", gpus=4, age=70, hours=1, project=None),
    ]
    known = with_balances(
        at_the_limit(*queued, limit=12), balance("red", 30, kind=HolderKind.TEAM), balance("ada", 10)
    )
    with seen() as happened:
        assert launched(known) == ["w0", "w1", "w2"]
    assert happened == ["held"] * 3 + ["came"]


def with_balances(known: Snapshot, *balances: AllowanceBalance) -> Snapshot:
    return replace(known, balances={each.allowance.id: each for each in balances})


def test_who_waits_for_room_is_told_of_the_limit_that_their_owner_s_start_reaches_as_in_the_next_cycle() -> None:
    by = policy(pool("red", gpus=64), limits=Limits(gpus_per_engineer=8))
    queued = [workload("small", gpus=4, age=100, classes=(A100,)), workload("large", gpus=8)]
    in_the_way = attempt("r", "n1", gpus=4, priority_class=URGENT)
    known = snapshot(nodes(node("n1"), node("o1", gpu_class=A100)), queued, by=by, attempts=[in_the_way])

    state, plan = step(State(), everything(known), known.now)
    assert reasons(plan) == {"small": Reason.LAUNCHING, "large": Reason.ENGINEER_GPU_LIMIT}
    following = step(state, changes_between(known, recorded(known, plan)), known.now)[1]
    assert reasons(following) == {}


def test_indexes_of_an_array_are_held_like_anything_else() -> None:
    sweep = [workload(f"sweep-i{number}", gpus=8, age=100 - number) for number in range(2)]
    known = at_the_limit(
        *(replace(each, spec=replace(each.spec, array=ArrayPlace(number, 2))) for number, each in enumerate(sweep)),
        workload("w", gpus=8),
    )
    with seen() as happened:
        plan = step(State(), everything(known), known.now)[1]

    assert [launch.workload_id for launch in plan.launches] == ["sweep-i0"]
    assert happened == ["held"] * 2 + ["came"]


def test_where_a_team_s_limit_is_reached_before_the_owner_s_those_held_are_told_of_the_team_s() -> None:
    queued = [workload(f"w{number}", gpus=4, hours=number + 1, age=100 - number) for number in range(4)]
    by = policy(pool("red", gpus=64), limits=Limits(gpus_per_engineer=16, gpus_per_team=8))
    known = snapshot(nodes(node("n1"), node("n2")), queued, by=by, balances=[balance("ada", 1000)])
    with seen() as happened:
        plan = step(State(), everything(known), known.now)[1]

    assert reasons(plan) == {
        "w0": Reason.LAUNCHING,
        "w1": Reason.LAUNCHING,
        "w2": Reason.TEAM_GPU_LIMIT,
        "w3": Reason.TEAM_GPU_LIMIT,
    }
    assert happened == ["held"] * 4 + ["came"] * 2
    assert launched(known) == ["w0", "w1"]


def test_where_what_was_to_start_is_called_off_those_who_were_sent_away_start_instead() -> None:
    running = attempt("r", "n1", gpus=8, owner="ada")
    queued = [workload(f"w{number}", gpus=4, hours=number + 1, age=100 - number) for number in range(4)]
    state, plan = step(State(), everything(replace(at_the_limit(*queued), attempts={running.id: running})), NOW)
    assert set(reasons(plan).values()) == {Reason.ENGINEER_GPU_LIMIT}
    plan = step(state, Changes(attempts={running.id: None}), NOW)[1]
    assert [launch.workload_id for launch in plan.launches] == ["w0", "w1"]

    called_off = dict.fromkeys(launch.workload_id for launch in plan.launches)
    plan = step(state, Changes(queued=called_off), NOW)[1]
    assert [launch.workload_id for launch in plan.launches] == ["w2", "w3"]


# --- pools compete by who is first in each of those whom no limit forbids to start ------------------------------------


def test_pools_compete_by_who_is_first_once_those_are_sent_back_whose_owner_has_started_something() -> None:
    """When the first has started, the second is sent back, and so is the third, which is too large for the limit then."""
    by = policy(pool("red", cohort="all"), pool("blue", cohort="all"), limits=Limits(gpus_per_engineer=2))
    queued = [workload("a1"), workload("a2"), workload("b", owner="cyd", team="blue"), workload("c", gpus=2)]
    known = snapshot(nodes(node("n1")), queued, by=by)

    assert launched(known) == ["a1", "a2", "b"]


def test_who_is_at_the_limit_keeps_nobody_of_their_pool_from_competing_with_another() -> None:
    """Bob comes after Ada, but before Cyd, for Ada's second is not first in their pool any more when her first starts."""
    by = policy(pool("red", cohort="all"), pool("blue", cohort="all"), limits=Limits(gpus_per_engineer=2))
    queued = [
        workload("a1", gpus=2, age=400),
        workload("a2", gpus=2, age=100),
        workload("b", owner="bob", age=300),
        workload("c", owner="cyd", team="blue", age=200),
    ]
    behind = [balance("ada", 1000), balance("bob", 100, granted=1000), balance("cyd", 1000)]
    known = snapshot(nodes(node("n1")), queued, by=by, balances=behind)

    assert launched(known) == ["a1", "b", "c"]
