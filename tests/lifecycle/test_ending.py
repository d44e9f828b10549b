"""When an attempt counts as ended, and on what evidence: reports that come late, twice, or not at all."""

from dataclasses import replace

import pytest

from scheduler.domain.actions import ActionOutcome, ActionResult, CreateJob
from scheduler.domain.cluster import GpuClass
from scheduler.domain.funding import FundingShare
from scheduler.domain.observations import ClusterChanges, PodPhase
from scheduler.domain.reasons import Reason
from scheduler.domain.units import MS_PER_HOUR, AllowanceId, Instant, PerMille
from scheduler.domain.workloads import Attempt, AttemptState, Workload, WorkloadState
from scheduler.ledger.journal import Account, AccountKind, TransactionKind, available_on
from scheduler.lifecycle.running.act import note_outcome
from scheduler.lifecycle.running.ending import PATIENCE_MS, postpone
from scheduler.lifecycle.running.limits import enforce_limits
from scheduler.lifecycle.running.observe import look_again, observe
from scheduler.lifecycle.running.record import stop_attempt
from tests.lifecycle.build import H100, Company, changes, job_seen, later, pod_seen

GPUS = 2
CLASS = GpuClass(H100, PerMille(1000), (("gpu", "h100"),))


def launched(company: Company) -> tuple[Workload, AllowanceId, Attempt]:
    """A job of two GPUs whose launch has landed; no pod of it was seen yet."""
    grant = company.grant("ada", 10)
    workload = company.submit()
    company.launch(workload, FundingShare(grant, 4 * MS_PER_HOUR))
    company.give_job(workload)
    return company.workload(workload.id), grant, next(iter(company.world.attempts.values()))


def charged(company: Company, grant: AllowanceId) -> int:
    with company.store.reading() as books:
        assert books.journal.differences() == []
        return books.journal.balance(Account(AccountKind.CHARGED, grant))


def look(company: Company, *, after_ms: int = 0) -> None:
    company.now = Instant(company.now + after_ms)
    with company.changing() as batch:
        look_again(batch)


def see_in_vain(company: Company, seen: ClusterChanges) -> None:
    """In a transaction that fails: it is all looked at again."""
    with company.changing() as batch:
        observe(batch, seen)
        raise OSError("the disc is full")


def test_a_job_reported_complete_before_its_pod_waits_for_what_the_pod_cost(company: Company) -> None:
    workload, grant, attempt = launched(company)
    start = company.now
    company.see(changes(job_seen(workload, is_suspended=False, is_complete=True, attempt_id=attempt.id)))
    look(company, after_ms=PATIENCE_MS - 1)
    assert company.workload(workload.id).state is WorkloadState.LAUNCHING
    pod = pod_seen(workload, started_at=start, finished_at=later(start, 9), phase=PodPhase.SUCCEEDED, exit_code=0)
    company.see(changes(pod))
    assert company.workload(workload.id).state is WorkloadState.COMPLETED
    assert charged(company, grant) == 9_000 * GPUS


def test_the_end_by_a_nodes_clock_that_is_ahead_of_ours_dates_nothing_after_now(company: Company) -> None:
    workload, grant, attempt = launched(company)
    ended = later(company.now, 9)
    over = job_seen(workload, is_suspended=False, is_complete=True, attempt_id=attempt.id)
    company.see(
        changes(pod_seen(workload, started_at=company.now, finished_at=ended, phase=PodPhase.SUCCEEDED), over)
    )
    assert charged(company, grant) == 9_000 * GPUS
    with company.store.reading() as books:
        released = books.journal.entries(accounts=[available_on(grant)], transactions=[TransactionKind.RELEASE])
        assert [(each.amount, each.at) for each in released] == [(4 * MS_PER_HOUR - 9_000 * GPUS, company.now)]


