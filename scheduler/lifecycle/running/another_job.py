"""Another Job: a Job that has failed is terminal, so the next try of its workload has one of its own."""

from typing import Any, Final

from scheduler.domain.observations import ObservedJob
from scheduler.domain.workloads import Origin, Workload

_NAME_MAX: Final = 63
"""Characters of a Job's name: its pods' labels carry it."""


def may_have_another(workload: Workload, job: ObservedJob | None) -> bool:
    """Whether we may write its next Job. Of a user's, which is made from the one that failed, only while that is there,
    and not where another controller owns it or runs it: that one writes the next itself."""
    if workload.origin is Origin.API:
        return True
    return job is not None and job.is_failed and not (job.is_deleted or job.is_owned or job.is_run_elsewhere)


def may_be_resumed(job: ObservedJob | None) -> bool:
    """Whether the same Job may run again: it is suspended and has not failed. A rule of its author's spares it the pods
    that it lost; or its failure has not been told yet, and is dealt with when it is."""
    return job is not None and job.is_suspended and not (job.has_ended or job.is_deleted or job.is_run_elsewhere)


def another_job(workload: Workload) -> dict[str, Any]:
    """What changes with it: `<id>-<n>` for the n-th retry of ours, `<name>-<n>` for the n-th try of a user's."""
    number = workload.retries + 1
    return {"retries": number, "job_name": job_name_of(workload, number), "job_uid": None}


def job_name_of(workload: Workload, retries: int) -> str:
    """The name of its Job after so many retries."""
    is_ours = workload.origin is Origin.API
    first = workload.id if is_ours else workload.spec.name
    if retries == 0:
        return first
    number = f"-{retries if is_ours else retries + 1}"
    return first[: _NAME_MAX - len(number)].rstrip("-.") + number
