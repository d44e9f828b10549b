"""Below which priority work of other pools falls, and who of the own pool, rule by rule."""

from dataclasses import replace

import pytest

from scheduler.decision.placing.running import Running
from scheduler.decision.preempting.rules import ANY_PRIORITY, Preemptor, Rule
from scheduler.domain.policy import BorrowWithinCohort, Pool, ReclaimWithinCohort, WithinPool
from scheduler.domain.units import PoolName
from tests.decision.builders import H100, NOW, attempt, policy

POOL = Pool(PoolName("red"), (), {})


def preemptor(**terms: object) -> Preemptor:
    return Preemptor(replace(POOL, **terms), H100, priority=100)  # type: ignore[arg-type]  # by name


@pytest.mark.parametrize(
    ("terms", "below"),
    [
        (ReclaimWithinCohort.NEVER, None),
        (ReclaimWithinCohort.LOWER_PRIORITY, 100),
        (ReclaimWithinCohort.ANY, ANY_PRIORITY),
    ],
)
def test_a_pool_takes_back_what_was_borrowed_of_whom_its_rule_names(
    terms: ReclaimWithinCohort, below: int | None
) -> None:
    assert preemptor(reclaim_within_cohort=terms).takes_across_below(Rule.RECLAIM_WITHIN_COHORT) == below


@pytest.mark.parametrize(
    ("threshold", "below"),
    [(None, 100), (50, 51), (99, 100), (100, 100), (200, 100)],
    ids=["no threshold", "up to it", "just below its own", "its own priority", "above its own"],
)
def test_who_would_borrow_takes_what_is_at_the_threshold_at_most_and_of_lower_priority(
    threshold: int | None, below: int
) -> None:
    borrowing = preemptor(borrow_within_cohort=BorrowWithinCohort.LOWER_PRIORITY, borrow_threshold=threshold)
    assert borrowing.takes_across_below(Rule.BORROW_WITHIN_COHORT) == below


def test_without_the_rule_nobody_borrows_by_preemption() -> None:
    assert preemptor(borrow_threshold=50).takes_across_below(Rule.BORROW_WITHIN_COHORT) is None


@pytest.mark.parametrize("terms", list(WithinPool))
def test_newer_work_of_its_own_priority_falls_under_one_rule_alone(terms: WithinPool) -> None:
    is_taken = preemptor(within_pool=terms).takes_newer_equals
    assert is_taken is (terms is WithinPool.LOWER_OR_NEWER_EQUAL_PRIORITY)


def test_whom_no_hours_pay_for_may_fall_whatever_the_rules_of_pools_are() -> None:
    nobody_else = preemptor(within_pool=WithinPool.NEVER, reclaim_within_cohort=ReclaimWithinCohort.NEVER)
    for is_funded in (True, False):
        running = Running(policy())
        running.add(attempt("r", "n1", is_funded=is_funded), NOW)
        assert nobody_else.has_any(running, None, may_reclaim=True) is not is_funded
