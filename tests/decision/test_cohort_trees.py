"""Cohorts in a tree: quota that a cohort shares, what it borrows and lends, and who takes back from whom, as in Kueue."""

from dataclasses import replace
from typing import Any

import pytest

from scheduler.decision.decide import decide
from scheduler.decision.limits.quota import Quotas
from scheduler.decision.plan import Plan
from scheduler.decision.snapshot import Snapshot
from scheduler.domain.policy import BorrowWithinCohort, Cohort, Policy, Pool, Quota, ReclaimWithinCohort, WithinPool
from scheduler.domain.reasons import Reason
from scheduler.domain.units import CohortName, PoolName
from scheduler.domain.workloads import Attempt
from tests.decision.builders import (
    H100,
    SPARE,
    URGENT,
    attempt,
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

TWO = nodes(node("n0"), node("n1"))


def cohort(name: str, parent: str | None = None, nominal: int = 0, **limits: int) -> Cohort:
    quotas = {H100: Quota(H100, nominal, **limits)} if nominal or limits else {}
    return Cohort(CohortName(name), CohortName(parent) if parent is not None else None, quotas)


def member(name: str, of: str, gpus: int = 4, **terms: Any) -> Pool:
    return pool(name, cohort=of, gpus=gpus, **terms)


def tree(*cohorts: Cohort, **nominal: int) -> Policy:
    """Pools red and rose of the cohort warm, blue and navy of the cohort cold, both in one company."""
    pools = [member(name, of, nominal.get(name, 4)) for name, of in (("red", "warm"), ("rose", "warm"))]
    pools += [member(name, of, nominal.get(name, 4)) for name, of in (("blue", "cold"), ("navy", "cold"))]
    known = {each.name: each for each in (cohort("company"), cohort("warm", "company"), cohort("cold", "company"))}
    return policy(*pools, cohorts=(known | {each.name: each for each in cohorts}).values())


def run(name: str, gpus: int, of: str, on: str = "n0", **terms: Any) -> Attempt:
    return attempt(name, on, gpus=gpus, team=of, pool=of, running_for=60, **terms)


def free(by: Policy, **used: int) -> dict[str, int]:
    """What each pool could use more, when others use so much."""
    quotas = Quotas.of(by)
    for name, gpus in used.items():
        quotas.use(PoolName(name), H100, gpus)
    return {name: quotas.available(PoolName(name), H100) for name in by.pools}


@pytest.mark.parametrize(
    ("by", "used", "expected"),
    [
        (tree(cohort("warm", "company", 2)), {}, {"red": 18, "rose": 18, "blue": 18, "navy": 18}),
        (
            tree(cohort("warm", "company", 2, borrowing_limit=1)),
            {"rose": 5},
            {"red": 6, "rose": 6, "blue": 13, "navy": 13},
        ),
        (
            tree(cohort("warm", "company", 2, lending_limit=0)),
            {"navy": 3},
            {"red": 15, "rose": 15, "blue": 5, "navy": 5},
        ),
        (
            tree(cohort("warm", "company", 2, lending_limit=3), cohort("cold", "company", borrowing_limit=1)),
            {"blue": 6},
            {"red": 12, "rose": 12, "blue": 3, "navy": 3},
        ),
        (tree(cohort("spare", "company", 5)), {"red": 20}, {"red": 1, "rose": 1, "blue": 1, "navy": 1}),
    ],
    ids=[
        "a cohort's own quota is everybody's to borrow",
        "a cohort borrows up to its limit, whichever member does",
        "a cohort that lends nothing keeps its own and its members' quota to itself",
        "what is lent and what is borrowed meet",
        "a cohort without pools gives what it has to the one above",
    ],
)
def test_what_is_free_is_as_the_tree_has_it(by: Policy, used: dict[str, int], expected: dict[str, int]) -> None:
    assert free(by, **used) == expected


def test_what_is_borrowed_inside_a_cohort_is_not_taken_from_outside() -> None:
    """Red borrows of rose, warm of nobody; navy borrows of blue and of no one else. Blue wants what is its own."""
    running = [
        run("inside", 6, "red", is_borrowed=True, priority_class=SPARE),
        run("mine", 2, "navy"),
        run("borrowed", 6, "navy", "n1", is_borrowed=True),
    ]
    world = snapshot(TWO, [workload("wants", team="blue", gpus=4, age=9)], attempts=running, by=tree())

    assert victims(decide(world)) == {"wants": ["borrowed"]}


def test_what_a_cohort_borrows_is_taken_from_whichever_of_its_pools_borrows() -> None:
    """Rose keeps within its nominal quota, though its cohort does not."""
    running = [
        run("within", 4, "rose"),
        run("beyond", 4, "red"),
        run("more", 4, "red", "n1"),
        run("navy", 4, "navy", "n1"),
    ]
    world = snapshot(TWO, [workload("wants", team="blue", gpus=4, age=9)], attempts=running, by=tree())

    assert victims(decide(world)) in ({"wants": ["beyond"]}, {"wants": ["more"]})


def test_a_pool_takes_back_what_its_cohort_lent_though_it_borrows_of_it() -> None:
    """As Kueue's hierarchical reclaim: within warm's quota red borrows of nobody outside, whatever the priority."""
    lent = [run(name, 4, "navy", on, priority_class=URGENT) for name, on in (("n", "n0"), ("a", "n1"), ("v", "n1"))]
    wants = workload("wants", team="red", gpus=4, age=9)
    plan = decide(snapshot(TWO, [wants], attempts=[run("mine", 4, "red"), *lent], by=tree()))

    assert [(each.launch.is_borrowed, len(each.victims)) for each in plan.preemptions] == [(True, 1)]
    assert plan.preemptions[0].victims[0].rule == "reclaimWithinCohort"


def test_once_its_cohort_uses_all_that_is_its_own_it_takes_nothing_back() -> None:
    running = [run("mine", 8, "red"), run("cold", 8, "navy", "n1")]
    world = snapshot(TWO, [workload("wants", team="red", gpus=4, age=9)], attempts=running, by=tree())

    assert victims(decide(world)) == {}
    assert reasons(decide(world))["wants"] is Reason.QUOTA


def test_between_two_pools_of_one_cohort_the_cohort_above_decides_nothing() -> None:
    """Warm is within its own; rose still takes back from red, with which it shares it."""
    world = snapshot(
        TWO,
        [workload("wants", team="rose", gpus=4, age=9)],
        attempts=[run("borrowed", 8, "red"), run("cold", 8, "blue", "n1")],
        by=tree(),
    )

    assert victims(decide(world)) == {"wants": ["borrowed"]}


def test_who_borrows_of_its_own_cohort_goes_before_who_borrows_from_further_away() -> None:
    """Both borrow; blue, though of a higher class, of another cohort's quota, which is not lent to it first."""
    near, far = (
        workload("near", team="red", gpus=8),
        workload("far", team="blue", gpus=9, age=9, priority_class=URGENT),
    )
    by = tree(blue=0, navy=1)
    world = snapshot(nodes(node("n0", 9)), [near, far], by=by)

    assert placements(decide(world)).keys() == {"near"}


@pytest.mark.parametrize(
    ("terms", "rule"), [(BorrowWithinCohort.NEVER, None), (BorrowWithinCohort.LOWER_PRIORITY, "borrowWithinCohort")]
)
def test_whoever_borrows_of_both_cohorts_stops_others_only_as_borrow_within_cohort_says(
    terms: BorrowWithinCohort, rule: str | None
) -> None:
    """Company has 12 GPUs in all: red would have them all, of which its cohort has 8."""
    base = tree(blue=0)
    by = replace(base, pools={name: replace(each, borrow_within_cohort=terms) for name, each in base.pools.items()})
    running = [run("mine", 8, "red"), run("spare", 8, "navy", "n1", priority_class=SPARE)]
    world = snapshot(TWO, [workload("wants", team="red", gpus=4, age=9)], attempts=running, by=by)
    plan = decide(world)

    assert [victim.rule for each in plan.preemptions for victim in each.victims] == ([rule] if rule else [])


def beside_its_own(**terms: Any) -> Snapshot:
    """Red has 6 GPUs and uses 4, of which 2 are spare; the other 2 blue has borrowed. Urgent work of red asks for 4."""
    by = policy(member("red", "company", 6, **terms), member("blue", "company", 6), cohorts=[cohort("company")])
    running = [
        run("spare", 2, "red", priority_class=SPARE),
        run("stays", 2, "red", priority_class=URGENT),
        run("lent", 2, "blue"),
        run("blues", 6, "blue", "n1"),
    ]
    asks = workload("asks", team="red", gpus=4, priority_class=URGENT)
    return snapshot(nodes(node("n0", 6), node("n1", 6)), [asks], attempts=running, by=by)


def rules(plan: Plan) -> dict[str, str]:
    return {victim.workload_id: victim.rule for each in plan.preemptions for victim in each.victims}


def test_what_its_own_pool_gives_up_and_what_was_lent_of_it_are_taken_together() -> None:
    """Neither is enough. With both gone red uses its 6 GPUs: so it does in Kueue, without borrowing."""
    assert rules(decide(beside_its_own())) == {"lent": "reclaimWithinCohort", "spare": "withinPool"}


def test_what_is_lent_is_never_taken_back_to_borrow_with_it() -> None:
    """There is more lent than it needs, but with the spare work of red left red would use 8 of its 6 GPUs."""
    world = beside_its_own()
    by = policy(*world.policy.pools.values(), member("idle", "company", 2), cohorts=[cohort("company")])
    running = {**world.attempts, **{each.id: each for each in [run("lent-too", 2, "blue")]}}
    world = replace(world, policy=by, attempts=running, nodes=nodes(node("n0"), node("n1", 6)))
    found = rules(decide(world))
    assert found.pop("spare") == "withinPool"
    assert list(found.values()) == ["reclaimWithinCohort"]


@pytest.mark.parametrize(
    "terms",
    [{"within_pool": WithinPool.NEVER}, {"reclaim_within_cohort": ReclaimWithinCohort.NEVER}],
    ids=["its own is safe", "what is lent stays lent"],
)
def test_and_where_either_may_not_be_taken_neither_is(terms: dict[str, Any]) -> None:
    found = decide(beside_its_own(**terms))
    assert (found.preemptions, reasons(found)) == ((), {"asks": Reason.QUOTA})


def test_who_would_borrow_with_all_of_its_own_gone_takes_nothing_back() -> None:
    """Five beside the two that stay are one more than red has."""
    world = beside_its_own()
    more = workload("asks", team="red", gpus=5, priority_class=URGENT)
    assert decide(replace(world, queued={more.id: more})).preemptions == ()


def test_what_is_taken_back_from_outside_and_what_is_borrowed_inside_are_taken_together() -> None:
    """On one node are 5 GPUs of lower work of its cohort and 3 of higher work that borrows from outside; it wants 7."""
    base = tree(cohort("warm", "company", 4))
    lower = BorrowWithinCohort.LOWER_PRIORITY
    by = replace(base, pools={name: replace(each, borrow_within_cohort=lower) for name, each in base.pools.items()})
    running = [
        run("inside", 5, "rose", priority_class=SPARE),
        run("outside", 3, "navy", priority_class=URGENT),
        run("navys", 6, "navy", "n1", priority_class=URGENT),
    ]
    world = snapshot(TWO, [workload("wants", team="red", gpus=7)], attempts=running, by=by)

    assert rules(decide(world)) == {"inside": "borrowWithinCohort", "outside": "reclaimWithinCohort"}
