"""A namespace deployed to as manifests/ deploys: our rights, the stamp of authors, and Jobs as kubectl applies them."""

import fcntl
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import yaml

from scheduler.entrypoints.devcluster.client import ApiClient, ApiRefused
from scheduler.entrypoints.devcluster.cluster import ControlPlane
from tests.plugins.polling import eventually

MANIFESTS = Path(__file__).parents[2] / "manifests"
SERVICE = "system:serviceaccount:allot-system:allot"
GROUPS = ("system:serviceaccounts", "system:serviceaccounts:allot-system", "system:authenticated")
Kubectl = Callable[..., str]


@pytest.fixture
async def managed(
    kubectl: Kubectl, api: ApiClient, namespace: str, tmp_path: Path, control_plane: ControlPlane
) -> str:
    """The test's namespace, managed as manifests/namespace manages one, in a cluster with our rights and policy."""
    _deploy_what_is_shared(kubectl, control_plane.directory)
    for file in ("namespace.yaml", "writer.yaml"):
        (tmp_path / file).write_text((MANIFESTS / "namespace" / file).read_text())
    kustomization = (MANIFESTS / "namespace" / "kustomization.yaml").read_text()
    (tmp_path / "kustomization.yaml").write_text(kustomization.replace("namespace: allot", f"namespace: {namespace}"))
    kubectl("apply", "-k", str(tmp_path))
    await _until_authors_are_stamped(api, namespace)
    return namespace


def _deploy_what_is_shared(kubectl: Kubectl, directory: Path) -> None:
    """Once for the whole cluster, by whoever needs it first: six commands of kubectl take longer than most tests. A cluster
    that outlives a run gets it again when the manifests have changed."""
    texts = sorted((str(path.relative_to(MANIFESTS)), path.read_text()) for path in MANIFESTS.rglob("*.yaml"))
    wanted = sha256(repr(texts).encode()).hexdigest()
    with (directory / "deployed").open("a+") as deployed:
        fcntl.flock(deployed, fcntl.LOCK_EX)
        deployed.seek(0)
        if deployed.read() == wanted:
            return
        for name in ("allot-system", "allot-agents"):
            kubectl("apply", "-f", "-", stdin=yaml.safe_dump(namespace_named(name)))
        for folder in ("observer", "managing", "claiming"):
            kubectl("apply", "-k", str(MANIFESTS / folder))
        kubectl("apply", "-f", str(MANIFESTS / "base" / "account.yaml"))
        deployed.truncate(0)
        deployed.write(wanted)


def namespace_named(name: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def kubectl_job(
    name: str, annotations: dict[str, str] | None = None, *, project: str = "atlas", command: tuple[str, ...] = ()
) -> dict[str, Any]:
    """A labelled, suspended Job of one GPU, as its author writes it."""
    container = {
        "name": "main",
        "image": "registry.example/train:1",
        "command": list(command),
        "resources": {"limits": {"nvidia.com/gpu": "1"}},
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": name,
            "labels": {"allot.dev/project": project, "allot.dev/time-limit": "1h"},
            "annotations": annotations or {},
        },
        "spec": {
            "suspend": True,
            "template": {
                "spec": {
                    "restartPolicy": "Never",
                    "containers": [container],
                }
            },
        },
    }


async def _until_authors_are_stamped(api: ApiClient, namespace: str) -> None:
    """A policy takes effect a moment after it was created."""
    path = f"/apis/batch/v1/namespaces/{namespace}/jobs"

    async def author() -> str:
        try:
            probe = await api.post(path, kubectl_job("probe"), dryRun="All")
        except ApiRefused:
            return ""
        return str((probe["metadata"].get("annotations") or {}).get("allot.dev/author", ""))

    await eventually(author, bool)
