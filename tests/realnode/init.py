"""PID 1 of the real node's namespaces: prepares them, holds them open while its stdin is, and leaves nothing behind.

Started as `unshare --mount --pid --fork --propagation private python -I init.py CGROUP SCRATCH`. When its stdin ends,
because the test run closed it or died, everything in the PID namespace is killed, and what was mounted goes with the
mount namespace. Standard library alone: nothing of the project is imported here.
"""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

PRIVATE = ("/run", "/var/lib/kubelet")
"""Where kubelet, containerd and the volumes of the simulated StorageClass have their places: the node has its own of
both, in memory. An empty /var/lib/kubelet stays on the machine; removing it would unmount the one of a node beside."""

SETTINGS = {
    "vm/overcommit_memory": "1",
    "vm/panic_on_oom": "0",
    "kernel/panic": "10",
    "kernel/panic_on_oops": "1",
    "kernel/keys/root_maxkeys": "1000000",
    "kernel/keys/root_maxbytes": "25000000",
    "net/ipv4/ip_forward": "1",
}
"""What kubelet and the CNI plugins set for the whole machine. Here they find files that say so already, and the
machine keeps its own."""

CGROUPS = Path("/sys/fs/cgroup")
_LIMIT_SECONDS = 30.0


def main(cgroup: str, scratch: Path) -> None:
    # Of the old /proc, still: this process's id as everybody else sees it.
    seen_as = os.readlink("/proc/self")
    if os.getpid() != 1 or seen_as == "1":
        sys.exit("not the first process of a namespace of its own: to end everybody here would be to end the machine")
    _mount("-t", "proc", "proc", "/proc")
    for folder in PRIVATE:
        Path(folder).mkdir(parents=True, exist_ok=True)
        _mount("-t", "tmpfs", "-o", "mode=755", "tmpfs", folder)
    for name, value in SETTINGS.items():
        told = scratch / name.replace("/", ".")
        told.write_text(value + "\n")
        if Path("/proc/sys", name).exists():
            _mount("--bind", str(told), f"/proc/sys/{name}")
    hierarchies = make_cgroups(cgroup)
    # Whoever loses its parent becomes our child; ignored, the kernel reaps it.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    print(seen_as, flush=True)
    sys.stdin.read()
    _kill_everybody()
    for hierarchy in hierarchies:
        _remove(hierarchy / cgroup)


def make_cgroups(name: str) -> list[Path]:
    """The node's own root in every hierarchy of the machine; which those are."""
    unified = CGROUPS / "cgroup.controllers"
    hierarchies = [CGROUPS] if unified.exists() else sorted({each.resolve() for each in CGROUPS.iterdir()})
    for hierarchy in hierarchies:
        root = hierarchy / name
        root.mkdir()
        for setting in ("cpuset.cpus", "cpuset.mems"):
            # Version 1 starts them empty, and then nothing may run there.
            if (root / setting).exists() and not unified.exists():
                (root / setting).write_text((hierarchy / setting).read_text())
    return hierarchies


def _mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True)


def _kill_everybody() -> None:
    """All but ourselves; and again, for what was being started meanwhile."""
    deadline = time.monotonic() + _LIMIT_SECONDS
    while _others() and time.monotonic() < deadline:
        with suppress(ProcessLookupError):
            os.kill(-1, signal.SIGKILL)
        time.sleep(0.02)


def _others() -> bool:
    return any(entry.isdigit() and entry != "1" for entry in os.listdir("/proc"))


def _remove(root: Path) -> None:
    """A cgroup goes a moment after its last process."""
    deadline = time.monotonic() + _LIMIT_SECONDS
    while root.exists() and time.monotonic() < deadline:
        for folder, _, _ in os.walk(root, topdown=False):
            with suppress(OSError):
                os.rmdir(folder)
        time.sleep(0.02)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
