"""What the kernel's control groups say that each pod of this node used of its CPUs. Only read, nothing is written there.

Version 2 keeps it in `cpu.stat` of the pod's own group, version 1 (and the hybrid of both) in `cpuacct.usage` under the
controller's mount. The kubelet's drivers nest and name the groups otherwise; where they lie may be deeper still, so
that a pod's is looked for anywhere in the tree, as deep as any of them is known to be.
"""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from scheduler.domain.units import PodUid
from scheduler.metering.cgroups import pod_of_group, used_microseconds_v1, used_microseconds_v2

DEPTH_MAX = 6
"""systemd's four levels (kubepods, class, pod, container), below a runtime's or a test's own two."""

GROUPS_MAX = 20_000
"""Nobody's node has so many: a tree without an end costs a look at so many groups."""

_V1 = ("cpuacct", "cpu,cpuacct")


class CgroupTree:
    """`look` finds the pods' groups, `usage` reads those that were found: the one now and then, the other often."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._groups: dict[PodUid, Path] = {}

    def look(self) -> None:
        """Find the pods that are there now."""
        base = self._base()
        self._groups = {} if base is None else dict(_pods(base))

    @property
    def groups(self) -> Mapping[PodUid, Path]:
        """Each pod's own group, as they were found."""
        return self._groups

    def usage(self) -> Mapping[PodUid, int] | None:
        """Microseconds of CPU since each pod's group was made. None where there are no control groups to read."""
        base = self._base()
        if base is None:
            return None
        name, parse = (
            ("cpu.stat", used_microseconds_v2) if base == self._root else ("cpuacct.usage", used_microseconds_v1)
        )
        used = {}
        for pod_uid, group in self._groups.items():
            try:
                microseconds = parse((group / name).read_text())
            except OSError:
                continue  # it ended since
            if microseconds is not None:
                used[pod_uid] = microseconds
        return used

    def _base(self) -> Path | None:
        if (self._root / "cgroup.controllers").exists():
            return self._root
        return next((self._root / name for name in _V1 if (self._root / name).is_dir()), None)


def _pods(base: Path) -> Iterator[tuple[PodUid, Path]]:
    """Breadth first; a pod's own groups are not looked into."""
    level, seen = [base], 0
    for _ in range(DEPTH_MAX):
        below: list[Path] = []
        for group in level:
            for child in _children(group):
                seen += 1
                if seen > GROUPS_MAX:
                    return
                pod_uid = pod_of_group(child.name)
                if pod_uid is None:
                    below.append(child)
                else:
                    yield pod_uid, child
        level = below


def _children(group: Path) -> list[Path]:
    try:
        with os.scandir(group) as entries:
            return [Path(entry.path) for entry in entries if entry.is_dir(follow_symlinks=False)]
    except OSError:
        return []
