"""The simulated hardware: GPU models with their power, nodes with what they offer, and the example cluster."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from scheduler.domain.cluster import Taint
from scheduler.domain.units import NodeName

GPU_RESOURCE = "nvidia.com/gpu"
GPU_TAINT = Taint(GPU_RESOURCE, "present", "NoSchedule")


@dataclass(frozen=True, slots=True)
class GpuModel:
    """A model of GPU: `product` as GPU feature discovery labels it, power as its data sheet has it."""

    product: str
    family: str
    memory_mib: int
    idle_watts: int
    busy_watts: int


H100 = GpuModel("NVIDIA-H100-80GB-HBM3", "hopper", 81559, idle_watts=70, busy_watts=690)
A100 = GpuModel("NVIDIA-A100-SXM4-80GB", "ampere", 81920, idle_watts=55, busy_watts=395)
L40S = GpuModel("NVIDIA-L40S", "ada-lovelace", 46068, idle_watts=35, busy_watts=345)


@dataclass(frozen=True, slots=True)
class Machine:
    """A node with GPUs of one model. `outside_gpus` are held by pods that are not ours."""

    name: NodeName
    model: GpuModel
    gpus: int
    cpu_milli: int
    memory_mib: int
    rack: str = ""
    block: str = ""
    outside_gpus: int = 0
    labels: Mapping[str, str] = field(default_factory=dict)
    taints: tuple[Taint, ...] = (GPU_TAINT,)

    def all_labels(self) -> dict[str, str]:
        """As the kubelet, GPU feature discovery and the topology's owner write them; and that it is simulated."""
        return {
            "kubernetes.io/hostname": self.name,
            "kubernetes.io/os": "linux",
            "nvidia.com/gpu.present": "true",
            "nvidia.com/gpu.product": self.model.product,
            "nvidia.com/gpu.family": self.model.family,
            "nvidia.com/gpu.count": str(self.gpus),
            "nvidia.com/gpu.memory": str(self.model.memory_mib),
            "topology.allot.dev/rack": self.rack,
            "topology.allot.dev/block": self.block,
            "simulated.allot.dev/node": "true",
            **self.labels,
        }


def example_machines() -> tuple[Machine, ...]:
    """104 nodes with 640 GPUs: 24 × 8 H100, 32 × 8 A100 and 48 × 4 L40S, eight nodes to a rack, four racks to a block.

    Two L40S nodes run something that is not ours, as clusters do.
    """
    return (
        *_rows("h100", 24, H100, 8, (192_000, 2_000_000)),
        *_rows("a100", 32, A100, 8, (128_000, 1_000_000)),
        *_rows("l40s", 48, L40S, 4, (64_000, 512_000), outside={7: 2, 31: 1}),
    )


def _rows(
    prefix: str,
    count: int,
    model: GpuModel,
    gpus: int,
    cpu_milli_and_memory_mib: tuple[int, int],
    outside: Mapping[int, int] | None = None,
) -> tuple[Machine, ...]:
    cpu_milli, memory_mib = cpu_milli_and_memory_mib
    return tuple(
        Machine(
            name=NodeName(f"sim-{prefix}-{index:02d}"),
            model=model,
            gpus=gpus,
            cpu_milli=cpu_milli,
            memory_mib=memory_mib,
            rack=f"{prefix}-rack-{index // 8}",
            block=f"{prefix}-block-{index // 32}",
            outside_gpus=(outside or {}).get(index, 0),
        )
        for index in range(count)
    )
