"""The connections that pods have accepted, by fixtures of /proc and of control groups; a live kernel's are read on the real
node (tests/realnode)."""

import os
from pathlib import Path

from scheduler.adapters.pod_connections import PodConnections
from scheduler.domain.units import PodUid

A, B, C = PodUid("a"), PodUid("b"), PodUid("c")


class Node:
    """A /proc and control groups."""

    def __init__(self, folder: Path) -> None:
        self.proc, self.groups = folder / "proc", folder / "cgroup"
        self.process(1, accepted=900)

    def process(self, pid: int, *, accepted: int) -> None:
        net = self.proc / str(pid) / "net"
        net.mkdir(parents=True, exist_ok=True)
        (net / "snmp").write_text(f"Tcp: ActiveOpens PassiveOpens\nTcp: 5 {accepted}\n")

    def in_the_hosts_network(self, pid: int) -> None:
        net = self.proc / str(pid) / "net"
        net.mkdir(parents=True)
        os.link(self.proc / "1/net/snmp", net / "snmp")

    def pod(self, uid: PodUid, containers: dict[str, str]) -> None:
        group = self.groups / uid
        group.mkdir(parents=True)
        (group / "cgroup.procs").write_text("")
        for name, pids in containers.items():
            (group / name).mkdir()
            (group / name / "cgroup.procs").write_text(pids)

    def connections(self) -> PodConnections:
        found = PodConnections(self.proc)
        found.look({PodUid(path.name): path for path in self.groups.iterdir()} if self.groups.exists() else {})
        return found


def test_each_pods_connections_are_those_of_any_of_its_processes(tmp_path: Path) -> None:
    node = Node(tmp_path)
    node.process(17, accepted=4)
    node.process(21, accepted=8)
    node.pod(A, {"empty": "", "main": "17\n18\n"})
    node.pod(B, {"pause": "21\n"})
    connections = node.connections()
    assert connections.accepted() == {A: 4, B: 8}
    node.process(17, accepted=5)
    (node.proc / "21/net/snmp").unlink()
    assert connections.accepted() == {A: 5}, "the other has ended"


def test_a_pod_in_the_hosts_network_is_not_told_by_the_connections_of_the_host(tmp_path: Path) -> None:
    node = Node(tmp_path)
    node.process(17, accepted=4)
    node.in_the_hosts_network(30)
    node.pod(A, {"main": "17\n"})
    node.pod(B, {"main": "30\n"})
    assert node.connections().accepted() == {A: 4}


def test_where_no_process_of_a_pod_can_be_seen_nothing_is_said(tmp_path: Path) -> None:
    node = Node(tmp_path)
    assert PodConnections(node.proc).accepted() is None, "nobody looked yet"
    assert node.connections().accepted() == {}, "there are no pods"
    node.pod(C, {"main": "0\n"})
    assert node.connections().accepted() is None, "its processes are in another PID namespace"
