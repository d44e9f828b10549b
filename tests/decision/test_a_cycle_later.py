"""What is planned a cycle later than it could be. Each was found by a search; none has anything to do with bookings.

A cycle starts what it can and looks back at nobody whom that helped. The next one, a second later at most, does.
"""

from dataclasses import replace

from scheduler.decision.decide import decide
from scheduler.decision.plan import Plan
from scheduler.decision.snapshot import Snapshot
from scheduler.domain.policy import Policy, ReclaimWithinCohort, WithinPool
from scheduler.domain.reasons import Reason
from scheduler.domain.workloads import ElasticTerms
from tests.decision.applying import recorded
from tests.decision.builders import (
    SPARE,
    STANDARD,
    URGENT,
    attempt,
    balance,
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
from tests.decision.scattered import moves_of, moving, saved, world

TWO = nodes(node("n0"), node("n1"))


def lending(red: int = 16, blue: int = 16, within_pool: WithinPool = WithinPool.LOWER_PRIORITY) -> Policy:
    """Two pools of one cohort that take back what they lent."""
    terms = {"cohort": "all", "within_pool": within_pool, "reclaim_within_cohort": ReclaimWithinCohort.ANY}
    return policy(pool("red", gpus=red, **terms), pool("blue", gpus=blue, **terms))


def seen(world: Snapshot) -> tuple[Plan, Plan]:
    """A plan, and that of the cycle after it was recorded."""
    plan = decide(world)
    return plan, decide(recorded(world, plan))


def test_who_stood_behind_room_that_is_kept_looks_for_victims_once_shorter_work_has_taken_it() -> None:
    """The first waits for both nodes; the second could have had one of them, and stops somebody on the other when it
    is gone."""
    first = workload("first", team="blue", gpus=4, pods=3, age=9, priority_class=URGENT)
    second = workload("second", gpus=8, age=5, priority_class=URGENT)
    short = workload("short", gpus=1, hours=0.25)
    world = snapshot(
        TWO, [first, second, short], attempts=[attempt("r", {"n1": 2}, gpus=4, running_for=60)], by=lending()
    )
    plan, again = seen(world)

    assert (placements(plan), plan.preemptions) == ({"short": {"n0": 1}}, ())
    assert reasons(plan)["second"] is Reason.PRIORITY
    assert victims(again) == {"second": ["r"]}


def test_who_stood_behind_somebody_whose_owner_has_spent_the_hours_meanwhile_starts_then() -> None:
    first = workload("first", team="blue", owner="bob", gpus=8, pods=2, age=9, hours=0.75, priority_class=URGENT)
    spends = workload("spends", owner="bob", gpus=2, hours=0.5, priority_class=SPARE)
    behind = workload("behind", team="blue", gpus=1, hours=5)
    world = snapshot(
        TWO,
        [first, spends, behind],
        attempts=[attempt("r", "n1", gpus=4, running_for=60)],
        by=lending(),
        balances=[balance("ada"), balance("bob", 12)],
    )
    plan, again = seen(world)

    assert placements(plan) == {"spends": {"n1": 1}}
    assert reasons(again)["first"] is Reason.ALLOWANCE_SHORT
    assert placements(again).keys() == {"behind"}


def test_what_a_cycle_lends_is_taken_back_in_the_next() -> None:
    """Nobody borrows before the cycle: there is nobody whom the pool that is owed its quota may take."""
    known = nodes(node("n0"), node("n1", labels={"rack": "b"}))
    owed = workload("owed", team="blue", gpus=2, age=9, nodes_with=(("rack", "b"),))
    borrows = workload("borrows", gpus=4, hours=0.5)
    shared = attempt("shared", {"n1": 8}, running_for=60, elastic=ElasticTerms(1, 8))
    plan, again = seen(snapshot(known, [owed, borrows], attempts=[shared], by=lending(red=8)))

    assert (placements(plan), plan.preemptions) == ({"borrows": {"n0": 1}}, ())
    assert victims(again) == {"owed": ["shared"]}


def test_newer_work_that_started_first_for_its_owner_had_started_less_falls_in_the_next_cycle() -> None:
    """Its pool lets newer work of equal priority fall. What ada starts sends her next workload behind bob's, which is
    newer: it takes what hers was to have, and when it runs it may be taken for hers."""
    one = workload("one", gpus=1, age=9)
    large = workload("large", gpus=8, age=5)
    newer = workload("newer", owner="bob", gpus=2)
    world = snapshot(
        TWO,
        [one, large, newer],
        attempts=[attempt("r", "n0", gpus=6, team="blue", pool="blue")],
        by=lending(within_pool=WithinPool.LOWER_OR_NEWER_EQUAL_PRIORITY),
    )
    plan, again = seen(world)

    assert placements(plan).keys() == {"one", "newer"}
    assert reasons(plan)["large"] is Reason.RESOURCES
    assert victims(again) == {"large": ["newer"]}


def test_who_counted_on_what_is_coming_free_looks_for_victims_once_others_have_taken_it() -> None:
    """With two pods that still end there would be room for all three; then the elastic one takes a second."""
    first = workload("first", team="blue", gpus=8, pods=2, age=9, priority_class=URGENT)
    made = workload("widened", gpus=1, pods=2, age=5, hours=0.25, priority_class=URGENT)
    elastic = replace(made, spec=replace(made.spec, min_pods=1))
    counts = workload("counts", gpus=2, pods=3, hours=0.25, priority_class=URGENT)
    shrunk = attempt("shrunk", {"n1": 3}, running_for=60, elastic=ElasticTerms(1, 3)).shrunk_to(1)
    large = attempt("large", {"n0": 2}, gpus=4, running_for=60, elastic=ElasticTerms(1, 2))
    plan, again = seen(snapshot(TWO, [first, elastic, counts], attempts=[shrunk, large], by=lending()))

    assert (placements(plan), plan.preemptions) == ({"widened": {"n1": 2}}, ())
    assert victims(again) == {"counts": ["large"]}


def test_for_who_waits_behind_the_first_and_asks_for_another_size_moves_are_made_once_the_first_is_helped() -> None:
    known = nodes(*(node(f"n{number}") for number in range(4)))
    running = [saved("r0", "n0", gpus=1, minutes_ago=1, priority_class=SPARE)]
    running += [
        saved(f"r{number}", f"n{number}", gpus=1, minutes_ago=2 if number == 2 else 0) for number in (1, 2, 3)
    ]
    by = moving()
    by = replace(by, consolidation=replace(by.consolidation, priority_classes=frozenset({SPARE.name, STANDARD.name})))
    queued = [workload("two", pods=2, gpus=8, age=1), workload("one", gpus=8, priority_class=SPARE)]
    plan, again = seen(world(*running, known=known, queued=queued, by=by))

    assert {each.launch.workload_id for each, _ in moves_of(plan)} == {"two"}
    assert reasons(plan)["one"] is Reason.PRIORITY
    assert {each.launch.workload_id for each, _ in moves_of(again)} == {"one"}