@pytest.mark.parametrize(
    ("is_complete", "exit_code", "becomes"), [(True, 0, WorkloadState.COMPLETED), (False, 3, WorkloadState.FAILED)]
)
@pytest.mark.parametrize("is_relist", [False, True])
def test_a_job_that_is_deleted_at_its_end_came_to_what_it_said(
    company: Company, becomes: WorkloadState, exit_code: int, *, is_complete: bool, is_relist: bool
) -> None:
    workload, grant, attempt = launched(company)
    start, uid = company.now, company.workload(workload.id).job_uid
    assert uid is not None
    pod = pod_seen(workload, started_at=start)
    over = job_seen(
        workload, is_suspended=False, is_complete=is_complete, is_failed=not is_complete, attempt_id=attempt.id
    )
    company.see(changes(pod, over))
    gone = changes(pod, is_relist=True) if is_relist else ClusterChanges(jobs={uid: None})
    company.see(gone)
    assert company.workload(workload.id).state is WorkloadState.RUNNING
    phase = PodPhase.SUCCEEDED if is_complete else PodPhase.FAILED
    ends = pod_seen(workload, started_at=start, finished_at=later(start, 9), phase=phase, exit_code=exit_code)
    with pytest.raises(OSError, match="the disc is full"):
        see_in_vain(company, changes(replace(ends, attempt_id=attempt.id)))
    company.see(changes(ends))
    assert company.workload(workload.id).state is becomes
    assert charged(company, grant) == 9_000 * GPUS
    assert uid not in company.world.jobs


def test_a_failed_job_whose_pod_is_never_reported_ends_when_patience_does(company: Company) -> None:
    workload, grant, attempt = launched(company)
    company.see(changes(job_seen(workload, is_suspended=False, is_failed=True, attempt_id=attempt.id)))
    look(company, after_ms=PATIENCE_MS)
    assert company.workload(workload.id).state is WorkloadState.FAILED
    assert company.available(grant) == 10 * MS_PER_HOUR
    assert company.world.awaited == {}


def test_patience_does_not_run_out_while_the_cluster_cannot_be_watched(company: Company) -> None:
    workload, _, attempt = launched(company)
    company.see(changes(job_seen(workload, is_suspended=False, is_failed=True, attempt_id=attempt.id)))
    company.now = later(company.now, 3600)
    postpone(company.world, company.now)
    look(company)
    assert company.workload(workload.id).state is WorkloadState.LAUNCHING


def test_an_end_seen_while_a_call_is_under_way_counts_once_the_call_is_over(company: Company) -> None:
    workload, grant, attempt = launched(company)
    start = company.now
    company.world.in_flight.add(workload.id)
    company.see(
        changes(
            pod_seen(workload, started_at=start, finished_at=later(start, 3), phase=PodPhase.SUCCEEDED),
            job_seen(workload, is_suspended=False, is_complete=True, attempt_id=attempt.id),
        )
    )
    assert company.workload(workload.id).state is WorkloadState.RUNNING
    company.world.in_flight.discard(workload.id)
    look(company)
    assert company.workload(workload.id).state is WorkloadState.COMPLETED
    assert charged(company, grant) == 3_000 * GPUS


def test_a_launch_that_the_job_controller_has_not_seen_is_not_taken_for_a_suspension(company: Company) -> None:
    workload, _, attempt = launched(company)
    company.commands.cancel(company.caller("ada"), workload.id, now=company.now)
    # The launch is in the spec, the condition is still from before it.
    company.see(changes(job_seen(workload, is_suspended=False, is_confirmed_suspended=True, attempt_id=attempt.id)))
    look(company, after_ms=PATIENCE_MS)
    assert [a.state for a in company.world.attempts.values()] == [AttemptState.STOPPING]


def test_a_job_that_failed_while_it_was_being_preempted_is_not_queued_again(company: Company) -> None:
    workload, grant, attempt = launched(company)
    start = company.now
    company.see(changes(pod_seen(workload, started_at=start), job_seen(workload, is_suspended=False, active=1)))
    with company.changing() as batch:
        running = batch.attempt(attempt.id)
        assert running is not None
        stop_attempt(batch, running, Reason.PREEMPTED, {})
    company.see(
        changes(
            pod_seen(workload, started_at=start, finished_at=later(start, 4), phase=PodPhase.FAILED, exit_code=3),
            job_seen(workload, is_suspended=True, is_failed=True, attempt_id=attempt.id),
        )
    )
    assert company.workload(workload.id).state is WorkloadState.FAILED
    assert company.world.verdicts[workload.id].reason is Reason.FAILED
    assert charged(company, grant) == 4_000 * GPUS


