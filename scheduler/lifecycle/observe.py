"""Observe: fold what the cluster reports into pod runs, attempts and their ends."""

from dataclasses import replace

from scheduler.domain.observations import ClusterChanges, ObservedJob, ObservedPod
from scheduler.domain.reasons import Reason
from scheduler.domain.records import EndEvidence, PodRun
from scheduler.domain.units import MS_PER_SECOND, AttemptId, Instant, JobUid, PodUid, WorkloadId
from scheduler.domain.workloads import Attempt, AttemptState, WorkloadState
from scheduler.lifecycle.batch import Batch
from scheduler.lifecycle.settle import end_attempt
from scheduler.lifecycle.world import World


def observe(batch: Batch, changes: ClusterChanges) -> None:
    """Put nodes, Jobs and pods into the world, and record what they mean for attempts: starts, ends, checkpoints.

    The world's cluster side may be put before the transaction commits: it is what the cluster said, either way.
    """
    world = batch.world
    touched = _fold_cluster(world, changes)
    for pod in changes.pods:
        workload_id = world.workload_of_job.get(pod.job_uid)
        attempt = _attempt_of_pod(batch, pod, workload_id)
        if attempt is not None:
            _record_pod(batch, attempt, pod)
            touched.add(attempt.workload_id)
        world.put_observed_pod(pod)
    if changes.is_relist:
        _end_vanished_pods(batch, {pod.uid for pod in changes.pods})
    for workload_id in sorted(touched):
        _advance(batch, workload_id)


def _fold_cluster(world: World, changes: ClusterChanges) -> set[WorkloadId]:
    if changes.is_relist:
        for name in [name for name in world.nodes if name not in changes.nodes]:
            world.put_node(name, None)
        _forget_jobs(world, [uid for uid in world.jobs if uid not in changes.jobs])
    for name, node in changes.nodes.items():
        world.put_node(name, node)
    for uid, job in changes.jobs.items():
        world.put_job(uid, job)
    touched = {world.workload_of_job[uid] for uid in changes.jobs if uid in world.workload_of_job}
    if changes.is_relist:
        touched.update(attempt.workload_id for attempt in world.attempts.values())
    return touched


def _forget_jobs(world: World, uids: list[JobUid]) -> None:
    for uid in uids:
        world.put_job(uid, None)


def _end_vanished_pods(batch: Batch, listed: set[PodUid]) -> None:
    """Pods that went while nobody watched: their end is the Job's, else the last evidence that they ran."""
    world = batch.world
    for attempt in list(world.attempts.values()):
        workload = batch.workload(attempt.workload_id)
        job = world.job_of(workload) if workload is not None else None
        for run in batch.pod_runs(attempt.id):
            if run.ended_at is None and run.pod_uid not in listed:
                last = job.ended_at if job is not None and job.ended_at is not None else run.last_seen_at
                ended_at = last or run.started_at or attempt.launched_at
                batch.put_pod(replace(run, ended_at=ended_at, end_evidence=EndEvidence.LAST_SEEN))


def _attempt_of_pod(batch: Batch, pod: ObservedPod, workload_id: WorkloadId | None) -> Attempt | None:
    """A pod that was seen before stays with its attempt; a new one belongs to the workload's live attempt."""
    if workload_id is None:
        return None
    attempt = batch.world.live_attempt(workload_id)
    if attempt is None:
        return None
    if pod.uid in batch.world.pods.get(attempt.id, {}):
        return attempt
    known = batch.books.attempts.pod(pod.uid)
    return attempt if known is None or known.attempt_id == attempt.id else None


def _record_pod(batch: Batch, attempt: Attempt, pod: ObservedPod) -> None:
    known = batch.world.pods.get(attempt.id, {}).get(pod.uid)
    run = pod_run(attempt.id, pod, batch.now, known)
    if run != known:
        batch.put_pod(run)


