"""Observe: fold what the cluster reports into pod runs, attempts and their ends."""

from collections.abc import Iterable
from dataclasses import replace

from scheduler.domain.observations import ClusterChanges, ObservedJob, ObservedPod
from scheduler.domain.reasons import Reason
from scheduler.domain.records import EndEvidence, PodRun
from scheduler.domain.units import MS_PER_SECOND, AttemptId, Instant, JobUid, PodUid, WorkloadId, whole_second
from scheduler.domain.workloads import Attempt, AttemptState, Workload, WorkloadState
from scheduler.lifecycle.memory.world import World
from scheduler.lifecycle.running.act import refuse_what_was_changed
from scheduler.lifecycle.running.another_job import another_job, may_have_another
from scheduler.lifecycle.running.ending import has_ended
from scheduler.lifecycle.running.losing import stop_if_lost, stop_if_node_is_gone
from scheduler.lifecycle.running.record import drop_reservation, stop_attempt
from scheduler.lifecycle.running.resize import note_given_back
from scheduler.lifecycle.running.settle import end_attempt
from scheduler.lifecycle.writing.batch import Batch


def observe(batch: Batch, changes: ClusterChanges) -> None:
    """Put nodes, Jobs and pods into the world, and record what they mean for attempts: starts, ends, checkpoints.

    The world's cluster side may be put before the transaction commits: it is what the cluster said, either way.
    """
    world = batch.world
    touched = _take_in(batch, changes)
    _fetch_holds_of_ending(batch, touched)
    for workload_id in sorted(touched):
        _advance(batch, workload_id)
    for workload_id in sorted(_without_job(world, changes, touched)):
        _lose_job(batch, workload_id)


def hear(batch: Batch, changes: ClusterChanges) -> None:
    """Only when what began and ended: what follows from it is left to `observe`, which comes after."""
    for workload_id in sorted(_take_in(batch, changes)):
        attempt, workload = batch.live_attempt(workload_id), batch.workload(workload_id)
        if attempt is not None and workload is not None:
            _note_progress(batch, attempt, batch.world.job_of(workload))


def _take_in(batch: Batch, changes: ClusterChanges) -> set[WorkloadId]:
    """Returns the workloads that it is about."""
    world = batch.world
    if changes.is_relist:
        _recall_final_work(batch, changes)
    touched = _fold_cluster(world, changes)
    for pod in changes.pods:
        workload_id = world.workload_of_job.get(pod.job_uid)
        attempt = _attempt_of_pod(batch, pod, workload_id)
        if attempt is not None:
            _record_pod(batch, attempt, pod)
            stop_if_lost(batch, attempt, pod)
            touched.add(attempt.workload_id)
        world.put_observed_pod(pod)
    if changes.is_relist:
        _end_vanished_pods(batch, {pod.uid for pod in changes.pods})
    return touched


def _without_job(world: World, changes: ClusterChanges, touched: set[WorkloadId]) -> set[WorkloadId]:
    """Those whose Job was reported gone, or is not on the whole list: one that nobody reported yet is not gone."""
    if not changes.is_relist:
        gone = (world.workload_of_job.get(uid) for uid, job in changes.jobs.items() if job is None)
        return {workload_id for workload_id in gone if workload_id is not None}
    known = ((workload_id, world.workloads.get(workload_id)) for workload_id in touched)
    return {
        workload_id
        for workload_id, workload in known
        if workload is not None and workload.job_uid is not None and workload.job_uid not in changes.jobs
    }


def _recall_final_work(batch: Batch, changes: ClusterChanges) -> None:
    """Final work is not loaded at the start. Where its Job is there and has not ended, it was still to be deleted."""
    world = batch.world
    for job in changes.jobs.values():
        if job is None or job.workload_id is None or job.has_ended or job.uid in world.workload_of_job:
            continue
        if job.workload_id in world.workloads:
            continue
        known = batch.books.workloads.get(job.workload_id)
        if known is not None and known.job_uid in {None, job.uid} and known.job_name == job.name:
            world.put_workloads([known])


def _fetch_holds_of_ending(batch: Batch, touched: Iterable[WorkloadId]) -> None:
    """One query for all the attempts whose Jobs are over and which no call under way keeps from ending."""
    world = batch.world
    ending = [
        attempt.id
        for workload_id in touched
        if workload_id not in world.in_flight
        and (attempt := world.live_attempt(workload_id)) is not None
        and (workload := world.workloads.get(workload_id)) is not None
        and (job := world.job_of(workload)) is not None
        and (job.has_ended or job.is_confirmed_suspended)
    ]
    if ending:
        batch.fetch_holds(sorted(ending))


