"""Who falls, gives back or is moved where a booking lies ahead: nobody who did not have to, and nobody a cycle later."""

from dataclasses import replace

from scheduler.decision.decide import decide, step
from scheduler.decision.plan import Plan
from scheduler.decision.snapshot import Changes, Snapshot
from scheduler.domain.brakes import Brake, Pause
from scheduler.domain.reasons import Reason
from scheduler.domain.units import MS_PER_HOUR, Instant, PerMille
from scheduler.domain.workloads import Attempt, ElasticTerms, Workload
from tests.decision import scattered
from tests.decision.applying import recorded
from tests.decision.builders import (
    NOW,
    SPARE,
    URGENT,
    attempt,
    balance,
    cold,
    node,
    nodes,
    placements,
    reasons,
    snapshot,
    victims,
    workload,
)
from tests.decision.scattered import moves, saved
from tests.decision.test_bookings import STARTS_WITHIN, booking, gone_in

ONE = nodes(node("n1"))
TWO = nodes(node("n1"), node("n2"))


def running(name: str, on: str = "n1", *, gpus: int, hours: float, **changes: object) -> Attempt:
    """Off-peak work that has just started, and ends so many hours from now, its grace of 30 seconds too."""
    made = attempt(name, on, gpus=gpus, priority_class=SPARE, running_for=0, **changes)  # type: ignore[arg-type]  # by name
    return replace(made, time_limit_ms=int(hours * MS_PER_HOUR) - made.grace_seconds * 1000)


def urgent(gpus: int, hours: float = 9, **changes: object) -> Workload:
    return workload("u", gpus=gpus, hours=hours, priority_class=URGENT, **changes)  # type: ignore[arg-type]  # by name


def seen(world: Snapshot) -> tuple[Plan, Plan]:
    """A plan, and that of the cycle after it was recorded."""
    plan = decide(world)
    return plan, decide(recorded(world, plan))


def test_beside_a_booking_nobody_falls_who_is_gone_when_it_begins() -> None:
    """What the one gives up is the booking's in an hour; what the other does, nobody's."""
    gone, stays = running("gone", gpus=4, hours=1), running("stays", gpus=4, hours=5)
    plan = decide(snapshot(ONE, [urgent(4)], attempts=[gone, stays, booking(gpus=4)]))

    assert victims(plan) == {"u": ["stays"]}


def test_who_is_gone_when_a_booking_begins_leaves_it_room_and_is_spared() -> None:
    """Reckoned as if nobody ended before it, the booking would have had the other fall as well."""
    world = snapshot(
        ONE,
        [urgent(2)],
        attempts=[running("a", gpus=4, hours=1), running("b", gpus=4, hours=5), booking(gpus=4)],
    )

    assert victims(decide(world)) == {"u": ["b"]}


def test_whose_end_is_the_bookings_beginning_is_gone_by_then() -> None:
    on_time, late = running("r", gpus=8, hours=2), running("r", gpus=8, hours=2 + 1 / 3_600_000)
    assert late.time_limit_ms == on_time.time_limit_ms + 1

    assert victims(decide(snapshot(ONE, [urgent(4)], attempts=[on_time, booking(gpus=4)]))) == {"u": ["r"]}
    beside_both = [urgent(8)]
    assert victims(decide(snapshot(ONE, beside_both, attempts=[on_time, booking(gpus=1)]))) == {}
    assert victims(decide(snapshot(ONE, beside_both, attempts=[late, booking(gpus=1)]))) == {}


def test_each_booking_ahead_is_left_its_gpus() -> None:
    """Until the second begins there is room, where somebody is stopped who would still run beside the first."""
    first, second = booking("first", gpus=2, in_hours=1, hours=1), booking("second", gpus=6, in_hours=3)
    early, late = running("early", gpus=4, hours=1), running("late", gpus=4, hours=3)
    world = snapshot(ONE, [urgent(4)], attempts=[first, second, early, late])
    assert victims(decide(world)) == {}

    short = gone_in("u", 3 - STARTS_WITHIN, gpus=4, priority_class=URGENT)
    assert victims(decide(replace(world, queued={short.id: short}))) == {"u": ["late"]}


