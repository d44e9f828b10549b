"""The simulated cluster keeps the contract of every cluster."""

import time
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from scheduler.domain.cluster import GpuClass
from scheduler.domain.observations import ObservedJob
from scheduler.domain.units import MS_PER_SECOND, GpuClassName, Instant, NodeName, PerMille
from scheduler.simulation.clock import SimulatedClock
from scheduler.simulation.cluster import SimulatedCluster
from scheduler.simulation.fates import Fate
from scheduler.simulation.machines import H100, Machine
from scheduler.simulation.model import ClusterModel
from tests.contracts.cluster_contract import ClusterContract, ClusterRig
from tests.contracts.resizing_contract import ResizingContract

GPU_CLASS = GpuClass(GpuClassName("H100"), PerMille(1000), (("nvidia.com/gpu.product", "NVIDIA-H100-80GB-HBM3"),))
NODES = (NodeName("sim-a"), NodeName("sim-b"))
FACTOR = 1_000


class TestSimulatedCluster(ClusterContract, ResizingContract):
    @pytest.fixture
    async def rig(self) -> AsyncIterator[ClusterRig]:
        machines = [Machine(name, H100, gpus=8, cpu_milli=96_000, memory_mib=500_000) for name in NODES]
        clock = SimulatedClock(Instant(1_700_000_000_000), FACTOR, time.monotonic)
        cluster = SimulatedCluster(ClusterModel(machines, lambda _: Fate(run_ms=None)), clock)
        cluster.use_gpu_classes({GPU_CLASS.name: GPU_CLASS})

        async def end_after(job: ObservedJob, seconds: int) -> None:
            known = cluster.model.jobs[job.uid]
            known.fate = replace(known.fate, run_ms=seconds * MS_PER_SECOND)

        await cluster.start()
        yield ClusterRig(cluster, GPU_CLASS, NODES, "allot", end_after)
        await cluster.close()
