"""Intake: a Job that an engineer applied to a managed namespace is taken in, or told why not."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from scheduler.domain.actions import TellJob
from scheduler.domain.observations import ObservedJob
from scheduler.domain.people import Engineer
from scheduler.domain.reasons import Reason, sentence
from scheduler.domain.topology import by_name
from scheduler.domain.workloads import WorkloadSpec
from scheduler.lifecycle.commands import Candidate, Commands
from scheduler.lifecycle.memory.world import World
from scheduler.lifecycle.writing.batch import Batch


def new_jobs(world: World, jobs: Iterable[ObservedJob | None]) -> list[ObservedJob]:
    """Those, as they were last seen, that may be a user's and have no answer yet."""
    latest = {job.uid: job for job in jobs if job is not None}
    return [job for job in latest.values() if _is_new(world, job)]


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
        if refusal is not None:
            told.append(_refuse(world, candidate.job, f"{refusal} ({refusal.code.value})"))
    return told


def _not_on_record(batch: Batch, jobs: Sequence[ObservedJob]) -> list[ObservedJob]:
    """Those that no workload ever had: a cancelled one that its user left as it was is not queued again."""
    known = batch.books.workloads.with_jobs([job.uid for job in jobs]) if jobs else set()
    return [job for job in jobs if job.uid not in known]


def _with_level_named(world: World, asked: WorkloadSpec) -> WorkloadSpec:
    if asked.topology is None:
        return asked
    return replace(asked, topology=by_name(asked.topology, world.require_policy().topology))


def _refuse(world: World, job: ObservedJob, cause: str) -> TellJob:
    world.refused_jobs[job.uid] = job
    return TellJob(job.namespace, job.name, job.uid, Reason.REFUSED, sentence(Reason.REFUSED, {"cause": cause}))


def _is_new(world: World, job: ObservedJob) -> bool:
    if job.uid in world.workload_of_job or not _was_mended(world, job):
        return False
    if job.is_deleted or job.has_ended:
        return False
    # One of ours whose creation is not recorded yet: the outcome of that call will name its UID.
    claimed = world.workloads.get(job.workload_id) if job.workload_id is not None else None
    return claimed is None or claimed.job_name != job.name or claimed.namespace != job.namespace


def _was_mended(world: World, job: ObservedJob) -> bool:
    """Whether a Job that was refused asks for something else now; one that never was counts, too."""
    refused = world.refused_jobs.get(job.uid)
    return refused is None or (refused.asked, refused.unfit, refused.author) != (job.asked, job.unfit, job.author)


def _author(world: World, job: ObservedJob) -> Engineer | None:
    """By the name that the admission policy stamped: never by a label, which its user can write."""
    return world.by_subject.get(job.author) if job.author else None
