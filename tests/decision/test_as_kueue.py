"""Whoever Kueue would start, or preempt for, is started or preempted for here, and nobody else, but for one difference:
in any tree of cohorts, with room enough."""

from dataclasses import replace
from random import Random

import pytest

from scheduler.decision.decide import decide
from scheduler.domain.policy import BorrowWithinCohort, Cohort, Policy, Pool, Quota, ReclaimWithinCohort, WithinPool
from scheduler.domain.units import MS_PER_MINUTE, CohortName, Instant, PoolName
from scheduler.domain.workloads import Attempt, Workload
from tests.decision.builders import (
    H100,
    NOW,
    SPARE,
    STANDARD,
    URGENT,
    attempt,
    node,
    nodes,
    policy,
    pool,
    snapshot,
    workload,
)
from tests.decision.kueue import Asked, Kueue
from tests.decision.trees import Tree

CLASSES = {each.value: each for each in (SPARE, STANDARD, URGENT)}
NEVER = ReclaimWithinCohort.NEVER
WORLDS, OF_WHICH_PREEMPT = 500, 30


def limit(chance: Random) -> int | None:
    return chance.choice([None, None, 0, 2, 4])


def pool_of(name: str, cohorts: list[Cohort], chance: Random) -> Pool:
    nominal, lent = chance.choice([0, 2, 4, 6, 8]), limit(chance)
    reclaims = chance.choice(
        [ReclaimWithinCohort.ANY, ReclaimWithinCohort.ANY, ReclaimWithinCohort.LOWER_PRIORITY, NEVER]
    )
    borrows = BorrowWithinCohort.NEVER if reclaims is NEVER else chance.choice(list(BorrowWithinCohort))
    quota = Quota(H100, nominal, limit(chance), None if lent is None else min(lent, nominal))
    return replace(
        pool(name, cohort=chance.choice(cohorts).name, gpus=nominal),
        quotas={H100: quota},
        within_pool=chance.choice(list(WithinPool)),
        reclaim_within_cohort=reclaims,
        borrow_within_cohort=borrows,
        borrow_threshold=None if borrows is BorrowWithinCohort.NEVER else chance.choice([None, None, SPARE.value]),
    )


def cohorts_of(chance: Random) -> list[Cohort]:
    found = [Cohort(CohortName("company"))]
    for name in ("warm", "cold") if chance.random() < 0.7 else ():
        shared = Quota(H100, chance.choice([0, 2, 4]), limit(chance), limit(chance))
        quotas = {H100: shared} if chance.random() < 0.5 else {}
        found.append(Cohort(CohortName(name), CohortName("company"), quotas))
    return found


def world(seed: int) -> Kueue:
    """Pools that keep their limits, and one workload more."""
    chance = Random(seed)
    cohorts = cohorts_of(chance)
    names = ["red", "blue", "green", "navy"][: chance.choice([2, 3, 4])]
    by: Policy = policy(*(pool_of(name, cohorts, chance) for name in names), cohorts=cohorts)
    running: list[Asked] = []
    used = dict.fromkeys(by.pools, 0)

    def asked(name: str, sizes: list[int]) -> Asked:
        of = PoolName(chance.choice(names))
        return Asked(name, of, chance.choice(list(CLASSES)), chance.choice(sizes), chance.randint(1, 40))

    for number in range(chance.randint(1, 9)):
        each = asked(f"r{number}", [1, 2, 2, 3, 4])
        if Tree(by, H100, used | {each.pool: used[each.pool] + each.gpus}).keeps_limits(each.pool):
            used[each.pool] += each.gpus
            running.append(each)
    return Kueue(by, tuple(running), asked("asks", [1, 2, 3, 4, 6, 8]))


def since(asked: Asked) -> Instant:
    return Instant(NOW - asked.age * MS_PER_MINUTE)


def runs(asked: Asked) -> Attempt:
    terms = {"gpus": asked.gpus, "team": asked.pool, "pool": asked.pool, "priority_class": CLASSES[asked.priority]}
    return replace(attempt(asked.name, "n", running_for=3600, **terms), submitted_at=since(asked))  # type: ignore[arg-type]  # by name


def waits(asked: Asked) -> Workload:
    made = workload(asked.name, team=asked.pool, gpus=asked.gpus, priority_class=CLASSES[asked.priority])
    return replace(made, submitted_at=since(asked))


def agrees(kueue: Kueue) -> bool:
    """It starts here if it would there; and others are preempted for it here where they are there. Beside that it stops
    lower work of its own pool though it asks for more than the nominal quota (docs/scheduling.md)."""
    room = nodes(node("n", 200))
    running = [runs(each) for each in kueue.running]
    plan = decide(snapshot(room, [waits(kueue.asks)], attempts=running, by=kueue.policy))
    if kueue.starts() or plan.launches:
        return kueue.starts() and bool(plan.launches)
    rules = {victim.rule for each in plan.preemptions for victim in each.victims}
    is_larger = kueue.asks.gpus > kueue.policy.pools[kueue.asks.pool].quotas[H100].nominal
    return bool(rules) == kueue.preempts() or (is_larger and rules == {"withinPool"})


@pytest.mark.parametrize("first", range(0, 3 * WORLDS, WORLDS))
def test_whoever_kueue_would_start_or_preempt_for_is_served_here_and_nobody_else(first: int) -> None:
    worlds = {seed: world(seed) for seed in range(first, first + WORLDS)}
    assert [seed for seed, kueue in worlds.items() if not agrees(kueue)] == []
    assert sum(kueue.preempts() for kueue in worlds.values()) >= OF_WHICH_PREEMPT, "there is something to compare"
