"""Spend guards: beyond the soft limit a warning, beyond the hard one a verdict; nothing that runs is stopped."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler.decision.decide import decide, step
from scheduler.decision.plan import Plan
from scheduler.decision.snapshot import Changes, Reservation
from scheduler.decision.state import State
from scheduler.domain.allowances import Holder, HolderKind
from scheduler.domain.cluster import Placement
from scheduler.domain.guards import GuardOf, GuardWindow, PastSpend, SpendGuard, window_at, windows_from
from scheduler.domain.periods import Period
from scheduler.domain.policy import Policy
from scheduler.domain.quantities import class_unit
from scheduler.domain.reasons import Reason, sentence
from scheduler.domain.units import MS_PER_DAY, MS_PER_HOUR, MS_PER_MINUTE, Instant, NodeName, PerMille, WorkloadId
from scheduler.domain.workloads import AttemptState, Workload
from tests.decision.builders import (
    A100,
    H100,
    NOW,
    SPARE,
    attempt,
    balance,
    cold,
    everything,
    node,
    nodes,
    placements,
    policy,
    reasons,
    snapshot,
    workload,
)
from tests.decision.test_bookings import booking
from tests.decision.worlds import EXAMPLES

# NOW is 18 November 2026, 11:06:40 UTC, a Wednesday; queues were re-ordered at 11:05.


def guarded(hard: int | None, soft: int | None = None, of: GuardOf = GuardOf.ENGINEER) -> Policy:
    guard = SpendGuard(
        "daily",
        of,
        GuardWindow.DAY,
        soft=None if soft is None else soft * MS_PER_HOUR,
        hard=None if hard is None else hard * MS_PER_HOUR,
    )
    return replace(policy(), spend_guards=(guard,))


def plan_of(rules: Policy, *queued: Workload, running: int = 0, past: int = 0) -> Plan:
    today = window_at(GuardWindow.DAY, NOW, "UTC")
    assert today is not None
    spent = PastSpend(((GuardWindow.DAY, today.starts_at, past * MS_PER_HOUR),))
    busy = [attempt("r", "n2", owner="ada", gpus=running, running_for=1800)] if running else []
    of_ada = {Holder(HolderKind.ENGINEER, "ada"): spent} if past else {}
    return decide(snapshot(nodes(node("n1"), node("n2")), queued, by=rules, attempts=busy, spent=of_ada))


def test_what_would_carry_its_owner_over_the_hard_limit_waits_with_the_numbers() -> None:
    plan = plan_of(guarded(10), workload("w", gpus=4, hours=3))

    assert placements(plan) == {}
    assert reasons(plan) == {"w": Reason.SPEND_GUARD}
    assert plan.verdicts[0].evidence == {
        "guard": "daily",
        "of": "engineer",
        "window": "day",
        "which": "this",
        "used_hours": "0.0",
        "needed_hours": "12.0",
        "limit_hours": "10.0",
    }


def test_what_runs_counts_to_the_end_of_its_time_limit_and_what_is_over_as_it_was() -> None:
    # Four GPUs for an hour of time limit: 4 h, begun half an hour ago, and 5 h of what has ended; graces count.
    assert placements(plan_of(guarded(12), workload("w", gpus=2), running=4, past=5)) != {}
    assert reasons(plan_of(guarded(11), workload("w", gpus=2), running=4, past=5)) == {"w": Reason.SPEND_GUARD}


def test_the_guard_counts_what_the_same_cycle_starts() -> None:
    plan = plan_of(guarded(5), *(workload(f"w{number}", gpus=2, age=9 - number) for number in range(4)))

    assert sorted(placements(plan)) == ["w0", "w1"]
    assert reasons(plan) == {
        "w0": Reason.LAUNCHING,
        "w1": Reason.LAUNCHING,
        "w2": Reason.SPEND_GUARD,
        "w3": Reason.SPEND_GUARD,
    }


def test_what_a_guard_forbids_on_one_gpu_class_starts_on_another_that_it_would_take() -> None:
    # 8 GPUs for two hours are 16 h of the one class, and 8 h of the other, whose weight is half of it.
    wish = workload("w", gpus=8, hours=2, classes=(H100, A100))
    world = snapshot(nodes(node("n1"), node("n2", gpu_class=A100)), [wish], by=guarded(10))

    assert placements(decide(world)) == {"w": {"n2": 1}}
    assert reasons(decide(replace(world, policy=guarded(7)))) == {"w": Reason.SPEND_GUARD}
    there = attempt("r", "n2", gpu_class=A100, gpus=8)
    busy = decide(replace(world, attempts={there.id: there}))
    assert (busy.verdicts[0].reason, busy.verdicts[0].evidence["gpu_class"]) == (Reason.RESOURCES, A100)


def test_who_has_hours_for_one_class_alone_is_told_of_the_guard_on_that() -> None:
    wish = workload("w", gpus=8, hours=2, classes=(A100, H100))
    held = balance("ada", 20, unit=class_unit(H100))
    world = snapshot(nodes(node("n1"), node("n2", gpu_class=A100)), [wish], by=guarded(10), balances=[held])

    assert reasons(decide(world)) == {"w": Reason.SPEND_GUARD}
    assert placements(decide(replace(world, policy=guarded(17)))) == {"w": {"n1": 1}}


def test_what_starts_and_is_widened_in_one_cycle_is_warned_of_once_with_all_of_its_pods() -> None:
    made = workload("w", pods=4)
    wide = replace(made, spec=replace(made.spec, min_pods=2))

    (warning,) = plan_of(guarded(None, soft=1), wide).warnings
    assert (warning.evidence["used_hours"], warning.evidence["needed_hours"]) == ("0.0", "4.0")
    both = placements(plan_of(guarded(5), wide, workload("x", age=-1)))
    assert [sum(nodes.values()) for nodes in both.values()] == [3, 1]  # with all four it would be beyond the guard


def test_what_waits_for_its_victims_to_end_counts_as_what_runs() -> None:
    ends = attempt("r", "n1", gpus=8, state=AttemptState.STOPPING, stop_reason=Reason.PREEMPTED)
    first, second = workload("first", gpus=8), workload("second", gpus=4)
    kept = Reservation(first.id, H100, Placement(((NodeName("n1"), 1),)), Instant(NOW + 60_000))
    world = snapshot(nodes(node("n1"), node("n2")), [first, second], attempts=[ends], reservations=[kept])
    state = cold(replace(world, policy=guarded(10)))

    assert state.verdicts[second.id].reason is Reason.SPEND_GUARD
    assert cold(replace(world, policy=guarded(13))).verdicts[second.id].reason is Reason.LAUNCHING
    gone = {name: each for name, each in world.policy.gpu_classes.items() if name != H100}
    assert cold(replace(world, policy=replace(guarded(13), gpu_classes=gone))).verdicts[second.id].reason is (
        Reason.NOT_OFFERED
    )
    given_up = Changes(reservations={first.id: None}, queued={first.id: None})
    assert placements(step(state, given_up, NOW)[1]) == {"second": {"n2": 1}}


def test_a_teams_guard_counts_all_of_its_engineers() -> None:
    queued = [workload("a", owner="ada", gpus=2, age=5), workload("b", owner="bob", gpus=2)]

    assert sorted(placements(plan_of(guarded(3, of=GuardOf.TEAM), *queued))) == ["a"]
    assert sorted(placements(plan_of(guarded(3), *queued))) == ["a", "b"]


def test_beyond_the_soft_limit_a_start_comes_with_a_warning() -> None:
    plan = plan_of(guarded(None, soft=3), workload("w", gpus=4))

    assert list(placements(plan)) == ["w"]
    assert [(each.workload_id, each.reason) for each in plan.warnings] == [("w", Reason.SPEND_WARNING)]
    assert plan_of(guarded(None, soft=5), workload("w", gpus=4)).warnings == ()


def test_who_asks_before_is_told_of_the_soft_limit_and_so_is_who_would_have_others_stopped() -> None:
    spare = attempt("r", "n1", gpus=8, priority_class=SPARE)
    world = snapshot(nodes(node("n1")), by=guarded(None, soft=3), balances=[balance("ada")])
    for attempts in ({}, {spare.id: spare}):
        found = cold(replace(world, attempts=attempts)).forecast(workload("w", gpus=4), PerMille(500))
        assert found is not None
        assert found.warning is not None
        assert (found.warning.reason, found.warning.evidence["needed_hours"]) == (Reason.SPEND_WARNING, "4.0")


def test_only_the_part_of_a_time_limit_that_falls_into_the_window_counts() -> None:
    # From 11:05 to midnight there are 12 h 55 min: a job of twenty hours uses no more than that of today.
    assert list(placements(plan_of(guarded(13), workload("w", hours=20)))) == ["w"]
    assert reasons(plan_of(guarded(12), workload("w", hours=20))) == {"w": Reason.SPEND_GUARD}


def test_who_starts_as_a_window_ends_is_held_against_the_next() -> None:
    late = Instant(NOW + 12 * MS_PER_HOUR + 50 * MS_PER_MINUTE)  # five minutes of the day are left
    world = replace(snapshot(nodes(node("n1")), [workload("w", gpus=8, hours=24)], by=guarded(10)), now=late)
    plan = decide(world)

    assert placements(plan) == {}
    told = plan.verdicts[0]
    assert (told.reason, told.evidence["which"], told.evidence["needed_hours"]) == (
        Reason.SPEND_GUARD,
        "the next",
        "192.0",
    )
    assert sentence(told.reason, told.evidence).startswith(
        "Waiting: needs 192.0 h of the next day; 0.0 of the 10.0 h"
    )
    assert placements(decide(replace(world, policy=guarded(192)))) == {"w": {"n1": 1}}


def test_who_starts_just_before_queues_are_re_ordered_is_held_to_all_that_it_takes_of_the_next_window() -> None:
    """Eight GPUs for two hours and four minutes, a second before midnight: 16.6 h of the next day."""
    late = Instant(NOW - NOW % MS_PER_DAY + MS_PER_DAY - 1_000)
    made = workload("w", gpus=8, hours=2 + 4 / 60)
    world = snapshot(nodes(node("n1")), [made], by=guarded(16), now=late)

    assert reasons(decide(world)) == {"w": Reason.SPEND_GUARD}
    assert placements(decide(replace(world, policy=guarded(17)))) == {"w": {"n1": 1}}


def test_guards_hold_inside_a_booking_and_count_what_starts_there_in_the_same_cycle() -> None:
    booked = booking(in_hours=-1, hours=6)
    inside, outside = workload("inside", gpus=8, age=2), workload("outside", gpus=8, age=1)
    world = snapshot(nodes(node("n1"), node("n2")), [inside, outside], by=guarded(10), attempts=[booked])

    assert reasons(decide(world)) == {"inside": Reason.LAUNCHING, "outside": Reason.SPEND_GUARD}
    assert len(decide(replace(world, policy=guarded(17))).launches) == 2
    assert set(reasons(decide(replace(world, policy=guarded(8)))).values()) == {Reason.SPEND_GUARD}
    found = cold(replace(world, policy=guarded(8))).forecast(inside, PerMille(500))
    assert found is not None
    assert found.ruling.reason is Reason.SPEND_GUARD


def test_what_starts_inside_a_booking_beyond_the_soft_limit_comes_with_one_warning_for_all_of_its_pods() -> None:
    made = workload("w", pods=4)
    wide = replace(made, spec=replace(made.spec, min_pods=2))
    world = snapshot(nodes(node("n1")), [wide], by=guarded(None, soft=1), attempts=[booking(in_hours=-1, hours=6)])
    plan = decide(world)

    (warning,) = plan.warnings
    assert (warning.evidence["used_hours"], warning.evidence["needed_hours"]) == ("0.0", "4.0")
    assert placements(decide(replace(world, policy=guarded(4)))) == {
        "w": {"n1": 3}
    }  # with its grace four are beyond it


IN_AUTUMN = Instant(1_792_836_000_000)
"""Saturday, 24 October 2026, 12:00 in Berlin, where the day after has 25 hours."""
IN_SPRING = Instant(1_806_055_200_000)
"""Friday, 26 March 2027, 11:00 in Berlin, where the Sunday after has 23 hours."""


@pytest.mark.parametrize(
    ("days_before", "which"),
    [(1, "the next"), (2, "a later"), (30, None)],
    ids=["next", "after next", "out of reach"],
)
def test_a_day_of_25_hours_counts_as_such_however_far_ahead_it_is(days_before: int, which: str | None) -> None:
    """One GPU would use 24 h of every other day, and 25 h of that."""
    now = Instant(IN_AUTUMN - (days_before - 1) * MS_PER_DAY)
    rules = replace(guarded(24), time_zone="Europe/Berlin")
    plan = decide(replace(snapshot(nodes(node("n1")), [workload("w", hours=24 * 5)], by=rules), now=now))

    if which is None:
        assert placements(plan) == {"w": {"n1": 1}}
    else:
        assert (plan.verdicts[0].evidence["which"], plan.verdicts[0].evidence["needed_hours"]) == (which, "25.0")


def test_a_usual_weekend_after_one_of_47_hours_is_held_against_too() -> None:
    guard = SpendGuard("weekend", GuardOf.ENGINEER, GuardWindow.WEEKEND, hard=47 * MS_PER_HOUR)
    rules = replace(policy(), spend_guards=(guard,), time_zone="Europe/Berlin")
    world = snapshot(nodes(node("n1")), [workload("w", hours=24 * 7)], by=rules, now=IN_SPRING)

    assert placements(decide(world)) == {"w": {"n1": 1}}
    longer = decide(replace(world, queued={WorkloadId("w"): workload("w", hours=24 * 14)}))
    assert longer.verdicts[0].evidence["needed_hours"] == "48.0"


def test_what_runs_on_into_the_next_window_counts_there() -> None:
    late = Instant(NOW + 12 * MS_PER_HOUR + 50 * MS_PER_MINUTE)
    runs = replace(attempt("r", "n2", owner="ada", gpus=4), started_at=late, time_limit_ms=2 * MS_PER_HOUR)
    world = snapshot(nodes(node("n1"), node("n2")), [workload("w", gpus=2, hours=2)], attempts=[runs])

    # Of tomorrow both together use 6 GPUs for some two hours.
    assert reasons(decide(replace(world, now=late, policy=guarded(11)))) == {"w": Reason.SPEND_GUARD}
    assert placements(decide(replace(world, now=late, policy=guarded(13)))) == {"w": {"n2": 1}}


def test_nobody_starts_on_friday_what_the_weekends_guard_would_not_let_start_on_saturday() -> None:
    guard = SpendGuard("weekend", GuardOf.TEAM, GuardWindow.WEEKEND, hard=100 * MS_PER_HOUR)
    friday = Instant(NOW + 2 * 24 * MS_PER_HOUR)
    world = snapshot(
        nodes(node("n1")), [workload("w", gpus=8, hours=48)], by=replace(policy(), spend_guards=(guard,))
    )

    assert reasons(decide(replace(world, now=friday))) == {"w": Reason.SPEND_GUARD}
    short = replace(world, queued={WorkloadId("w"): workload("w", gpus=8, hours=24)})
    assert placements(decide(replace(short, now=friday))) == {"w": {"n1": 1}}


def used_by_minute(spans: list[tuple[Instant, int, int]], window: Period) -> int:
    """What so many GPUs from an instant on for so long use of a window, added up minute by minute."""
    minutes = range(window.starts_at, window.ends_at, MS_PER_MINUTE)
    return sum(gpus for at in minutes for start, length, gpus in spans if start <= at < start + length)


@given(st.data())
@settings(max_examples=EXAMPLES, deadline=None)
def test_no_start_carries_its_owner_over_a_guard_in_any_window_to_come(data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(GuardWindow))
    time_zone, around = data.draw(
        st.sampled_from([("UTC", NOW), ("Europe/Berlin", IN_SPRING), ("Europe/Berlin", IN_AUTUMN)])
    )
    reordered_at = around - around % (5 * MS_PER_MINUTE) + data.draw(st.integers(0, 2_015)) * 5 * MS_PER_MINUTE
    now = Instant(reordered_at + data.draw(st.integers(0, 4)) * MS_PER_MINUTE)
    lengths = {
        GuardWindow.HOUR: [1, 10, 60, 150],
        GuardWindow.DAY: [60, 900, 3_000],
        GuardWindow.WEEKEND: [600, 6_000],
    }
    minutes = st.sampled_from(lengths[kind])
    runs = [
        replace(
            attempt(f"r{number}", "n1", owner="ada", gpus=data.draw(st.integers(1, 4)), grace_seconds=0),
            started_at=Instant(now - data.draw(st.integers(0, 9)) * MS_PER_MINUTE),
            time_limit_ms=data.draw(minutes) * MS_PER_MINUTE,
        )
        for number in range(data.draw(st.integers(0, 2)))
    ]
    asked = [workload(f"w{number}", gpus=data.draw(st.integers(1, 4))) for number in range(4)]
    asked = [
        replace(w, spec=replace(w.spec, time_limit_ms=data.draw(minutes) * MS_PER_MINUTE, grace_seconds=0))
        for w in asked
    ]
    hard = data.draw(st.integers(1, 60)) * (1 if kind is GuardWindow.HOUR else 20) * MS_PER_HOUR // 4
    guard = SpendGuard("guard", GuardOf.ENGINEER, kind, hard=hard)
    rules = replace(policy(), spend_guards=(guard,), time_zone=time_zone)
    world = snapshot(nodes(node("n1", 16), node("n2", 16)), asked, by=rules, attempts=runs)
    plan = decide(replace(world, now=now))
    started = [world.queued[launch.workload_id].spec for launch in plan.launches]
    new = [(now, spec.time_limit_ms, spec.gpus) for spec in started]
    ran = [(each.started_at or now, each.time_limit_ms, each.gpus) for each in runs]

    window = windows_from(kind, now, time_zone)[0]
    for _ in range(7):
        taken = used_by_minute(new, window)
        assert not taken or (taken + used_by_minute(ran, window)) * MS_PER_MINUTE <= hard
        window = windows_from(kind, window.ends_at, time_zone)[0]


def test_who_waits_for_a_guard_is_shown_what_is_used_of_the_window_of_now() -> None:
    state = cold(snapshot(nodes(node("n1")), [workload("w", gpus=8, hours=40)], by=guarded(10)))
    step(state, Changes(), Instant(NOW + 20 * MS_PER_HOUR))  # 7:05 of the next day

    told, shown = state.verdicts[WorkloadId("w")], state.verdict_now(WorkloadId("w"))
    assert (told.evidence["needed_hours"], shown and shown.evidence["needed_hours"]) == ("103.3", "135.3")
    assert shown is not None
    assert shown.reason is told.reason


def test_it_starts_when_other_work_ends_early() -> None:
    running = attempt("r", "n2", owner="ada", gpus=8)
    world = snapshot(nodes(node("n1")), [workload("w", gpus=8)], by=guarded(10), attempts=[running])
    state = cold(world)

    assert state.verdicts[next(iter(world.queued))].reason is Reason.SPEND_GUARD
    assert placements(step(state, Changes(attempts={running.id: None}), NOW)[1]) == {"w": {"n1": 1}}


def test_it_starts_when_less_of_it_falls_into_the_window() -> None:
    state = cold(snapshot(nodes(node("n1")), [workload("w", gpus=8, hours=2)], by=guarded(10)))

    assert placements(step(state, Changes(), Instant(NOW + 6 * MS_PER_HOUR))[1]) == {}
    late = Instant(NOW + 11 * MS_PER_HOUR + 50 * MS_PER_MINUTE)  # an hour and a bit of the day is left
    assert placements(step(state, Changes(), late)[1]) == {"w": {"n1": 1}}


def test_a_weekends_guard_holds_nobody_on_a_wednesday_whose_work_is_over_by_friday() -> None:
    guard = SpendGuard("weekend", GuardOf.ENGINEER, GuardWindow.WEEKEND, hard=1)
    world = snapshot(nodes(node("n1")), [workload("w")], by=replace(policy(), spend_guards=(guard,)))
    saturday = Instant(NOW + 3 * 24 * MS_PER_HOUR)

    assert placements(decide(world)) == {"w": {"n1": 1}}
    assert reasons(step(State(), everything(world), saturday)[1]) == {"w": Reason.SPEND_GUARD}
