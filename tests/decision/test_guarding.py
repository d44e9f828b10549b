"""Spend guards: beyond the soft limit a warning, beyond the hard one a verdict; nothing that runs is stopped."""

from dataclasses import replace

from scheduler.decision.decide import decide, step
from scheduler.decision.plan import Plan
from scheduler.decision.snapshot import Changes
from scheduler.decision.state import State
from scheduler.domain.allowances import Holder, HolderKind
from scheduler.domain.guards import GuardOf, GuardWindow, PastSpend, SpendGuard, window_at
from scheduler.domain.policy import Policy
from scheduler.domain.reasons import Reason
from scheduler.domain.units import MS_PER_HOUR, MS_PER_MINUTE, Instant
from scheduler.domain.workloads import Workload
from tests.decision.builders import NOW, attempt, node, nodes, placements, policy, reasons, snapshot, workload
from tests.decision.test_ordering import cold

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


def test_a_teams_guard_counts_all_of_its_engineers() -> None:
    queued = [workload("a", owner="ada", gpus=2, age=5), workload("b", owner="bob", gpus=2)]

    assert sorted(placements(plan_of(guarded(3, of=GuardOf.TEAM), *queued))) == ["a"]
    assert sorted(placements(plan_of(guarded(3), *queued))) == ["a", "b"]


def test_beyond_the_soft_limit_a_start_comes_with_a_warning() -> None:
    plan = plan_of(guarded(None, soft=3), workload("w", gpus=4))

    assert list(placements(plan)) == ["w"]
    assert [(each.workload_id, each.reason) for each in plan.warnings] == [("w", Reason.SPEND_WARNING)]
    assert plan_of(guarded(None, soft=5), workload("w", gpus=4)).warnings == ()


def test_only_the_part_of_a_time_limit_that_falls_into_the_window_counts() -> None:
    # From 11:05 to midnight there are 12 h 55 min: a two-day job uses no more than that of today.
    assert list(placements(plan_of(guarded(13), workload("w", hours=48)))) == ["w"]
    assert reasons(plan_of(guarded(12), workload("w", hours=48))) == {"w": Reason.SPEND_GUARD}


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


def test_there_is_no_weekend_on_a_wednesday() -> None:
    guard = SpendGuard("weekend", GuardOf.ENGINEER, GuardWindow.WEEKEND, hard=1)
    world = snapshot(nodes(node("n1")), [workload("w")], by=replace(policy(), spend_guards=(guard,)))
    saturday = Instant(NOW + 3 * 24 * MS_PER_HOUR)

    assert placements(decide(world)) == {"w": {"n1": 1}}
    everything = {name: getattr(world, name) for name in vars(world) if name != "now"}
    assert reasons(step(State(), Changes(**everything), saturday)[1]) == {"w": Reason.SPEND_GUARD}
