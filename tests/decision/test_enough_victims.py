"""Whoever takes back what its pool lent finds somebody, where the rules let anybody fall who makes room for it."""

from dataclasses import replace
from random import Random

import pytest

from scheduler.decision.decide import decide
from scheduler.decision.snapshot import Snapshot
from scheduler.domain.policy import Cohort, Quota, WithinPool
from scheduler.domain.units import CohortName, PoolName
from scheduler.domain.workloads import Attempt, ElasticTerms
from tests.decision.builders import H100, attempt, node, nodes, policy, pool, snapshot, victims, workload
from tests.decision.trees import Tree

WORLDS, OF_WHICH_HELPED = 700, 30
LENDING = policy(pool("red", cohort="all"), pool("blue", cohort="all"))
TWO = nodes(node("n0"), node("n1"))


def lent(name: str, on: str | dict[str, int], gpus: int, pool: str = "blue") -> Attempt:
    return attempt(name, on, gpus=gpus, team=pool, pool=pool, running_for=60)


def test_where_the_cheapest_gives_back_all_that_was_borrowed_and_makes_no_room_another_falls() -> None:
    """Blue has borrowed one GPU. Without the small one the first node would still be half full."""
    running = [lent("small", "n0", 1), lent("half", "n0", 4), lent("alone", "n1", 4)]
    wants = workload("wants", gpus=8)
    assert victims(decide(snapshot(TWO, [wants], attempts=running, by=LENDING))) == {"wants": ["alone"]}


def test_and_who_is_elastic_gives_back_no_more_than_is_needed() -> None:
    stretched = replace(lent("stretched", {"n1": 5}, 1), elastic=ElasticTerms(1, 5))
    running = [lent("small", "n0", 1), lent("half", "n0", 3), stretched]
    plan = decide(snapshot(TWO, [workload("wants", gpus=6)], attempts=running, by=LENDING))
    assert [(each.workload_id, each.pods_left) for each in plan.preemptions[0].victims] == [("stretched", 2)]


@pytest.mark.parametrize("first", range(0, 3 * WORLDS, WORLDS))
def test_within_its_nominal_quota_nobody_waits_whom_any_set_would_help(first: int) -> None:
    worlds = {seed: world(Random(seed)) for seed in range(first, first + WORLDS)}
    helped = {
        seed for seed, each in worlds.items() if not fits(each, [*each.attempts.values()]) and is_any_enough(each)
    }
    assert [seed for seed in sorted(helped) if not decide(worlds[seed]).preemptions] == []
    assert len(helped) >= OF_WHICH_HELPED, "there is something to compare"


def world(chance: Random) -> Snapshot:
    """Two or three pools that share a few small nodes, and a workload that asks for no more than is its pool's."""
    known = nodes(*(node(f"n{number}", chance.choice([4, 8])) for number in range(chance.choice([2, 3]))))
    names, left = ["red", "blue", "green"][: chance.choice([2, 3])], sum(each.gpus for each in known.values())
    pools = []
    for name in names:
        nominal = left if name == names[-1] else chance.randint(0, left)
        left -= nominal
        quotas = {H100: Quota(H100, nominal)}
        within = chance.choice(["all", "part"])
        pools.append(replace(pool(name, cohort=within, within_pool=WithinPool.NEVER), quotas=quotas))
    by = policy(*pools, cohorts=[Cohort(CohortName("all")), Cohort(CohortName("part"), CohortName("all"))])
    free = {name: each.gpus for name, each in known.items()}
    running = []
    for number in range(chance.randint(2, 7)):
        on = chance.sample(sorted(known), chance.choice([1, 1, 2]))
        gpus = chance.choice([1, 1, 2, 3, 4])
        if all(free[each] >= gpus for each in on):
            free.update({each: free[each] - gpus for each in on})
            running.append(lent(f"r{number}", dict.fromkeys(on, 1), gpus, chance.choice(names[1:] + names)))
    used = sum(each.gpus for each in running if each.pool == "red")
    asks = workload("asks", gpus=chance.choice([1, 2, 4, 8]), pods=chance.choice([1, 1, 2]))
    is_within = used + asks.spec.gpus <= pools[0].quotas[H100].nominal
    return snapshot(known, [asks] if is_within else [], attempts=running, by=by)


def tree(world: Snapshot, running: list[Attempt]) -> Tree:
    used = dict.fromkeys(world.policy.pools, 0)
    for each in running:
        used[each.pool] += each.gpus
    return Tree(world.policy, H100, used)


def fits(world: Snapshot, running: list[Attempt]) -> bool:
    """Whether what asks has room and quota beside those."""
    asks = next(iter(world.queued.values()), None)
    if asks is None:
        return True
    known = tree(world, running)
    used = {**known.used, PoolName(asks.team): known.used[PoolName(asks.team)] + asks.spec.gpus}
    free = {name: each.gpus for name, each in world.nodes.items()}
    for each in running:
        for name, pods in each.placement.pods_by_node:
            free[name] -= pods * each.pod.gpus
    pods = sum(gpus // asks.spec.pod.gpus for gpus in free.values())
    return pods >= asks.spec.pods and replace(known, used=used).keeps_limits(PoolName(asks.team))


def is_any_enough(world: Snapshot) -> bool:
    """Try all orders in which those may fall that have borrowed still."""
    seen: set[frozenset[str]] = set()

    def helps(running: list[Attempt]) -> bool:
        key = frozenset(each.id for each in running)
        if key in seen:
            return False
        seen.add(key)
        known = tree(world, running)
        fallen = [
            each for each in running if each.pool != "red" and known.is_borrowed_from(PoolName("red"), each.pool)
        ]
        rest = [[other for other in running if other is not each] for each in fallen]
        return any(fits(world, each) or helps(each) for each in rest)

    return helps([*world.attempts.values()])
