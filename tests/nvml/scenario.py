"""One process per scenario: reads the GPUs at given instants and hands the readings back.

As `python -m tests.nvml.scenario` it is the child, which loads whatever library its environment names, and moves the
fake machine's clock where there is one. NVML's library is never swapped inside a process.
"""

import mmap
import os
import pickle
import struct
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from scheduler.adapters.nvml.calls import NvmlSignal
from scheduler.adapters.nvml.proc import INITIAL_PID_NAMESPACE, ProcessTable
from scheduler.adapters.nvml.sensors import NvmlSensors
from scheduler.domain.units import Instant
from scheduler.metering.samples import Reading, Sample
from tests.nvml.machine import FakeMachine

REPOSITORY = Path(__file__).parents[2]
Outcome = Reading | str
"""A reading, or the name of the signal that ended the scenario."""


def outcomes(fake: FakeMachine, instants_ms: Sequence[int], proc: Path) -> list[Outcome]:
    """What a process on the fake machine reads at each of these instants, in the machine's own time."""
    return run([*map(str, instants_ms)], proc, dict(fake.environment()))


def readings(fake: FakeMachine, instants_ms: Sequence[int], proc: Path) -> list[Reading]:
    """As `outcomes`, where every instant gives a reading."""
    found = outcomes(fake, instants_ms, proc)
    assert all(isinstance(each, Reading) for each in found), found
    return [each for each in found if isinstance(each, Reading)]


def of(found: Sequence[Reading], gpu_uuid: str) -> list[Sample]:
    """One device's samples."""
    return [sample for reading in found for sample in reading.samples if sample.gpu_uuid == gpu_uuid]


def run(steps: list[str], proc: Path, environment: dict[str, str]) -> list[Outcome]:
    child = subprocess.run(
        [sys.executable, "-m", "tests.nvml.scenario", str(proc), *steps],
        cwd=REPOSITORY,
        env=environment,
        stdout=subprocess.PIPE,
        timeout=120,
        check=True,
    )
    found: list[Outcome] = pickle.loads(child.stdout)  # noqa: S301  # our own child wrote it
    return found


def write_process(proc: Path, pid: int, cgroup: str = "0::/", started_ticks: int = 100) -> None:
    """A process in a fixture /proc."""
    (proc / str(pid)).mkdir(parents=True, exist_ok=True)
    tail = " ".join(["S", *("0" for _ in range(18)), str(started_ticks), "0"])
    (proc / str(pid) / "stat").write_text(f"{pid} (python (worker) 1) {tail}")
    (proc / str(pid) / "cgroup").write_text(cgroup + "\n")


def write_proc(proc: Path, namespace: str = INITIAL_PID_NAMESPACE) -> Path:
    """A fixture /proc of an agent that sees the host's PIDs, or not."""
    (proc / "self/ns").mkdir(parents=True)
    (proc / "self/ns/pid").symlink_to(namespace)
    return proc


def _main(proc: str, steps: list[str]) -> None:
    path = os.environ.get("ALLOT_FAKE_NVML_CONTROL")
    control = None if path is None else mmap.mmap(os.open(path, os.O_RDWR), 16)
    sensors = NvmlSensors(ProcessTable(Path(proc)))
    found: list[Outcome] = []
    for step in steps:
        if control is not None:
            struct.pack_into("=q", control, 0, int(step) * 1_000)
            now_ms = int(step)
        else:
            time.sleep(int(step) / 1_000)
            now_ms = time.time_ns() // 1_000_000
        try:
            found.append(sensors.read(Instant(now_ms)))
        except NvmlSignal as signal:
            found.append(f"{type(signal).__name__}: {signal}")
            break
    else:
        sensors.close()
    sys.stdout.buffer.write(pickle.dumps(found))


if __name__ == "__main__":
    _main(sys.argv[1], sys.argv[2:])
