"""How many TCP connections each pod of this node has accepted, as the kernel counts them in the pod's network namespace.

Only read: any process of the pod leads there by `/proc/PID/net`, which needs neither a capability nor a right.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

from scheduler.domain.units import PodUid
from scheduler.metering.cgroups import accepted_connections


class PodConnections:
    """`look` finds a process of each pod, `accepted` reads the counters: the one now and then, the other often."""

    def __init__(self, proc: Path) -> None:
        self._proc = proc
        self._counters: dict[PodUid, Path] = {}
        self._is_blind = True

    def look(self, groups: Mapping[PodUid, Path]) -> None:
        """Of these pods, each with its control group. One in the host's network has no counter of its own."""
        host = _inode(self._proc / "1/net/snmp")
        counters = {uid: self._proc / pid / "net/snmp" for uid, group in groups.items() for pid in _first_pid(group)}
        self._is_blind = host is None or (bool(groups) and not counters)
        self._counters = {uid: path for uid, path in counters.items() if _inode(path) not in {None, host}}

    def accepted(self) -> Mapping[PodUid, int] | None:
        """Since each pod's network was made. None where no pod's processes can be seen."""
        if self._is_blind:
            return None
        found = {}
        for pod_uid, path in self._counters.items():
            try:
                count = accepted_connections(path.read_text())
            except OSError:
                continue  # it ended since
            if count is not None:
                found[pod_uid] = count
        return found


def _inode(path: Path) -> int | None:
    """The files of one network namespace have their own, whichever process leads to them."""
    try:
        return path.stat().st_ino
    except OSError:
        return None


def _first_pid(group: Path) -> Iterator[str]:
    """At most one, of the pod's own group or of a container's: they share their network. 0 is one that cannot be seen."""
    try:
        folders = [group, *sorted(path for path in group.iterdir() if path.is_dir())]
    except OSError:
        return
    for folder in folders:
        try:
            pids = (folder / "cgroup.procs").read_text().split()
        except OSError:
            continue
        pid = next((each for each in pids if each.isdigit() and each != "0"), None)
        if pid is not None:
            yield pid
            return