def look_again(batch: Batch) -> None:
    """At attempts that looked ended and whose last evidence was still awaited."""
    _fetch_holds_of_ending(batch, batch.world.awaited)
    for workload_id in sorted(batch.world.awaited):
        _advance(batch, workload_id)
        workload = batch.workload(workload_id)
        if workload is not None and workload.job_uid in batch.world.gone_unheard:
            _lose_job(batch, workload_id)


def _fold_cluster(world: World, changes: ClusterChanges) -> set[WorkloadId]:
    if changes.is_relist:
        for name in [name for name in world.nodes if name not in changes.nodes]:
            world.put_node(name, None)
        _forget_jobs(world, [uid for uid in world.jobs if uid not in changes.jobs])
    for name, node in changes.nodes.items():
        world.put_node(name, node)
    for uid, job in changes.jobs.items():
        if job is None and uid not in world.workload_of_job and world.in_flight:
            world.gone_unheard.add(uid)  # it may be one of ours, the answer to whose creation is on its way
        world.put_job(uid, job if job is not None else _kept_for_its_end(world, uid))
    touched = {world.workload_of_job[uid] for uid in changes.jobs if uid in world.workload_of_job}
    if changes.is_relist:
        touched.update(workload.id for workload in world.workloads.values() if workload.job_uid is not None)
    return touched


def _forget_jobs(world: World, uids: list[JobUid]) -> None:
    for uid in uids:
        world.put_job(uid, _kept_for_its_end(world, uid))


def _kept_for_its_end(world: World, uid: JobUid) -> ObservedJob | None:
    """A Job that is gone (None) though its attempt has not ended, where it had: what it came to still counts.

    `ttlSecondsAfterFinished` may delete it before its pods' ends are known.
    """
    known, workload_id = world.jobs.get(uid), world.workload_of_job.get(uid)
    if known is None or not known.has_ended or workload_id is None or world.live_attempt(workload_id) is None:
        return None
    return replace(known, is_deleted=True, active=0, terminating=0)


def _end_vanished_pods(batch: Batch, listed: set[PodUid]) -> None:
    """Pods that went while nobody watched: their end is the Job's, else the last evidence that they ran."""
    world = batch.world
    for attempt in [each for each in world.attempts.values() if not each.is_booking]:
        workload = batch.workload(attempt.workload_id)
        job = world.job_of(workload) if workload is not None else None
        for run in batch.pod_runs(attempt.id):
            if run.ended_at is None and run.pod_uid not in listed:
                last_seen_at = world.readings.sightings.later_of(run.pod_uid, run.node, run.last_seen_at, batch.now)
                sighted = replace(run, last_seen_at=last_seen_at)
                is_lost = stop_if_node_is_gone(batch, attempt.id, sighted, job)
                seen_at = last_seen_at if is_lost else _end_unseen(job, sighted)
                ended_at = seen_at or run.started_at or attempt.launched_at
                batch.put_pod(replace(sighted, ended_at=ended_at, end_evidence=EndEvidence.LAST_SEEN))


def _end_unseen(job: ObservedJob | None, run: PodRun) -> Instant | None:
    """The Job's end; else when its pods were told to end, which this one lived to see; else the last evidence."""
    if job is not None and job.ended_at is not None:
        return job.ended_at
    told_at = job.suspended_at if job is not None and job.is_suspended else None
    return max((at for at in (told_at, run.last_seen_at) if at is not None), default=None)


def _attempt_of_pod(batch: Batch, pod: ObservedPod, workload_id: WorkloadId | None) -> Attempt | None:
    """A pod that was seen before stays with its attempt; a new one belongs to the live attempt that it was made for.

    One that somebody else's hand on the Job set going belongs to none: nobody chose its node.
    """
    if workload_id is None:
        return None
    attempt = batch.live_attempt(workload_id)
    if attempt is None:
        return None
    if pod.uid in batch.world.pods.get(attempt.id, {}):
        return attempt
    job = batch.world.jobs.get(pod.job_uid)
    made_for = pod.attempt_id or (job.attempt_id if job is not None else "")
    return attempt if made_for == attempt.id else None


def _record_pod(batch: Batch, attempt: Attempt, pod: ObservedPod) -> None:
    known = batch.world.pods.get(attempt.id, {}).get(pod.uid)
    if pod.has_ended:
        node = pod.node or (known.node if known is not None else None)
        evidence_at = batch.world.readings.sightings.later_of(pod.uid, node, pod.evidence_at, batch.now)
        pod = replace(pod, evidence_at=evidence_at)
    run = pod_run(attempt.id, pod, batch.now, known)
    if run != known:
        batch.put_pod(run)


