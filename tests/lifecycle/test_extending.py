"""Extending what runs: a spend guard bounds it as it bounds a start, and nobody else is told what its owner has left."""

from dataclasses import replace

import pytest

from scheduler.domain.errors import Exhausted, RefusalCode
from scheduler.domain.funding import FundingShare
from scheduler.domain.guards import GuardOf, GuardWindow, SpendGuard
from scheduler.domain.people import Role
from scheduler.domain.units import MS_PER_DAY, MS_PER_HOUR, Instant, WorkloadId
from scheduler.lifecycle.asking.booking import BookingWish
from tests.lifecycle.build import FULL, H100, Company, policy

A_DAY = SpendGuard("a day", GuardOf.ENGINEER, GuardWindow.DAY, soft=2 * MS_PER_HOUR, hard=9 * MS_PER_HOUR)


def guarded(company: Company, guard: SpendGuard) -> None:
    company.world.put_policy(replace(policy(), spend_guards=(guard,)))


def two_hours_of_two(company: Company, subject: str = "ada", hours: int = 100) -> WorkloadId:
    grant = company.grant(subject, hours)
    workload = company.submit(subject, time_limit_ms=2 * MS_PER_HOUR, grace_seconds=0)
    assert company.launch(workload, FundingShare(grant, 4 * MS_PER_HOUR)) == []
    return workload.id


def extend(company: Company, workload_id: WorkloadId, hours: int, subject: str = "ada") -> None:
    company.commands.extend(company.caller(subject), workload_id, hours * MS_PER_HOUR, now=company.now)


def test_a_job_is_not_extended_beyond_what_a_guard_lets_its_owner_use(company: Company) -> None:
    """Of 9 hours it plans 4: two more of two GPUs are 8, three more 10."""
    guarded(company, A_DAY)
    job = two_hours_of_two(company)
    with pytest.raises(Exhausted) as refused:
        extend(company, job, 3)
    assert refused.value.code is RefusalCode.SPEND_GUARD
    assert str(refused.value).startswith("it would use 6.0 h more of this day, of which the guard a day lets the")
    assert company.workload(job).spec.time_limit_ms == 2 * MS_PER_HOUR
    extend(company, job, 2)
    with pytest.raises(Exhausted):
        extend(company, job, 1)


def test_what_else_its_owner_or_its_team_runs_counts_for_the_guard(company: Company) -> None:
    guarded(company, replace(A_DAY, of=GuardOf.TEAM))
    job = two_hours_of_two(company)
    extend(company, job, 1)
    two_hours_of_two(company, "bob")
    with pytest.raises(Exhausted):
        extend(company, job, 1)


@pytest.mark.parametrize(
    "guard",
    [replace(A_DAY, hard=None), replace(A_DAY, window=GuardWindow.WEEKEND)],
    ids=["a soft limit alone", "a window that is not open"],
)
def test_what_no_hard_limit_holds_now_is_extended(company: Company, guard: SpendGuard) -> None:
    guarded(company, guard)
    job = two_hours_of_two(company)
    extend(company, job, 5)
    assert company.workload(job).spec.time_limit_ms == 7 * MS_PER_HOUR


def test_who_extends_or_books_for_somebody_else_is_not_told_what_they_have_left(company: Company) -> None:
    job = two_hours_of_two(company, hours=7)
    owner = company.caller("ada")
    operator = replace(company.caller("bob"), roles=frozenset({Role.OPERATOR}))
    wish = BookingWish(H100, 4, Instant(company.now + MS_PER_DAY), 2 * MS_PER_HOUR, None, priority_class=FULL)
    for caller, told in ((owner, "3.0 h are available"), (operator, "more than is available for it")):
        with pytest.raises(Exhausted) as refused:
            company.commands.extend(caller, job, 2 * MS_PER_HOUR, now=company.now)
        assert refused.value.message == f"an extension needs 4.0 h, {told}"
        with pytest.raises(Exhausted) as refused:
            company.commands.book(caller, wish, now=company.now, owner=owner.engineer)
        assert refused.value.message == f"the booking needs 8.0 h, {told}"
