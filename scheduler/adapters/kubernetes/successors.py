"""The next Job of a workload that a user applied, from the one that failed: as its user wrote it, to be run anew. Pure."""

from collections.abc import Mapping
from typing import Final

from scheduler.adapters.kubernetes.jobs import attempt_of
from scheduler.adapters.kubernetes.launching import unpinned_affinity
from scheduler.adapters.kubernetes.manifests import SPARES_THE_DISRUPTED, UNTRACKED, spec_hash
from scheduler.adapters.kubernetes.names import (
    ATTEMPT,
    AUTHOR,
    CHECKPOINTED_AT,
    PLACEMENT,
    REASON,
    SPEC_HASH,
    STATUS,
    WORKLOAD,
    RawObject,
)
from scheduler.adapters.kubernetes.templates import Unfit, read_template
from scheduler.domain.actions import CreateJob
from scheduler.domain.cluster import GpuClass
from scheduler.domain.units import GpuClassName
from scheduler.domain.workloads import Workload, WorkloadSpec

_CONTROLLERS: Final = ("batch.kubernetes.io/", "controller-uid", "job-name", "kubectl.kubernetes.io/")
"""How the keys begin that the Job controller and kubectl write."""
_OF_THE_FORMER: Final = {ATTEMPT, AUTHOR, CHECKPOINTED_AT, PLACEMENT, REASON, SPEC_HASH, STATUS, WORKLOAD}


def succeeds(action: CreateJob, former: RawObject, classes: Mapping[GpuClassName, GpuClass], username: str) -> bool:
    """Whether this is the Job that failed, and not another that has its name now: launched by us, written by the
    workload's owner or by us, and asking for what the workload is charged for.
    """
    workload = action.workload
    annotations = former["metadata"].get("annotations") or {}
    is_first = workload.retries == 1
    is_written_by = action.author if is_first else username
    if annotations.get(AUTHOR, "") != is_written_by or (not is_first and annotations.get(WORKLOAD) != workload.id):
        return False
    conditions = (former.get("status") or {}).get("conditions") or ()
    has_failed = any(each["type"] == "Failed" and each.get("status") == "True" for each in conditions)
    if not has_failed or not attempt_of(former):
        return False
    asked = read_template(successor(workload, former, ""), tuple(classes.values()))
    return not isinstance(asked, Unfit) and _runs(asked) == _runs(workload.spec)


def successor(workload: Workload, former: RawObject, username: str) -> RawObject:
    """Suspended, without our pin, gate and placement, and without what the Job controller wrote. A later loss of a node
    fails it no more, where its user has no rule of their own for that."""
    metadata, spec = former["metadata"], former["spec"]
    template = spec["template"]
    ours = {WORKLOAD: workload.id, SPEC_HASH: spec_hash(workload), **({AUTHOR: username} if username else {})}
    kept = {key: value for key, value in spec.items() if key not in {"selector", "manualSelector"}}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": workload.job_name,
            "namespace": workload.namespace,
            "labels": {**_theirs(metadata.get("labels")), WORKLOAD: workload.id},
            "annotations": {**_theirs(metadata.get("annotations")), **ours},
            "managedFields": UNTRACKED,
        },
        "spec": {
            "podFailurePolicy": SPARES_THE_DISRUPTED,
            **kept,
            "suspend": True,
            "backoffLimit": 0,
            "podReplacementPolicy": "Failed",
            "parallelism": workload.spec.pods,
            "completions": workload.spec.pods,
            "template": {"metadata": _template_metadata(template), "spec": _unplaced(template.get("spec") or {})},
        },
    }


def _template_metadata(template: RawObject) -> RawObject:
    metadata = template.get("metadata") or {}
    return {key: _theirs(metadata.get(key)) for key in ("labels", "annotations")}


def _unplaced(pod_spec: RawObject) -> RawObject:
    rest = {key: value for key, value in pod_spec.items() if key not in {"affinity", "schedulingGates"}}
    affinity = unpinned_affinity(pod_spec.get("affinity"))
    gates = [gate for gate in pod_spec.get("schedulingGates") or () if gate["name"] != PLACEMENT]
    return {**rest, **({"affinity": affinity} if affinity else {}), **({"schedulingGates": gates} if gates else {})}


def _theirs(words: Mapping[str, str] | None) -> dict[str, str]:
    return {
        key: value
        for key, value in (words or {}).items()
        if key not in _OF_THE_FORMER and not key.startswith(_CONTROLLERS)
    }


def _runs(spec: WorkloadSpec) -> tuple[object, ...]:
    """What of a workload its pods are."""
    return spec.pods, spec.pod, spec.image, spec.command, spec.grace_seconds, spec.nodes_with