def pod_run(attempt_id: AttemptId, pod: ObservedPod, now: Instant, known: PodRun | None) -> PodRun:
    """The run of a pod as far as it is known. An end, once recorded, stays, unless a finishedAt says better."""
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
    if known is not None and known.ended_at is not None and pod.finished_at is None:
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
    if pod.deleted_at is not None and not (pod.disruption is not None and pod.disruption.is_unattended):
        latest = Instant(pod.deleted_at + (pod.grace_seconds or 0) * MS_PER_SECOND)
        return max(pod.deleted_at, min(latest, whole_second(now))), EndEvidence.DELETION
    return pod.evidence_at or started_at or now, EndEvidence.LAST_SEEN


def _advance(batch: Batch, workload_id: WorkloadId) -> None:
    """Move the workload's live attempt on: started, checkpointed, or ended."""
    world = batch.world
    attempt = batch.live_attempt(workload_id)
    workload = batch.workload(workload_id)
    if attempt is None:
        world.awaited.pop(workload_id, None)
    if workload is None:
        return
    job = world.job_of(workload)
    if job is not None and refuse_what_was_changed(batch, workload, job):
        return
    if attempt is None:
        if job is not None and workload.state is WorkloadState.QUEUED:
            _end_unlaunched(batch, workload, job)
        return
    attempt = _note_progress(batch, attempt, job)
    attempt = note_given_back(batch, attempt, job)
    if job is not None and job.is_lingering and attempt.state is not AttemptState.STOPPING:
        stop_attempt(batch, attempt, Reason.JOB_DELETED, {})  # whoever deleted it called it off; a finalizer keeps it
        return
    if has_ended(batch, attempt, workload, job):
        if job is not None and job.is_complete and not batch.pod_runs(attempt.id):
            _believe_job(batch, attempt, job)
        end_attempt(batch, attempt, job)
        if job is not None and job.has_ended and job.is_deleted:
            batch.forget_job(job.uid)


def _lose_job(batch: Batch, workload_id: WorkloadId) -> None:
    """Somebody deleted the Job of work that waits: that is their word. A stopped sandbox gets another when resumed."""
    workload = batch.workload(workload_id)
    if workload is None:
        return
    if workload.state is WorkloadState.STOPPED:
        batch.change_workload(workload, job_uid=None)
    elif workload.state is WorkloadState.QUEUED:
        if workload.id in batch.world.reservations:
            drop_reservation(batch, workload.id)
        batch.change_workload(workload, state=WorkloadState.CANCELLED, state_reason=Reason.JOB_DELETED)
        batch.say(workload.id, Reason.JOB_DELETED, {})


def _end_unlaunched(batch: Batch, workload: Workload, job: ObservedJob) -> None:
    """Where its Job ended while it waited, in somebody else's hands, or late, with the node that it had run on; or where
    somebody deletes it: one that a finalizer keeps would be launched and get no pods."""
    if not job.has_ended:
        if job.is_deleted:
            _lose_job(batch, workload.id)
        return
    if workload.id in batch.world.reservations:
        drop_reservation(batch, workload.id)
    if job.is_complete:
        batch.change_workload(workload, state=WorkloadState.COMPLETED, state_reason=Reason.COMPLETED)
        batch.say(workload.id, Reason.COMPLETED, {})
    elif workload.state_reason is Reason.NODE_LOST and may_have_another(workload, job):
        batch.change_workload(workload, **another_job(workload))  # the Job has only now counted what its node took
    else:
        batch.change_workload(workload, state=WorkloadState.FAILED, state_reason=Reason.FAILED)
        batch.say(workload.id, Reason.FAILED, {"cause": job.failure or "the Job failed", "exit_code": 0})


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


def _believe_job(batch: Batch, attempt: Attempt, job: ObservedJob) -> None:
    """No pod of a completed Job was ever seen: what is left as evidence is launch to completionTime."""
    ended_at = max(attempt.launched_at, job.ended_at or attempt.launched_at)
    for node, pods in attempt.placement.pods_by_node:
        batch.put_pod(
            PodRun(
                pod_uid=PodUid(f"{job.uid}/{attempt.id}/{node}"),
                attempt_id=attempt.id,
                name=job.name,
                node=node,
                gpus=pods * attempt.pod.gpus,
                started_at=attempt.launched_at,
                ended_at=ended_at,
                end_evidence=EndEvidence.JOB,
            )
        )
