"""What is said before and what then becomes of it: the answer is what the next cycle does when it is tried."""

from dataclasses import replace

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from scheduler.decision.decide import decide
from scheduler.decision.foreseeing.foreseen import Forecast
from scheduler.decision.plan import Plan
from scheduler.decision.snapshot import Snapshot
from scheduler.domain.arrays import array_of
from scheduler.domain.brakes import StopRate
from scheduler.domain.policy import Cohort
from scheduler.domain.reasons import Reason
from scheduler.domain.units import CohortName, PerMille, PriorityClassName, WorkloadId
from scheduler.domain.workloads import AttemptState, Workload
from tests.decision.applying import recorded
from tests.decision.builders import (
    SPARE,
    STANDARD,
    URGENT,
    attempt,
    balance,
    cold,
    node,
    nodes,
    policy,
    pool,
    reasons,
    snapshot,
    workload,
)
from tests.decision.lively import lively
from tests.decision.test_behind_bookings import _fit
from tests.decision.test_bookings import booking, gone_in
from tests.decision.worlds import EXAMPLES, TEAMS, snapshots, workloads

HALF = PerMille(500)
ASKED = WorkloadId("zz")


def asked(world: Snapshot, one: Workload, gone: WorkloadId | None = None) -> Forecast:
    found = cold(world).forecast(one, HALF, gone)
    assert found is not None
    return found


def tried(world: Snapshot, one: Workload, gone: WorkloadId | None = None) -> Plan:
    others = {key: each for key, each in world.queued.items() if key != gone}
    return decide(replace(world, queued={**others, one.id: one}))


def at_rest(world: Snapshot) -> Snapshot | None:
    """Once what it has planned is recorded; None where it goes on planning."""
    for _ in range(8):
        plan = decide(world)
        if not (plan.launches or plan.preemptions or plan.growths or plan.lapsed):
            return world
        world = recorded(world, plan)
    return None


def became(plan: Plan, workload_id: WorkloadId) -> str:
    if any(launch.workload_id == workload_id for launch in plan.launches):
        return "starts"
    return "stops others" if any(each.launch.workload_id == workload_id for each in plan.preemptions) else "waits"


def said(found: Forecast) -> str:
    if found.starts_now:
        return "starts"
    is_at_once = found.victims and found.ruling.reason is not Reason.PREEMPTION_DELAY
    return "stops others" if is_at_once else "waits"


@st.composite
def beside_bookings(draw: st.DrawFn) -> Snapshot:
    """Where bookings of somebody for whom nothing waits are ahead, or have begun."""
    world = draw(lively(waiting=4))
    if not world.nodes:
        return world
    made = list(world.attempts.values())
    for number in range(draw(st.integers(1, 3))):
        one = booking(
            f"bk{number}",
            draw(st.sampled_from(sorted(world.nodes))),
            gpus=draw(st.sampled_from([2, 4, 8])),
            in_hours=draw(st.sampled_from([0.5, 1.5, 3, -1])),
            hours=draw(st.sampled_from([2, 8])),
            project=None,
            owner="eve",
            team=draw(st.sampled_from(TEAMS)),
        )
        made += [one] if _fit(dict(world.nodes), [*made, one]) else []
    return replace(world, attempts={each.id: each for each in made})


@given(st.one_of(snapshots(), lively(), beside_bookings()), workloads(ASKED))
@settings(max_examples=EXAMPLES, deadline=None)
def test_what_is_said_of_it_is_what_the_next_cycle_does_and_tells(world: Snapshot, one: Workload) -> None:
    resting = at_rest(world)
    assume(resting is not None)
    assert resting is not None
    one = replace(one, submitted_at=world.now)
    found, plan = asked(resting, one), tried(resting, one)

    assert said(found) == became(plan, one.id)
    assert found.ruling.reason is reasons(plan)[one.id]
    if found.starts_now:
        assert [each.gpu_class for each in plan.launches if each.workload_id == one.id] == [found.gpu_class]


