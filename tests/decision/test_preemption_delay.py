"""A preemption delay: for so long work waits for GPUs that come free of themselves before others are stopped for it."""

from dataclasses import replace

import pytest

from scheduler.decision.decide import decide, step
from scheduler.decision.foreseeing.foreseen import Forecast
from scheduler.decision.snapshot import Changes, Snapshot
from scheduler.domain.periods import iso
from scheduler.domain.policy import Order, Policy
from scheduler.domain.reasons import Reason
from scheduler.domain.units import MS_PER_DAY, MS_PER_HOUR, MS_PER_SECOND, Instant, PerMille
from scheduler.domain.workloads import Attempt, Workload
from tests.decision.builders import (
    NOW,
    SPARE,
    STANDARD,
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
from tests.decision.scattered import moving, saved
from tests.decision.scattered import world as scattered_world

DELAY_SECONDS = 30
PATIENT = replace(URGENT, preemption_delay_ms=DELAY_SECONDS * MS_PER_SECOND)
FULL = (attempt("older", "n1", gpus=4, running_for=3000), attempt("younger", "n1", gpus=4, running_for=60))


def patient() -> Policy:
    return policy(pool("red", gpus=64, order=Order.PACE), classes=(PATIENT, STANDARD, SPARE))


def world(*queued: Workload, by: Policy | None = None, attempts: tuple[Attempt, ...] = FULL) -> Snapshot:
    funded = [balance("ada"), balance("bob"), balance("cyd")]
    return snapshot(nodes(node("n1")), queued, by=by or patient(), attempts=attempts, balances=funded)


def urgent(name: str = "u", *, age: int = 0, gpus: int = 4, owner: str = "ada") -> Workload:
    return workload(name, gpus=gpus, priority_class=PATIENT, age=age, owner=owner)


@pytest.mark.parametrize(("waited_seconds", "stops"), [(DELAY_SECONDS - 1, False), (DELAY_SECONDS, True)])
def test_nobody_is_stopped_for_work_that_has_not_waited_so_long(waited_seconds: int, stops: bool) -> None:
    plan = decide(world(urgent(age=waited_seconds)))

    assert victims(plan) == ({"u": ["younger"]} if stops else {})
    assert reasons(plan) == {"u": Reason.AWAITING_PREEMPTION if stops else Reason.PREEMPTION_DELAY}


def test_the_verdict_says_until_when_it_stops_nobody() -> None:
    (verdict,) = decide(world(urgent(age=10))).verdicts
    assert dict(verdict.evidence) == {"gpus": 4, "gpu_class": "h100", "at": iso(Instant(NOW + 20 * MS_PER_SECOND))}


def test_the_end_of_the_delay_is_an_event() -> None:
    state = cold(world(urgent(age=10)))
    at = Instant(NOW + 20 * MS_PER_SECOND)

    assert state.index.wakes_at() == at
    assert victims(step(state, Changes(), Instant(at - 1))[1]) == {}
    assert victims(step(state, Changes(), at)[1]) == {"u": ["younger"]}


def test_what_is_free_is_taken_at_once() -> None:
    assert placements(decide(world(urgent(), attempts=FULL[:1]))) == {"u": {"n1": 1}}


def test_where_nobody_could_be_stopped_it_waits_for_room_and_for_no_instant() -> None:
    equals = tuple(replace(each, priority_class=URGENT.name) for each in FULL)
    assert reasons(decide(world(urgent(), attempts=equals))) == {"u": Reason.RESOURCES}
    beside = workload("beside", gpus=2, owner="bob")
    plan = decide(world(urgent(gpus=8), beside, attempts=equals[:1]))
    assert reasons(plan)["u"] is Reason.RESOURCES


def test_what_has_waited_longer_than_its_pool_lets_anything_wait_waits_no_longer() -> None:
    waits = replace(URGENT, preemption_delay_ms=MS_PER_DAY)
    by = policy(pool("red", gpus=64, ageing_ms=MS_PER_HOUR), classes=(waits, STANDARD, SPARE))
    assert victims(decide(world(urgent(age=7200), by=by))) == {"u": ["younger"]}
    assert victims(decide(world(urgent(age=1800), by=by))) == {}


def test_who_is_served_before_somebody_that_has_waited_need_not_wait_himself() -> None:
    # Else a stream of newcomers, each before the last, would keep all of them waiting.
    behind = urgent("behind", age=DELAY_SECONDS, owner="bob")
    ahead = urgent("ahead", age=1, owner="cyd")
    spent = balance("bob", 100, granted=1000)
    given = world(behind, ahead)
    given = replace(given, balances=dict(given.balances) | {spent.allowance.id: spent})
    assert victims(decide(given)) == {"ahead": ["younger"], "behind": ["older"]}
    assert victims(decide(replace(given, queued={ahead.id: ahead}))) == {}


def test_nobody_is_moved_for_it_either() -> None:
    fragments = (saved("a", "n1", 4), saved("b", "n2", 4, minutes_ago=3), saved("c", "n3", 6))
    waits = replace(STANDARD, preemption_delay_ms=DELAY_SECONDS * MS_PER_SECOND)
    by = moving()
    by = replace(by, priority_classes={**by.priority_classes, waits.name: waits})
    assert victims(decide(scattered_world(*fragments, by=by))) == {}


def test_a_forecast_says_that_it_is_a_matter_of_the_delay_at_the_longest() -> None:
    found = cold(world()).forecast(urgent(age=10), PerMille(500))
    assert isinstance(found, Forecast)
    grace_ms = FULL[1].grace_seconds * MS_PER_SECOND
    assert (found.ruling.reason, found.victims) == (Reason.PREEMPTION_DELAY, 1)
    assert found.starts == (NOW, NOW + 20 * MS_PER_SECOND + grace_ms)
