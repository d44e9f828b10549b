"""What containerd, the network and kubelet are told: what differs from their defaults, and why."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import orjson
import yaml

from scheduler.entrypoints.devcluster.certificates import KeyPair
from tests.realnode.images import PAUSE

CONTAINERD_SOCKET = "/run/containerd/containerd.sock"
KUBELET_ROOT = "/var/lib/kubelet"
CNI_PLUGINS = "/usr/lib/cni"
"""Debian's place for them."""


@dataclass(frozen=True)
class Network:
    """`address` is the machine's, under which kubelet is reached; pods get theirs from `pods`, a subnet with mask."""

    address: str
    kubelet_port: int
    pods: str


def write_containerd(folder: Path) -> Path:
    """The CRI plugin and what it needs; images are copied, not overlaid: they are small, and any file system does."""
    path = folder / "containerd.toml"
    path.write_text(f"""version = 2
root = "/run/containerd/root"
state = "/run/containerd/state"
disabled_plugins = ["io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper",
  "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.aufs", "io.containerd.internal.v1.tracing",
  "io.containerd.tracing.processor.v1.otlp"]
[grpc]
  address = "{CONTAINERD_SOCKET}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE}"
  # Where the machine withholds CAP_SYS_RESOURCE, a container that is to be spared by the kernel is not started at all:
  # runc dies with "can't get final child's PID from pipe".
  restrict_oom_score_adj = true
  disable_apparmor = true
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "native"
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{CNI_PLUGINS}"
    conf_dir = "{folder / "cni"}"
""")
    return path


def write_network(folder: Path, network: Network) -> None:
    """A link of its own from each pod to the machine, without a bridge or a rule of a firewall."""
    ranges = [[{"subnet": network.pods}]]
    ipam = {
        "type": "host-local",
        "dataDir": "/run/containerd/ipam",
        "ranges": ranges,
        "routes": [{"dst": "0.0.0.0/0"}],
    }
    plugin = {"type": "ptp", "ipMasq": False, "ipam": ipam}
    (folder / "cni").mkdir()
    (folder / "cni" / "10-ptp.conflist").write_bytes(
        orjson.dumps({"cniVersion": "0.4.0", "name": "pods", "plugins": [plugin]})
    )


def write_kubelet(folder: Path, network: Network, authority: Path, serving: KeyPair, cgroup: str) -> Path:
    resolver = folder / "resolv.conf"
    resolver.write_text("")
    settings = {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": network.address,
        "port": network.kubelet_port,
        "healthzPort": 0,
        "tlsCertFile": str(serving.certificate),
        "tlsPrivateKeyFile": str(serving.key),
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": False},
            "x509": {"clientCAFile": str(authority)},
        },
        "authorization": {"mode": "AlwaysAllow"},
        "containerRuntimeEndpoint": f"unix://{CONTAINERD_SOCKET}",
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{cgroup}",
        "failCgroupV1": False,
        "failSwapOn": False,
        "enforceNodeAllocatable": [],
        "oomScoreAdj": 0,
        "makeIPTablesUtilChains": False,
        "resolvConf": str(resolver),
        "volumePluginDir": f"{KUBELET_ROOT}/volume-plugins",
        "podLogsDir": f"{KUBELET_ROOT}/pod-logs",
        # A full disk of the machine is no matter of the tests.
        "evictionHard": {"memory.available": "0%", "nodefs.available": "0%", "imagefs.available": "0%"},
        "imageGCHighThresholdPercent": 100,
        "nodeStatusUpdateFrequency": "2s",
        "maxPods": 40,
    }
    path = folder / "kubelet.yaml"
    path.write_text(yaml.safe_dump(settings))
    return path


def kubelet_arguments(
    name: str, network: Network, kubeconfig: Path, configuration: Path, labels: Mapping[str, str]
) -> list[str]:
    return [
        f"--config={configuration}",
        f"--kubeconfig={kubeconfig}",
        f"--hostname-override={name}",
        f"--node-ip={network.address}",
        f"--root-dir={KUBELET_ROOT}",
        "--node-labels=" + ",".join(f"{key}={value}" for key, value in sorted(labels.items())),
        "--register-with-taints=nvidia.com/gpu=present:NoSchedule",
    ]
