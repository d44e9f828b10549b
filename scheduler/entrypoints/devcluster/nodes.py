"""Simulated GPU nodes: labelled as GPU feature discovery labels them, registered as a kubelet registers."""

import asyncio
import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from scheduler.entrypoints.devcluster.binaries import KUBERNETES_VERSION
from scheduler.entrypoints.devcluster.client import ApiClient, Json
from scheduler.entrypoints.devcluster.programs import LOOPBACK
from scheduler.entrypoints.devcluster.simulated import NODE

GPU_RESOURCE = "nvidia.com/gpu"
ZONE_LABEL = "topology.kubernetes.io/zone"
BLOCK_LABEL = "topology.allot.dev/block"
RACK_LABEL = "topology.allot.dev/rack"

_SAYS = "simulated by allot"
_MIB = 1024 * 1024


@dataclass(frozen=True)
class GpuModel:
    """One sort of GPU, in the words of GPU feature discovery; memory in MiB, as its label has it."""

    product: str
    memory_mib: int
    family: str
    compute_major: int
    compute_minor: int
    is_mig_capable: bool


H100 = GpuModel("NVIDIA-H100-80GB-HBM3", 81559, "hopper", 9, 0, is_mig_capable=True)
A100 = GpuModel("NVIDIA-A100-SXM4-80GB", 81920, "ampere", 8, 0, is_mig_capable=True)
L4 = GpuModel("NVIDIA-L4", 23034, "ada-lovelace", 8, 9, is_mig_capable=False)
T4 = GpuModel("Tesla-T4", 15360, "turing", 7, 5, is_mig_capable=False)


@dataclass(frozen=True)
class GpuNode:
    """A node to simulate: GPUs of one model (none: a CPU node), CPU in millicores, memory in bytes."""

    name: str
    model: GpuModel | None
    gpus: int
    cpu_millicores: int = 96_000
    memory_bytes: int = 768 * 1024 * _MIB
    zone: str = "zone-a"
    block: str = "block-0"
    rack: str = "rack-0"
    labels: Mapping[str, str] = field(default_factory=dict)
    resources: Mapping[str, str] = field(default_factory=dict)  # further extended resources: MIG profiles

    def to_json(self, kubelet_port: int, now: dt.datetime) -> Json:
        """The Node object, with the status that a kubelet sends when it registers."""
        stamp = now.strftime("%Y-%m-%dT%H:%M:%SZ")
        capacity = {
            "cpu": f"{self.cpu_millicores}m",
            "memory": str(self.memory_bytes),
            "ephemeral-storage": "1Ti",
            "pods": "250",
            **({GPU_RESOURCE: str(self.gpus)} if self.model else {}),
            **self.resources,
        }
        return {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {
                "name": self.name,
                "labels": self._labels(),
                "annotations": {NODE: "true"},
            },
            "spec": {"taints": self._taints()},
            "status": {
                "capacity": capacity,
                "allocatable": capacity,
                "conditions": [
                    _condition("Ready", "True", "KubeletReady", stamp),
                    _condition("MemoryPressure", "False", "KubeletHasSufficientMemory", stamp),
                    _condition("DiskPressure", "False", "KubeletHasNoDiskPressure", stamp),
                    _condition("PIDPressure", "False", "KubeletHasSufficientPID", stamp),
                ],
                "addresses": [
                    {"type": "InternalIP", "address": LOOPBACK},
                    {"type": "Hostname", "address": self.name},
                ],
                "daemonEndpoints": {"kubeletEndpoint": {"Port": kubelet_port}},
                "nodeInfo": _NODE_INFO | {"machineID": self.name, "systemUUID": self.name},
            },
        }

    def _labels(self) -> dict[str, str]:
        labels = {
            "kubernetes.io/hostname": self.name,
            "kubernetes.io/arch": "amd64",
            "kubernetes.io/os": "linux",
            ZONE_LABEL: self.zone,
            BLOCK_LABEL: self.block,
            RACK_LABEL: self.rack,
        }
        if self.model:
            labels |= {
                "nvidia.com/gpu.present": "true",
                "nvidia.com/gpu.product": self.model.product,
                "nvidia.com/gpu.count": str(self.gpus),
                "nvidia.com/gpu.memory": str(self.model.memory_mib),
                "nvidia.com/gpu.family": self.model.family,
                "nvidia.com/gpu.compute.major": str(self.model.compute_major),
                "nvidia.com/gpu.compute.minor": str(self.model.compute_minor),
                "nvidia.com/gpu.replicas": "1",
                "nvidia.com/gpu.sharing-strategy": "none",
                "nvidia.com/mig.capable": str(self.model.is_mig_capable).lower(),
                "nvidia.com/mig.strategy": "single",
            }
        return labels | dict(self.labels)

    def _taints(self) -> list[Json]:
        return [{"key": GPU_RESOURCE, "value": "present", "effect": "NoSchedule"}] if self.model else []


_NODE_INFO = {
    "architecture": "amd64",
    "bootID": "simulated",
    "containerRuntimeVersion": "simulated://v1",
    "kernelVersion": "simulated",
    "kubeProxyVersion": "",
    "kubeletVersion": f"{KUBERNETES_VERSION}+simulated",
    "operatingSystem": "linux",
    "osImage": _SAYS,
}


def default_nodes() -> tuple[GpuNode, ...]:
    """Ten nodes with 64 GPUs of three models in two blocks: enough to see classes, racks and gangs at work."""
    large = [
        GpuNode(
            f"simulated-{name}-{index}",
            model,
            gpus=8,
            block=f"block-{block}",
            rack=f"rack-{block}-{index // 2}",
        )
        for block, (name, model) in enumerate((("h100", H100), ("a100", A100)))
        for index in range(3)
    ]
    small = [
        GpuNode(f"simulated-l4-{index}", L4, gpus=4, zone="zone-b", block="block-2", rack="rack-2-0")
        for index in range(4)
    ]
    return (*large, *small)


async def create_nodes(api: ApiClient, nodes: Iterable[GpuNode], kubelet_port: int, now: dt.datetime) -> None:
    """Registers all at once, as many at a time as the client has connections."""
    await asyncio.gather(*(api.post("/api/v1/nodes", node.to_json(kubelet_port, now)) for node in nodes))


def _condition(kind: str, status: str, reason: str, stamp: str) -> Json:
    return {
        "type": kind,
        "status": status,
        "reason": reason,
        "message": _SAYS,
        "lastHeartbeatTime": stamp,
        "lastTransitionTime": stamp,
    }
