"""Intake: a Job that an engineer applied to a managed namespace is taken in, or told why not.

What it asks for is judged once. Whoever may edit the namespace can change its labels, its author's hours pay for it,
and Kubernetes stamps no author on a change: so a change is told, and not heeded.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from typing import Final

from scheduler.domain.actions import TellJob
from scheduler.domain.errors import Refusal, RefusalCode
from scheduler.domain.observations import ObservedJob
from scheduler.domain.people import Engineer
from scheduler.domain.reasons import Reason, sentence
from scheduler.domain.topology import by_name
from scheduler.domain.units import JobUid, WorkloadId
from scheduler.domain.workloads import Origin, Workload, WorkloadSpec, WorkloadState
from scheduler.lifecycle.asking.judge import with_defaults
from scheduler.lifecycle.commands import Candidate, Commands
from scheduler.lifecycle.memory.world import World
from scheduler.lifecycle.writing.batch import Batch

_WRITTEN: Final = {
    "priority_class": "its priority class",
    "project": "its project",
    "gpu_classes": "its GPU classes",
    "time_limit_ms": "its time limit",
    "topology": "its topology",
    "min_pods": "its least number of pods",
    "uses_compensation": "your compensation",
}
"""Fields of what is asked that a label or an annotation says."""


def new_jobs(world: World, jobs: Iterable[ObservedJob | None]) -> list[ObservedJob]:
    """Those, as they were last seen, that may be a user's and have no answer yet."""
    latest = {job.uid: job for job in jobs if job is not None}
    return [job for job in latest.values() if _is_new(world, job)]


def jobs_with_room(world: World, changed: Collection[JobUid]) -> list[ObservedJob]:
    """Those, as they were last seen, that were not taken in because their author had enough queued, and may be now; but
    for those of which there is news: the next cycle knows what it means."""
    if world.policy is None:
        return []
    waiting = world.entrance.with_room(world.policy.limits.queued_per_engineer)
    known = (world.jobs.get(uid) for uid in waiting if uid not in changed)
    return [job for job in known if job is not None and not _is_over(job)]


def words_about_changes(world: World, jobs: Iterable[ObservedJob | None]) -> list[TellJob]:
    """What to tell about Jobs whose work waits and that ask for something else than when they were last seen.

    Called before they are folded into the world.
    """
    told: list[TellJob] = []
    for job in jobs:
        before = world.jobs.get(job.uid) if job is not None else None
        if job is None or before is None or before.asked == job.asked or before.attempt_id != job.attempt_id:
            continue
        workload = world.workloads.get(world.workload_of_job.get(job.uid, WorkloadId("")))
        if workload is None or not _is_judged_and_waits(workload, job):
            continue
        changed = _changed(workload.spec, before, job, world)
        if changed:
            text = sentence(Reason.RELABELLED, {"changed": changed})
            told.append(TellJob(job.namespace, job.name, job.uid, Reason.RELABELLED, text, is_status=False))
    return told


def take_in_jobs(commands: Commands, batch: Batch, jobs: Sequence[ObservedJob]) -> list[TellJob]:
    """Queue each of the new Jobs that may be. Returns what to tell about those that were refused."""
    world = batch.world
    candidates: list[Candidate] = []
    told: list[TellJob] = []
    for job in _not_on_record(batch, jobs):
        author = _author(world, job)
        if job.asked is None:
            told.append(_refuse(world, job, job.unfit or "its template cannot be read as a workload"))
        elif author is None:
            told.append(_refuse(world, job, f"{job.author or 'its author'} is no engineer in the directory"))
        else:
            candidates.append(Candidate(author, _with_level_named(world, job.asked), job))
    refused = commands.take_in(batch, candidates)
    for candidate in candidates:
        refusal = refused.get(candidate.job.uid)
        if refusal is None:
            world.entrance.forget(candidate.job.uid)
        elif refusal.code is RefusalCode.QUEUE_FULL:
            told.append(_keep_waiting(world, candidate))
        else:
            told.append(_refuse(world, candidate.job, f"{_cause(candidate.job, refusal)} ({refusal.code.value})"))
    return told


