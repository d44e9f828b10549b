"""Attribution by the kernel's own word: real processes in real control groups of version 2, as each runtime and driver lays
them out, on GPUs of the fake library."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from scheduler.adapters.cgroup_tree import CgroupTree
from scheduler.adapters.nvml.proc import ProcessTable
from scheduler.domain.units import PodUid
from scheduler.metering.cgroups import PodProcess
from scheduler.metering.devices import ProcessView
from tests.nvml.machine import FakeMachine, Gpu, Job, Machine
from tests.nvml.scenario import of, readings

T = 1_800_000_000_000
POD = "0f3c1e52-8a4b-4c1d-9e77-5a6b7c8d9e0f"
UNDERSCORED = POD.replace("-", "_")
CONTAINER = "ab" * 32
SLICE = f"kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{UNDERSCORED}.slice"
LAYOUTS = {
    "cgroupfs": f"kubepods/burstable/pod{POD}/{CONTAINER}",
    "cgroupfs, a guaranteed pod": f"kubepods/pod{POD}/{CONTAINER}",
    "systemd, containerd": f"{SLICE}/cri-containerd-{CONTAINER}.scope",
    "systemd, CRI-O": f"{SLICE}/crio-{CONTAINER}.scope",
    "systemd, a guaranteed pod": f"kubepods.slice/kubepods-pod{UNDERSCORED}.slice/cri-containerd-{CONTAINER}.scope",
}
WORK = "sum(range(3_000_000)); print('worked', flush=True); input()"
"""Uses some of a CPU, says so, and lives on until its input ends."""


@contextmanager
def working_in(group: Path) -> Iterator[int]:
    """A process that was born in the group, as a runtime starts a container's."""
    group.mkdir(parents=True)
    enter = f"open({str(group / 'cgroup.procs')!r}, 'w').write('0')"
    process = subprocess.Popen(
        [sys.executable, "-c", f"{enter}; {WORK}"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "worked\n"
        yield process.pid
    finally:
        process.stdin.close()
        process.stdout.close()
        process.wait()


@pytest.mark.parametrize("path", LAYOUTS.values(), ids=LAYOUTS)
def test_a_process_is_its_pods_by_its_live_control_group(cgroup2: Path, path: str) -> None:
    with working_in(cgroup2 / path) as pid:
        found = ProcessTable().find(pid)
        assert found is not None
        assert found.pod == PodProcess(PodUid(POD), CONTAINER)
        tree = CgroupTree(cgroup2)
        tree.look()
        used = tree.usage()
        assert used is not None
        assert used[PodUid(POD)] > 0
    assert ProcessTable().find(pid) is None


def test_a_process_of_the_host_has_no_pod_in_a_live_hierarchy(cgroup2: Path) -> None:
    with working_in(cgroup2 / "system.slice" / "dcgm.service") as pid:
        found = ProcessTable().find(pid)
        assert found is not None
        assert found.pod is None
        tree = CgroupTree(cgroup2)
        tree.look()
        assert tree.usage() == {}


def test_a_gpus_process_is_read_with_the_pod_that_the_kernel_names(fake: FakeMachine, cgroup2: Path) -> None:
    if ProcessTable().view() is not ProcessView.HOST:
        pytest.skip("this machine's processes are not those of the first PID namespace: nothing to attribute")
    with working_in(cgroup2 / LAYOUTS["systemd, containerd"]) as pid:
        fake.describe(Machine((Gpu("GPU-a"),), (Job(0, pid=pid, start_ms=T - 60_000),), booted_ms=T - 60_000))
        _, sample = of(readings(fake, [T, T + 5_000], Path("/proc")), "GPU-a")
    assert sample.processes is not None
    assert [(use.pid, use.pod_uid, use.container_id) for use in sample.processes] == [(pid, POD, CONTAINER)]
