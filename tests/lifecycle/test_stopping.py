"""What stops an attempt, and what its workload is said to be then: by its owner, by an idle rule, for want of a start."""

from dataclasses import replace

import pytest

from scheduler.domain.errors import Conflict, RefusalCode
from scheduler.domain.funding import FundingShare
from scheduler.domain.idleness import IdleAction, IdlePolicy
from scheduler.domain.observations import PodPhase
from scheduler.domain.reasons import Reason
from scheduler.domain.units import MS_PER_HOUR, MS_PER_MINUTE, AttemptId
from scheduler.domain.workloads import AttemptState, Workload, WorkloadState
from scheduler.lifecycle.running.limits import enforce_limits, limits_are_due
from scheduler.lifecycle.running.record import stop_attempt
from tests.lifecycle.build import NOON, Company, changes, job_seen, later, pod_seen
from tests.lifecycle.platform import JOBS, SANDBOXES, Platform


def test_what_was_submitted_says_so_until_a_cycle_has_looked_at_it(company: Company) -> None:
    company.grant("ada", 10)
    workload = company.submit()
    stored = company.workload(workload.id)
    assert (stored.state, stored.state_reason) == (WorkloadState.QUEUED, Reason.SUBMITTED)


def test_a_job_whose_pods_end_well_is_completed(company: Company) -> None:
    workload = launched(company)
    begun, ended = later(company.now, 10), later(company.now, 70)
    company.now = later(company.now, 80)
    finished = pod_seen(workload, started_at=begun, finished_at=ended, phase=PodPhase.SUCCEEDED, exit_code=0)
    company.see(changes(finished, job_seen(workload, is_suspended=False, is_complete=True)))
    assert company.workload(workload.id).state_reason is Reason.COMPLETED