def _is_judged_and_waits(workload: Workload, job: ObservedJob) -> bool:
    waits = workload.state is WorkloadState.QUEUED and workload.origin is Origin.KUBECTL
    return waits and job.is_suspended and not job.is_deleted


def _changed(judged: WorkloadSpec, before: ObservedJob, job: ObservedJob, world: World) -> str:
    """In words; what is as it was judged, again or still, is no change."""
    if job.asked is None:
        return f"what it asks for ({job.unfit})" if before.asked is not None else ""
    asked = _as_judged(world, job.asked)
    earlier = judged if before.asked is None else _as_judged(world, before.asked)
    found = [
        said
        for name, said in _WRITTEN.items()
        if getattr(asked, name) not in {getattr(earlier, name), getattr(judged, name)}
    ]
    return " and ".join(found)


def _as_judged(world: World, asked: WorkloadSpec) -> WorkloadSpec:
    return with_defaults(_with_level_named(world, asked), world.require_policy())


def _not_on_record(batch: Batch, jobs: Sequence[ObservedJob]) -> list[ObservedJob]:
    """Those that no workload ever had: a cancelled one that its user left as it was is not queued again."""
    known = batch.books.workloads.with_jobs([job.uid for job in jobs]) if jobs else set()
    return [job for job in jobs if job.uid not in known]


def _with_level_named(world: World, asked: WorkloadSpec) -> WorkloadSpec:
    if asked.topology is None:
        return asked
    return replace(asked, topology=by_name(asked.topology, world.require_policy().topology))


def _cause(job: ObservedJob, refusal: Refusal) -> str:
    """Who reads a Job's Events is not told what its owner has left: `allot quote` tells them."""
    if refusal.code is not RefusalCode.CONFIRMATION_NEEDED:
        return str(refusal)
    return (
        "by the end of the weekend it could use more of what pays for it, with what waits, than goes unasked; confirm it "
        f"with `kubectl annotate job {job.name} -n {job.namespace} allot.dev/confirmed=true`, or delete it and ask for less"
    )


def _keep_waiting(world: World, candidate: Candidate) -> TellJob:
    """Its author has as much queued as anybody may. It comes in by itself, where that of the API is refused: a Job that is
    there already cannot be submitted again later."""
    job, most = candidate.job, world.require_policy().limits.queued_per_engineer
    world.entrance.refused[job.uid] = job
    world.entrance.wait_for_room(candidate.author.id, job)
    text = sentence(Reason.QUEUE_FULL, {"limit": most})
    return TellJob(job.namespace, job.name, job.uid, Reason.QUEUE_FULL, text)


def _refuse(world: World, job: ObservedJob, cause: str) -> TellJob:
    world.entrance.forget(job.uid)
    world.entrance.refused[job.uid] = job
    return TellJob(job.namespace, job.name, job.uid, Reason.REFUSED, sentence(Reason.REFUSED, {"cause": cause}))


def _is_new(world: World, job: ObservedJob) -> bool:
    if job.uid in world.workload_of_job or not _was_mended(world, job):
        return False
    if _is_over(job):
        return False
    # One of ours whose creation is not recorded yet: the outcome of that call will name its UID.
    claimed = world.workloads.get(job.workload_id) if job.workload_id is not None else None
    return claimed is None or claimed.job_name != job.name or claimed.namespace != job.namespace


def _is_over(job: ObservedJob) -> bool:
    return job.is_deleted or job.has_ended


def _was_mended(world: World, job: ObservedJob) -> bool:
    """Whether a Job that was refused asks for something else now; one that never was counts, too."""
    refused = world.entrance.refused.get(job.uid)
    return refused is None or _judged(refused) != _judged(job)


def _judged(job: ObservedJob) -> tuple[object, ...]:
    return job.asked, job.unfit, job.author, job.is_confirmed


def _author(world: World, job: ObservedJob) -> Engineer | None:
    """By the name that the admission policy stamped: never by a label, which its user can write."""
    return world.by_subject.get(job.author) if job.author else None
