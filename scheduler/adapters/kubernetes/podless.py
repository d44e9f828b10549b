"""Launched Jobs that lack pods, and why: what Kubernetes' Job controller said last when it was not let make one.

Pod Security, a quota or a webhook refuses a pod, not its Job: the Job's status says nothing, its Events do. A quota may let
some pods of a gang be and no more.
"""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final

import orjson

from scheduler.adapters.kubernetes.connection import Connection
from scheduler.adapters.kubernetes.names import RawObject
from scheduler.adapters.kubernetes.stamps import instant_of
from scheduler.adapters.kubernetes.watching import refused
from scheduler.domain.observations import ObservedJob, ObservedPod
from scheduler.domain.units import Instant, JobUid, PodUid

logger = logging.getLogger(__name__)

_PAGE: Final = 500
_PAGES_MAX: Final = 20
_CAUSE_MAX: Final = 600
_PREFIXES: Final = ("(combined from similar events): ", "Error creating: ")


@dataclass(frozen=True, slots=True)
class PodsRefused:
    """Between these instants the Job controller was refused pods for the Job; `cause` is the last answer that it got."""

    since: Instant
    until: Instant
    cause: str


@dataclass(frozen=True, slots=True)
class _Launched:
    """`started_at` is when the Job controller began this run of the Job: what it was refused before is another's.
    `pods` are those of it that were seen."""

    job: ObservedJob
    started_at: Instant
    pods: set[PodUid]


class Podless:
    """The launched Jobs that have fewer pods of their attempt than they should. Fed by the mirror; knows no network."""

    def __init__(self) -> None:
        self._jobs: dict[JobUid, _Launched] = {}

    @property
    def namespaces(self) -> Mapping[JobUid, str]:
        """Of each such Job."""
        return {uid: known.job.namespace for uid, known in self._jobs.items()}

    def put(self, job: ObservedJob, raw: RawObject, pods: set[PodUid]) -> ObservedJob:
        """The Job with what is known of its refused pods, as far as this attempt of it goes, of which `pods` are there."""
        started_at = instant_of((raw.get("status") or {}).get("startTime"))
        is_over = job.is_suspended or job.has_ended or job.is_deleted
        if started_at is None or not job.attempt_id or len(pods) >= job.pods or is_over or job.is_run_elsewhere:
            self.drop(job.uid)
            return job
        known = self._jobs.get(job.uid)
        if known is not None and known.job.attempt_id == job.attempt_id and known.started_at == started_at:
            job = replace(job, refused_since=known.job.refused_since, refused_because=known.job.refused_because)
        self._jobs[job.uid] = _Launched(job, started_at, pods)
        return job

    def drop(self, uid: JobUid) -> None:
        self._jobs.pop(uid, None)

    def see(self, pod: ObservedPod) -> None:
        known = self._jobs.get(pod.job_uid)
        if known is not None and pod.attempt_id == known.job.attempt_id:
            known.pods.add(pod.uid)
            if len(known.pods) >= known.job.pods:
                del self._jobs[pod.job_uid]

    def note(self, uid: JobUid, told: Iterable[PodsRefused]) -> ObservedJob | None:
        """The Job as it is to be reported; None where it has its pods by now or nothing new is known of it."""
        known = self._jobs.get(uid)
        ours = [] if known is None else [each for each in told if each.until >= known.started_at]
        if known is None or not ours:
            return None
        since = max(known.started_at, min(each.since for each in ours))
        last = max(ours, key=lambda each: each.until)
        job = replace(known.job, refused_since=since, refused_because=last.cause)
        if job == known.job:
            return None
        self._jobs[uid] = replace(known, job=job)
        return job


async def pods_refused(connection: Connection, namespace: str) -> dict[JobUid, list[PodsRefused]]:
    """What the Events of a namespace say, by Job. Raises Unavailable."""
    path = f"/apis/events.k8s.io/v1/namespaces/{namespace}/events"
    params = {"limit": str(_PAGE), "fieldSelector": "reason=FailedCreate,regarding.kind=Job"}
    found: dict[JobUid, list[PodsRefused]] = {}
    for _ in range(_PAGES_MAX):
        answer = await connection.request("GET", path, params=params)
        if not answer.is_success:
            raise refused(path, answer)
        page = orjson.loads(answer.body)
        for raw in page.get("items") or ():
            told = _read(raw)
            if told is not None:
                found.setdefault(JobUid(str((raw.get("regarding") or {}).get("uid"))), []).append(told)
        if not (rest := (page.get("metadata") or {}).get("continue")):
            break
        params = params | {"continue": rest}
    return found


def _read(raw: RawObject) -> PodsRefused | None:
    made_at = instant_of(raw["metadata"].get("creationTimestamp"))
    since = instant_of(raw.get("deprecatedFirstTimestamp")) or instant_of(raw.get("eventTime")) or made_at
    repeated_at = instant_of((raw.get("series") or {}).get("lastObservedTime"))
    until = repeated_at or instant_of(raw.get("deprecatedLastTimestamp")) or since
    if since is None or until is None:
        return None
    cause = " ".join(str(raw.get("note") or "").split())
    for prefix in _PREFIXES:
        cause = cause.removeprefix(prefix)
    return PodsRefused(since, until, cause[:_CAUSE_MAX])
