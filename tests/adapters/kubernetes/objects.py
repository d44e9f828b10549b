"""Raw objects as the apiserver sends them, for tests of what is read from them."""

from typing import Any

Json = dict[str, Any]


def job(
    name: str = "train",
    *,
    labels: dict[str, str] | None = None,
    annotations: dict[str, str] | None = None,
    spec: Json | None = None,
    pod: Json | None = None,
    template_annotations: dict[str, str] | None = None,
    status: Json | None = None,
) -> Json:
    """A Job with one GPU that may be taken in; `spec` and `pod` are laid over its spec and its pod's."""
    own_labels = {"allot.dev/project": "atlas", "allot.dev/time-limit": "2h"}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": name,
            "namespace": "research",
            "uid": f"uid-of-{name}",
            "generation": 1,
            "resourceVersion": "7",
            "creationTimestamp": "2026-03-02T10:00:00Z",
            "labels": own_labels if labels is None else labels,
            "annotations": annotations or {},
        },
        "spec": {
            "suspend": True,
            "parallelism": 1,
            "completions": 1,
            **(spec or {}),
            "template": {
                "metadata": {"annotations": template_annotations or {}},
                "spec": {
                    "restartPolicy": "Never",
                    "terminationGracePeriodSeconds": 60,
                    "containers": [container({"nvidia.com/gpu": "1", "cpu": "2", "memory": "4Gi"})],
                    **(pod or {}),
                },
            },
        },
        "status": status or {},
    }


def container(limits: dict[str, str], requests: dict[str, str] | None = None, **more: object) -> Json:
    resources: Json = {"limits": limits}
    if requests is not None:
        resources["requests"] = requests
    return {
        "name": "main",
        "image": "registry.example/train:1",
        "command": ["python"],
        "args": ["train.py"],
        "resources": resources,
        **more,
    }


def pod(
    name: str = "train-x1",
    *,
    job_uid: str | None = "uid-of-train",
    namespace: str = "research",
    node: str | None = "node-1",
    gpus: int = 1,
    status: Json | None = None,
    metadata: Json | None = None,
    spec: Json | None = None,
) -> Json:
    owner = {"apiVersion": "batch/v1", "kind": "Job", "name": "train", "uid": job_uid, "controller": True}
    asked = {"nvidia.com/gpu": str(gpus), "cpu": "1", "memory": "1Gi"}
    return {
        "metadata": {
            "name": name,
            "namespace": namespace,
            "uid": f"uid-of-{name}",
            "ownerReferences": [owner] if job_uid else [],
            "annotations": {},
            **(metadata or {}),
        },
        "spec": {
            **({"nodeName": node} if node else {}),
            "containers": [container(asked, asked)],
            **(spec or {}),
        },
        "status": {"phase": "Running" if node else "Pending", **(status or {})},
    }


def node(
    name: str = "node-1",
    *,
    gpus: int = 8,
    ready: str = "True",
    labels: dict[str, str] | None = None,
    spec: Json | None = None,
    heartbeat: str = "2026-03-02T10:00:00Z",
    devices: dict[str, str] | None = None,
) -> Json:
    return {
        "metadata": {
            "name": name,
            "labels": {"nvidia.com/gpu.product": "H100", "kubernetes.io/hostname": name, **(labels or {})},
        },
        "spec": {"taints": [{"key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule"}], **(spec or {})},
        "status": {
            "allocatable": {"cpu": "63500m", "memory": "512Gi", "nvidia.com/gpu": str(gpus), **(devices or {})},
            "conditions": [{"type": "Ready", "status": ready, "lastHeartbeatTime": heartbeat}],
        },
    }