def test_an_elastic_job_gives_back_no_more_than_is_needed_beside_a_booking() -> None:
    shared = replace(
        running("r", gpus=1, hours=5), placement=attempt("r", {"n1": 6}).placement, elastic=ElasticTerms(1, 6)
    )
    gone = running("gone", gpus=2, hours=1)
    plan = decide(snapshot(ONE, [urgent(2)], attempts=[shared, gone, booking(gpus=2)]))

    [preemption] = plan.preemptions
    assert [(victim.workload_id, victim.pods_left) for victim in preemption.victims] == [("r", 4)]


def test_what_starts_in_this_cycle_and_is_gone_by_then_leaves_a_booking_its_room_too() -> None:
    """A search for victims sees what the cycle has started before it."""
    first = gone_in("first", 1, gpus=4, priority_class=URGENT, age=9)
    world = snapshot(ONE, [first, urgent(4)], attempts=[running("r", gpus=4, hours=5), booking(gpus=4)])
    plan = decide(world)

    assert placements(plan) == {"first": {"n1": 1}}
    assert victims(plan) == {"u": ["r"]}


def test_what_another_has_stopped_in_this_cycle_is_not_counted_as_gone_by_then() -> None:
    """Its GPUs are the other's; that its time limit would have ended does not free them once more."""
    other = workload("other", gpus=4, hours=9, priority_class=URGENT, age=9)
    world = snapshot(
        ONE,
        [other, urgent(4)],
        attempts=[running("a", gpus=4, hours=5), running("b", gpus=4, hours=1), booking(gpus=4)],
    )

    assert victims(decide(world)) == {"other": ["a"]}


def test_who_is_kept_from_booked_gpus_takes_its_victims_at_once() -> None:
    """It would have waited as long as nobody else took those GPUs."""
    plan, again = seen(snapshot(TWO, [urgent(8)], attempts=[running("r", "n2", gpus=8, hours=5), booking()]))

    assert victims(plan) == {"u": ["r"]}
    assert reasons(plan) == {"u": Reason.AWAITING_PREEMPTION}
    assert again.preemptions == ()


def test_what_starts_on_booked_gpus_leads_to_no_preemption_in_the_next_cycle() -> None:
    """Found by a search: who was kept from them looked for victims when somebody shorter had taken them."""
    short = gone_in("short", 1, gpus=1)
    plan, again = seen(snapshot(TWO, [urgent(8), short], attempts=[running("r", "n2", gpus=8, hours=5), booking()]))

    assert victims(plan) == {"u": ["r"]}
    assert placements(plan) == {"short": {"n1": 1}}
    assert (again.launches, again.preemptions) == ((), ())


def test_who_is_kept_from_booked_gpus_that_somebody_ahead_waits_for_too_takes_its_victims_at_once() -> None:
    """Found by a search: that they are kept for the one ahead as well gives it no reason to wait."""
    ahead = workload("ahead", gpus=8, pods=3, age=9, priority_class=URGENT)
    free = attempt("free", "n1", gpus=8, is_funded=False)
    peer = attempt("peer", "n3", gpus=8, running_for=0, priority_class=URGENT)
    short = workload("short", gpus=2, hours=5, priority_class=SPARE)
    three = nodes(node("n1"), node("n2"), node("n3"))
    plan, again = seen(
        snapshot(three, [ahead, urgent(8), short], attempts=[free, peer, booking(on="n2", gpus=6, in_hours=0.5)])
    )

    assert victims(plan) == {"u": ["free"]}
    assert again.preemptions == ()


