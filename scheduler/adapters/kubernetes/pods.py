"""A Pod of the API read as an `ObservedPod`, and as what it occupies. Pure."""

import sys
from collections.abc import Iterator
from typing import Final

from scheduler.adapters.kubernetes.names import ATTEMPT, PLACEMENT, RawObject
from scheduler.adapters.kubernetes.stamps import instant_of
from scheduler.domain.observations import Disruption, ObservedPod, PodPhase
from scheduler.domain.units import MS_PER_SECOND, Instant, JobUid, NodeName, PodUid

_TERMINAL: Final = frozenset({"Succeeded", "Failed"})
_PHASES: Final = {phase.value: phase for phase in PodPhase}
_DISRUPTIONS: Final = {disruption.value: disruption for disruption in Disruption}


def owning_job(metadata: RawObject) -> JobUid | None:
    """The UID of the Job that controls the pod."""
    for owner in metadata.get("ownerReferences") or ():
        if owner.get("controller") and owner.get("kind") == "Job" and owner.get("apiVersion") == "batch/v1":
            return JobUid(sys.intern(owner["uid"]))
    return None


def is_terminal(raw: RawObject) -> bool:
    return (raw.get("status") or {}).get("phase") in _TERMINAL


def node_name(raw: RawObject) -> NodeName | None:
    name = (raw.get("spec") or {}).get("nodeName")
    return NodeName(sys.intern(name)) if name else None


def read_pod(raw: RawObject, job_uid: JobUid, gpus: int) -> ObservedPod:
    """A pod of a Job, which asks for so many GPUs."""
    metadata, spec, status = raw["metadata"], raw.get("spec") or {}, raw.get("status") or {}
    deletion = instant_of(metadata.get("deletionTimestamp"))
    grace_seconds = metadata.get("deletionGracePeriodSeconds") if deletion else None
    return ObservedPod(
        uid=PodUid(metadata["uid"]),
        name=metadata["name"],
        namespace=sys.intern(metadata["namespace"]),
        job_uid=job_uid,
        phase=_PHASES.get(status.get("phase", ""), PodPhase.UNKNOWN),
        gpus=gpus,
        node=node_name(raw),
        started_at=_started_at(status),
        finished_at=_finished_at(status),
        deleted_at=Instant(deletion - (grace_seconds or 0) * MS_PER_SECOND) if deletion else None,
        grace_seconds=grace_seconds,
        evidence_at=_evidence_at(status),
        exit_code=_exit_code(status),
        waiting_reason=_waiting_reason(status),
        disruption=_disruption(status),
        attempt_id=sys.intern((metadata.get("annotations") or {}).get(ATTEMPT, "")),
        is_gated=any(gate.get("name") == PLACEMENT for gate in spec.get("schedulingGates") or ()),
    )


def _container_states(status: RawObject) -> Iterator[RawObject]:
    """Every state that a container of the pod is in or was in last, init containers first."""
    for key in ("initContainerStatuses", "containerStatuses"):
        for container in status.get(key) or ():
            yield container.get("lastState") or {}
            yield container.get("state") or {}


def _started_at(status: RawObject) -> Instant | None:
    stamps = (
        instant_of(details.get("startedAt"))
        for state in _container_states(status)
        for details in (state.get("running"), state.get("terminated"))
        if details
    )
    return min((stamp for stamp in stamps if stamp), default=None)


def _finished_at(status: RawObject) -> Instant | None:
    """The last end, once every container that ran has ended."""
    states = list(_container_states(status))
    if any("running" in state for state in states) or status.get("phase") not in _TERMINAL:
        return None
    stamps = (instant_of((state.get("terminated") or {}).get("finishedAt")) for state in states)
    return max((stamp for stamp in stamps if stamp), default=None)


def _evidence_at(status: RawObject) -> Instant | None:
    """The latest stamp of the status that only somebody who saw the container can have written."""
    stamps = [
        instant_of(details.get(key))
        for state in _container_states(status)
        for details in (state.get("running"), state.get("terminated"))
        if details
        for key in ("startedAt", "finishedAt")
    ]
    return max((stamp for stamp in stamps if stamp), default=None)


def _exit_code(status: RawObject) -> int | None:
    """The first exit code that is not 0, or 0 where all containers ended well."""
    codes = [
        terminated.get("exitCode", 0)
        for container in status.get("containerStatuses") or ()
        if (terminated := (container.get("state") or {}).get("terminated"))
    ]
    if not codes:
        return None
    return next((code for code in codes if code), 0)


def _disruption(status: RawObject) -> Disruption | None:
    for condition in status.get("conditions") or ():
        if condition.get("type") == "DisruptionTarget" and condition.get("status") == "True":
            return _DISRUPTIONS.get(condition.get("reason", ""))
    return None


def _waiting_reason(status: RawObject) -> str:
    for container in (*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())):
        waiting = (container.get("state") or {}).get("waiting")
        if waiting and waiting.get("reason"):
            return sys.intern(str(waiting["reason"]))
    for condition in status.get("conditions") or ():
        if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
            return sys.intern(str(condition.get("reason") or ""))
    return ""
