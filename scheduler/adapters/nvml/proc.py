"""What the kernel says of a PID: that it is there, since when, and in which pod."""

from dataclasses import dataclass
from pathlib import Path

from scheduler.metering.cgroups import PodProcess, pod_of, started_ticks
from scheduler.metering.devices import ProcessView

INITIAL_PID_NAMESPACE = "pid:[4026531836]"
"""The kernel gives the first PID namespace this fixed inode (PROC_PID_INIT_INO)."""


@dataclass(frozen=True, slots=True)
class Process:
    pid: int
    started_ticks: int
    pod: PodProcess | None
    name: str | None


class ProcessTable:
    """Reads `/proc`. A PID's pod is looked up once per (PID, start), since numbers are used again."""

    def __init__(self, root: Path = Path("/proc")) -> None:
        self._root = root
        self._known: dict[int, Process] = {}

    def view(self) -> ProcessView:
        """Whether this process sees the host's PIDs, which is what the driver's are compared with."""
        try:
            namespace = (self._root / "self/ns/pid").readlink()
        except OSError:
            return ProcessView.UNAVAILABLE
        return ProcessView.HOST if str(namespace) == INITIAL_PID_NAMESPACE else ProcessView.UNAVAILABLE

    def find(self, pid: int) -> Process | None:
        """None where there is no such process (any more)."""
        started = started_ticks(self._text(pid, "stat"))
        if started is None:
            self._known.pop(pid, None)
            return None
        known = self._known.get(pid)
        if known is None or known.started_ticks != started:
            name = self._text(pid, "comm").strip()
            known = Process(pid, started, pod_of(self._text(pid, "cgroup")), name if name.isprintable() else None)
            self._known[pid] = known
        return known

    def keep_only(self, pids: set[int]) -> None:
        """Forget every process that is on no GPU any more."""
        for pid in self._known.keys() - pids:
            del self._known[pid]

    def _text(self, pid: int, name: str) -> str:
        try:
            return (self._root / str(pid) / name).read_text(errors="replace")
        except OSError:
            return ""


def boot_id(root: Path = Path("/proc")) -> str:
    """The kernel's random id of this boot."""
    return (root / "sys/kernel/random/boot_id").read_text().strip()
