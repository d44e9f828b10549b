"""Act: what must be asked of the cluster so that a workload's Job is as the store says it should be.

Level-triggered: the rows of a workload and its attempt are the committed intent, and comparing them with the Job
gives the next call, after a crash as well as before. Repeating a call is harmless.
"""

from dataclasses import dataclass, replace

from scheduler.domain.actions import (
    Action,
    ActionOutcome,
    ActionResult,
    CreateJob,
    DeleteJob,
    LaunchJob,
    ResizeJob,
    SuspendJob,
    TellJob,
)
from scheduler.domain.cluster import PodRequest
from scheduler.domain.observations import ObservedJob
from scheduler.domain.policy import Policy
from scheduler.domain.reasons import Reason
from scheduler.domain.units import MS_PER_SECOND, Instant, WorkloadId
from scheduler.domain.wording import counted
from scheduler.domain.workloads import Attempt, AttemptState, Origin, Workload, WorkloadKind, WorkloadState
from scheduler.lifecycle.memory.world import World
from scheduler.lifecycle.running.another_job import job_name_of
from scheduler.lifecycle.running.record import drop_reservation
from scheduler.lifecycle.running.settle import end_attempt
from scheduler.lifecycle.writing.batch import Batch

BACKOFF_FIRST_MS = 1 * MS_PER_SECOND
BACKOFF_MAX_MS = 300 * MS_PER_SECOND


@dataclass(frozen=True, slots=True)
class Next:
    """The next call for a workload, or None; `is_done` where nothing will ever be asked for it again."""

    action: Action | None = None
    is_done: bool = False


def next_action(world: World, workload: Workload) -> Next:
    """Compare what should be with what is. Nothing is asked while a call of the same workload is under way."""
    if workload.spec.kind is WorkloadKind.BOOKING:
        return Next(is_done=workload.state.is_final)
    attempt = world.live_attempt(workload.id)
    job = world.job_of(workload)
    if workload.state.is_final and attempt is None:
        return _clean_up(workload, job)
    if workload.job_uid is None:
        return Next(None if workload.state is WorkloadState.STOPPED else _create(world, workload, attempt))
    if job is None or job.has_ended or world.is_stale(job):
        return Next()
    if job.is_deleted:
        return Next(_end_kept(workload, attempt, job))
    if not job.is_suspended:
        return Next(_call_off(workload, attempt, job) or _resize(workload, attempt, job))
    if attempt is not None and attempt.state is AttemptState.LAUNCHING and not (job.active or job.terminating):
        return Next(_launch(world.require_policy(), workload, attempt, job))
    return Next()


def _call_off(workload: Workload, attempt: Attempt | None, job: ObservedJob) -> SuspendJob | None:
    """A Job that goes is suspended unless a live attempt set it going: somebody else did, or a launch landed after
    its attempt was called off."""
    if attempt is None:
        return SuspendJob(workload, job.uid, workload.state_reason)
    if attempt.state is AttemptState.STOPPING or job.attempt_id != attempt.id:
        return SuspendJob(workload, job.uid, attempt.stop_reason or Reason.STOPPED)
    return None


def _end_kept(workload: Workload, attempt: Attempt | None, job: ObservedJob) -> SuspendJob | None:
    """Kubernetes heeds no suspension of a Job that is deleted; and one that is suspended does not heed its deadline."""
    if not job.is_lingering or (job.is_suspended and not job.active):
        return None
    reason = attempt.stop_reason if attempt is not None else None
    return SuspendJob(workload, job.uid, reason or Reason.JOB_DELETED, is_lingering=True)


def _resize(workload: Workload, attempt: Attempt | None, job: ObservedJob) -> ResizeJob | None:
    """The Job of an elastic attempt has as many pods as its row says, whoever changed which of the two; that of any other
    has no more: pods beyond its placement have no GPUs that were placed for them, and no hold."""
    if attempt is None or job.pods == attempt.placement.pods:
        return None
    if attempt.elastic is None and job.pods < attempt.placement.pods:
        return None
    return ResizeJob(workload, attempt.id, job.uid, job.generation, attempt.placement)


def _clean_up(workload: Workload, job: ObservedJob | None) -> Next:
    """A Job that we made and that will not run again is deleted; one that ran to its end, or a user's own, is left.
    Of a user's workload, those after the first are ours.

    While it has not been reported, deleting it by its name tells: GONE says that nothing is left to do.
    """
    is_theirs = workload.origin is not Origin.API and (workload.retries == 0 or workload.job_uid is None)
    if is_theirs or (job is not None and job.has_ended):
        return Next(is_done=True)
    if job is None and workload.state is not WorkloadState.CANCELLED:
        return Next(is_done=True)
    return Next(None if job is not None and job.is_deleted else DeleteJob(workload, workload.job_uid))


def _create(world: World, workload: Workload, attempt: Attempt | None) -> CreateJob | None:
    is_theirs = workload.origin is not Origin.API
    if is_theirs and workload.retries == 0:
        return None
    policy = world.require_policy()
    name = attempt.gpu_class if attempt is not None else workload.spec.gpu_classes[0]
    gpu_class = policy.gpu_classes.get(name)
    if gpu_class is None:
        return None
    if is_theirs:
        owner = world.people.get(workload.owner)
        former = job_name_of(workload, workload.retries - 1)
        return CreateJob(workload, gpu_class, former=former, author=owner.subject if owner is not None else "")
    sandbox = policy.sandbox if workload.spec.kind is WorkloadKind.SANDBOX else None
    return CreateJob(workload, gpu_class, world.keys.get(workload.id, ""), sandbox)


