"""Ending: when an attempt counts as ended, and on what evidence. Only a confirmed end counts."""

from scheduler.domain.observations import ObservedJob
from scheduler.domain.reasons import Reason
from scheduler.domain.units import MS_PER_SECOND, Instant
from scheduler.domain.workloads import Attempt, AttemptState, Workload
from scheduler.lifecycle.memory.world import World
from scheduler.lifecycle.writing.batch import Batch

PATIENCE_MS = 10 * MS_PER_SECOND
"""Jobs and pods are watched by two streams, and a Job's status does not say which generation it is about: so long a
pod may come to be known after its Job seems to be at rest."""


def has_ended(batch: Batch, attempt: Attempt, workload: Workload, job: ObservedJob | None) -> bool:
    """No pod of it lives, and its Job is over, gone, or confirmed as suspended.

    What looks ended while a call about it is under way, or before all of its pods have been reported, is put among
    the awaited: each cycle looks at those again, because no further change may come.
    """
    world = batch.world
    if not _looks_ended(batch, attempt, workload, job):
        world.awaited.pop(workload.id, None)
        return False
    waited_ms = batch.now - world.awaited.setdefault(workload.id, batch.now)
    if workload.id in world.in_flight or (_lacks_pods(batch, attempt, job) and waited_ms < PATIENCE_MS):
        return False
    if job is not None and _may_yet_be_taken_up(batch, attempt, job):
        return False
    del world.awaited[workload.id]
    return True


def postpone(world: World, now: Instant) -> None:
    """While the cluster cannot be watched, patience does not run out."""
    with world.writer:
        world.awaited.update(dict.fromkeys(world.awaited, now))


def _looks_ended(batch: Batch, attempt: Attempt, workload: Workload, job: ObservedJob | None) -> bool:
    """Suspended means: by spec and by condition, `active` and `terminating` are 0, no pod is left that is not terminal.

    A Job that nobody of us suspended counts too, once it had been launched for this attempt. One that is being deleted
    gets no pods any more, and its status may say nothing new; a finalizer of somebody's may keep it for ever.
    """
    if any(run.ended_at is None for run in batch.pod_runs(attempt.id)):
        return False
    if job is None:
        return workload.job_uid is not None
    if batch.world.is_stale(job):
        return False
    if job.has_ended:
        return job.terminating == 0
    if job.is_deleted:
        return True
    is_confirmed = job.is_confirmed_suspended or (job.is_run_elsewhere and not job.is_taken_up)
    is_at_rest = job.is_suspended and is_confirmed and not job.active and not job.terminating
    return is_at_rest and (attempt.state is AttemptState.STOPPING or job.attempt_id == attempt.id)


def _may_yet_be_taken_up(batch: Batch, attempt: Attempt, job: ObservedJob) -> bool:
    """Whether the controller that its Job names has not said that it is at rest, and may have begun it without saying so:
    it was launched, and the time for a start is not over. A controller that is not there says nothing, ever."""
    if not job.is_run_elsewhere or job.is_confirmed_suspended or job.has_ended or job.is_deleted:
        return False
    starts_until = attempt.launched_at + batch.world.require_policy().limits.start_timeout_ms
    was_launched = job.attempt_id == attempt.id
    return was_launched and attempt.stop_reason is not Reason.START_TIMEOUT and batch.now < starts_until


def _lacks_pods(batch: Batch, attempt: Attempt, job: ObservedJob | None) -> bool:
    """Whether pods of it may have run, or yet run, that have not been reported: none can where it was not launched."""
    if job is not None and job.is_run_elsewhere:
        return False
    was_launched = job is None or job.attempt_id == attempt.id
    return was_launched and len(batch.pod_runs(attempt.id)) < attempt.placement.pods
