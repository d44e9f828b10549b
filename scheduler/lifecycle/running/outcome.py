"""Outcome: why an attempt ended, and what becomes of its workload: done, queued again, tried again, or given up."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from scheduler.domain.observations import ObservedJob
from scheduler.domain.reasons import Evidence, Reason
from scheduler.domain.records import PodRun
from scheduler.domain.retries import next_try
from scheduler.domain.units import MS_PER_SECOND
from scheduler.domain.wording import lasting
from scheduler.domain.workloads import Attempt, Workload, WorkloadKind, WorkloadState
from scheduler.lifecycle.running.another_job import another_job, may_be_resumed, may_have_another
from scheduler.lifecycle.writing.batch import Batch

_REQUEUED = {Reason.PREEMPTED, Reason.NODE_LOST, Reason.ALLOWANCE_EXHAUSTED, Reason.SUSPENDED, Reason.BACKOFF}
_LETS_RESUME = {Reason.STOPPED, Reason.TIME_LIMIT, Reason.BOOKING_ENDED}
"""Its home is kept, and its owner may set a sandbox going again."""
_PLATFORMS_FAULTS = {Reason.NODE_LOST}
"""That its Job failed with it changes nothing about why it ended."""
_SIGNALLED = {137, 143}
"""Exit codes of SIGKILL and SIGTERM: what a container that is told to end comes to."""


@dataclass(frozen=True, slots=True)
class Ended:
    """Why an attempt ended. `is_news` where that is not what was said when it was told to stop."""

    reason: Reason
    evidence: Evidence
    exit_code: int = 0
    is_news: bool = True


def why_it_ended(attempt: Attempt, workload: Workload, job: ObservedJob | None, runs: Sequence[PodRun]) -> Ended:
    """What the Job came to goes before why it was to be stopped: one that has ended never runs again.

    But where nothing failed on its own, and we may make another Job, a stop that queues again still does.
    """
    if job is not None and job.is_complete:
        return Ended(Reason.COMPLETED, {})
    codes = _codes(attempt, runs)
    is_over = job is not None and job.is_failed
    if attempt.stop_reason is not None:
        was_only_stopped = set(codes) <= _SIGNALLED and may_have_another(workload, job)
        if not is_over or attempt.stop_reason not in _REQUEUED - _PLATFORMS_FAULTS or was_only_stopped:
            return Ended(attempt.stop_reason, {}, is_news=False)
    if job is not None and job.is_failed:
        code = codes[0] if codes else 0
        cause = f"exit code {code}" if codes else job.failure or "the Job failed"
        return Ended(Reason.FAILED, {"cause": cause, "exit_code": code}, code)
    return Ended(Reason.JOB_DELETED if job is None or job.is_deleted else Reason.SUSPENDED, {})


def _codes(attempt: Attempt, runs: Sequence[PodRun]) -> list[int]:
    """Exit codes of the pods that failed, that of the first to end first: where one of a gang fails, the others are told
    to end, or fail for want of it. Of those that ended together, whoever was not told to."""
    failed = [run for run in runs if run.exit_code and not _was_given_back(attempt, run)]
    failed.sort(key=lambda run: (run.ended_at is None, run.ended_at or 0, run.exit_code in _SIGNALLED, run.pod_uid))
    return [run.exit_code for run in failed if run.exit_code]


def _was_given_back(attempt: Attempt, run: PodRun) -> bool:
    """Whether an elastic attempt may have given that pod back: it ended because it was told to."""
    return attempt.elastic is not None and run.billable_until is not None and run.exit_code in _SIGNALLED


def settle_workload(batch: Batch, workload: Workload, ended: Ended, job: ObservedJob | None) -> None:
    """Put the workload where its attempt's end puts it, and say what was not said yet."""
    if ended.is_news:
        batch.say(workload.id, ended.reason, ended.evidence)
    reason, becomes = ended.reason, what_becomes(workload, ended.reason)
    if reason in _PLATFORMS_FAULTS and not (may_have_another(workload, job) or may_be_resumed(job)):
        becomes = WorkloadState.FAILED
    fields: dict[str, Any] = {}
    if becomes is WorkloadState.FAILED:
        retried = _tried_again(batch, workload, ended, job)
        if retried is not None:
            becomes, fields = WorkloadState.QUEUED, retried
    # The limit at which it was stopped may be what was left of the runtime of all its attempts.
    is_cut = becomes is WorkloadState.FAILED and reason is Reason.TIME_LIMIT
    if (becomes is WorkloadState.QUEUED or is_cut) and _has_run_its_time(batch, workload):
        becomes, reason, fields = WorkloadState.FAILED, Reason.RUNTIME_LIMIT, {}
        batch.say(workload.id, reason, {"limit": lasting(runtime_max(batch, workload) or 0)})
    is_gone = job is None or (job.is_deleted and not job.has_ended)
    if becomes is WorkloadState.QUEUED and is_gone and workload.job_uid and reason is not Reason.BACKOFF:
        # Whoever deleted its Job called it off: there is none to queue again.
        becomes, reason, fields = WorkloadState.CANCELLED, Reason.JOB_DELETED, {}
        batch.say(workload.id, reason, {})
    if becomes is WorkloadState.QUEUED and job is not None and job.has_ended:
        fields |= another_job(workload)
    if becomes is WorkloadState.STOPPED and job is None:
        fields = {"job_uid": None}  # it gets another when it is resumed
    if becomes is WorkloadState.STOPPED and workload.state_reason is Reason.SUBMITTED:
        becomes, reason = WorkloadState.QUEUED, Reason.SUBMITTED  # its owner resumed it before its pods had ended
    batch.change_workload(workload, state=becomes, state_reason=reason, **fields)