def _launch(policy: Policy, workload: Workload, attempt: Attempt, job: ObservedJob) -> LaunchJob | None:
    gpu_class = policy.gpu_classes.get(attempt.gpu_class)
    if gpu_class is None or job.attempt_id == attempt.id:
        return None
    return LaunchJob(workload, attempt.id, job.uid, job.generation, gpu_class, attempt.placement)


def note_outcome(batch: Batch, outcome: ActionOutcome, retries: dict[WorkloadId, int]) -> None:
    """Write down how a call went where it changes anything. `retries` counts refusals in a row, for the backoff."""
    action = outcome.action
    workload_id = _workload_of(action)
    workload = batch.workload(workload_id) if workload_id is not None else None
    if workload is None:
        return
    match outcome.result:
        case ActionResult.DONE:
            retries.pop(workload.id, None)
            if isinstance(action, CreateJob) and outcome.job_uid is not None and workload.job_uid is None:
                batch.change_workload(workload, job_uid=outcome.job_uid)
                # What was reported of the Job before its UID was known has passed unheard.
                batch.world.awaited.setdefault(workload.id, batch.now)
        case ActionResult.GONE if isinstance(action, CreateJob | LaunchJob):
            _abandon(batch, workload, Reason.JOB_DELETED, "its Job is gone")
        case ActionResult.FOREIGN | ActionResult.REFUSED if isinstance(action, CreateJob | LaunchJob):
            _abandon(batch, workload, Reason.LAUNCH_REFUSED, outcome.message)
        case ActionResult.FORBIDDEN if isinstance(action, CreateJob | LaunchJob):
            retries[workload.id] = retries.get(workload.id, 0) + 1
            _hold_back(batch, workload, backoff_until(batch.now, retries[workload.id]), outcome.message)
        case _:
            retries[workload.id] = retries.get(workload.id, 0) + 1


def refuse_what_was_changed(batch: Batch, workload: Workload, job: ObservedJob) -> bool:
    """Whether its suspended Job asks for other pods than were judged; then it is never launched, and says why.

    Since 1.36 Kubernetes lets a suspended Job's resources be changed: launched so, it would run GPUs that were not placed
    for it, past its pool's quota and its hold. A GPU count of 0 is no ask: the policy may know its resource no more.
    """
    asked, judged = job.pod, workload.spec.pod
    if asked is None or not asked.gpus or not job.is_suspended or job.has_ended:
        return False
    if workload.origin is Origin.API:
        asked = replace(judged, gpus=asked.gpus)  # what else its template says is our own writing
    attempt = batch.live_attempt(workload.id)
    is_to_run = workload.state is WorkloadState.QUEUED if attempt is None else attempt.state is AttemptState.LAUNCHING
    if asked == judged or not is_to_run or workload.spec.kind is WorkloadKind.BOOKING:
        return False
    cause = (
        f"each of its pods asks for {_said(asked)} now, and {_said(judged)} were judged; "
        "delete it and apply it anew to have that judged"
    )
    _abandon(batch, workload, Reason.LAUNCH_REFUSED, cause)
    return True


def _said(pod: PodRequest) -> str:
    return f"{counted(pod.gpus, 'GPU')}, {pod.cpu_milli} mCPU and {pod.memory_mib} MiB"


def _workload_of(action: Action) -> WorkloadId | None:
    return None if isinstance(action, TellJob) else action.workload.id


def _abandon(batch: Batch, workload: Workload, reason: Reason, cause: str) -> None:
    """Fail closed: holds are given back and the workload ends with the cause; its owner mends it and submits again."""
    attempt = batch.live_attempt(workload.id)
    if attempt is not None:
        end_attempt(batch, replace(attempt, stop_reason=attempt.stop_reason or reason), None)
    elif not workload.state.is_final:
        if workload.id in batch.world.reservations:
            drop_reservation(batch, workload.id)
        batch.change_workload(workload, state=WorkloadState.FAILED, state_reason=reason)
    batch.say(workload.id, reason, {"cause": cause})


def _hold_back(batch: Batch, workload: Workload, until: Instant, cause: str) -> None:
    """Give back what its launch held, and queue it again for a later try: what forbade it may be mended."""
    attempt = batch.live_attempt(workload.id)
    if attempt is not None and attempt.state is AttemptState.LAUNCHING:
        end_attempt(batch, replace(attempt, stop_reason=Reason.BACKOFF), None)
    waiting = batch.workload(workload.id) or workload
    if waiting.state is WorkloadState.QUEUED:
        batch.change_workload(waiting, not_before=until, state_reason=Reason.LAUNCH_REFUSED)
        seconds = (until - batch.now) // MS_PER_SECOND
        batch.say(workload.id, Reason.BACKOFF, {"seconds": seconds, "cause": cause})


def backoff_until(now: Instant, refusals: int) -> Instant:
    """When to try again after so many refusals in a row: doubling from one second to five minutes."""
    return Instant(now + min(BACKOFF_MAX_MS, BACKOFF_FIRST_MS * 2 ** min(refusals, 20)))
