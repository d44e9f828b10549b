"""What surrounds a sandbox's Job: its home, key, address, and who may reach it. Pure.

All but the home belong to the Job and go with it, so that no address outlives its sandbox; the home stays.
"""

import base64
from dataclasses import dataclass

from scheduler.adapters.kubernetes.manifests import SandboxShape, home_claim
from scheduler.adapters.kubernetes.names import KIND, WORKLOAD, RawObject
from scheduler.domain.units import JobUid
from scheduler.domain.workloads import Workload


@dataclass(frozen=True, slots=True)
class Surroundings:
    """`home` is created once and never changed; each of `furniture` is applied: (resource path, object)."""

    home: RawObject
    furniture: tuple[tuple[str, RawObject], ...]


def surroundings(workload: Workload, job_uid: JobUid, key: str, shape: SandboxShape) -> Surroundings:
    owner = {"apiVersion": "batch/v1", "kind": "Job", "name": workload.job_name, "uid": job_uid}
    core, networking = "/api/v1", "/apis/networking.k8s.io/v1"
    selector = {WORKLOAD: workload.id}
    account = {
        **_object("v1", "ServiceAccount", workload, workload.id, owner),
        "automountServiceAccountToken": False,
    }
    secret = {
        **_object("v1", "Secret", workload, workload.id, owner),
        "type": "Opaque",
        "data": {"key": base64.b64encode(key.encode()).decode()},
    }
    service = {
        **_object("v1", "Service", workload, workload.id, owner),
        "spec": {"selector": selector, "ports": [{"name": "http", "port": shape.port, "targetPort": "http"}]},
    }
    policy = {
        **_object("networking.k8s.io/v1", "NetworkPolicy", workload, workload.id, owner),
        "spec": {
            "podSelector": {"matchLabels": selector},
            "policyTypes": ["Ingress"],
            "ingress": [
                {
                    "from": [
                        {
                            "namespaceSelector": {
                                "matchLabels": {"kubernetes.io/metadata.name": shape.gateway_namespace}
                            }
                        }
                    ],
                    "ports": [{"protocol": "TCP", "port": shape.port}],
                }
            ],
        },
    }
    return Surroundings(
        home=_home(workload, shape),
        furniture=(
            (f"{core}/namespaces/{workload.namespace}/serviceaccounts/{workload.id}", account),
            (f"{core}/namespaces/{workload.namespace}/secrets/{workload.id}", secret),
            (f"{networking}/namespaces/{workload.namespace}/networkpolicies/{workload.id}", policy),
            (f"{core}/namespaces/{workload.namespace}/services/{workload.id}", service),
        ),
    )


def _home(workload: Workload, shape: SandboxShape) -> RawObject:
    claim = _object("v1", "PersistentVolumeClaim", workload, home_claim(workload))
    claim["spec"] = {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": f"{shape.home_gib}Gi"}},
    }
    if shape.storage_class is not None:
        claim["spec"]["storageClassName"] = shape.storage_class
    return claim


def _object(api_version: str, kind: str, workload: Workload, name: str, owner: RawObject | None = None) -> RawObject:
    metadata: RawObject = {
        "name": name,
        "namespace": workload.namespace,
        "labels": {WORKLOAD: workload.id, KIND: workload.spec.kind.value},
    }
    if owner is not None:
        metadata["ownerReferences"] = [owner]
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata}