def test_a_job_that_somebody_else_suspended_is_charged_and_queued_again(company: Company) -> None:
    workload, grant, attempt = launched(company)
    start = company.now
    company.see(changes(pod_seen(workload, started_at=start), job_seen(workload, is_suspended=False, active=1)))
    company.see(
        changes(
            pod_seen(workload, started_at=start, finished_at=later(start, 7), phase=PodPhase.FAILED, is_gone=True),
            job_seen(workload, is_suspended=True, is_confirmed_suspended=True, attempt_id=attempt.id),
        )
    )
    assert company.workload(workload.id).state is WorkloadState.QUEUED
    assert company.world.verdicts[workload.id].reason is Reason.SUSPENDED
    assert charged(company, grant) == 7_000 * GPUS
    assert company.available(grant) == 10 * MS_PER_HOUR - 7_000 * GPUS


def test_a_pod_that_was_not_made_for_the_attempt_is_not_charged_to_it(company: Company) -> None:
    workload, _, attempt = launched(company)
    job = job_seen(workload, is_suspended=False, active=1, attempt_id="a-of-before")
    company.see(changes(job, pod_seen(workload, started_at=company.now, attempt_id="a-of-before")))
    assert company.workload(workload.id).state is WorkloadState.LAUNCHING
    assert company.world.pods.get(attempt.id, {}) == {}


def test_a_queued_workload_whose_job_is_deleted_is_called_off(company: Company) -> None:
    company.grant("ada", 10)
    workload = company.submit()
    uid = company.give_job(workload)
    company.see(changes(job_seen(workload)))
    with company.changing() as batch:
        batch.world.put_job(uid, None)
    company.see(changes(is_relist=True))
    assert company.workload(workload.id).state is WorkloadState.CANCELLED
    assert company.world.verdicts[workload.id].reason is Reason.JOB_DELETED


def test_a_queued_workload_whose_job_somebody_deletes_is_called_off_though_a_finalizer_keeps_it(
    company: Company,
) -> None:
    company.grant("ada", 10)
    workload = company.submit()
    company.give_job(workload)
    company.see(changes(job_seen(workload)))
    company.see(changes(job_seen(workload, is_deleted=True)))
    assert company.workload(workload.id).state is WorkloadState.CANCELLED
    assert company.world.verdicts[workload.id].reason is Reason.JOB_DELETED


def test_a_job_that_is_deleted_before_its_launch_gives_its_hold_back(company: Company) -> None:
    workload, grant, _ = launched(company)
    company.see(changes(job_seen(workload, is_confirmed_suspended=True, is_deleted=True)))
    assert company.workload(workload.id).state is WorkloadState.CANCELLED
    assert company.available(grant) == 10 * MS_PER_HOUR


@pytest.mark.parametrize(
    ("stop", "becomes"),
    [
        (None, WorkloadState.CANCELLED),
        (Reason.PREEMPTED, WorkloadState.CANCELLED),
        (Reason.TIME_LIMIT, WorkloadState.FAILED),
    ],
)
def test_the_attempt_of_a_job_that_a_finalizer_keeps_ends_with_its_last_pod(
    company: Company, stop: Reason | None, becomes: WorkloadState
) -> None:
    """Its controller writes no status of it any more: neither that it ended nor that it is suspended."""
    workload, grant, attempt = launched(company)
    start = company.now
    deleted = job_seen(workload, is_suspended=False, active=1, attempt_id=attempt.id, is_deleted=True)
    company.see(changes(deleted, pod_seen(workload, started_at=start)))
    assert company.workload(workload.id).state is WorkloadState.RUNNING
    if stop is not None:
        with company.changing() as batch:
            stop_attempt(batch, company.world.attempts[attempt.id], stop, {})
    company.see(changes(pod_seen(workload, started_at=start, finished_at=later(start, 9), phase=PodPhase.SUCCEEDED)))
    assert company.workload(workload.id).state is becomes
    assert charged(company, grant) == 9_000 * GPUS


def test_a_pod_that_ended_unseen_ran_until_its_job_was_told_to_suspend(company: Company) -> None:
    workload, grant, attempt = launched(company)
    start = company.now
    company.see(
        changes(
            pod_seen(workload, started_at=start, evidence_at=start), job_seen(workload, is_suspended=False, active=1)
        )
    )
    company.commands.cancel(company.caller("ada"), workload.id, now=later(start, 60))
    company.now = later(start, 600)
    at_rest = job_seen(
        workload,
        is_suspended=True,
        is_confirmed_suspended=True,
        suspended_at=later(start, 60),
        attempt_id=attempt.id,
    )
    company.see(changes(at_rest, is_relist=True))
    assert company.workload(workload.id).state is WorkloadState.CANCELLED
    assert charged(company, grant) == 60_000 * GPUS