@given(st.one_of(snapshots(), lively()), st.data())
@settings(max_examples=EXAMPLES, deadline=None)
def test_what_is_said_to_start_now_instead_of_what_waits_does_when_that_is_cancelled_for_it(
    world: Snapshot, data: st.DataObject
) -> None:
    resting = at_rest(world)
    assume(resting is not None)
    assert resting is not None
    waiting = [key for key in sorted(resting.queued) if key not in resting.reservations and array_of(key) is None]
    assume(waiting)
    known = resting.queued[data.draw(st.sampled_from(waiting))]
    changes = data.draw(
        st.sampled_from(
            [
                replace(known.spec, pods=1, min_pods=None),
                replace(known.spec, pod=replace(known.spec.pod, gpus=1)),
                replace(known.spec, time_limit_ms=known.spec.time_limit_ms // 4),
                replace(known.spec, priority_class=PriorityClassName("urgent")),
            ]
        )
    )
    instead = replace(known, id=ASKED, spec=changes, submitted_at=world.now)
    if said(asked(resting, instead, known.id)) == "starts":
        assert became(tried(resting, instead, known.id), ASKED) == "starts"


# --- each that was found -------------------------------------------------------------------------------------------


def test_what_would_be_cancelled_keeps_no_room_free_and_lends_no_age() -> None:
    """Of eight GPUs two are free; whoever waits first asks for all. Asking for two instead, they would start."""
    running = attempt("r", "n1", gpus=6, running_for=600, priority_class=URGENT)
    first = workload("first", gpus=8, hours=2, age=3600)
    world = snapshot(nodes(node("n1")), [first], attempts=[running], balances=[balance("ada"), balance("bob")])
    fewer = replace(workload("zz", gpus=2, hours=2), id=ASKED)
    assert (said(asked(world, fewer)), said(asked(world, fewer, first.id))) == ("waits", "starts")

    bobs = workload("bobs", owner="bob", gpus=2, hours=2, age=1800)
    beside = replace(world, queued={first.id: first, bobs.id: bobs})
    assert said(asked(beside, fewer, first.id)) == "waits", "bob was before it"
    assert became(tried(beside, fewer, first.id), bobs.id) == "starts"
    above = replace(fewer, spec=replace(fewer.spec, priority_class=URGENT.name))
    assert said(asked(beside, above, first.id)) == became(tried(beside, above, first.id), ASKED) == "starts"

    second = workload("second", owner="bob", gpus=8, hours=2, age=1800)
    behind = replace(world, queued={first.id: first, second.id: second})
    assert said(asked(behind, fewer, first.id)) == "waits", "room is kept for the second then"
    alike = replace(world, queued={each.id: each for each in (first, replace(first, id=WorkloadId("other")))})
    assert said(asked(alike, fewer, first.id)) == became(tried(alike, fewer, first.id), ASKED) == "waits"


def test_who_waits_for_a_booking_to_pass_has_its_room_kept_from_what_is_asked_about_too() -> None:
    gang, second = (workload(name, gpus=8, hours=3, age=age) for name, age in (("gang", 99), ("second", 98)))
    world = snapshot(nodes(node("n1")), [gang], attempts=[booking(gpus=4, hours=1)])
    for one in (workload("zz", gpus=4, hours=10), gone_in("zz", 3, gpus=4)):
        assert said(asked(world, one)) == became(tried(world, one), ASKED)
        assert asked(world, one).ruling.reason is reasons(tried(world, one))[ASKED]
    assert (said(asked(world, one)), said(asked(world, workload("zz", gpus=4, hours=10)))) == ("starts", "waits")
    assert said(asked(world, workload("zz", gpus=4, hours=10), gang.id)) == "starts"
    two = replace(world, queued={each.id: each for each in (gang, second)})
    assert said(asked(two, workload("zz", gpus=4, hours=10), gang.id)) == "waits"


def test_who_would_borrow_has_room_kept_before_who_is_behind_it_in_the_pool_and_would_not() -> None:
    """Of eight GPUs five are taken; the first asks for six, three of which it would borrow."""
    running = attempt("r", "n1", gpus=5, priority_class=URGENT)
    first, one = workload("first", gpus=6, hours=2, age=60), workload("zz", gpus=3, hours=5)
    rules = policy(
        pool("red", gpus=8, cohort="all"), pool("blue", gpus=8, cohort="all"), cohorts=(Cohort(CohortName("all")),)
    )
    world = snapshot(nodes(node("n1")), [first], attempts=[running], by=rules)
    assert said(asked(world, one)) == became(tried(world, one), ASKED) == "waits"
    assert asked(world, one).ruling.reason is Reason.PRIORITY


def test_who_waits_behind_the_first_of_the_pool_is_told_of_it() -> None:
    running = attempt("r", "n1", gpus=8, priority_class=URGENT)
    first = workload("first", gpus=4, age=60)
    world = snapshot(nodes(node("n1")), [first], attempts=[running], balances=[balance("ada"), balance("bob")])
    found = asked(world, workload("w", owner="bob", gpus=2))
    assert (found.ruling.reason, found.ruling.evidence["ahead"]) == (Reason.PRIORITY, first.id)
    assert asked(world, workload("w", owner="bob", gpus=2, age=90)).ruling.reason is Reason.RESOURCES
    assert asked(world, first).ruling.reason is Reason.RESOURCES


def test_beyond_the_stop_rate_nobody_is_said_to_be_stopped() -> None:
    running = [attempt(f"r{number}", "n1", gpus=4, priority_class=SPARE) for number in range(2)]
    rules = replace(policy(), preempt_rate=StopRate(PerMille(300), floor=2))
    world = snapshot(nodes(node("n1")), attempts=running, balances=[balance("ada")], by=rules)
    found = asked(world, workload("w", gpus=4))
    assert (found.ruling.reason, found.victims) == (Reason.STOP_RATE, 0)
    assert found.starts is not None


def test_who_is_short_of_hours_is_told_so_though_it_may_run_without_them() -> None:
    running = attempt("r", "n1", gpus=8, priority_class=URGENT)
    world = snapshot(nodes(node("n1")), attempts=[running], balances=[balance("ada", 0)])
    assert asked(world, workload("w", gpus=1, priority_class=SPARE)).ruling.reason is Reason.ALLOWANCE_SHORT


@pytest.mark.parametrize(("age", "reason"), [(0, Reason.PREEMPTION_DELAY), (700, Reason.AWAITING_PREEMPTION)])
def test_a_preemption_delay_is_over_early_beside_somebody_alike_whose_is_over(age: int, reason: Reason) -> None:
    slow = replace(STANDARD, preemption_delay_ms=600_000)
    running = attempt("r", "n1", gpus=8, priority_class=SPARE)
    alike = workload("alike", owner="bob", gpus=8, priority_class=slow, age=age)
    world = snapshot(
        nodes(node("n1")),
        [alike],
        attempts=[running],
        balances=[balance("ada"), balance("bob")],
        by=policy(classes=(URGENT, slow, SPARE)),
    )
    assert asked(world, workload("w", gpus=8, priority_class=slow)).ruling.reason is reason


def test_who_would_stop_others_in_vain_is_told_of_the_quota_and_of_no_delay_as_in_the_queue() -> None:
    """Its quota is too small for it, whoever is stopped."""
    slow = replace(STANDARD, preemption_delay_ms=600_000)
    running = attempt("r", "n1", gpus=16, priority_class=SPARE)
    rules = policy(pool("red", gpus=8), classes=(URGENT, slow, SPARE))
    world = snapshot(nodes(node("n1", 16)), attempts=[running], balances=[balance("ada")], by=rules)
    one = workload("w", gpus=16, priority_class=slow)
    assert asked(world, one).ruling.reason is reasons(tried(world, one))[one.id] is Reason.QUOTA


def test_who_has_enough_coming_free_and_would_wait_for_a_delay_is_told_of_it_as_in_the_queue() -> None:
    slow = replace(STANDARD, preemption_delay_ms=600_000)
    ending = attempt("ending", "n1", gpus=8, priority_class=SPARE, state=AttemptState.STOPPING)
    world = snapshot(
        nodes(node("n1", 8), node("n2", 8)),
        attempts=[ending, attempt("runs", "n2", gpus=8, priority_class=SPARE)],
        balances=[balance("ada")],
        by=policy(classes=(URGENT, slow, SPARE)),
    )
    one = workload("w", gpus=8, priority_class=slow)
    assert asked(world, one).ruling.reason is reasons(tried(world, one))[one.id] is Reason.PREEMPTION_DELAY
