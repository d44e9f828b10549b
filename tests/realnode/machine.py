"""What a machine must have to run a real node, looked for before anything is started."""

import os
import random
import shutil
import socket
import sys
from pathlib import Path

from tests.realnode.configuration import CNI_PLUGINS
from tests.realnode.images import busybox
from tests.realnode.init import CGROUPS

_PROGRAMS = ("containerd", "ctr", "runc", "iptables", "unshare", "nsenter", "mount")
_PACKAGES = "containerd, runc, iptables, containernetworking-plugins and busybox-static"


def missing() -> str | None:
    """The first thing that keeps a real node from running here, in words for people; None: it is worth a try."""
    if sys.platform != "linux":
        return f"it takes Linux, and this is {sys.platform}"
    if os.geteuid() != 0:
        return "it takes root"
    absent = [program for program in _PROGRAMS if shutil.which(program) is None]
    if absent or busybox() is None or not Path(CNI_PLUGINS, "ptp").exists():
        return f"it takes {_PACKAGES} (scripts/install-system-packages)"
    if not os.access(CGROUPS, os.W_OK) or not any(CGROUPS.iterdir()):
        return "it takes control groups that can be written"
    if address() is None:
        return "it takes a network interface beside loopback, to which kubelet binds"
    return None


def address() -> str | None:
    """The machine's own, from which it would reach others; kubelet takes no loopback address."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            # Of a datagram socket this sends nothing: it asks the routing table. The address is for documentation.
            probe.connect(("198.51.100.1", 9))
        except OSError:
            return None
        found = str(probe.getsockname()[0])
    return None if found.startswith("127.") else found


def free_subnet() -> str:
    """For 254 pods, in a range that nothing on this machine has a route into."""
    taken = {line.split()[1] for line in Path("/proc/net/route").read_text().splitlines()[1:]}
    # /proc has addresses in hexadecimal, their bytes backwards. A pod's route is to its address alone.
    free = [third for third in range(256) if not any(route.endswith(f"{third:02X}F50A") for route in taken)]
    # Drawn, since a node without pods has no route yet.
    return f"10.245.{random.choice(free)}.0/24"