def pod_run(attempt_id: AttemptId, pod: ObservedPod, now: Instant, known: PodRun | None) -> PodRun:
    """The run of a pod as far as it is known. An end, once recorded, stays."""
    started_at = pod.started_at if pod.started_at is not None else (known.started_at if known else None)
    run = PodRun(
        pod_uid=pod.uid,
        attempt_id=attempt_id,
        name=pod.name,
        node=pod.node or (known.node if known else None),
        gpus=pod.gpus,
        started_at=started_at,
        last_seen_at=pod.evidence_at or (known.last_seen_at if known else None),
        exit_code=pod.exit_code if pod.exit_code is not None else (known.exit_code if known else None),
        billable_until=_billable_until(pod, known),
    )
    if known is not None and known.ended_at is not None:
        return replace(run, ended_at=known.ended_at, end_evidence=known.end_evidence)
    if not pod.has_ended:
        return run
    ended_at, evidence = _end_of(pod, started_at, now)
    return replace(run, ended_at=ended_at, end_evidence=evidence)


def _billable_until(pod: ObservedPod, known: PodRun | None) -> Instant | None:
    """SIGTERM plus the grace asked for: what lies beyond is the platform's."""
    if pod.deleted_at is None or pod.grace_seconds is None:
        return known.billable_until if known is not None else None
    return Instant(pod.deleted_at + pod.grace_seconds * MS_PER_SECOND)


def _end_of(pod: ObservedPod, started_at: Instant | None, now: Instant) -> tuple[Instant, EndEvidence]:
    """The last finishedAt; else the deletion plus what of the grace was used; else the last evidence that it ran."""
    if pod.finished_at is not None:
        return pod.finished_at, EndEvidence.FINISHED
    if pod.deleted_at is not None:
        whole_second = Instant(now // MS_PER_SECOND * MS_PER_SECOND)
        latest = Instant(pod.deleted_at + (pod.grace_seconds or 0) * MS_PER_SECOND)
        return max(pod.deleted_at, min(latest, whole_second)), EndEvidence.DELETION
    return pod.evidence_at or started_at or now, EndEvidence.LAST_SEEN


def _advance(batch: Batch, workload_id: WorkloadId) -> None:
    """Move the workload's live attempt on: started, checkpointed, or ended."""
    world = batch.world
    attempt = world.live_attempt(workload_id)
    workload = batch.workload(workload_id)
    if attempt is None or workload is None:
        return
    attempt = batch.attempt(attempt.id) or attempt
    job = world.job_of(workload)
    attempt = _note_progress(batch, attempt, job)
    if _has_ended(batch, attempt, job, is_known=workload.job_uid is not None):
        end_attempt(batch, attempt, job)


def _note_progress(batch: Batch, attempt: Attempt, job: ObservedJob | None) -> Attempt:
    starts = [run.started_at for run in batch.pod_runs(attempt.id) if run.started_at is not None]
    moved = attempt
    if starts and attempt.started_at is None:
        moved = replace(moved, started_at=min(starts))
        if attempt.state is AttemptState.LAUNCHING:
            moved = replace(moved, state=AttemptState.RUNNING)
            workload = batch.workload(attempt.workload_id)
            if workload is not None and workload.state is WorkloadState.LAUNCHING:
                batch.change_workload(workload, state=WorkloadState.RUNNING, state_reason=Reason.RUNNING)
                nodes = ", ".join(node for node, _ in attempt.placement.pods_by_node)
                batch.say(workload.id, Reason.RUNNING, {"nodes": nodes})
    if job is not None and job.checkpointed_at is not None and job.checkpointed_at > (moved.checkpointed_at or 0):
        moved = replace(moved, checkpointed_at=job.checkpointed_at)
    if moved is not attempt:
        batch.put_attempt(moved)
    return moved


def _has_ended(batch: Batch, attempt: Attempt, job: ObservedJob | None, *, is_known: bool) -> bool:
    """Only a confirmed end counts: no pod of it lives, and its Job is over, gone, or confirmed as suspended.

    Suspended is True, `active` and `terminating` are 0, no pod is left that is not terminal.
    """
    if attempt.workload_id in batch.world.in_flight:
        return False
    if any(run.ended_at is None for run in batch.pod_runs(attempt.id)):
        return False
    if job is None:
        return is_known
    if batch.world.is_stale(job):
        return False
    if job.has_ended:
        return job.terminating == 0
    if attempt.state is AttemptState.STOPPING:
        return job.is_confirmed_suspended and job.active == 0 and job.terminating == 0
    return False
