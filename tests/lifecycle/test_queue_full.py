"""Jobs of kubectl whose author has enough queued: they wait outside, and come in by themselves."""

from dataclasses import replace

from scheduler.domain.observations import ClusterChanges, ObservedJob
from scheduler.domain.policy import Limits
from scheduler.domain.reasons import Reason
from scheduler.domain.units import MS_PER_SECOND, Instant, JobUid
from scheduler.domain.workloads import WorkloadState
from scheduler.lifecycle.intake import jobs_with_room, take_in_jobs
from tests.lifecycle.build import NOON, Company, job_spec, policy


def crowded(most: int = 2) -> Company:
    """Of each engineer's two workloads may be queued; Ada and Bob have hours."""
    company = Company(replace(policy(), limits=Limits(queued_per_engineer=most)))
    company.grant("ada", 10)
    company.grant("bob", 10)
    return company


def applied(name: str, author: str = "ada", created: int = 0) -> ObservedJob:
    created_at = Instant(NOON + created * MS_PER_SECOND)
    return ObservedJob(JobUid(name), name, "n", 1, created_at, is_suspended=True, author=author, asked=job_spec())


def seen_and_told(company: Company, *jobs: ObservedJob) -> dict[str, Reason]:
    told = company.take_in(*jobs)
    company.see(ClusterChanges(jobs={job.uid: job for job in jobs}))
    return {each.job_name: each.reason for each in told}


def taken_in(company: Company) -> set[str]:
    queued = [each for each in company.world.workloads.values() if each.state is WorkloadState.QUEUED]
    return {each.job_name for each in queued}


def test_more_jobs_than_may_be_queued_wait_outside_and_come_in_in_the_order_in_which_they_were_created() -> None:
    company = crowded()
    latest, *earlier = [applied(f"j{number}", created=number) for number in (4, 1, 2, 3)]
    assert seen_and_told(company, *earlier, latest) == {"j3": Reason.QUEUE_FULL, "j4": Reason.QUEUE_FULL}
    assert jobs_with_room(company.world, ()) == []

    company.commands.cancel(company.caller("ada"), company.world.workload_of_job[JobUid("j1")], now=company.now)

    (next_one,) = jobs_with_room(company.world, ())
    assert next_one.name == "j3"
    with company.changing() as batch:
        assert take_in_jobs(company.commands, batch, [next_one]) == []
    assert taken_in(company) == {"j2", "j3"}
    assert jobs_with_room(company.world, ()) == []
    company.close()


def test_what_one_has_queued_keeps_nobody_else_out_and_counts_whichever_way_it_came() -> None:
    company = crowded()
    first, second, other = applied("a1"), applied("a2", created=1), applied("b1", "bob")
    company.submit("ada")

    assert seen_and_told(company, first, second, other) == {"a2": Reason.QUEUE_FULL}
    assert {"a1", "b1"} <= taken_in(company)
    company.close()


def test_a_job_that_waits_outside_is_told_so_once_and_what_is_gone_or_has_news_is_not_taken_in_unseen() -> None:
    company = crowded(1)
    seen_and_told(company, applied("inside"))
    second, third = applied("j2", created=2), applied("j3", created=3)
    assert seen_and_told(company, second, third) == {"j2": Reason.QUEUE_FULL, "j3": Reason.QUEUE_FULL}
    assert seen_and_told(company, replace(second, generation=2)) == {}
    company.see(ClusterChanges(jobs={second.uid: None}))
    company.commands.cancel(company.caller("ada"), company.world.workload_of_job[JobUid("inside")], now=company.now)

    assert jobs_with_room(company.world, {third.uid}) == []
    assert [job.name for job in jobs_with_room(company.world, ())] == ["j3"]
    company.close()


def test_a_larger_limit_lets_them_in_at_once() -> None:
    company = crowded(1)
    seen_and_told(company, applied("j1"), applied("j2", created=1), applied("j3", created=2))

    company.world.put_policy(replace(company.world.require_policy(), limits=Limits(queued_per_engineer=3)))

    assert [job.name for job in jobs_with_room(company.world, ())] == ["j2", "j3"]
    company.close()
