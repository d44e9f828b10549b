"""Outcome: why an attempt ended, and what becomes of its workload: done, queued again, tried again, or given up."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
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
    left = _left_to(batch, workload, ended, job)
    left = _unless_out_of_time(batch, workload, left)
    left = _unless_called_off(batch, workload, left, job)
    left = _with_its_job(workload, left, job)
    batch.change_workload(workload, state=left.state, state_reason=left.reason, **left.fields)


@dataclass(frozen=True, slots=True)
class _Left:
    """What a workload is left to once its attempt has ended: the state, why, and what else of it is another."""

    state: WorkloadState
    reason: Reason
    fields: Mapping[str, Any] = field(default_factory=dict)


def _left_to(batch: Batch, workload: Workload, ended: Ended, job: ObservedJob | None) -> _Left:
    """By why it ended, and where it failed, by whether a rule grants another try."""
    becomes = what_becomes(workload, ended.reason)
    if ended.reason in _PLATFORMS_FAULTS and not (may_have_another(workload, job) or may_be_resumed(job)):
        becomes = WorkloadState.FAILED
    retried = _tried_again(batch, workload, ended, job) if becomes is WorkloadState.FAILED else None
    if retried is not None:
        return _Left(WorkloadState.QUEUED, ended.reason, retried)
    return _Left(becomes, ended.reason)


def _unless_out_of_time(batch: Batch, workload: Workload, left: _Left) -> _Left:
    """Once all its attempts have run for as long as they may together, it is not queued again."""
    # The limit at which it was stopped may be what was left of the runtime of all its attempts.
    is_cut = left.state is WorkloadState.FAILED and left.reason is Reason.TIME_LIMIT
    if not (left.state is WorkloadState.QUEUED or is_cut) or not _has_run_its_time(batch, workload):
        return left
    batch.say(workload.id, Reason.RUNTIME_LIMIT, {"limit": lasting(runtime_max(batch, workload) or 0)})
    return _Left(WorkloadState.FAILED, Reason.RUNTIME_LIMIT)


def _unless_called_off(batch: Batch, workload: Workload, left: _Left, job: ObservedJob | None) -> _Left:
    """Whoever deleted its Job called it off: there is none to queue again."""
    is_gone = job is None or (job.is_deleted and not job.has_ended)
    if left.state is not WorkloadState.QUEUED or not is_gone or not workload.job_uid or left.reason is Reason.BACKOFF:
        return left
    batch.say(workload.id, Reason.JOB_DELETED, {})
    return _Left(WorkloadState.CANCELLED, Reason.JOB_DELETED)


def _with_its_job(workload: Workload, left: _Left, job: ObservedJob | None) -> _Left:
    """Whether it needs another Job than it had; and a sandbox that its owner resumed before its pods had ended waits."""
    if left.state is WorkloadState.QUEUED and job is not None and job.has_ended:
        return replace(left, fields={**left.fields, **another_job(workload)})
    if left.state is not WorkloadState.STOPPED:
        return left
    if job is None:
        left = replace(left, fields={"job_uid": None})  # it gets another when it is resumed
    if workload.state_reason is Reason.SUBMITTED:
        left = replace(left, state=WorkloadState.QUEUED, reason=Reason.SUBMITTED)
    return left


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
