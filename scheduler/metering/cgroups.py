"""From a process to the pod it runs in, by the text of `/proc/PID/cgroup`: a witness, not an allocation.

The forms: cgroup v1 and v2; the cgroupfs driver (`/kubepods/burstable/pod<uid>/<container>`) and the systemd driver
(`/kubepods.slice/…/kubepods-burstable-pod<u_i_d>.slice/cri-containerd-<container>.scope`); guaranteed pods without a
QoS level; CRI-O, containerd, docker; crun's group below the scope (`….scope/container`); a misconfigured containerd
(`…slice:cri-containerd:<container>`); and the `/../…` prefix that a cgroup namespace leaves. So the pod's part is looked
for anywhere in the path.
"""

import re
from dataclasses import dataclass

from scheduler.domain.units import PodUid

_POD = re.compile(r"(?:^|[-/])pod(?P<uid>[0-9a-f]{8}[-_]?(?:[0-9a-f]{4}[-_]?){3}[0-9a-f]{12})(?=\.slice|[/:]|$)")
_CONTAINER = re.compile(r"(?:^|[-/:])(?P<id>[0-9a-f]{64})(?=\.scope|/|$)")


@dataclass(frozen=True, slots=True)
class PodProcess:
    """Where a process runs. `container_id` is None in the pod's own cgroup, above its containers."""

    pod_uid: PodUid
    container_id: str | None


def pod_of(cgroup: str) -> PodProcess | None:
    """The pod that the text of a `/proc/PID/cgroup` names; None for a process of the host.

    A static pod's UID is a hash without dashes and stays so: it is what the kubelet calls the pod.
    """
    for line in cgroup.splitlines():
        path = line.split(":", 2)[-1]
        pod = _POD.search(path)
        if pod is not None:
            container = _CONTAINER.search(path, pod.end())
            uid = PodUid(pod["uid"].replace("_", "-"))
            return PodProcess(uid, None if container is None else container["id"])
    return None


def pod_of_group(name: str) -> PodUid | None:
    """The pod whose own group bears this name: `pod<uid>`, or systemd's `kubepods-burstable-pod<u_i_d>.slice`."""
    found = _POD.search(name)
    if found is None or name[found.end() :] not in {"", ".slice"}:
        return None
    return PodUid(found["uid"].replace("_", "-"))


def used_microseconds_v2(stat: str) -> int | None:
    """CPU time by the text of a group's `cpu.stat`; None where it does not say."""
    for line in stat.splitlines():
        key, _, value = line.partition(" ")
        if key == "usage_usec" and value.isdigit():
            return int(value)
    return None


def used_microseconds_v1(usage: str) -> int | None:
    """CPU time by the text of a group's `cpuacct.usage`, which counts nanoseconds."""
    return int(usage) // 1_000 if usage.strip().isdigit() else None


def accepted_connections(snmp: str) -> int | None:
    """TCP connections that a network namespace has accepted, by the text of its `net/snmp`: a line of names, and one of
    values. None where it does not say."""
    lines = [line.split() for line in snmp.splitlines() if line.startswith("Tcp:")]
    if len(lines) != 2 or len(lines[0]) != len(lines[1]):
        return None
    accepted = dict(zip(*lines, strict=True)).get("PassiveOpens", "")
    return int(accepted) if accepted.isdigit() else None


def started_ticks(stat: str) -> int | None:
    """A process's start in clock ticks since boot, from the text of its `/proc/PID/stat`.

    The command's name stands in brackets and may hold spaces and brackets of its own: the fields are counted from
    the last one. None where the text is cut short.
    """
    fields = stat.rpartition(")")[2].split()
    return int(fields[19]) if len(fields) > 19 and fields[19].isdigit() else None
