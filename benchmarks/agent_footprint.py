"""What `allot agent` costs a node: processor time and memory of both its processes, at its default pace.

The GPUs are simulated by the library under tests/nvml/fake; the time that a real driver takes inside its calls is
not in the figure. Run as `python -m benchmarks.agent_footprint [SECONDS]`.
"""

import asyncio
import json
import os
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.measured import keep
from tests.nvml.agent_process import AgentProcess
from tests.nvml.api_server import ApiServer
from tests.nvml.machine import FakeMachine, Gpu, Job, Machine, build_library

GPUS = 8
DEFAULT_PACE = ("--sample-ms", "5000", "--window-ms", "15000", "--inventory-ms", "60000", "--watchdog-ms", "20000")
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


def machine(now_ms: int) -> Machine:
    """Eight busy GPUs with a process each: the processes exist, so that /proc is read for them too."""
    gpus = tuple(Gpu(f"GPU-{n}", minor=n) for n in range(GPUS))
    jobs = tuple(Job(n, pid=os.getpid(), start_ms=now_ms, period_ms=700, duty_permille=600) for n in range(GPUS))
    return Machine(gpus, jobs, booted_ms=now_ms - 60_000)


async def measure(seconds: float) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as directory:
        fake = FakeMachine(Path(directory) / "machine", build_library(Path(directory)))
        fake.describe(machine(time.time_ns() // 1_000_000))
        api, agent = ApiServer(), AgentProcess(fake, Path(directory))
        await api.start()
        await agent.start(api, *DEFAULT_PACE)
        try:
            await api.until(lambda: len(api.inventories) > 0)
            assert agent.process is not None
            family = [agent.process.pid, *children(agent.process.pid)]
            before = sum(cpu_seconds(pid) for pid in family)
            await asyncio.sleep(seconds)
            used = sum(cpu_seconds(pid) for pid in family) - before
            memory = sum(proportional_mebibytes(pid) for pid in family)
        finally:
            await agent.end()
            await api.stop()
    return {
        "gpus": GPUS,
        "seconds": seconds,
        "windows": len(api.windows),
        "core_percent": round(100 * used / seconds, 3),
        "memory_mebibytes": round(memory, 1),
    }


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_SECOND


def proportional_mebibytes(pid: int) -> float:
    """PSS: what two processes share is counted once."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1_024


if __name__ == "__main__":
    measured = asyncio.run(measure(float(sys.argv[1]) if len(sys.argv) > 1 else 60.0))
    print(json.dumps(keep("agent_footprint", dict(measured))))