def test_a_launch_of_which_no_container_starts_is_stopped_at_the_limit_and_not_before(company: Company) -> None:
    workload = launched(company)
    pulling = pod_seen(workload, phase=PodPhase.PENDING, waiting_reason="ImagePullBackOff")
    company.see(changes(job_seen(workload, is_suspended=False, active=1), pulling))
    launched_at, limit_ms = company.now, company.world.require_policy().limits.start_timeout_ms

    company.now = later(launched_at, limit_ms // 1000 - 1)
    assert not limits_are_due(company.world, company.now)
    company.now = later(launched_at, limit_ms // 1000)
    assert limits_are_due(company.world, company.now)
    with company.changing() as batch:
        enforce_limits(batch)

    (attempt,) = company.world.attempts.values()
    assert (attempt.state, attempt.stop_reason) == (AttemptState.STOPPING, Reason.START_TIMEOUT)
    verdict = company.world.verdicts[workload.id]
    assert verdict.reason is Reason.START_TIMEOUT
    assert verdict.evidence == {"minutes": limit_ms // MS_PER_MINUTE, "cause": "ImagePullBackOff"}


def test_a_launch_of_which_no_pod_is_made_says_where_the_cause_stands(company: Company) -> None:
    workload = launched(company)
    company.see(changes(job_seen(workload, is_suspended=False)))
    company.now = later(company.now, company.world.require_policy().limits.start_timeout_ms // 1000)
    with company.changing() as batch:
        enforce_limits(batch)
    assert "kubectl describe job" in str(company.world.verdicts[workload.id].evidence["cause"])


def test_a_sandbox_that_its_owner_stops_is_stopped(company: Company) -> None:
    platform = Platform(company, SANDBOXES, JOBS)
    workload, attempt_id = platform.sandbox()
    company.commands.stop(company.caller("ada"), workload.id, now=company.now)
    assert company.world.attempts[attempt_id].stop_reason is Reason.STOPPED
    pod = pod_seen(workload, started_at=NOON, deleted_at=company.now, finished_at=company.now, is_gone=True)
    job = job_seen(workload, is_suspended=True, is_confirmed_suspended=True, attempt_id=attempt_id)
    company.see(changes(job, pod))
    stored = company.workload(workload.id)
    assert (stored.state, stored.state_reason) == (WorkloadState.STOPPED, Reason.STOPPED)


def test_a_rule_that_ends_what_rests_ends_it_for_good(company: Company) -> None:
    terms = IdlePolicy(is_dry_run=False, action=IdleAction.STOP)
    platform = Platform(company, replace(SANDBOXES, policy=terms))
    workload, attempt_id = platform.sandbox()
    platform.minutes(45, pods=platform.agents.pod_of(workload))
    assert platform.verdicts(workload)[-1] is Reason.IDLE_ENDED
    assert company.world.attempts[attempt_id].stop_reason is Reason.IDLE_ENDED


def test_a_rule_that_reports_what_rests_says_so_and_stops_nothing(company: Company) -> None:
    terms = IdlePolicy(is_dry_run=False, action=IdleAction.REPORT)
    platform = Platform(company, replace(SANDBOXES, policy=terms))
    workload, attempt_id = platform.sandbox()
    platform.minutes(60, pods=platform.agents.pod_of(workload))
    assert platform.verdicts(workload)[-1] is Reason.IDLE_REPORTED
    assert company.world.attempts[attempt_id].state is AttemptState.RUNNING


def launched(company: Company) -> Workload:
    grant = company.grant("ada", 10)
    workload = company.submit()
    assert company.launch(workload, FundingShare(grant, 4 * MS_PER_HOUR)) == []
    company.give_job(workload)
    return workload


def stopped(company: Company, platform: Platform, reason: Reason) -> tuple[Workload, AttemptId]:
    """A sandbox that was told to stop and whose pods have not ended."""
    workload, attempt_id = platform.sandbox()
    if reason is Reason.STOPPED:
        company.commands.stop(company.caller("ada"), workload.id, now=company.now)
    elif reason is Reason.CANCELLED:
        company.commands.cancel(company.caller("ada"), workload.id, now=company.now)
    else:
        with company.changing() as batch:
            stop_attempt(batch, company.world.attempts[attempt_id], reason, {})
    return company.workload(workload.id), attempt_id


def ends(company: Company, workload: Workload, attempt_id: AttemptId) -> Workload:
    """Its pods end, and its Job is as suspended as it was told to be."""
    pod = pod_seen(workload, started_at=NOON, deleted_at=company.now, finished_at=company.now, is_gone=True)
    job = job_seen(workload, is_suspended=True, is_confirmed_suspended=True, attempt_id=attempt_id)
    company.see(changes(job, pod))
    return company.workload(workload.id)


def resume(company: Company, workload: Workload) -> Workload:
    return company.commands.resume(company.caller("ada"), workload.id, now=company.now)


@pytest.mark.parametrize("reason", [Reason.STOPPED, Reason.IDLE, Reason.TIME_LIMIT, Reason.BOOKING_ENDED])
def test_what_is_resumed_before_its_pods_have_ended_is_queued_when_they_have(
    company: Company, reason: Reason
) -> None:
    platform = Platform(company, SANDBOXES, JOBS)
    workload, attempt_id = stopped(company, platform, reason)
    resumed = resume(company, workload)
    assert resumed.state is WorkloadState.STOPPING, "its pods hold its GPUs still"
    assert resume(company, workload) == resumed, "twice is once"
    stored = ends(company, workload, attempt_id)
    assert (stored.state, stored.state_reason) == (WorkloadState.QUEUED, Reason.SUBMITTED)
    with company.store.reading() as books:
        (attempt,) = books.attempts.of_workload(workload.id)
    assert attempt.stop_reason is reason, "why the attempt ended is another matter"


def test_the_last_word_on_what_is_being_stopped_counts(company: Company) -> None:
    platform = Platform(company, SANDBOXES, JOBS)
    workload, attempt_id = stopped(company, platform, Reason.STOPPED)
    resume(company, workload)
    company.commands.stop(company.caller("ada"), workload.id, now=company.now)
    assert ends(company, workload, attempt_id).state is WorkloadState.STOPPED


def test_what_was_preempted_comes_back_by_itself_and_needs_no_resume(company: Company) -> None:
    platform = Platform(company, SANDBOXES, JOBS)
    workload, attempt_id = stopped(company, platform, Reason.PREEMPTED)
    assert resume(company, workload) == workload
    stored = ends(company, workload, attempt_id)
    assert (stored.state, stored.state_reason) == (WorkloadState.QUEUED, Reason.PREEMPTED)


def test_what_runs_is_not_queued_again_by_resuming_it(company: Company) -> None:
    """It would be launched a second time beside itself."""
    workload, attempt_id = Platform(company, SANDBOXES, JOBS).sandbox()
    before = company.workload(workload.id)
    assert resume(company, workload) == before
    assert company.workload(workload.id) == before
    assert company.world.attempts[attempt_id].state is AttemptState.RUNNING


def test_what_is_being_cancelled_cannot_be_resumed(company: Company) -> None:
    platform = Platform(company, SANDBOXES, JOBS)
    workload, attempt_id = stopped(company, platform, Reason.CANCELLED)
    with pytest.raises(Conflict, match="is ending, and will be cancelled") as refused:
        resume(company, workload)
    assert refused.value.code is RefusalCode.WRONG_STATE
    assert ends(company, workload, attempt_id).state is WorkloadState.CANCELLED
    with pytest.raises(Conflict, match="is cancelled"):
        resume(company, workload)


def test_a_sandbox_that_was_stopped_is_queued_by_resuming_it_and_once(company: Company) -> None:
    platform = Platform(company, SANDBOXES, JOBS)
    workload, attempt_id = stopped(company, platform, Reason.STOPPED)
    ends(company, workload, attempt_id)
    queued = resume(company, workload)
    assert (queued.state, queued.state_reason) == (WorkloadState.QUEUED, Reason.SUBMITTED)
    assert resume(company, workload) == queued
