"""The control plane of the benchmark, deployed to as manifests/ deploys: our rights, and the stamp of authors.

The service signs in with the token of its own account, as in a Pod, and has that account's rights and no others. The
runner has an administrator's account: verifying a client certificate at each request would cost the apiserver a tenth
of its time, and nothing that runs in a cluster makes it do so.
"""

import datetime as dt
import subprocess
from dataclasses import dataclass
from pathlib import Path

import yaml

from benchmarks.admission.company import COHORT_LABEL
from benchmarks.admission.generator import Generator
from benchmarks.admission.runner import NAMESPACE
from scheduler.entrypoints.devcluster.client import ApiClient
from scheduler.entrypoints.devcluster.cluster import ControlPlane

MANIFESTS = Path(__file__).parents[2] / "manifests"
ACCOUNT = "allot"
ACCOUNT_NAMESPACE = "allot-system"
RUNNER = "runner"


@dataclass(frozen=True)
class Kubeconfigs:
    """Whose each is."""

    service: Path
    runner: Path


async def deploy(plane: ControlPlane, generator: Generator, scratch: Path) -> Kubeconfigs:
    """The managed namespace, the accounts and their rights, and a node per cohort that covers its quotas."""
    for name in (ACCOUNT_NAMESPACE, "allot-agents"):
        _kubectl(plane, "create", "namespace", name)
    for folder in ("observer", "managing", "claiming"):
        _kubectl(plane, "apply", "-k", str(MANIFESTS / folder))
    _kubectl(plane, "apply", "-f", str(MANIFESTS / "base" / "account.yaml"))
    _kubectl(plane, "apply", "-k", str(_namespace(scratch / "namespace")))
    async with plane.client() as api:
        for cohort, gpus in generator.cohort_gpus.items():
            await _create_node(api, cohort, gpus)
    account = f"{ACCOUNT_NAMESPACE}:{RUNNER}"
    _kubectl(plane, "create", "serviceaccount", RUNNER, f"--namespace={ACCOUNT_NAMESPACE}")
    _kubectl(
        plane, "create", "clusterrolebinding", RUNNER, "--clusterrole=cluster-admin", f"--serviceaccount={account}"
    )
    return Kubeconfigs(_kubeconfig(plane, ACCOUNT, scratch), _kubeconfig(plane, RUNNER, scratch))


def _namespace(folder: Path) -> Path:
    folder.mkdir()
    for file in (MANIFESTS / "namespace").iterdir():
        text = file.read_text(encoding="utf-8")
        (folder / file.name).write_text(text.replace("namespace: allot\n", f"namespace: {NAMESPACE}\n"), "utf-8")
    return folder


def _kubeconfig(plane: ControlPlane, account: str, folder: Path) -> Path:
    """Of an account, with a token that outlasts the run."""
    token = _kubectl(plane, "create", "token", account, f"--namespace={ACCOUNT_NAMESPACE}", "--duration=12h").strip()
    document = yaml.safe_load(plane.kubeconfig.read_text(encoding="utf-8"))
    for user in document["users"]:
        user["user"] = {"token": token}
    path = folder / f"{account}.kubeconfig"
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    path.chmod(0o600)
    return path


def _kubectl(plane: ControlPlane, *arguments: str) -> str:
    command = [str(plane.kubectl), "--kubeconfig", str(plane.kubeconfig), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


async def _create_node(api: ApiClient, cohort: str, gpus: int) -> None:
    amounts = {"cpu": "1000", "memory": "4Ti", "pods": str(max(10_000, gpus)), "nvidia.com/gpu": str(gpus)}
    now = dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    ready = {"type": "Ready", "status": "True", "lastHeartbeatTime": now, "lastTransitionTime": now}
    node = {
        "metadata": {"name": cohort, "labels": {COHORT_LABEL: cohort, "kubernetes.io/hostname": cohort}},
        "status": {"capacity": amounts, "allocatable": amounts, "conditions": [ready]},
    }
    await api.post("/api/v1/nodes", node)
    await api.patch(f"/api/v1/nodes/{cohort}/status", {"status": node["status"]})
    # The node admission plugin taints a new node as not ready until its owner says otherwise.
    await api.patch(f"/api/v1/nodes/{cohort}", {"spec": {"taints": None}})