def test_who_is_kept_from_booked_gpus_and_finds_no_victims_waits_for_them() -> None:
    standard = workload("w", gpus=8, hours=9, age=9)
    longer = workload("longer", gpus=8, hours=10, age=5)
    short = gone_in("short", 1, gpus=8)
    world = snapshot(TWO, [standard, longer, short], attempts=[attempt("r", "n2", gpus=8, running_for=0), booking()])
    plan = decide(world)

    assert reasons(plan) == {"w": Reason.BOOKED, "longer": Reason.BOOKED, "short": Reason.LAUNCHING}


def test_while_preemption_is_paused_who_is_kept_from_booked_gpus_is_told_so_and_shorter_work_starts() -> None:
    short = replace(gone_in("short", 1, gpus=8), submitted_at=NOW)
    paused = (Pause(Brake.PREEMPT, "olga", "drill", NOW),)
    world = snapshot(
        TWO,
        [urgent(8, age=9), short],
        attempts=[running("r", "n2", gpus=8, hours=5), booking()],
        pauses=paused,
    )
    plan = decide(world)

    assert reasons(plan) == {"u": Reason.PREEMPTION_PAUSED, "short": Reason.LAUNCHING}
    assert plan.preemptions == ()


def test_a_state_that_lives_on_finds_the_same_victims_as_the_booking_comes_near() -> None:
    world = snapshot(TWO, [urgent(8, hours=2)], attempts=[running("r", "n2", gpus=8, hours=5), booking(in_hours=2)])
    paused = (Pause(Brake.LAUNCH, "olga", "drill", NOW),)
    state = cold(replace(world, pauses=paused))

    later = Instant(NOW + MS_PER_HOUR)
    _, plan = step(state, Changes(pauses=()), later)
    assert victims(plan) == victims(decide(replace(world, now=later))) == {"u": ["r"]}


def test_it_is_forecast_that_who_is_kept_from_booked_gpus_takes_victims() -> None:
    attempts = [running("r", "n2", gpus=8, hours=5), booking()]
    world = snapshot(TWO, [], attempts=attempts, balances=[balance("ada")])
    told = cold(world).forecast(urgent(8), PerMille(1000))
    assert told is not None
    assert (told.ruling.reason, told.victims) == (Reason.AWAITING_PREEMPTION, 1)


def test_a_gang_that_is_kept_from_booked_gpus_has_others_moved_at_once() -> None:
    """The first node is booked in half an hour; of the others, one is emptied onto the other."""
    a, b = saved("a", "n2", 4), saved("b", "n3", 4)
    world = scattered.world(a, b, booking(on="n1", in_hours=0.5), queued=[workload("whole", gpus=8, hours=9)])
    plan, again = seen(world)

    assert moves(plan) == {"a": {"n3": 1}}
    assert again.preemptions == ()


def test_no_more_is_moved_than_is_needed_beside_a_booking_that_an_end_serves() -> None:
    """When the booking begins the short one has ended: its GPUs serve it, and it need not be moved."""
    gone, stays = saved("gone", "n1", 2), saved("stays", "n1", 2, minutes_ago=9)
    stays = replace(stays, time_limit_ms=6 * MS_PER_HOUR)
    world = scattered.world(
        gone,
        stays,
        attempt("full", "n2", gpus=6),
        attempt("fuller", "n3", gpus=8),
        booking(on="n1", gpus=2),
        queued=[workload("six", gpus=6, hours=9)],
    )

    assert moves(decide(world)) == {"stays": {"n2": 1}}


def test_two_that_are_moved_to_one_node_leave_a_booking_there_its_gpus_together() -> None:
    """Each fits beside what is booked there, and both do not."""
    a, b, x = saved("a", "n1", 2), saved("b", "n1", 2), attempt("x", "n2", gpus=2)
    a, b, x = (replace(each, time_limit_ms=6 * MS_PER_HOUR) for each in (a, b, x))
    full = attempt("full", "n3", gpus=8)

    assert moves(decide(scattered.world(a, b, x, full, booking(on="n2", gpus=2)))) == {"a": {"n2": 1}, "b": {"n2": 1}}
    assert moves(decide(scattered.world(a, b, x, full, booking(on="n2", gpus=4)))) == {}
