"""Whom a workload may take GPUs from, and what keeps it from doing so."""

from dataclasses import replace
from typing import Any

import pytest

from scheduler.decision.decide import decide, step
from scheduler.decision.preempting.search import Search
from scheduler.decision.snapshot import Changes, Reservation
from scheduler.domain.brakes import Brake, Pause, Stop, StopRate
from scheduler.domain.cluster import Placement
from scheduler.domain.policy import BorrowWithinCohort, PriorityClass, Quota, ReclaimWithinCohort, WithinPool
from scheduler.domain.reasons import Reason
from scheduler.domain.units import Instant, NodeName, PerMille, PoolName, PriorityClassName, WorkloadId
from scheduler.domain.workloads import AttemptState
from tests.decision.applying import ended, recorded
from tests.decision.builders import (
    A100,
    H100,
    NOW,
    SPARE,
    STANDARD,
    URGENT,
    attempt,
    cold,
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
from tests.decision.test_bookings import booking
from tests.decision.test_elastic import running, shrunk

FULL = [attempt("older", "n1", gpus=4, running_for=3000), attempt("younger", "n1", gpus=4, running_for=60)]


def test_the_urgent_takes_what_loses_least_work_and_no_more_than_it_needs() -> None:
    plan = decide(snapshot(nodes(node("n1")), [workload("u", gpus=4, priority_class=URGENT)], attempts=FULL))

    assert victims(plan) == {"u": ["younger"]}
    victim = plan.preemptions[0].victims[0]
    assert (victim.rule, victim.comparison) == ("withinPool", "urgent over standard")
    assert reasons(plan) == {"u": Reason.AWAITING_PREEMPTION}


def test_nobody_of_the_same_class_is_taken_and_nobody_inside_the_minimum_runtime() -> None:
    equal = decide(snapshot(nodes(node("n1")), [workload("s", gpus=4)], attempts=FULL))
    assert (victims(equal), reasons(equal)) == ({}, {"s": Reason.RESOURCES})

    sheltered = PriorityClass(PriorityClassName("standard"), 200, minimum_runtime_ms=600_000)
    by = policy(pool("red", gpus=64), classes=(URGENT, sheltered, SPARE))
    plan = decide(snapshot(nodes(node("n1")), [workload("u", gpus=4, priority_class=URGENT)], by=by, attempts=FULL))
    assert victims(plan) == {"u": ["older"]}


@pytest.mark.parametrize(("launched_ago_seconds", "falls"), [(599, False), (600, True)])
def test_what_has_not_started_is_inside_its_minimum_runtime_from_its_launch(
    launched_ago_seconds: int, falls: bool
) -> None:
    sheltered = PriorityClass(PriorityClassName("standard"), 200, minimum_runtime_ms=600_000)
    by = policy(pool("red", gpus=64), classes=(URGENT, sheltered, SPARE))
    pulling = attempt("pulling", "n1", gpus=8, running_for=None, state=AttemptState.LAUNCHING)
    pulling = replace(pulling, launched_at=Instant(NOW - launched_ago_seconds * 1000))
    asked = [workload("u", gpus=4, priority_class=URGENT)]
    plan = decide(snapshot(nodes(node("n1")), asked, by=by, attempts=[pulling]))
    assert victims(plan) == ({"u": ["pulling"]} if falls else {})


def test_a_start_begins_the_minimum_runtime_anew_and_its_end_is_an_event() -> None:
    sheltered = PriorityClass(PriorityClassName("standard"), 200, minimum_runtime_ms=600_000)
    by = policy(pool("red", gpus=64), classes=(URGENT, sheltered, SPARE))
    started = replace(attempt("begun", "n1", gpus=8, running_for=300), launched_at=Instant(NOW - 900_000))
    asked = [workload("u", gpus=4, priority_class=URGENT)]
    given = snapshot(nodes(node("n1")), asked, by=by, attempts=[started])
    state = cold(given)
    assert victims(step(state, Changes(), Instant(NOW + 299_999))[1]) == {}
    assert victims(step(state, Changes(), Instant(NOW + 300_000))[1]) == {"u": ["begun"]}


def test_what_was_launched_without_a_minimum_runtime_falls_at_once() -> None:
    sheltered = PriorityClass(PriorityClassName("standard"), 200, minimum_runtime_ms=600_000)
    by = policy(pool("red", gpus=64), classes=(URGENT, sheltered, SPARE))
    young = [attempt("given", "n1", gpus=4, running_for=60), attempt("bare", "n1", gpus=4, running_for=60)]
    young[1] = replace(young[1], minimum_runtime_ms=0)
    plan = decide(snapshot(nodes(node("n1")), [workload("u", gpus=4, priority_class=URGENT)], by=by, attempts=young))
    assert victims(plan) == {"u": ["bare"]}


def test_unfunded_work_falls_first() -> None:
    running = [attempt("spare", "n1", gpus=4, priority_class=SPARE), attempt("free", "n1", gpus=4, is_funded=False)]

    plan = decide(snapshot(nodes(node("n1")), [workload("s", gpus=4)], attempts=running))

    assert victims(plan) == {"s": ["free"]}
    assert plan.preemptions[0].victims[0].comparison == "funded over unfunded"


def test_a_pool_takes_back_what_it_lent_and_never_what_another_uses_within_its_nominal_quota() -> None:
    by = policy(pool("red", gpus=4, cohort="all"), pool("blue", gpus=4, cohort="all"))
    wish = [workload("mine", team="blue", gpus=4)]
    lent = [attempt(name, "n1", gpus=4, is_borrowed=name == "b", priority_class=URGENT) for name in ("a", "b")]

    plan = decide(snapshot(nodes(node("n1")), wish, by=by, attempts=lent))
    assert victims(plan) == {"mine": ["b"]}
    assert plan.preemptions[0].victims[0].comparison == "reclaims borrowed GPUs"

    more = [workload("more", team="blue", gpus=8)]
    assert victims(decide(snapshot(nodes(node("n1")), more, by=by, attempts=lent))) == {}


@pytest.mark.parametrize(("red_ran", "blue_ran", "falls"), [(60, 3000, "of-red"), (3000, 60, "of-blue")])
def test_of_two_pools_that_borrow_alike_falls_who_loses_least(red_ran: int, blue_ran: int, falls: str) -> None:
    by = policy(*(pool(name, gpus=gpus, cohort="all") for name, gpus in (("red", 2), ("blue", 2), ("green", 4))))
    lent = [
        attempt("of-red", "n1", gpus=4, is_borrowed=True, running_for=red_ran),
        attempt("of-blue", "n1", team="blue", pool="blue", gpus=4, is_borrowed=True, running_for=blue_ran),
    ]
    plan = decide(snapshot(nodes(node("n1")), [workload("g", team="green", gpus=2)], by=by, attempts=lent))
    assert victims(plan) == {"g": [falls]}


@pytest.mark.parametrize("borrowed", ["older", "younger"])
def test_what_was_borrowed_once_falls_no_sooner_where_its_pool_borrows_no_more(borrowed: str) -> None:
    running = [replace(each, is_borrowed=each.workload_id == borrowed) for each in FULL]
    plan = decide(snapshot(nodes(node("n1")), [workload("u", gpus=4, priority_class=URGENT)], attempts=running))
    assert victims(plan) == {"u": ["younger"]}


def test_a_preemptor_waits_for_its_victims_and_then_starts_where_it_was_promised() -> None:
    first = snapshot(nodes(node("n1")), [workload("u", gpus=4, priority_class=URGENT)], attempts=FULL)
    waiting = recorded(first, decide(first))

    still = decide(waiting)
    assert (still.launches, still.preemptions) == ((), ())
    plan = decide(ended(waiting))
    assert placements(plan) == {"u": {"n1": 1}}
    assert (plan.launches[0].is_reserved, plan.launches[0].funding) == (True, ())


def test_what_is_stopping_already_is_waited_for() -> None:
    running = [replace(FULL[0], state=AttemptState.STOPPING, stop_reason=Reason.CANCELLED), FULL[1]]

    plan = decide(snapshot(nodes(node("n1")), [workload("u", gpus=4, priority_class=URGENT)], attempts=running))

    assert (victims(plan), reasons(plan)) == ({}, {"u": Reason.RESOURCES})


def test_a_reservation_lapses_when_policy_has_its_priority_class_or_gpu_class_no_more() -> None:
    """Its victims have ended meanwhile: it is judged anew, and not launched on terms that nobody knows."""
    low = attempt("low", "n1", gpus=8, priority_class=SPARE)
    world = snapshot(nodes(node("n1")), [workload("w", gpus=8, priority_class=URGENT)], attempts=[low])
    world = ended(recorded(world, decide(world)))
    without_gpus = replace(world.policy, gpu_classes={})
    for changed, reason in (
        (policy(classes=[SPARE]), Reason.NO_PRIORITY_CLASS),
        (
            replace(without_gpus, pools={PoolName("red"): pool("red", quotas={A100: Quota(A100, 8)})}),
            Reason.NOT_OFFERED,
        ),
    ):
        later = replace(world, policy=changed)
        plan = decide(later)
        assert (plan.launches, plan.lapsed) == ((), ("w",))
        assert reasons(decide(recorded(later, plan)))["w"] is reason


def test_a_reservation_lapses_at_its_end_or_when_its_node_is_gone() -> None:
    held = Reservation(WorkloadId("u"), H100, Placement(((NodeName("n1"), 1),)), Instant(NOW + 1000))
    wish = [workload("u")]

    assert decide(snapshot(nodes(node("n2")), wish, reservations=[held])).lapsed == ("u",)
    over = replace(held, until=NOW)
    assert decide(snapshot(nodes(node("n1")), wish, reservations=[over])).lapsed == ("u",)


def test_the_brakes_keep_victims_and_say_so() -> None:
    wish = [workload("u", gpus=4, priority_class=URGENT)]
    paused = (Pause(Brake.PREEMPT, "olga", "drill", NOW),)
    assert reasons(decide(snapshot(nodes(node("n1")), wish, attempts=FULL, pauses=paused))) == {
        "u": Reason.PREEMPTION_PAUSED
    }

    by = policy(pool("red", gpus=64), preempt_rate=StopRate(PerMille(500)))
    stopped = (Stop(Brake.PREEMPT, Instant(NOW - 1000), 1),)
    plan = decide(snapshot(nodes(node("n1")), wish, by=by, attempts=FULL, stops=stopped))
    assert reasons(plan) == {"u": Reason.STOP_RATE}
    assert plan.verdicts[0].evidence == {"gpus": 4, "stopped": 1, "limit": 4}


def test_what_cannot_end_before_the_gang_ahead_could_start_does_not_delay_it() -> None:
    running = [replace(attempt("r", "n1", gpus=4), time_limit_ms=2 * 3_600_000)]  # an hour of it is left
    queued = [
        workload("gang", gpus=8, age=60),
        workload("long", gpus=4, hours=3, owner="bob"),
        workload("short", gpus=4, hours=0.5, owner="cyd", priority_class=STANDARD),
    ]

    plan = decide(snapshot(nodes(node("n1")), queued, attempts=running))

    assert reasons(plan) == {"gang": Reason.RESOURCES, "long": Reason.PRIORITY, "short": Reason.LAUNCHING}
    told = next(verdict for verdict in plan.verdicts if verdict.workload_id == "long")
    assert told.evidence["ahead"] == "gang"


def test_where_policy_says_so_what_was_submitted_later_gives_way_to_its_equals() -> None:
    by = policy(pool("red", gpus=64, within_pool=WithinPool.LOWER_OR_NEWER_EQUAL_PRIORITY))
    runs = [
        attempt("older", "n1", gpus=4, submitted_at=Instant(NOW - 9000)),
        attempt("newer", "n1", gpus=4, submitted_at=Instant(NOW - 1000)),
    ]
    plan = decide(snapshot(nodes(node("n1")), [workload("w", gpus=4, age=5)], by=by, attempts=runs))

    assert victims(plan) == {"w": ["newer"]}
    assert plan.preemptions[0].victims[0].comparison == "both standard, submitted earlier"
    twice = decide(snapshot(nodes(node("n1")), [workload("w", gpus=8, age=5)], by=by, attempts=runs))
    assert victims(twice) == {}


def test_of_those_who_lose_as_much_the_youngest_falls() -> None:
    saved = Instant(NOW - 60_000)
    runs = [
        replace(attempt(name, "n1", gpus=4, running_for=age), checkpointed_at=saved)
        for name, age in (("a-old", 900), ("b-young", 300), ("c-old", 900))
    ]
    asked = workload("u", gpus=4, priority_class=URGENT)
    assert victims(decide(snapshot(nodes(node("n1", 12)), [asked], attempts=runs))) == {"u": ["b-young"]}


def test_work_of_a_pool_that_borrows_falls_before_lower_work_of_its_own() -> None:
    red = pool("red", gpus=8, cohort="all", reclaim_within_cohort=ReclaimWithinCohort.ANY)
    runs = [
        attempt("own", "n1", gpus=4, team="red", pool="red", priority_class=SPARE),
        attempt("theirs", "n1", gpus=12, team="blue", pool="blue"),
    ]
    world = snapshot(
        nodes(node("n1", 16)),
        [workload("w", gpus=4, team="red")],
        by=policy(red, pool("blue", gpus=8, cohort="all")),
        attempts=runs,
    )
    assert victims(decide(world)) == {"w": ["theirs"]}


def test_what_was_submitted_in_the_same_instant_does_not_give_way_to_its_equals() -> None:
    by = policy(pool("red", gpus=64, within_pool=WithinPool.LOWER_OR_NEWER_EQUAL_PRIORITY))
    alike = attempt("alike", "n1", gpus=8, submitted_at=Instant(NOW - 5000))
    plan = decide(snapshot(nodes(node("n1")), [workload("w", gpus=4, age=5)], by=by, attempts=[alike]))
    assert victims(plan) == {}


def test_a_search_goes_on_beyond_the_first_few_where_everybody_would_be_enough_and_only_there() -> None:
    """Twelve newer ones fill a node; the one on the other node is taken only where it is newer, too."""
    by = policy(pool("red", gpus=64, within_pool=WithinPool.LOWER_OR_NEWER_EQUAL_PRIORITY))
    newer = [
        attempt(f"n{each:02}", "n1", running_for=60 + each, submitted_at=Instant(NOW - 1000)) for each in range(12)
    ]
    pair = workload("w", gpus=12, pods=2, age=5)

    def planned(submitted_ago: int) -> dict[str, list[str]]:
        other = attempt("other", "n2", gpus=12, submitted_at=Instant(NOW - submitted_ago))
        return victims(
            decide(snapshot(nodes(node("n1", 12), node("n2", 12)), [pair], by=by, attempts=[*newer, other]))
        )

    assert planned(9000) == {}
    assert sorted(planned(1000)["w"]) == [*(f"n{each:02}" for each in range(12)), "other"]


def test_a_preemptor_takes_no_more_than_is_left_beside_a_booking_and_goes_where_it_is_free() -> None:
    """Half of the first node is booked from before it would have ended; there is no more room on it, but on the other."""
    runs = [attempt("r", "n1", gpus=8, running_for=60), attempt("s", "n2", gpus=4, running_for=60)]
    world = snapshot(nodes(node("n1"), node("n2")), attempts=runs)
    half = booking(gpus=4, in_hours=1)
    attempts = {each.id: each for each in [*runs, half]}

    eight = workload("u", gpus=8, hours=3, priority_class=URGENT)
    plan = decide(replace(snapshot(world.nodes, [eight]), attempts=attempts))
    assert (victims(plan), dict(plan.preemptions[0].launch.placement.pods_by_node)) == ({"u": ["s"]}, {"n2": 1})


def test_what_its_pool_borrows_in_this_cycle_makes_nobody_a_victim_who_ran_before_it() -> None:
    """Blue uses 3 of its 4 GPUs, and starts 8 more in the cycle in which green asks for one of its own."""
    terms = {"cohort": "all", "reclaim_within_cohort": ReclaimWithinCohort.ANY}
    by = policy(pool("red", gpus=12, **terms), pool("blue", gpus=4, **terms), pool("green", gpus=4, **terms))
    full = [attempt(f"r{number}", "n0", owner="ada", priority_class=URGENT) for number in range(4)]
    full += [
        attempt("unpaid", "n0", owner="ada", priority_class=URGENT, is_funded=False),
        attempt("within", "n0", owner="ada", team="blue", pool="blue", gpus=3, priority_class=URGENT),
        attempt("r6", "n1", owner="ada", gpus=2, priority_class=URGENT),
        attempt("green", "n1", owner="ada", team="green", pool="green", gpus=2, priority_class=URGENT),
        attempt("r9", "n2", owner="ada", priority_class=URGENT),
    ]
    waiting = [
        workload("w0", team="blue", priority_class=URGENT),
        workload("w1", team="green", priority_class=URGENT),
        workload("v2", team="blue", gpus=4, pods=2, priority_class=URGENT),
        workload("v3", team="green", gpus=3, priority_class=URGENT),
    ]
    plan = decide(snapshot(nodes(node("n0"), node("n1"), node("n2")), waiting, attempts=full, by=by))

    assert "v2" in placements(plan)
    assert "within" not in [name for taken in victims(plan).values() for name in taken]


def test_what_is_stopping_counts_beside_whoever_is_stopped() -> None:
    """One that was cancelled is still going down: with it half of the quota comes back, and the other half is taken."""
    going = attempt("going", "n1", gpus=4, state=AttemptState.STOPPING, stop_reason=Reason.CANCELLED)
    low = attempt("low", "n1", gpus=4, priority_class=SPARE)
    rules = policy(pool("red", gpus=8, within_pool=WithinPool.LOWER_PRIORITY))
    wanted = workload("w", gpus=8, priority_class=URGENT)
    plan = decide(snapshot(nodes(node("n1"), node("n2")), [wanted], attempts=[going, low], by=rules))

    assert victims(plan) == {"w": ["low"]}


@pytest.mark.parametrize("borrows", list(BorrowWithinCohort))
def test_where_borrowing_takes_nobody_else_those_that_taking_back_has_tried_are_not_tried_again(
    borrows: BorrowWithinCohort, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Blue has borrowed two GPUs, and a whole node is wanted: any one attempt gives that back, and frees too little."""
    searches: list[str] = []
    run = Search.run

    def counted(search: Search) -> Any:
        searches.append(search._gpu_class)
        return run(search)

    monkeypatch.setattr(Search, "run", counted)
    blue = [
        attempt(f"{gpus} on {on}", on, gpus=gpus, team="blue", pool="blue", running_for=gpus * 600)
        for on in ("n1", "n2")
        for gpus in (3, 2)
    ]
    rules = policy(pool("red", cohort="all", borrow_within_cohort=borrows), pool("blue", cohort="all"))
    plan = decide(snapshot(nodes(node("n1"), node("n2")), [workload("w", gpus=8)], attempts=blue, by=rules))

    assert (victims(plan), reasons(plan)) == ({}, {"w": Reason.QUOTA})
    assert searches == [H100]


def test_of_two_classes_whoever_needs_victims_takes_the_one_on_which_nobody_needs_to_be_stopped() -> None:
    """On the first, which it likes better, somebody would fall beside what others give back."""
    gives_two = running("two", {"n1": 3}, 1, 3, priority_class=SPARE)
    gives_four = running("four", {"n2": 5}, 1, 5, priority_class=SPARE, gpu_class=A100)
    falls = attempt("falls", "n1", gpus=2, priority_class=SPARE)
    wish = [workload("u", gpus=4, priority_class=URGENT, classes=(H100, A100))]
    known = nodes(node("n1", 5), node("n2", 5, gpu_class=A100))
    assert shrunk(decide(snapshot(known, wish, attempts=[gives_two, gives_four, falls]))) == {"four": 1}
