"""Whether a cluster will do: its version, who we are there, and which of our rights are missing."""

import asyncio
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import orjson

from scheduler.adapters.kubernetes.claiming import SYSTEM_NAMESPACE
from scheduler.adapters.kubernetes.connection import Connection
from scheduler.adapters.kubernetes.names import MANAGED_NAMESPACE, RawObject
from scheduler.adapters.kubernetes.watching import refused
from scheduler.domain.errors import RefusalCode, Unavailable

VERSION_MIN: Final = (1, 36)
"""From it on a suspended Job that ran before may be given another place, as each launch after a preemption needs."""


@dataclass(frozen=True, slots=True, order=True)
class Right:
    """One verb on one resource; `namespace` empty means in all of them."""

    verb: str
    resource: str
    group: str = ""
    namespace: str = ""

    def __str__(self) -> str:
        where = f"in {self.namespace}" if self.namespace else "in all namespaces"
        return f"{self.verb} {self.resource}{'.' + self.group if self.group else ''} {where}"


@dataclass(frozen=True, slots=True)
class ClusterCheck:
    """`stamps_authors` is whether the admission policies of manifests/ are there: without them kubectl Jobs have no owner,
    or one that whoever writes the Job may change."""

    version: str
    username: str
    missing_rights: tuple[Right, ...]
    stamps_authors: bool


_POLICIES: Final = tuple(
    f"/apis/admissionregistration.k8s.io/v1/{kind}policybindings/{name}"
    for kind, name in (
        ("mutatingadmission", "allot-author"),
        ("mutatingadmission", "allot-cronjobs"),
        ("validatingadmission", "allot-kept"),
        ("validatingadmission", "allot-elsewhere-jobs"),
        ("validatingadmission", "allot-elsewhere-cronjobs"),
    )
)
_WATCHED: Final = (("nodes", ""), ("namespaces", ""), ("pods", ""), ("jobs", "batch"))
_WRITTEN: Final = (
    ("jobs", "batch", ("create", "patch", "delete")),
    ("pods", "", ("patch",)),
    ("placements", "allot.dev", ("change",)),
    ("events", "events.k8s.io", ("create", "list")),
    ("persistentvolumeclaims", "", ("create",)),
    ("secrets", "", ("create", "patch")),
    ("services", "", ("create", "patch")),
    ("serviceaccounts", "", ("create", "patch")),
    ("networkpolicies", "networking.k8s.io", ("create", "patch")),
)


def rights_needed(namespaces: Iterable[str], *, is_observer: bool) -> tuple[Right, ...]:
    """What `serve` needs; with `--observe`, no more than reading."""
    reading = [Right(verb, resource, group) for resource, group in _WATCHED for verb in ("list", "watch")]
    lease = Right("get", "leases", "coordination.k8s.io", "kube-node-lease")
    if is_observer:
        return (*reading, lease)
    writing = [
        Right(verb, resource, group, namespace)
        for namespace in sorted(namespaces)
        for resource, group, verbs in (("jobs", "batch", ("get",)), *_WRITTEN)
        for verb in verbs
    ]
    claiming = [
        Right(verb, "leases", "coordination.k8s.io", SYSTEM_NAMESPACE) for verb in ("get", "create", "update")
    ]
    return (*reading, lease, *writing, *claiming)


async def check_version(connection: Connection) -> str:
    """The server's version. Raises Unavailable: unreachable, or `cluster-too-old`."""
    version = (await _get(connection, "/version"))["gitVersion"]
    match = re.match(r"v(\d+)\.(\d+)", version)
    if match is None or (int(match[1]), int(match[2])) < VERSION_MIN:
        raise Unavailable(
            f"the cluster runs Kubernetes {version}",
            code=RefusalCode.CLUSTER_TOO_OLD,
            expected=f"{VERSION_MIN[0]}.{VERSION_MIN[1]} or later",
            remedy="upgrade its control plane",
        )
    return str(version)


async def own_username(connection: Connection) -> str:
    """The name under which the apiserver knows us."""
    review = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    answer = await _post(connection, "/apis/authentication.k8s.io/v1/selfsubjectreviews", review)
    return str(answer["status"]["userInfo"].get("username", ""))


async def labelled_namespaces(connection: Connection) -> tuple[str, ...]:
    """The namespaces whose Jobs are taken in."""
    found = await _get(connection, "/api/v1/namespaces", {"labelSelector": f"{MANAGED_NAMESPACE}=true"})
    return tuple(sorted(raw["metadata"]["name"] for raw in found["items"]))


async def check_cluster(connection: Connection, namespaces: Iterable[str], *, is_observer: bool) -> ClusterCheck:
    """Everything that `allot doctor` reports about the cluster. Raises Unavailable where it does not answer."""
    needed = rights_needed(namespaces, is_observer=is_observer)
    granted = await asyncio.gather(*(_has(connection, right) for right in needed))
    policies = await asyncio.gather(*(connection.request("GET", path) for path in _POLICIES))
    return ClusterCheck(
        version=await check_version(connection),
        username=await own_username(connection),
        missing_rights=tuple(right for right, has_it in zip(needed, granted, strict=True) if not has_it),
        stamps_authors=all(found.is_success for found in policies),
    )


async def _has(connection: Connection, right: Right) -> bool:
    attributes = {"verb": right.verb, "resource": right.resource, "group": right.group, "namespace": right.namespace}
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": attributes},
    }
    answer = await _post(connection, "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", review)
    return bool(answer["status"].get("allowed"))


async def _get(connection: Connection, path: str, params: Mapping[str, str] | None = None) -> RawObject:
    answer = await connection.request("GET", path, params=params)
    if not answer.is_success:
        raise refused(path, answer)
    read: RawObject = orjson.loads(answer.body)
    return read


async def _post(connection: Connection, path: str, body: RawObject) -> RawObject:
    answer = await connection.request("POST", path, body=orjson.dumps(body))
    if not answer.is_success:
        raise refused(path, answer)
    read: RawObject = orjson.loads(answer.body)
    return read
