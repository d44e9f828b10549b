"""The command line of each program of the control plane: what differs from its defaults, and why."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from scheduler.entrypoints.devcluster.binaries import Binaries
from scheduler.entrypoints.devcluster.certificates import Authority, KeyPair

LOOPBACK = "127.0.0.1"
SERVICE_RANGE = "10.96.0.0/16"
POD_RANGE = "10.244.0.0/16"

KUBELETS_USER = "simulated-kubelets"
"""Who the simulated kubelets are to RBAC (manifests/cluster.yaml)."""

# Controllers that have nothing to do where nothing is attached, routed or signed.
_NO_CONTROLLERS = (
    "bootstrap-signer-controller",
    "certificatesigningrequest-approving-controller",
    "certificatesigningrequest-cleaner-controller",
    "certificatesigningrequest-signing-controller",
    "horizontal-pod-autoscaler-controller",
    "node-ipam-controller",
    "node-route-controller",
    "persistentvolume-attach-detach-controller",
    "podcertificaterequest-cleaner-controller",
    "replicationcontroller-controller",
    "token-cleaner-controller",
    "ttl-controller",
)
_TEN_YEARS = "87600h"

_ETCD_SOCKET = "etcd.sock"
"""Named from the cluster's folder, in which both who listens and who calls stand: a socket's whole path may have no more
than 107 bytes."""

GARBAGE_PERCENT = 400
"""How much garbage etcd and the apiserver let come together for each byte that lives (Go's GOGC; its default is 100).
Collecting it is a fifth of what a write costs them by default. A GOGC that is set in our environment goes before it."""

_IN_ITS_FOLDER = """cd "$1" && export GOGC="${GOGC:-$2}" && shift 2 && exec "$@\""""


@dataclass(frozen=True)
class Ports:
    etcd_peers: int
    apiserver: int
    controller_manager: int
    scheduler: int
    kubelets: int


@dataclass(frozen=True)
class Site:
    """Where one cluster lives: its folder, its ports, its certificates."""

    directory: Path
    ports: Ports
    authority: Authority
    serving: KeyPair
    service_accounts: KeyPair

    @property
    def server(self) -> str:
        return f"https://{LOOPBACK}:{self.ports.apiserver}"

    @property
    def logs(self) -> Path:
        return self.directory / "logs"

    @property
    def etcd_socket(self) -> Path:
        """The folder, which is its owner's alone, keeps it: no certificate is asked for there."""
        return self.directory / _ETCD_SOCKET

    def kubeconfig(self, user: str) -> Path:
        return self.directory / f"{user}.kubeconfig"


def etcd(binaries: Binaries, site: Site) -> list[str]:
    peers = f"https://{LOOPBACK}:{site.ports.etcd_peers}"
    return [
        *_in_its_folder(site),
        str(binaries.etcd),
        f"--data-dir={site.directory / 'etcd'}",
        # TLS, and gRPC behind a server of HTTP, would be two fifths of its work and a tenth of the apiserver's.
        f"--listen-client-urls=unix://{_ETCD_SOCKET}",
        # Has to be a host and a port, and nobody asks for it.
        f"--advertise-client-urls={peers}",
        f"--listen-peer-urls={peers}",
        f"--initial-advertise-peer-urls={peers}",
        f"--initial-cluster=default={peers}",
        f"--peer-cert-file={site.serving.certificate}",
        f"--peer-key-file={site.serving.key}",
        f"--peer-trusted-ca-file={site.authority.certificate}",
        "--peer-client-cert-auth=true",
        # The data need not survive the machine; waiting for its disk would be most of a write's time.
        "--unsafe-no-fsync",
        "--quota-backend-bytes=4294967296",
        "--auto-compaction-retention=5m",
        "--log-level=warn",
    ]


def apiserver(binaries: Binaries, site: Site, feature_gates: Mapping[str, bool], extra: Sequence[str]) -> list[str]:
    """MutatingAdmissionPolicy and ValidatingAdmissionPolicy are on by default from Kubernetes 1.36."""
    return [
        *_in_its_folder(site),
        str(binaries.apiserver),
        f"--etcd-servers=unix://{_ETCD_SOCKET}",
        f"--bind-address={LOOPBACK}",
        f"--secure-port={site.ports.apiserver}",
        f"--tls-cert-file={site.serving.certificate}",
        f"--tls-private-key-file={site.serving.key}",
        f"--client-ca-file={site.authority.certificate}",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        # It taints every new node as not ready until a controller has looked at it, thousands of writes for nodes that
        # are born ready. One that fails later is tainted all the same.
        "--disable-admission-plugins=TaintNodesByCondition",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={site.service_accounts.certificate}",
        f"--service-account-signing-key-file={site.service_accounts.key}",
        f"--service-cluster-ip-range={SERVICE_RANGE}",
        # An endpoint of the kubernetes Service on loopback is invalid, and nothing in here dials it.
        "--endpoint-reconciler-type=none",
        "--allow-privileged=true",
        f"--kubelet-certificate-authority={site.authority.certificate}",
        f"--kubelet-client-certificate={site.serving.certificate}",
        f"--kubelet-client-key={site.serving.key}",
        "--kubelet-preferred-address-types=InternalIP",
        "--profiling=false",
        *_gates(feature_gates),
        *extra,
    ]


def controller_manager(binaries: Binaries, site: Site, feature_gates: Mapping[str, bool]) -> list[str]:
    return [
        str(binaries.controller_manager),
        f"--kubeconfig={site.kubeconfig('system:kube-controller-manager')}",
        *_serving(site, site.ports.controller_manager),
        f"--root-ca-file={site.authority.certificate}",
        f"--service-account-private-key-file={site.service_accounts.key}",
        "--use-service-account-credentials=true",
        "--leader-elect=false",
        f"--controllers=*,{','.join('-' + name for name in _NO_CONTROLLERS)}",
        # The default of 20 requests a second would be what every test measures.
        "--kube-api-qps=1000",
        "--kube-api-burst=2000",
        "--concurrent-job-syncs=16",
        "--concurrent-gc-syncs=8",
        # Simulated nodes send no heartbeats: a thousand of them would be most of the load. They fail when told to.
        f"--node-monitor-grace-period={_TEN_YEARS}",
        "--profiling=false",
        *_gates(feature_gates),
    ]


def scheduler(binaries: Binaries, site: Site, feature_gates: Mapping[str, bool]) -> list[str]:
    configuration = site.directory / "kube-scheduler.yaml"
    configuration.write_text(
        yaml.safe_dump(
            {
                "apiVersion": "kubescheduler.config.k8s.io/v1",
                "kind": "KubeSchedulerConfiguration",
                "leaderElection": {"leaderElect": False},
                "clientConnection": {
                    "kubeconfig": str(site.kubeconfig("system:kube-scheduler")),
                    "qps": 1000,
                    "burst": 2000,
                },
                "enableProfiling": False,
            }
        )
    )
    return [
        str(binaries.scheduler),
        f"--config={configuration}",
        *_serving(site, site.ports.scheduler),
        *_gates(feature_gates),
    ]


def kubelets(binaries: Binaries, site: Site) -> list[str]:
    """Ours, in place of every simulated node's kubelet and its server: what it does is in tests/controlplane/kubelets."""
    return [
        str(binaries.kubelets),
        f"--kubeconfig={site.kubeconfig(KUBELETS_USER)}",
        f"--address={LOOPBACK}:{site.ports.kubelets}",
        f"--tls-cert-file={site.serving.certificate}",
        f"--tls-private-key-file={site.serving.key}",
        f"--pod-range={POD_RANGE}",
    ]


def _in_its_folder(site: Site) -> list[str]:
    return ["/bin/sh", "-c", _IN_ITS_FOLDER, "allot", str(site.directory), str(GARBAGE_PERCENT)]


def _serving(site: Site, port: int) -> list[str]:
    return [
        f"--bind-address={LOOPBACK}",
        f"--secure-port={port}",
        f"--tls-cert-file={site.serving.certificate}",
        f"--tls-private-key-file={site.serving.key}",
    ]


def _gates(feature_gates: Mapping[str, bool]) -> list[str]:
    if not feature_gates:
        return []
    return ["--feature-gates=" + ",".join(f"{name}={str(on).lower()}" for name, on in feature_gates.items())]
