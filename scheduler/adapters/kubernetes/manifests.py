"""The Job of a workload, as it is created: suspended, one run of each pod. Pure."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import orjson

from scheduler.adapters.kubernetes.names import (
    AUTHOR,
    GPU_CLASSES,
    KIND,
    MIN_PODS,
    PERSONAL,
    PLACEMENT,
    PRIORITY_CLASS,
    PROJECT,
    SPEC_HASH,
    TIME_LIMIT,
    TOPOLOGY,
    USES_COMPENSATION,
    WORKLOAD,
    RawObject,
)
from scheduler.domain.cluster import GPU_TAINT, GpuClass
from scheduler.domain.units import MS_PER_SECOND
from scheduler.domain.workloads import Workload, WorkloadKind, WorkloadSpec

TOLERATION: Final = {"key": GPU_TAINT, "operator": "Exists"}
GATE: Final = {"name": PLACEMENT}
UNTRACKED: Final[list[RawObject]] = [{}]
"""As `managedFields`: the apiserver drops what it kept of who wrote which field, and keeps it no more until somebody
applies the object server-side. Keeping it is a third of what it does for a write (ADR 18)."""
SPARES_THE_DISRUPTED: Final = {
    "rules": [{"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}]
}
"""A pod that the platform ended, with its node or from it, fails no Job: it is suspended, and launched again elsewhere."""


@dataclass(frozen=True, slots=True)
class SandboxShape:
    """What is the same for all sandboxes: where the home is mounted and how large it is, which port answers.

    `gateway_namespace` is the only place from which a sandbox's port is reachable inside the cluster.
    """

    port: int = 8888
    home_gib: int = 20
    home_path: str = "/home/sandbox"
    storage_class: str | None = None
    gateway_namespace: str = "allot-system"


def job_manifest(
    workload: Workload, gpu_class: GpuClass, shape: SandboxShape, kept_seconds: int, author: str = ""
) -> RawObject:
    """The whole object. A finished Job is kept for `kept_seconds`, so that its end is seen by whoever was away.

    `author` is who we are to the apiserver: what says so already need not be stamped.
    """
    spec = workload.spec
    words = {WORKLOAD: workload.id, KIND: spec.kind.value}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": workload.job_name,
            "namespace": workload.namespace,
            "labels": words,
            "annotations": {
                **words,
                **_purpose(spec),
                SPEC_HASH: spec_hash(workload),
                **({AUTHOR: author} if author else {}),
            },
            "managedFields": UNTRACKED,
        },
        "spec": {
            "suspend": True,
            "backoffLimit": 0,
            "podReplacementPolicy": "Failed",
            "podFailurePolicy": SPARES_THE_DISRUPTED,
            "ttlSecondsAfterFinished": kept_seconds,
            "parallelism": spec.pods,
            "completions": spec.pods,
            "completionMode": "Indexed" if spec.pods > 1 else "NonIndexed",
            "template": {
                "metadata": {
                    "labels": dict(words),
                    "annotations": {WORKLOAD: workload.id},
                },
                "spec": _pod_spec(workload, gpu_class, shape),
            },
        },
    }


def spec_hash(workload: Workload) -> str:
    """Of what was asked, not of the object: a later release or policy may write the same workload differently."""
    asked = {"workload": workload.id, "spec": workload.spec}
    return hashlib.sha256(orjson.dumps(asked, option=orjson.OPT_SORT_KEYS)).hexdigest()


def container_resources(spec: WorkloadSpec, gpu_class: GpuClass) -> RawObject:
    """Requests equal to limits, so that a pod gets what is charged for it and nobody takes it away."""
    amounts = {gpu_class.resource: str(spec.pod.gpus)}
    if spec.pod.cpu_milli:
        amounts["cpu"] = f"{spec.pod.cpu_milli}m"
    if spec.pod.memory_mib:
        amounts["memory"] = f"{spec.pod.memory_mib}Mi"
    return {"requests": amounts, "limits": dict(amounts)}


def home_claim(workload: Workload) -> str:
    return f"{workload.id}-home"


def _purpose(spec: WorkloadSpec) -> Mapping[str, str]:
    """The terms of the workload in the words that a Job of kubectl would use, so that it reads the same."""
    words = {
        PROJECT: spec.project or PERSONAL,
        PRIORITY_CLASS: spec.priority_class,
        GPU_CLASSES: ",".join(spec.gpu_classes),
        TIME_LIMIT: f"{-(-spec.time_limit_ms // MS_PER_SECOND)}s",
    }
    if spec.min_pods is not None:
        words[MIN_PODS] = str(spec.min_pods)
    if spec.topology is not None:
        words[TOPOLOGY] = str(spec.topology)
    return {**words, USES_COMPENSATION: "true"} if spec.uses_compensation else words


def _pod_spec(workload: Workload, gpu_class: GpuClass, shape: SandboxShape) -> RawObject:
    spec = workload.spec
    container: RawObject = {
        "name": "main",
        "image": spec.image,
        "resources": container_resources(spec, gpu_class),
        "securityContext": {"allowPrivilegeEscalation": False},
        "env": [{"name": "ALLOT_WORKLOAD", "value": workload.id}],
    }
    if spec.array is not None:
        container["env"] += [
            {"name": "ALLOT_ARRAY_INDEX", "value": str(spec.array.index)},
            {"name": "ALLOT_ARRAY_COUNT", "value": str(spec.array.count)},
        ]
    if spec.command:
        container["command"] = list(spec.command)
    pod_spec: RawObject = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "terminationGracePeriodSeconds": spec.grace_seconds,
        "tolerations": tolerations(gpu_class),
        "containers": [container],
    }
    if spec.nodes_with:
        pod_spec["nodeSelector"] = dict(spec.nodes_with)
    if spec.pods > 1:
        pod_spec["schedulingGates"] = [GATE]
    if spec.kind is WorkloadKind.SANDBOX:
        _furnish(pod_spec, container, workload, shape)
    return pod_spec


def tolerations(gpu_class: GpuClass) -> list[RawObject]:
    """What pods of the class bear: the taint of GPU nodes, and what the policy says of its nodes."""
    return [TOLERATION, *({"key": key, "operator": "Exists"} for key in gpu_class.tolerates)]


def _furnish(pod_spec: RawObject, container: RawObject, workload: Workload, shape: SandboxShape) -> None:
    """A sandbox's port, home, key and service account. Its server learns the key from the environment."""
    key = {"secretKeyRef": {"name": workload.id, "key": "key"}}
    pod_spec["serviceAccountName"] = workload.id
    pod_spec["volumes"] = [{"name": "home", "persistentVolumeClaim": {"claimName": home_claim(workload)}}]
    container["volumeMounts"] = [{"name": "home", "mountPath": shape.home_path}]
    container["ports"] = [{"name": "http", "containerPort": shape.port}]
    container["env"] += [
        {"name": "HOME", "value": shape.home_path},
        {"name": "ALLOT_SANDBOX_KEY", "valueFrom": key},
        {"name": "JUPYTER_TOKEN", "valueFrom": key},
    ]
