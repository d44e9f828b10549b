"""What would become of a workload, asked before it is submitted and while it waits: now, or between when and when."""

from dataclasses import replace

import pytest
from hypothesis import given, settings

from scheduler.decision.decide import decide, step
from scheduler.decision.foreseeing.foreseen import Forecast
from scheduler.decision.foreseeing.rivals import AHEAD_MAX
from scheduler.decision.snapshot import Changes, Snapshot
from scheduler.decision.state import State
from scheduler.domain.brakes import Brake, Pause, StopRate
from scheduler.domain.policy import OffPeak
from scheduler.domain.reasons import Reason
from scheduler.domain.units import MS_PER_HOUR, MS_PER_MINUTE, Instant, PerMille, PriorityClassName, WorkloadId
from scheduler.domain.workloads import Workload
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
    node,
    nodes,
    policy,
    pool,
    snapshot,
    workload,
)
from tests.decision.test_bookings import booking
from tests.decision.worlds import EXAMPLES, snapshots, workloads

HALF = PerMille(500)
SOON = 50 * (500 // 8) / 1000
"""An eighth of the half that is usual, in per mille, of the fifty minutes that an hour-long attempt has left."""
LONGER = 1.5
"""What a band's end is multiplied by for those who are still to come."""


def asked(world: Snapshot, workload: Workload) -> Forecast:
    found = cold(world).forecast(workload, HALF)
    assert found is not None
    return found


def minutes(band: tuple[Instant, Instant] | None) -> tuple[float, float]:
    """From now on."""
    assert band is not None
    return ((band[0] - NOW) / MS_PER_MINUTE, (band[1] - NOW) / MS_PER_MINUTE)


def busy(gpus: int = 8, running_for: int = 600) -> Snapshot:
    """One node, of which an urgent hour-long attempt has used a part for ten minutes."""
    running = attempt("r", "n1", gpus=gpus, running_for=running_for, priority_class=URGENT)
    return snapshot(nodes(node("n1")), attempts=[running], balances=[balance("ada"), balance("bob")])


def test_what_fits_would_start_now() -> None:
    found = asked(busy(gpus=4), workload("w", gpus=4))
    assert (found.starts_now, found.ruling.reason, found.starts) == (True, Reason.LAUNCHING, (NOW, NOW))


def test_what_waits_for_room_starts_between_an_early_end_and_the_time_limit_of_what_runs() -> None:
    found = asked(busy(), workload("w", gpus=8))
    assert (found.starts_now, found.ruling.reason) == (False, Reason.RESOURCES)
    assert minutes(found.starts) == (SOON, 50 * LONGER)


def test_while_launching_is_paused_no_start_is_known() -> None:
    paused = (Pause(Brake.LAUNCH, "ops", "driver rollout", NOW),)
    fits = asked(replace(busy(gpus=4), pauses=paused), workload("w", gpus=4))
    assert (fits.starts_now, fits.ruling.reason, fits.starts) == (False, Reason.LAUNCH_PAUSED, None)
    waits = asked(replace(busy(), pauses=paused), workload("w", gpus=8))
    assert (waits.ruling.reason, waits.starts) == (Reason.RESOURCES, None)


def test_while_preemption_is_paused_it_waits_for_what_runs_to_end() -> None:
    paused = (Pause(Brake.PREEMPT, "ops", "a look", NOW),)
    running = attempt("r", "n1", gpus=8, running_for=600)
    world = snapshot(nodes(node("n1")), attempts=[running], balances=[balance("ada"), balance("bob")])
    urgent = workload("w", gpus=8, priority_class=URGENT)
    assert asked(world, urgent).victims == 1
    found = asked(replace(world, pauses=paused), urgent)
    assert (found.ruling.reason, found.victims) == (Reason.PREEMPTION_PAUSED, 0)
    assert minutes(found.starts) == (SOON, 50 * LONGER)


def test_those_ahead_are_served_first_or_passed() -> None:
    ahead = workload("ahead", gpus=8, hours=2, age=60)
    world = replace(busy(), queued={ahead.id: ahead})
    behind = asked(world, workload("w", owner="bob", gpus=8))
    before = asked(world, workload("w", owner="bob", gpus=8, age=90))

    assert minutes(behind.starts) == (SOON, (50 + 120) * LONGER)
    assert minutes(before.starts) == (SOON, 50 * LONGER)


def test_what_is_queued_is_not_ahead_of_itself() -> None:
    mine = workload("mine", gpus=8)
    world = replace(busy(), queued={mine.id: mine})
    assert minutes(asked(world, mine).starts) == (SOON, 50 * LONGER)


def test_it_says_which_time_limit_would_be_gone_before_the_room_kept_for_another() -> None:
    ahead = workload("ahead", gpus=8, age=60)
    world = replace(busy(gpus=4), queued={ahead.id: ahead})
    found = asked(world, workload("w", gpus=4, hours=2))

    assert found.ruling.reason is Reason.PRIORITY
    assert found.latest_limit_ms == 50 * MS_PER_MINUTE
    assert asked(world, workload("w", gpus=4, hours=50 / 60)).starts_now


def test_a_higher_class_that_would_preempt_starts_when_its_victims_have_given_way() -> None:
    running = attempt("r", "n1", gpus=8, priority_class=SPARE)
    world = snapshot(nodes(node("n1")), attempts=[running], balances=[balance("ada")])
    found = asked(world, workload("w", gpus=8))

    assert (found.ruling.reason, found.victims) == (Reason.AWAITING_PREEMPTION, 1)
    assert found.starts == (NOW, Instant(NOW + 30_000))


def test_what_nothing_known_lets_start_has_no_band() -> None:
    assert asked(busy(), workload("w", owner="poor", gpus=1)).starts is None
    assert asked(busy(), workload("w", gpus=16)).ruling.reason is Reason.UNPLACEABLE
    other = snapshot(nodes(node("n1"), node("a1", 4, gpu_class=A100)), balances=[balance("ada")])
    cordoned = replace(other, nodes=nodes(node("n1", accepts_work=False)))
    assert asked(cordoned, workload("w")).starts is None


def test_the_sooner_of_its_gpu_classes_counts() -> None:
    world = replace(busy(), nodes=nodes(node("n1"), node("a1", 8, gpu_class=A100)))
    short = attempt("s", "a1", gpus=8, gpu_class=A100, running_for=3000, priority_class=URGENT)
    world = replace(world, attempts={**world.attempts, short.id: short})
    found = asked(world, workload("w", gpus=8, classes=(H100, A100)))
    assert (minutes(found.starts), found.gpu_class) == ((SOON / 5, 10 * LONGER), A100)
    assert [(name, minutes(band)) for name, band in found.choices] == [
        (H100, (SOON, 50 * LONGER)),
        (A100, (SOON / 5, 10 * LONGER)),
    ]


def test_a_class_that_has_room_only_once_another_has_is_no_choice() -> None:
    world = replace(busy(), nodes=nodes(node("n1"), node("a1", 8, gpu_class=A100)))
    short = attempt("s", "a1", gpus=8, gpu_class=A100, running_for=3540, priority_class=URGENT)
    world = replace(world, attempts={**world.attempts, short.id: short})
    found = asked(world, workload("w", gpus=8, classes=(H100, A100)))
    assert [name for name, _ in found.choices] == [A100]
    assert asked(world, workload("w", owner="poor", gpus=8)).choices == ()


def test_quota_that_running_work_gives_back_is_waited_for() -> None:
    running = attempt("r", "n1", gpus=4, running_for=600, priority_class=URGENT)
    world = snapshot(nodes(node("n1")), by=policy(pool("red", gpus=4)), attempts=[running], balances=[balance("ada")])
    found = asked(world, workload("w", gpus=4))
    assert (found.ruling.reason, minutes(found.starts)) == (Reason.QUOTA, (SOON, 50 * LONGER))


def test_behind_too_many_no_band_is_named() -> None:
    queue = [workload(f"w{number}", gpus=8, age=60) for number in range(AHEAD_MAX + 1)]
    world = replace(busy(), queued={each.id: each for each in queue})
    assert asked(world, workload("w", owner="bob", gpus=8)).starts is None
    assert asked(world, workload("w", owner="bob", gpus=8, age=90)).starts is not None


def test_nobody_is_asked_before_the_first_decision() -> None:
    assert State().forecast(workload("w"), HALF) is None
    assert Forecast.unknown(workload("w")).starts_now is False


@given(snapshots(), workloads("asked"))
@settings(max_examples=EXAMPLES, deadline=None)
def test_asking_changes_nothing(world: Snapshot, one: Workload) -> None:
    state, undisturbed = cold(world), cold(world)
    state.forecast(one, HALF)
    for each in world.queued.values():
        state.forecast(each, HALF)

    assert state.queue() == undisturbed.queue()
    assert step(state, Changes(), world.now)[1] == step(undisturbed, Changes(), world.now)[1]


@given(snapshots(running=8), workloads("asked"))
@settings(max_examples=EXAMPLES, deadline=None)
def test_what_is_said_to_start_now_does_when_submitted_to_an_empty_queue(world: Snapshot, one: Workload) -> None:
    one = replace(one, not_before=Instant(0))
    rules = replace(world.policy, preempt_rate=StopRate(None))
    empty = replace(world, policy=rules, queued={}, reservations={})
    found = asked(empty, one)
    plan = decide(replace(empty, queued={one.id: one}))

    if found.starts_now:
        assert [launch.workload_id for launch in plan.launches] == [one.id]
    elif found.victims:
        assert [len(preemption.victims) for preemption in plan.preemptions] == [found.victims]
    else:
        assert plan.launches == () or not plan.launches[0].is_funded
    if found.starts is not None:
        assert NOW <= found.starts[0] <= found.starts[1] <= NOW + 18 * MS_PER_HOUR


def test_standard_work_would_not_preempt_its_equals() -> None:
    running = attempt("r", "n1", gpus=8, priority_class=STANDARD, running_for=0)
    world = snapshot(nodes(node("n1")), attempts=[running], balances=[balance("ada")])
    assert asked(world, workload("w", gpus=8)).victims == 0


def test_it_says_which_time_limit_would_be_gone_before_a_booking_starts() -> None:
    world = snapshot(nodes(node("n1")), attempts=[booking(in_hours=2, hours=4)], balances=[balance("bob")])
    found = asked(world, workload("w", owner="bob", gpus=4, hours=3))

    assert found.ruling.reason is Reason.BOOKED
    assert found.latest_limit_ms == 2 * MS_PER_HOUR - 30_000
    shorter = workload("w", owner="bob", gpus=4, hours=found.latest_limit_ms / MS_PER_HOUR)
    assert asked(world, shorter).starts_now


def test_whose_victims_could_make_no_room_beside_a_booking_is_told_of_the_booking() -> None:
    """Whoever might be stopped is gone when it begins."""
    gone = attempt("r", "n1", gpus=4, priority_class=SPARE)
    world = snapshot(nodes(node("n1")), attempts=[gone, booking(in_hours=2, gpus=8)], balances=[balance("ada")])
    found = asked(world, workload("w", gpus=4, hours=9))

    assert (found.ruling.reason, found.victims) == (Reason.BOOKED, 0)


def test_who_is_behind_somebody_that_never_starts_gains_nothing_by_what_that_one_looked_at() -> None:
    """The gang ahead asks for both nodes, one of which is cordoned."""
    gang = workload("gang", gpus=8, pods=2, age=60)
    known = nodes(node("n1"), node("n2", accepts_work=False))
    world = replace(busy(), nodes=known, queued={gang.id: gang})
    alone = asked(replace(world, queued={}), workload("w", owner="bob", gpus=8))
    assert minutes(asked(world, workload("w", owner="bob", gpus=8)).starts) == minutes(alone.starts)


def test_what_is_not_to_begin_before_an_instant_starts_no_earlier() -> None:
    asks = replace(workload("w", gpus=8), not_before=Instant(NOW + 40 * MS_PER_MINUTE))
    found = asked(busy(), asks)
    assert (found.ruling.reason, minutes(found.starts)) == (Reason.BEGIN_TIME, (40, 50 * LONGER))
    follows = replace(asks, spec=replace(asks.spec, after=(WorkloadId("other"),)))
    assert asked(busy(), follows).starts is None


def test_what_begins_later_finds_the_room_that_others_have_taken_by_then() -> None:
    """Half of the node is free, and kept for who waits for all of it, from in fifty minutes on for two hours."""
    ahead = workload("ahead", gpus=8, hours=2, age=60)
    world = replace(busy(gpus=4), queued={ahead.id: ahead})

    def starts(after_minutes: int, hours: float = 1, age: int = 0) -> tuple[float, float]:
        one = workload("w", owner="bob", gpus=4, hours=hours, age=age)
        return minutes(asked(world, replace(one, not_before=Instant(NOW + after_minutes * MS_PER_MINUTE))).starts)

    assert starts(60) == (60, (50 + 120) * LONGER)
    assert starts(200) == (200, 200 * LONGER)
    assert starts(60, age=90) == (60, (50 + 120) * LONGER), "what is served after it starts before its time"
    assert starts(30, age=90) == (30, (25 + 60) * LONGER), "or only where the node is free sooner, as is usual"
    assert starts(20, age=90) == (20, 20 * LONGER)


@pytest.mark.parametrize(
    ("minutes_ahead", "expected"),
    [(200, (SOON, 50 * LONGER)), (90, (SOON, 30)), (60 + SOON, (SOON, SOON)), (60, None)],
    ids=["far away", "before what runs need have ended", "just", "before any room"],
)
def test_nothing_is_said_to_start_when_it_would_have_been_given_up(
    minutes_ahead: float, expected: tuple[float, float] | None
) -> None:
    """It asks for an hour."""
    one = workload("w", gpus=8)
    by = Instant(NOW + int(minutes_ahead * MS_PER_MINUTE))
    found = asked(busy(), replace(one, spec=replace(one.spec, finish_by=by)))
    assert (None if found.starts is None else minutes(found.starts)) == expected


TONIGHT = Instant(NOW + 32_000_000)
"""At 20:00, on a Wednesday."""


def longer(at: int) -> Instant:
    """A band's end, with those who are still to come."""
    return Instant(at + (at - NOW) // 2)


OPENS = {
    "at its hours": (OffPeak(20, 6, includes_weekends=False), (TONIGHT, longer(TONIGHT))),
    "as soon as enough is free, at its hours at the latest": (
        OffPeak(20, 6, free=PerMille(500)),
        (Instant(NOW + round(SOON * MS_PER_MINUTE)), longer(TONIGHT)),
    ),
    "never": (OffPeak(free=PerMille(500), includes_weekends=False), None),
}


@pytest.mark.parametrize(("hours", "expected"), OPENS.values(), ids=OPENS)
def test_an_off_peak_class_is_told_when_it_opens(hours: OffPeak, expected: tuple[Instant, Instant] | None) -> None:
    spare = replace(SPARE, off_peak=hours, may_start_unfunded=False)
    world = replace(busy(), policy=policy(classes=(URGENT, STANDARD, spare)))
    found = asked(world, workload("w", gpus=8, priority_class=spare))
    assert (found.ruling.reason, found.starts) == (Reason.OFF_PEAK, expected)


def test_not_all_who_wait_for_the_hours_of_their_class_are_told_that_they_start_as_these_begin() -> None:
    """Two that were submitted before it take an hour each, on all of the node; who waits for other hours does not."""
    spare = replace(SPARE, off_peak=OffPeak(20, 6, includes_weekends=False))
    other = replace(SPARE, name=PriorityClassName("other"), off_peak=OffPeak(19, 6, includes_weekends=False))
    queued = [workload(f"w{number}", gpus=8, age=60 + number, priority_class=spare) for number in range(2)]
    queued.append(workload("x", gpus=8, age=90, priority_class=other))
    world = snapshot(
        nodes(node("n1")),
        queued,
        by=policy(classes=(URGENT, STANDARD, spare, other)),
        balances=[balance("ada"), balance("bob")],
    )
    one = workload("w", owner="bob", gpus=8, priority_class=spare)
    assert asked(world, one).starts == (TONIGHT, longer(TONIGHT + 2 * MS_PER_HOUR))
    late = replace(one, not_before=Instant(TONIGHT + 15 * MS_PER_HOUR))
    assert asked(world, late).starts == (TONIGHT + 24 * MS_PER_HOUR, longer(TONIGHT + 26 * MS_PER_HOUR))
    before_them = workload("w", owner="bob", gpus=8, priority_class=spare, age=70)
    assert asked(world, before_them).starts == (TONIGHT, longer(TONIGHT))


def test_who_is_further_behind_their_plan_is_told_to_start_before_who_asked_earlier() -> None:
    waits = workload("waits", owner="bob", gpus=8, hours=2, age=60)
    owners = [balance("ada", 900, granted=1000), balance("bob", 100, granted=1000)]
    world = replace(busy(), queued={waits.id: waits}, balances={each.allowance.id: each for each in owners})

    assert minutes(asked(world, workload("w", owner="ada", gpus=8)).starts) == (SOON, 50 * LONGER)
    assert minutes(asked(world, workload("w", owner="bob", gpus=8)).starts)[1] > 120


def test_who_would_be_gone_is_in_nobodys_way() -> None:
    waits = workload("waits", owner="bob", gpus=8, hours=2, age=60)
    world = replace(busy(), queued={waits.id: waits})
    found = cold(world).forecast(workload("w", gpus=8), HALF, waits.id)
    assert found is not None
    assert minutes(found.starts) == (SOON, 50 * LONGER)


def test_what_follows_somebody_who_may_end_before_the_night_is_over_may_start_that_night() -> None:
    """Who is followed ends in the night if it uses little of its time limit, and else on a day of the next week."""
    spare = replace(SPARE, off_peak=OffPeak(20, 6, includes_weekends=False))
    leader = replace(attempt("first", "n1", gpus=8, running_for=0), time_limit_ms=150 * MS_PER_HOUR)
    one = workload("w", gpus=8, priority_class=spare)
    one = replace(one, spec=replace(one.spec, after=(leader.workload_id,)))
    world = snapshot(nodes(node("n1")), attempts=[leader], by=policy(classes=(URGENT, STANDARD, spare)))
    starts = asked(replace(world, balances={each.allowance.id: each for each in [balance("ada")]}), one).starts
    assert starts is not None
    assert TONIGHT < starts[0] == NOW + 9.3 * MS_PER_HOUR, "an hour in sixteen of its time limit"
