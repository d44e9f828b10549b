"""Who goes first: by pace, by fair share, first in first out; importance, ageing, and the penalty at entry."""

from dataclasses import replace

import pytest

from scheduler.decision.decide import decide, step
from scheduler.decision.ordering.queue import STANDING
from scheduler.decision.snapshot import Changes, Reservation, Snapshot
from scheduler.domain.cluster import Placement
from scheduler.domain.policy import FairShare, Order, Policy, Project, WithinPool
from scheduler.domain.reasons import Reason
from scheduler.domain.units import (
    MS_PER_HOUR,
    MS_PER_MINUTE,
    EngineerId,
    Instant,
    NodeName,
    PerMille,
    ProjectName,
    StandardGpuMs,
    TeamName,
)
from scheduler.domain.usage import DecayedUse
from scheduler.domain.workloads import Workload
from tests.decision.builders import (
    H100,
    NOW,
    SPARE,
    URGENT,
    attempt,
    balance,
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

FAIR = policy(pool("red", gpus=64, order=Order.FAIR_SHARE))


def used(**hours: float) -> dict[EngineerId, DecayedUse]:
    return {
        EngineerId(owner): DecayedUse(StandardGpuMs(int(each * MS_PER_HOUR)), NOW) for owner, each in hours.items()
    }


def order_of(world: Snapshot) -> list[str]:
    """In which they would start, were there a GPU for each after the other."""
    return list(cold(replace(world, nodes=nodes(node("n1", 1, accepts_work=False)))).queue())


# --- fair share ----------------------------------------------------------------------------------------------------


def test_by_fair_share_who_has_used_less_of_late_goes_first_whatever_their_pace() -> None:
    queued = [workload("of heavy", owner="heavy", age=60), workload("of light", owner="light")]
    balances = [balance("heavy", 1000), balance("light", 1, granted=1000)]
    world = snapshot(nodes(node("n1", 1)), queued, by=FAIR, balances=balances, usage=used(heavy=30))

    assert placements(decide(world)) == {"of light": {"n1": 1}}
    assert placements(decide(replace(world, policy=policy(pool("red"))))) == {"of heavy": {"n1": 1}}


def test_use_fades_with_the_half_life_and_balances_do_not() -> None:
    rules = replace(FAIR, fair_share=FairShare(half_life_ms=MS_PER_HOUR))
    queued = [workload("of heavy", owner="heavy", age=60), workload("of light", owner="light")]
    world = snapshot(nodes(node("n1", 1)), queued, by=rules, usage=used(heavy=30))
    state = cold(world)
    later = Instant(NOW + 24 * MS_PER_HOUR)

    assert state.queue() == ["of light", "of heavy"]
    step(state, Changes(), later)
    assert state.queue() == ["of heavy", "of light"]
    assert state.index.hours.balances == world.balances


def test_the_use_of_a_large_cluster_that_idles_costs_little() -> None:
    queued = [workload("of user", owner="user", age=60), workload("of nobody", owner="nobody")]

    def ahead(gpus: int) -> str:
        return cold(snapshot(nodes(node("n1", gpus)), queued, by=FAIR, usage=used(user=40))).queue()[0]

    assert (ahead(8), ahead(8000)) == ("of nobody", "of user")


def test_what_runs_counts_from_its_first_instant() -> None:
    queued = [workload("of runner", owner="runner", age=60), workload("of waiter", owner="waiter")]
    running = attempt("r", {"n1": 1}, owner="runner", gpus=8, running_for=0)
    rules = replace(FAIR, fair_share=FairShare(half_life_ms=MS_PER_HOUR))
    world = snapshot(nodes(node("n1"), node("n2", 1)), queued, by=rules, attempts=[running])

    assert placements(decide(world)) == {"of waiter": {"n2": 1}}


# --- importance ----------------------------------------------------------------------------------------------------


def weighing(importance: int) -> Policy:
    vital = Project(ProjectName("vital"), TeamName("red"), PerMille(importance))
    return replace(policy(), projects={vital.name: vital})


def test_a_projects_importance_divides_the_standing_of_its_owner() -> None:
    queued = [
        workload("vital", owner="fast", project="vital"),
        workload("usual", owner="usual", project=None, age=60),
    ]
    balances = [balance("fast", 0.2, granted=2), balance("usual", 1000)]

    def first(importance: int) -> str:
        return order_of(snapshot({}, queued, by=weighing(importance), balances=balances))[0]

    assert (first(1000), first(4000)) == ("usual", "vital")
    assert first(0) == "usual"


def test_importance_is_nothing_where_work_is_first_in_first_out() -> None:
    vital = Project(ProjectName("vital"), TeamName("red"), PerMille(9000))
    rules = replace(policy(pool("red", order=Order.FIFO)), projects={vital.name: vital})
    queued = [workload("vital", project="vital"), workload("earlier", project=None, age=1)]

    assert order_of(snapshot({}, queued, by=rules)) == ["earlier", "vital"]


# --- the penalty at entry ------------------------------------------------------------------------------------------


def burst(order: Order) -> Snapshot:
    """Ada submitted eight at once, each for half of her hours of the month; Bob submitted two a moment later."""
    queued: list[Workload] = [workload(f"a{number}", owner="ada", age=10, hours=100) for number in range(8)]
    queued += [workload(f"b{number}", owner="bob", age=5, hours=100) for number in range(2)]
    balances = [balance("ada", 1000), balance("bob", 1000)]
    return snapshot(
        nodes(node("n1", 4)), queued, by=policy(pool("red", order=order)), balances=balances, usage=used(ada=0)
    )


def test_a_burst_of_submissions_gains_nothing_over_who_submits_one() -> None:
    by_pace = placements(decide(burst(Order.PACE)))
    by_use = placements(decide(burst(Order.FAIR_SHARE)))

    assert {"b0", "b1"} <= set(by_pace)
    assert {"b0", "b1"} <= set(by_use)
    assert set(placements(decide(burst(Order.FIFO)))) == {"a0", "a1", "a2", "a3"}


def test_one_cycle_orders_as_many_cycles_of_one_launch_would() -> None:
    world = burst(Order.PACE)
    one_by_one: list[str] = []
    left = world
    for _ in range(4):
        launch = decide(replace(left, nodes=nodes(node("n1", 1)))).launches[0]
        one_by_one.append(launch.workload_id)
        paid = launch.funding[0]
        known = left.balances[paid.allowance_id]
        left = replace(
            left,
            queued={key: each for key, each in left.queued.items() if key != launch.workload_id},
            balances={**left.balances, paid.allowance_id: replace(known, available=known.available - paid.amount)},
        )

    assert sorted(placements(decide(world))) == sorted(one_by_one)


def test_by_pace_who_is_far_behind_plan_stays_ahead_after_a_start_that_hardly_costs_anything() -> None:
    """And is behind after one that costs most of what is left."""
    for hours, started in ((1, {"a1", "a2"}), (80, {"a1", "b"})):
        queued = [workload("a1", hours=hours, age=9), workload("a2", age=8), workload("b", owner="bob", age=7)]
        balances = [balance("ada", 95, granted=100), balance("bob", 40, granted=100)]
        plan = decide(snapshot(nodes(node("n1", 2)), queued, balances=balances))
        assert placements(plan).keys() == started


def test_what_waits_for_its_victims_to_end_has_entered_as_what_has_started() -> None:
    """Else whoever has others stopped could have more stopped, cycle after cycle, until the first of them has ended."""
    rules = replace(policy(pool("red", order=Order.FAIR_SHARE)), fair_share=FairShare(half_life_ms=MS_PER_HOUR))
    queued = [workload(f"a{number}", owner="ada", gpus=4, age=10 - number) for number in range(2)]
    queued.append(workload("b", owner="bob", gpus=4, age=5))
    running = [attempt(f"r{number}", "n1", owner="cyd", gpus=4, priority_class=SPARE) for number in range(2)]
    state = cold(snapshot(nodes(node("n1")), queued, by=rules, attempts=running))
    assert state.queue() == ["a0", "a1", "b"]

    kept = Reservation(queued[0].id, H100, Placement(((NodeName("n1"), 1),)), Instant(NOW + 60_000))
    step(state, Changes(reservations={kept.workload_id: kept}), NOW)
    assert state.queue() == ["b", "a1"]
    step(state, Changes(reservations={kept.workload_id: None}), NOW)
    assert state.queue() == ["a0", "a1", "b"]


# --- ageing --------------------------------------------------------------------------------------------------------

AGEING = policy(pool("red", gpus=64, ageing_ms=MS_PER_HOUR))


def test_what_has_waited_too_long_goes_before_any_priority() -> None:
    queued = [workload("urgent", priority_class=URGENT), workload("old", priority_class=SPARE, age=3700)]
    world = snapshot(nodes(node("n1", 1)), queued, by=AGEING)

    assert placements(decide(world)) == {"old": {"n1": 1}}
    assert reasons(decide(world)) == {"old": "Launching", "urgent": "Resources"}


def test_age_takes_effect_when_queues_are_re_ordered() -> None:
    queued = [workload("urgent", priority_class=URGENT), workload("old", priority_class=SPARE, age=3590)]
    state = cold(snapshot(nodes(node("n1", 1, accepts_work=False)), queued, by=AGEING))
    seen = []
    for minutes in (0, 1, 2, 3, 4, 5):
        step(state, Changes(), Instant(NOW + minutes * MS_PER_MINUTE))
        seen.append(state.queue()[0])
    # NOW is 100 s after a multiple of five minutes: the next is 200 s away.
    assert seen == ["urgent", "urgent", "urgent", "urgent", "old", "old"]
    explained = state.explain(queued[1].id)
    assert explained is not None
    assert (explained.is_aged, explained.rank) == (True, 1)


@pytest.mark.parametrize(
    ("ahead", "behind", "told"),
    [
        (
            workload("ahead", gpus=2, priority_class=SPARE, age=3700),
            workload("behind", gpus=2, priority_class=URGENT),
            "it has waited longer than the pool lets anything wait",
        ),
        (
            workload("ahead", gpus=2, priority_class=URGENT),
            workload("behind", gpus=2, age=60),
            "urgent over standard",
        ),
        (
            workload("ahead", gpus=2, owner="eve"),
            workload("behind", gpus=2, owner="ada", age=60),
            "both standard, ahead in the order of the pool",
        ),
        (
            workload("ahead", gpus=2, owner="ada", age=60),
            workload("behind", gpus=2, owner="ada"),
            "both standard, submitted earlier",
        ),
    ],
    ids=["too old", "a higher class", "a better standing", "an earlier one"],
)
def test_who_is_behind_somebody_is_told_why(ahead: Workload, behind: Workload, told: str) -> None:
    running = attempt("r", "n1", gpus=2, priority_class=URGENT)
    owners = [balance("ada", 100, granted=1000), balance("eve", 900, granted=1000)]
    plan = decide(snapshot(nodes(node("n1", 2)), [ahead, behind], by=AGEING, attempts=[running], balances=owners))

    verdicts = {verdict.workload_id: verdict for verdict in plan.verdicts}
    assert verdicts[ahead.id].reason is Reason.RESOURCES
    assert verdicts[behind.id].evidence == {"ahead": ahead.id, "comparison": told}


def test_what_started_after_waiting_too_long_is_no_victim_of_its_own_pool() -> None:
    running = attempt("r", "n1", gpus=8, priority_class=SPARE, running_for=60)
    queued = [workload("urgent", gpus=8, priority_class=URGENT)]

    def fallen(waited_hours: int) -> dict[str, list[str]]:
        waited = workload("r", gpus=8, priority_class=SPARE, age=60 + waited_hours * 3600)
        known = replace(running, submitted_at=waited.submitted_at)
        world = snapshot(nodes(node("n1")), queued, by=AGEING, attempts=[known], launched={waited.id: waited})
        return victims(decide(world))

    assert fallen(waited_hours=0) == {"urgent": ["r"]}
    assert fallen(waited_hours=2) == {}


def test_what_waited_too_long_still_takes_no_better_as_a_victim() -> None:
    rules = policy(pool("red", gpus=8, ageing_ms=MS_PER_HOUR, within_pool=WithinPool.LOWER_OR_NEWER_EQUAL_PRIORITY))
    running = attempt("r", "n1", gpus=8, priority_class=URGENT, submitted_at=NOW)
    queued = [workload("old", gpus=8, priority_class=SPARE, age=9000)]

    assert victims(decide(snapshot(nodes(node("n1")), queued, by=rules, attempts=[running]))) == {}


def test_every_factor_is_explained() -> None:
    rules = replace(
        FAIR, projects={ProjectName("vital"): Project(ProjectName("vital"), TeamName("red"), PerMille(500))}
    )
    queued = [workload("w", owner="user", project="vital", gpus=8, age=30)]
    world = snapshot(nodes(node("n1", 4, accepts_work=False)), queued, by=rules, usage=used(user=40))
    explained = cold(world).explain(queued[0].id)

    assert explained is not None
    # 40 h of use are 4.1 % of what 4 GPUs offer in a week's half-life: the seventh of ten bands.
    assert (explained.order, explained.place, explained.pace) == (Order.FAIR_SHARE, 6, None)
    assert explained.share is not None
    assert 40_000 < explained.share < 42_000
    assert (explained.importance, explained.standing) == (500, 7 * STANDING // 500)
    assert explained.ages_at is not None
    assert explained.ages_at >= queued[0].submitted_at + 7 * 24 * MS_PER_HOUR


def test_of_equals_that_ask_for_different_things_each_has_a_rank_of_its_own() -> None:
    queued = [
        workload(name, gpus=gpus, age=9 - gpus) for gpus, name in enumerate(("first", "second", "third"), start=1)
    ]
    state = cold(snapshot(nodes(node("n1", accepts_work=False)), queued))
    explained = [state.explain(each.id) for each in queued]
    assert [each.rank for each in explained if each is not None] == [1, 2, 3]


def test_hours_that_begin_later_let_it_start_when_they_begin() -> None:
    begins = Instant(NOW + MS_PER_HOUR)
    state = cold(snapshot(nodes(node("n1")), [workload("w")], balances=[balance("ada", starts_at=begins)]))

    assert placements(step(state, Changes(), Instant(begins - 1))[1]) == {}
    assert placements(step(state, Changes(), begins)[1]) == {"w": {"n1": 1}}
