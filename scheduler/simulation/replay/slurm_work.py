"""Slurm jobs as work to be replayed. Those without GPUs, and those that never ran, are left out and counted."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator

from scheduler.domain.cluster import PodRequest
from scheduler.domain.units import Instant
from scheduler.simulation.replay.adopting import ENDLESS, SHARED, TraceJob
from scheduler.simulation.traces.sacct import GOING_ON, SlurmJob

_STILL_RAN = GOING_ON - {""}
_FAILED = frozenset({"FAILED", "OUT_OF_MEMORY", "BOOT_FAIL", "DEADLINE"})
_FAILED_CODE = 1
_SLICE = re.compile(r"(^|[^a-z0-9])[1-9]g\.[0-9]+gb", re.IGNORECASE)
"""Of a type's name: 1g.5gb, a100_3g.20gb."""


def slurm_work(jobs: Iterable[SlurmJob], left_out: Counter[str], changed: Counter[str]) -> Iterator[TraceJob]:
    """A job is as many pods as it had nodes, or more where its GPUs do not divide by them."""
    for job in jobs:
        if not job.gpus:
            left_out["asks for no GPU"] += 1
        elif job.ran_ms is None and job.has_started:
            left_out[ENDLESS] += 1
        elif not job.ran_ms:
            left_out["never ran"] += 1
        else:
            if job.state in _STILL_RAN:
                changed["still running: ends where it was"] += 1
            if job.is_share:
                changed[SHARED] += 1
            if any(_SLICE.search(model) for model in job.models):
                changed["MIG slices: a whole GPU each"] += 1
            pods = _pods(job)
            yield TraceJob(
                name=f"{job.name[:80]}-{job.id}",
                at=_came_at(job),
                run_ms=job.ran_ms,
                pods=pods,
                pod=PodRequest(job.gpus // pods, job.cpu_milli // pods, job.memory_mib // pods),
                models=job.models,
                user=job.user,
                group=job.account,
                place=job.partition,
                classes=(job.qos, job.partition),
                limit_ms=job.limit_ms,
                exit_code=(job.exit_code or _FAILED_CODE) if job.state in _FAILED else 0,
            )


def _came_at(job: SlurmJob) -> Instant:
    """When it was submitted, or could have started at the soonest: what waits for other work keeps nobody waiting."""
    if job.eligible_at is None or job.started_at is None:
        return job.submitted_at
    return max(job.submitted_at, min(job.eligible_at, job.started_at))


def _pods(job: SlurmJob) -> int:
    """The fewest pods of the same size that are at least as many as its nodes."""
    nodes = min(max(1, job.nodes), job.gpus)
    return next(pods for pods in range(nodes, job.gpus + 1) if job.gpus % pods == 0)
