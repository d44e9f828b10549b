"""The account of the pod: what a kubelet mounts is enough to reach the cluster, and nothing else is asked for."""

import base64
import random
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml
from kubernetes.config import incluster_config

from scheduler.adapters.kubernetes.cluster import KubernetesCluster
from scheduler.adapters.kubernetes.credentials import load_credentials
from scheduler.domain.errors import RefusalCode, Unavailable
from scheduler.entrypoints.devcluster.cluster import ControlPlane
from tests.adapters.kubernetes.conftest import CLASSES, H100_NODES, now, settings_for
from tests.plugins.deployed import SERVICE, Kubectl
from tests.plugins.polling import DEADLINE_SECONDS


@pytest.fixture
def mounted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a kubelet puts the token and the cluster's certificate; empty. No kubeconfig is named."""
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "1")
    monkeypatch.setattr(incluster_config, "SERVICE_TOKEN_FILENAME", str(tmp_path / "token"))
    monkeypatch.setattr(incluster_config, "SERVICE_CERT_FILENAME", str(tmp_path / "ca.crt"))
    return tmp_path


def test_a_pod_without_the_files_of_its_account_is_told_so(mounted: Path) -> None:
    with pytest.raises(Unavailable) as refused:
        load_credentials()
    assert refused.value.code is RefusalCode.KUBECONFIG_INVALID
    assert refused.value.message.startswith("the pod's service account cannot be used: ")


@pytest.mark.controlplane
async def test_the_service_reaches_the_cluster_as_the_account_of_its_pod(
    mounted: Path, monkeypatch: pytest.MonkeyPatch, control_plane: ControlPlane, managed: str, kubectl: Kubectl
) -> None:
    """With the rights that manifests/ binds to that account."""
    (mounted / "token").write_text(kubectl("-n", "allot-system", "create", "token", "allot").strip())
    (mounted / "ca.crt").write_bytes(_authority(control_plane))
    server = urlsplit(control_plane.server)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", str(server.hostname))
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", str(server.port))
    cluster = KubernetesCluster(load_credentials, settings_for(managed), now=now, jitter=random.Random(1).random)

    found = await cluster.check()
    assert found.username == SERVICE
    assert found.missing_rights == ()

    cluster.use_gpu_classes(CLASSES)
    await cluster.start()
    seen = await cluster.changes(DEADLINE_SECONDS)
    await cluster.close()
    assert set(H100_NODES) <= set(seen.nodes)


def _authority(control_plane: ControlPlane) -> bytes:
    (cluster,) = yaml.safe_load(control_plane.kubeconfig.read_text())["clusters"]
    return base64.b64decode(cluster["cluster"]["certificate-authority-data"])
