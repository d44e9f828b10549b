"""What the fake NVML library tells of the real node's GPUs: which of its processes use which of them, and how much."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from scheduler.domain.units import GpuUuid
from tests.nvml.machine import FakeMachine, Gpu, Job, Machine

MINUTE_MS = 60_000


@dataclass
class NodeGpus:
    """H100s that idle until a process is said to use one. Their time is the machine's."""

    fake: FakeMachine
    uuids: Sequence[GpuUuid]
    booted_ms: int = field(default_factory=lambda: _now_ms() - MINUTE_MS)
    _jobs: dict[int, Job] = field(default_factory=dict)

    @classmethod
    def described(cls, library: Path, directory: Path, uuids: Sequence[GpuUuid]) -> "NodeGpus":
        gpus = cls(FakeMachine(directory, library), uuids)
        gpus._describe()
        return gpus

    def begin(self, pid: int, uuid: GpuUuid, *, duty_permille: int = 1_000) -> None:
        """From now on the process has a context on the GPU, and computes for so much of the time."""
        job = Job(self.uuids.index(uuid), pid, start_ms=_now_ms(), duty_permille=duty_permille, context_mw=5_000)
        self._jobs[pid] = job
        self._describe()

    def end(self, pid: int) -> None:
        """The process is gone from the GPU; what it used stays in the energy counter."""
        self._jobs[pid] = replace(self._jobs[pid], end_ms=_now_ms())
        self._describe()

    def _describe(self) -> None:
        gpus = tuple(
            Gpu(uuid, bus=f"00000000:{number + 1:02x}:00.0", minor=number) for number, uuid in enumerate(self.uuids)
        )
        self.fake.describe(Machine(gpus, tuple(self._jobs.values()), booted_ms=self.booted_ms))


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
