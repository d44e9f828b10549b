"""Intake: a suspended Job that an engineer applied to a managed namespace is taken in, or told why not."""

from collections.abc import Iterable

from scheduler.domain.actions import TellJob
from scheduler.domain.errors import Refusal
from scheduler.domain.observations import ObservedJob
from scheduler.domain.people import Engineer
from scheduler.domain.reasons import Reason, sentence
from scheduler.domain.units import Instant
from scheduler.lifecycle.commands import Commands
from scheduler.lifecycle.world import World


def take_in_jobs(commands: Commands, world: World, jobs: Iterable[ObservedJob | None], now: Instant) -> list[TellJob]:
    """Queue each Job that is new, suspended and not ours. Returns what to tell about those that were refused."""
    told: list[TellJob] = []
    for job in jobs:
        if job is None or not _is_new(world, job):
            continue
        cause = _take_in(commands, world, job, now)
        if cause:
            world.refused_jobs[job.uid] = job
            message = sentence(Reason.REFUSED, {"cause": cause})
            told.append(TellJob(job.namespace, job.name, job.uid, Reason.REFUSED, message))
    return told


def _is_new(world: World, job: ObservedJob) -> bool:
    if job.uid in world.workload_of_job or not _was_mended(world, job):
        return False
    if not job.is_suspended or job.is_deleted or job.has_ended:
        return False
    # One of ours whose creation is not recorded yet: the outcome of that call will name its UID.
    claimed = world.workloads.get(job.workload_id) if job.workload_id is not None else None
    return claimed is None or claimed.job_name != job.name or claimed.namespace != job.namespace


def _was_mended(world: World, job: ObservedJob) -> bool:
    """Whether a Job that was refused asks for something else now; one that never was counts, too."""
    refused = world.refused_jobs.get(job.uid)
    return refused is None or (refused.asked, refused.unfit, refused.author) != (job.asked, job.unfit, job.author)


def _take_in(commands: Commands, world: World, job: ObservedJob, now: Instant) -> str:
    """Empty where it was taken in, else the cause."""
    if job.asked is None:
        return job.unfit or "its template cannot be read as a workload"
    author = _author(world, job)
    if author is None:
        return f"{job.author or 'its author'} is no engineer in the directory"
    try:
        commands.take_in(author, job.asked, job, now=now)
    except Refusal as refusal:
        return f"{refusal} ({refusal.code.value})"
    return ""


def _author(world: World, job: ObservedJob) -> Engineer | None:
    """By the name that the admission policy stamped: never by a label, which its user can write."""
    return next((e for e in world.people.values() if job.author and e.subject == job.author), None)
