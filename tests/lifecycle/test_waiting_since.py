"""Since when work waits: from when its owner's own word lets it start, whatever stops it afterwards."""

from scheduler.decision.decide import step
from scheduler.decision.state import State
from scheduler.domain.reasons import Reason
from scheduler.domain.units import MS_PER_DAY, MS_PER_HOUR, Instant, WorkloadId
from scheduler.domain.workloads import Workload, WorkloadKind, WorkloadState
from scheduler.lifecycle.asking.submit import SubmissionTerms
from scheduler.lifecycle.running.record import stop_attempt
from tests.lifecycle.build import NOON, ROLLING, Company, changes, job_seen, job_spec, later, pod_seen
from tests.lifecycle.platform import Platform


def ended(company: Company, workload: Workload) -> Workload:
    """The pods of what was told to stop have ended."""
    attempt = company.world.live_attempt(workload.id)
    assert attempt is not None
    pod = pod_seen(workload, started_at=NOON, deleted_at=company.now, finished_at=company.now, is_gone=True)
    job = job_seen(workload, is_suspended=True, is_confirmed_suspended=True, attempt_id=attempt.id)
    company.see(changes(job, pod))
    return company.workload(workload.id)


def in_order(company: Company, *aged: Workload) -> list[WorkloadId]:
    """The queue; those named have aged, and nobody else has."""
    state, _ = step(State(), company.world.everything(), company.now)
    queue = state.queue()
    explained = {workload_id: state.explain(workload_id) for workload_id in queue}
    assert {name for name, each in explained.items() if each is not None and each.is_aged} == {w.id for w in aged}
    return queue


def sandbox(company: Company) -> Workload:
    return company.submit(kind=WorkloadKind.SANDBOX, priority_class=ROLLING, project=None, image="")


def test_a_sandbox_that_is_resumed_after_a_month_waits_as_one_that_is_submitted_then(company: Company) -> None:
    platform = Platform(company)
    workload, _ = platform.sandbox()
    company.commands.stop(company.caller("ada"), workload.id, now=company.now)
    ended(company, workload)
    company.now = Instant(company.now + 30 * MS_PER_DAY)
    before = sandbox(company)
    company.now = later(company.now, 60)
    resumed = company.commands.resume(company.caller("ada"), workload.id, now=company.now)
    assert (resumed.submitted_at, resumed.waits_since) == (workload.submitted_at, company.now)
    company.now = later(company.now, 60)
    after = sandbox(company)

    assert in_order(company) == [before.id, resumed.id, after.id]


def test_what_was_preempted_waits_since_it_was_submitted(company: Company) -> None:
    platform = Platform(company)
    workload, attempt_id = platform.sandbox()
    company.now = Instant(company.now + 30 * MS_PER_DAY)
    with company.changing() as batch:
        stop_attempt(batch, company.world.attempts[attempt_id], Reason.PREEMPTED, {})
    again = ended(company, workload)

    assert (again.state, again.waits_since) == (WorkloadState.QUEUED, workload.submitted_at)
    assert in_order(company, again) == [again.id]


def test_a_begin_time_next_week_lets_nobody_wait_from_today_on(company: Company) -> None:
    company.grant("ada", 1000)
    terms = SubmissionTerms(begin_at=Instant(company.now + 8 * MS_PER_DAY))
    begins = company.commands.submit(company.caller("ada"), job_spec(), terms=terms, now=company.now)
    assert begins.waits_since == terms.begin_at
    company.now = Instant(begins.waits_since - MS_PER_HOUR)
    before = company.submit("ada")
    company.now = Instant(begins.waits_since + MS_PER_HOUR)

    assert in_order(company) == [before.id, begins.id]


def test_what_follows_waits_since_the_last_that_it_followed_completed(company: Company) -> None:
    company.grant("ada", 1000)
    first, second = company.submit(), company.submit()
    follower = company.submit(after=(first.id, second.id))
    state, _ = step(State(), company.world.everything(), company.now)
    explained = state.explain(follower.id)
    assert explained is not None
    assert explained.ages_at is None, "nobody knows when it may start"
    for leader in (first, second):
        company.now = Instant(company.now + 8 * MS_PER_DAY)
        with company.changing() as batch:
            batch.change_workload(leader, state=WorkloadState.COMPLETED, state_reason=Reason.COMPLETED)
        assert company.workload(follower.id).waits_since == (
            follower.submitted_at if leader is first else company.now
        )

    assert in_order(company) == [follower.id]
