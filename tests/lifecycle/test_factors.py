"""The factors that `allot explain` prints are those by which it is really ordered."""

from dataclasses import replace

import pytest

from scheduler.domain.units import MS_PER_HOUR, Instant, WorkloadId
from scheduler.lifecycle.views.factors import order_factors
from tests.decision.builders import NOW, balance, cold, node, nodes, policy, pool, snapshot, workload


@pytest.mark.parametrize(
    ("hours_waited", "begins", "expected"),
    [
        (1, 0, ("3.000", "the quotient; within a priority, the smaller goes first")),
        (3, 0, ("–", "counts no more for what has aged")),
        (1, NOW + 1, ("–", "it does not stand in line yet")),
    ],
    ids=["in line", "aged", "not yet"],
)
def test_the_standing_is_shown_where_it_counts(hours_waited: int, begins: int, expected: tuple[str, str]) -> None:
    one = replace(workload("w", age=hours_waited * 3600), not_before=Instant(begins))
    rules = policy(pool("red", ageing_ms=2 * MS_PER_HOUR))
    state = cold(snapshot(nodes(node("n1", accepts_work=False)), [one], by=rules, balances=[balance("ada")]))
    shown = {each.name: each for each in order_factors(state.explain(one.id), sees_pay=True)}
    assert (shown["standing"].value, shown["standing"].meaning) == expected


@pytest.mark.parametrize(
    ("begins", "expected"),
    [(NOW - MS_PER_HOUR, "waits since 2026-"), (NOW + MS_PER_HOUR, "counts from 2026-")],
    ids=["has begun", "is to begin"],
)
def test_nothing_is_said_to_wait_since_an_instant_that_is_ahead(begins: int, expected: str) -> None:
    one = replace(workload("w", age=7200), not_before=Instant(begins), eligible_at=Instant(begins))
    state = cold(snapshot(nodes(node("n1", accepts_work=False)), [one], balances=[balance("ada")]))
    shown = {each.name: each.value for each in order_factors(state.explain(one.id), sees_pay=True)}
    assert shown["age"].startswith(expected)


def test_it_is_said_behind_how_many_of_the_same_owner_a_workload_does_not_grow_old_yet() -> None:
    waiting = [
        workload("w1"),
        workload("w2", ages_from=None),
        workload("w3", ages_from=None),
        workload("w4", ages_from=None),
    ]
    state = cold(snapshot(nodes(node("n1", accepts_work=False)), waiting, by=policy(pool("red"))))

    def ageing(name: str) -> tuple[str, str]:
        shown = {each.name: each for each in order_factors(state.explain(WorkloadId(name)), sees_pay=True)}
        return (shown["ageing"].value, shown["ageing"].meaning)

    assert ageing("w2") == ("not yet", "it begins to grow old with the next decision")
    assert ageing("w4") == (
        "not yet, behind 3 of the same owner",
        "of one engineer's work in the pool 2 grow old at once, those that wait longest",
    )
