"""People who apply Jobs themselves: their rights in a namespace, and the policy of manifests/ that stamps authors."""

import uuid
from pathlib import Path

import yaml

from scheduler.entrypoints.devcluster.client import ApiClient, ApiRefused, Json
from tests.plugins.polling import eventually

_ADMISSION = next((Path(__file__).resolve().parents[2] / "manifests").rglob("author.yaml"))
_API = "/apis/admissionregistration.k8s.io/v1"
_PATHS = {
    "MutatingAdmissionPolicy": f"{_API}/mutatingadmissionpolicies",
    "MutatingAdmissionPolicyBinding": f"{_API}/mutatingadmissionpolicybindings",
}
_RBAC = "/apis/rbac.authorization.k8s.io/v1"


async def stamp_authors(api: ApiClient, namespace: str) -> None:
    """Put the policy in force, if it is not, and wait until it works in the namespace, which must be a managed one."""
    for document in yaml.safe_load_all(_ADMISSION.read_text()):
        try:
            await api.post(_PATHS[document["kind"]], document)
        except ApiRefused as refused:
            if refused.status != 409:
                raise

    async def author_of_a_dry_run() -> str:
        name = f"probe-{uuid.uuid4().hex[:8]}"
        made = await api.post(f"/apis/batch/v1/namespaces/{namespace}/jobs", _probe(name), dryRun="All")
        return str((made["metadata"].get("annotations") or {}).get("allot.dev/author", ""))

    await eventually(author_of_a_dry_run, bool)


async def let_edit(api: ApiClient, namespace: str, subject: str) -> None:
    """The rights that people have in a namespace of their team: Kubernetes' own role `edit`."""
    binding = {
        "metadata": {"name": f"edit-{subject}"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "edit"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": subject}],
    }
    await api.post(f"{_RBAC}/namespaces/{namespace}/rolebindings", binding)


def _probe(name: str) -> Json:
    container = {"name": "main", "image": "registry.example/probe"}
    template = {"spec": {"restartPolicy": "Never", "containers": [container]}}
    return {"metadata": {"name": name}, "spec": {"suspend": True, "template": template}}
