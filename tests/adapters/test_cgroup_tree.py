"""CPU use of pods, by trees of control groups as kernels lay them out: version 1, version 2 and both drivers.

The trees are fixtures of the published layouts; version 1 is read on the real node as well (tests/realnode), version 2 of
a live kernel in tests/nvml/test_live_cgroups.py.
"""

from pathlib import Path

import pytest

from scheduler.adapters.cgroup_tree import CgroupTree
from scheduler.domain.units import Instant, PodUid
from scheduler.metering.cpu_use import CpuUse
from scheduler.metering.windows import PodCpu

A, B = PodUid("0f3c1e52-8a4b-4c1d-9e77-5a6b7c8d9e0f"), PodUid("1f3c1e52-8a4b-4c1d-9e77-5a6b7c8d9e0f")
CONTAINER = "ab" * 32


def systemd(pod: str, level: str) -> str:
    return f"kubepods.slice/kubepods-{level}.slice/kubepods-{level}-pod{pod.replace('-', '_')}.slice"


def cpu_stat(microseconds: int) -> str:
    """The file as a 6.x kernel writes it."""
    return (
        f"usage_usec {microseconds}\nuser_usec {microseconds}\nsystem_usec 0\ncore_sched.force_idle_usec 0\n"
        "nr_periods 0\nnr_throttled 0\nthrottled_usec 0\nnr_bursts 0\nburst_usec 0\n"
    )


LAYOUTS = {
    "version 2, systemd": ("", systemd(A, "burstable"), systemd(B, "besteffort")),
    "version 2, cgroupfs, a guaranteed pod": ("", f"kubepods/pod{A}", f"kubepods/besteffort/pod{B}"),
    "version 2, nested in a container": (
        "",
        f"docker/{'cd' * 32}/kubepods/pod{A}",
        f"kubelet/kubepods/burstable/pod{B}",
    ),
    "version 1, cgroupfs": ("cpuacct", f"kubepods/pod{A}", f"kubepods/burstable/pod{B}"),
    "version 1, systemd, controllers together": ("cpu,cpuacct", systemd(A, "burstable"), systemd(B, "besteffort")),
}


@pytest.mark.parametrize(("controller", "of_a", "of_b"), LAYOUTS.values(), ids=LAYOUTS)
def test_each_pods_cpu_time_is_read_wherever_its_group_lies(
    tmp_path: Path, controller: str, of_a: str, of_b: str
) -> None:
    if not controller:
        (tmp_path / "cgroup.controllers").write_text("cpuset cpu io memory pids\n")
    for group, seconds in ((of_a, 7), (of_b, 2), ("system.slice/kubelet.service", 99)):
        for part in (group, f"{group}/{CONTAINER}"):
            folder = tmp_path / controller / part
            folder.mkdir(parents=True)
            name, text = (
                ("cpuacct.usage", f"{seconds * 10**9}\n") if controller else ("cpu.stat", cpu_stat(seconds * 10**6))
            )
            (folder / name).write_text(text)
    tree = CgroupTree(tmp_path)
    assert tree.usage() == {}, "nobody looked yet"
    tree.look()
    assert tree.usage() == {A: 7_000_000, B: 2_000_000}
    for file in (tmp_path / controller / of_b).glob("c*.*"):
        file.unlink()
    assert tree.usage() == {A: 7_000_000}, "a pod that ended is absent"


def test_without_control_groups_nothing_is_known(tmp_path: Path) -> None:
    tree = CgroupTree(tmp_path / "none")
    tree.look()
    assert tree.usage() is None


def test_what_pods_used_between_two_readings_is_a_mean_and_what_was_not_read_is_unknown() -> None:
    use = CpuUse()
    use.note(Instant(0), {A: 1_000_000, B: 0})
    use.note(Instant(5_000), None)
    use.note(Instant(10_000), {A: 33_000_000, B: 900_000})
    assert use.between(Instant(0), Instant(10_000)) == (PodCpu(A, 3_200),), "B used less than a tenth of a core"
    assert use.between(Instant(0), Instant(5_000)) is None
    use.note(Instant(20_000), {A: 5, B: 20_900_000})
    assert use.between(Instant(10_000), Instant(20_000)) == (PodCpu(B, 2_000),), "A's counter went back"
