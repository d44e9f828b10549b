"""A Job of the API read as an `ObservedJob`. Pure."""

import sys
from collections.abc import Iterable

from scheduler.adapters.kubernetes.names import (
    ATTEMPT,
    AUTHOR,
    CHECKPOINTED_AT,
    CONFIRMED,
    DOMAIN,
    FOREGROUND,
    JOB_CONTROLLER,
    KUEUE_QUEUE,
    OVER_SECONDS,
    SPEC_HASH,
    WORKLOAD,
    RawObject,
)
from scheduler.adapters.kubernetes.resources import pod_request
from scheduler.adapters.kubernetes.stamps import instant_of
from scheduler.adapters.kubernetes.templates import Unfit, read_template
from scheduler.domain.cluster import GpuClass, PodRequest
from scheduler.domain.observations import ObservedJob
from scheduler.domain.units import Instant, JobUid, WorkloadId
from scheduler.domain.workloads import WorkloadSpec


def concerns_us(raw: RawObject, classes: Iterable[GpuClass]) -> bool:
    """Whether a Job in a managed namespace is a workload: one of ours, one that names us, or one that asks for GPUs.

    What Kueue was asked to queue is Kueue's; but a Job that we launched stays ours, whatever is written on it since: else
    its user would have taken it from its time limit and from preemption.
    """
    metadata = raw["metadata"]
    labels, annotations = metadata.get("labels") or {}, metadata.get("annotations") or {}
    if attempt_of(raw):
        return True
    if KUEUE_QUEUE in labels or KUEUE_QUEUE in annotations:
        return False
    if WORKLOAD in annotations:
        return True
    if any(key.startswith(DOMAIN) and key != AUTHOR for key in (*labels, *annotations)):
        return True
    asked = pod_request(raw["spec"]["template"].get("spec") or {})
    return asked.count_any({gpu_class.resource for gpu_class in classes}) > 0


def attempt_of(raw: RawObject) -> str:
    """The attempt that last launched the Job, from its pod template; empty where we never launched it."""
    template_metadata = raw["spec"]["template"].get("metadata") or {}
    return str((template_metadata.get("annotations") or {}).get(ATTEMPT, ""))


def read_job(raw: RawObject, classes: Iterable[GpuClass]) -> ObservedJob:
    metadata, spec, status = raw["metadata"], raw["spec"], raw.get("status") or {}
    annotations = metadata.get("annotations") or {}
    conditions = {c["type"]: c for c in status.get("conditions") or () if c.get("status") == "True"}
    failed = conditions.get("Failed")
    suspended = conditions.get("Suspended")
    is_run_elsewhere = spec.get("managedBy", JOB_CONTROLLER) != JOB_CONTROLLER
    classes = tuple(classes)
    asked = read_template(raw, classes)
    return ObservedJob(
        uid=JobUid(sys.intern(metadata["uid"])),
        name=metadata["name"],
        namespace=sys.intern(metadata["namespace"]),
        generation=metadata.get("generation", 0),
        created_at=instant_of(metadata.get("creationTimestamp")) or Instant(0),
        is_suspended=bool(spec.get("suspend")),
        is_confirmed_suspended=suspended is not None,
        suspended_at=instant_of(suspended.get("lastTransitionTime")) if suspended else None,
        active=status.get("active") or 0,
        terminating=status.get("terminating") or 0,
        is_complete="Complete" in conditions,
        is_failed=failed is not None,
        failure=_failure(failed) if failed else "",
        ended_at=_ended_at(status, conditions),
        workload_id=WorkloadId(annotations[WORKLOAD]) if WORKLOAD in annotations else None,
        attempt_id=attempt_of(raw),
        author=annotations.get(AUTHOR, ""),
        asked=None if isinstance(asked, Unfit) else asked,
        unfit=asked.cause if isinstance(asked, Unfit) else "",
        spec_hash=annotations.get(SPEC_HASH, ""),
        is_deleted=bool(metadata.get("deletionTimestamp")),
        is_run_elsewhere=is_run_elsewhere,
        is_taken_up=is_run_elsewhere and bool(status.get("startTime")),
        is_lingering=_is_lingering(metadata, spec),
        is_confirmed="true" in (annotations.get(CONFIRMED), (metadata.get("labels") or {}).get(CONFIRMED)),
        is_owned=any(owner.get("controller") for owner in metadata.get("ownerReferences") or ()),
        checkpointed_at=instant_of(annotations.get(CHECKPOINTED_AT)),
        pods=1 if spec.get("parallelism") is None else int(spec["parallelism"]),
        pod=_pod(spec, asked, classes),
        keeps_state=_keeps_state(spec["template"].get("spec") or {}),
        is_probed=_is_probed(spec["template"].get("spec") or {}),
    )


def _pod(spec: RawObject, asked: WorkloadSpec | Unfit, classes: Iterable[GpuClass]) -> PodRequest | None:
    if not isinstance(asked, Unfit):
        return asked.pod
    if not spec.get("suspend"):
        return None
    amounts = pod_request(spec["template"].get("spec") or {})
    gpus = amounts.count_any({gpu_class.resource for gpu_class in classes})
    return PodRequest(gpus, amounts.cpu_milli, amounts.memory_mib)


def _is_lingering(metadata: RawObject, spec: RawObject) -> bool:
    """Not so where its pods go with it, as in a deletion in the foreground, or were told to end by its deadline."""
    kept_by = set(metadata.get("finalizers") or ()) - {FOREGROUND}
    is_told = spec.get("activeDeadlineSeconds") == OVER_SECONDS and not spec.get("suspend")
    return bool(metadata.get("deletionTimestamp") and kept_by) and not is_told


def _keeps_state(pod_spec: RawObject) -> bool:
    """A claim survives its pods (an `ephemeral` one does not); a preStop hook may save what is in memory."""
    has_home = any("persistentVolumeClaim" in volume for volume in pod_spec.get("volumes") or ())
    containers = (*(pod_spec.get("containers") or ()), *(pod_spec.get("initContainers") or ()))
    return has_home or any((each.get("lifecycle") or {}).get("preStop") for each in containers)


def _is_probed(pod_spec: RawObject) -> bool:
    """By a connection; a command that is run in the container is none."""
    containers = (*(pod_spec.get("containers") or ()), *(pod_spec.get("initContainers") or ()))
    probes = (each.get(f"{name}Probe") or {} for each in containers for name in ("startup", "readiness", "liveness"))
    return any(probe.keys() & {"httpGet", "tcpSocket", "grpc"} for probe in probes)


def _failure(condition: RawObject) -> str:
    return ": ".join(part for part in (condition.get("reason"), condition.get("message")) if part)


def _ended_at(status: RawObject, conditions: RawObject) -> Instant | None:
    if "Complete" in conditions:
        return instant_of(status.get("completionTime"))
    if "Failed" in conditions:
        return instant_of(conditions["Failed"].get("lastTransitionTime"))
    return None