def test_an_end_that_is_reported_twice_at_once_and_is_overdue_besides_is_settled_once(company: Company) -> None:
    workload, grant, attempt = launched(company)
    start = company.now
    company.see(changes(pod_seen(workload, started_at=start), job_seen(workload, is_suspended=False, active=1)))
    company.now = later(start, workload.spec.time_limit_ms // 1000 + 5)
    ended = changes(
        pod_seen(
            workload,
            started_at=start,
            finished_at=later(start, 7),
            phase=PodPhase.SUCCEEDED,
            exit_code=0,
            attempt_id=attempt.id,
        ),
        job_seen(workload, is_suspended=False, is_complete=True, attempt_id=attempt.id),
    )
    with company.changing() as batch:
        observe(batch, ended)
        observe(batch, ended)
        look_again(batch)
        enforce_limits(batch)
    assert company.workload(workload.id).state is WorkloadState.COMPLETED
    assert charged(company, grant) == 7_000 * GPUS
    with company.store.reading() as books:
        assert books.holds.open_ones() == []


def test_final_work_whose_job_was_left_behind_is_remembered_at_the_next_start(company: Company) -> None:
    company.grant("ada", 10)
    workload = company.submit()
    company.give_job(workload)
    company.commands.cancel(company.caller("ada"), workload.id, now=company.now)
    company.world.drop_workload(workload.id)
    forged = job_seen(workload, uid="uid-of-another", workload_id=workload.id)
    company.see(changes(forged, is_relist=True))
    assert workload.id not in company.world.workloads
    company.see(changes(job_seen(workload, workload_id=workload.id), is_relist=True))
    assert company.world.workloads[workload.id].state is WorkloadState.CANCELLED
    assert workload.id in company.world.dirty


def test_work_cancelled_before_its_job_was_known_ends_though_nothing_more_is_reported(company: Company) -> None:
    grant = company.grant("ada", 10)
    workload = company.submit()
    company.launch(workload, FundingShare(grant, 4 * MS_PER_HOUR))
    seen = job_seen(workload, is_confirmed_suspended=True)
    company.see(changes(seen))
    company.commands.cancel(company.caller("ada"), workload.id, now=company.now)
    created = CreateJob(company.workload(workload.id), CLASS)
    with company.changing() as batch:
        note_outcome(batch, ActionOutcome(created, ActionResult.DONE, job_uid=seen.uid), {})
    look(company)
    assert company.workload(workload.id).state is WorkloadState.CANCELLED
    assert company.available(grant) == 10 * MS_PER_HOUR


def test_a_launch_called_off_before_it_was_made_ends_though_nothing_more_is_reported(company: Company) -> None:
    workload, grant, _ = launched(company)
    company.see(changes(job_seen(workload, is_confirmed_suspended=True)))
    company.commands.cancel(company.caller("ada"), workload.id, now=company.now)
    look(company)
    assert company.workload(workload.id).state is WorkloadState.CANCELLED
    assert company.available(grant) == 10 * MS_PER_HOUR


def test_a_job_that_was_just_created_and_not_reported_yet_is_not_taken_for_deleted(company: Company) -> None:
    company.grant("ada", 10)
    workload = company.submit()
    seen = job_seen(workload)
    with company.changing() as batch:
        created = CreateJob(company.workload(workload.id), CLASS)
        note_outcome(batch, ActionOutcome(created, ActionResult.DONE, job_uid=seen.uid), {})
        look_again(batch)
    look(company)
    assert company.workload(workload.id).state is WorkloadState.QUEUED
    assert company.world.awaited == {}


def test_a_job_deleted_before_the_answer_to_its_creation_came_calls_its_work_off(company: Company) -> None:
    company.grant("ada", 10)
    workload = company.submit()
    seen = job_seen(workload)
    company.world.in_flight.add(workload.id)
    company.see(changes(seen))
    company.see(ClusterChanges(jobs={seen.uid: None}))
    company.world.in_flight.discard(workload.id)
    with company.changing() as batch:
        created = CreateJob(company.workload(workload.id), CLASS)
        note_outcome(batch, ActionOutcome(created, ActionResult.DONE, job_uid=seen.uid), {})
        look_again(batch)
    assert company.workload(workload.id).state is WorkloadState.CANCELLED
    assert company.workload(workload.id).state_reason is Reason.JOB_DELETED