def _tried_again(batch: Batch, workload: Workload, ended: Ended, job: ObservedJob | None) -> dict[str, Any] | None:
    """What changes where a rule grants another try; None where none does."""
    if workload.spec.kind is not WorkloadKind.JOB or not may_have_another(workload, job):
        return None
    rules = batch.world.require_policy().retry_rules
    attempts = batch.attempts_of(workload.id)
    ends = [attempt.stop_reason for attempt in attempts if attempt.stop_reason is not None]
    ended_at = attempts[-1].ended_at or batch.now
    retry = next_try(rules, workload.id, ends, ended.exit_code, ended_at) if rules else None
    if retry is None:
        return None
    if _has_run_its_time(batch, workload):
        return {}  # it is given up for that, and waits for nothing
    seconds = max(0, retry.not_before - batch.now) // MS_PER_SECOND
    cause = ended.evidence.get("cause", ended.reason.value)
    batch.say(
        workload.id,
        Reason.BACKOFF,
        {"seconds": seconds, "cause": f"{cause}; retry {retry.number} of {retry.of}"},
    )
    return {"not_before": retry.not_before}


def _has_run_its_time(batch: Batch, workload: Workload) -> bool:
    """Whether its attempts together have run for as long as it may run in all."""
    longest = runtime_max(batch, workload)
    return longest is not None and ran_ms(batch, workload) >= longest


def runtime_max(batch: Batch, workload: Workload) -> int | None:
    """How long all attempts of it together may run; None without a bound."""
    return workload.spec.runtime_limit(batch.world.require_policy().limits.runtime_max_ms)


def ran_ms(batch: Batch, workload: Workload) -> int:
    """The running time of its attempts that have ended."""
    return sum(
        max(0, attempt.ended_at - attempt.started_at)
        for attempt in batch.attempts_of(workload.id)
        if attempt.started_at is not None and attempt.ended_at is not None
    )


def what_becomes(workload: Workload, reason: Reason) -> WorkloadState:
    """What a workload is after its attempt ended for this reason, were nothing tried again."""
    if reason is Reason.COMPLETED:
        return WorkloadState.COMPLETED
    if reason in {Reason.CANCELLED, Reason.JOB_DELETED, Reason.IDLE_ENDED}:
        return WorkloadState.CANCELLED
    if reason in _REQUEUED:
        return WorkloadState.QUEUED
    if reason is Reason.IDLE:
        return WorkloadState.STOPPED
    if workload.spec.kind is WorkloadKind.SANDBOX and reason in _LETS_RESUME:
        return WorkloadState.STOPPED
    if reason is Reason.STOPPED:
        return WorkloadState.CANCELLED
    return WorkloadState.FAILED
