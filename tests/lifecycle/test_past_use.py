"""What fair share remembers: the use of attempts that ended, told to the decision and found again after a restart."""

from dataclasses import replace

from scheduler.domain.allowances import Holder, HolderKind
from scheduler.domain.funding import FundingShare
from scheduler.domain.guards import GuardOf, GuardWindow, SpendGuard, window_at
from scheduler.domain.observations import PodPhase
from scheduler.domain.policy import FairShare, Order, Policy
from scheduler.domain.units import MS_PER_HOUR, MS_PER_MINUTE, Instant, StandardGpuMs
from scheduler.domain.usage import ENTRY_MS, DecayedUse
from scheduler.lifecycle.governance.governing import put_policy
from scheduler.lifecycle.memory.world import World
from tests.lifecycle.build import Company, changes, job_seen, later, pod_seen, policy
from tests.lifecycle.test_bookings import book, pass_time

DAILY = SpendGuard("daily", GuardOf.TEAM, GuardWindow.DAY, hard=20 * MS_PER_HOUR)

LONG = 1_000_000 * MS_PER_HOUR
"""So long a half-life that what is used weighs what it was."""


def fair() -> Policy:
    known = policy()
    pools = {name: replace(pool, order=Order.FAIR_SHARE) for name, pool in known.pools.items()}
    return replace(known, pools=pools, fair_share=FairShare(LONG))


def run_for_an_hour(company: Company) -> None:
    """Two GPUs for an hour, by Ada."""
    grant = company.grant("ada", 10)
    workload = company.submit()
    company.launch(workload, FundingShare(grant, 4 * MS_PER_HOUR))
    company.give_job(workload)
    start, end = company.now, later(company.now, 3600)
    company.see(changes(job_seen(workload, is_suspended=False), pod_seen(workload, started_at=start)))
    company.now = end
    pod = pod_seen(workload, started_at=start, finished_at=end, phase=PodPhase.SUCCEEDED, exit_code=0)
    company.see(changes(pod, job_seen(workload, is_suspended=False, is_complete=True)))


def test_what_ended_is_remembered_and_told_to_the_decision() -> None:
    company = Company(fair())
    run_for_an_hour(company)
    use = DecayedUse(StandardGpuMs(2 * (MS_PER_HOUR + ENTRY_MS)), company.now)
    told = company.world.take_changes().usage

    assert list(told) == [company.engineer("ada").id]
    assert abs((told[company.engineer("ada").id] or use).amount - use.amount) < 10
    company.close()


def test_a_restart_finds_the_same_use_in_the_books() -> None:
    company = Company(fair())
    run_for_an_hour(company)
    restarted = World()
    put_policy(company.store, restarted, fair(), Instant(company.now + 30 * MS_PER_MINUTE))

    assert restarted.past_use.usage == company.world.past_use.usage
    assert restarted.everything().usage == company.world.past_use.usage
    company.close()


def test_a_policy_that_does_not_look_back_remembers_nobody() -> None:
    company = Company(fair())
    run_for_an_hour(company)
    ada = company.engineer("ada").id
    company.world.take_changes()
    put_policy(company.store, company.world, policy(), company.now)

    assert company.world.past_use.usage == {}
    assert company.world.take_changes().usage == {ada: None}
    put_policy(company.store, company.world, fair(), company.now)
    assert set(company.world.past_use.usage) == {ada}
    company.close()


def test_what_guards_count_is_remembered_and_found_again_too() -> None:
    rules = replace(policy(), spend_guards=(DAILY,))
    company = Company(rules)
    run_for_an_hour(company)
    day = window_at(GuardWindow.DAY, company.now, "UTC")
    assert day is not None
    told = company.world.take_changes().spent
    team = told[Holder(HolderKind.TEAM, "research")]
    assert team is not None
    assert team.of(GuardWindow.DAY, day) == 2 * MS_PER_HOUR
    assert len(told) == 2

    restarted = World()
    put_policy(company.store, restarted, rules, company.now)
    assert restarted.past_use.spent == company.world.past_use.spent
    put_policy(company.store, company.world, policy(), company.now)
    assert set(company.world.take_changes().spent.values()) == {None}
    company.close()


def test_a_booking_that_is_over_counts_no_more_than_it_did_while_it_lasted() -> None:
    rules = replace(fair(), spend_guards=(DAILY,))
    company = Company(rules)
    company.grant("ada", 20)
    book(company, in_hours=0, hours=2)  # what runs inside is an attempt of its own, and counts as one
    pass_time(company, 1)
    assert company.world.attempts != {}
    pass_time(company, 1)
    assert company.world.attempts == {}

    assert (company.world.past_use.usage, company.world.past_use.spent) == ({}, {})
    assert list(company.world.past_use.shares) == []
    restarted = World()
    put_policy(company.store, restarted, rules, company.now)
    assert (restarted.past_use.usage, restarted.past_use.spent) == ({}, {})
    company.close()
