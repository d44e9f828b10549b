"""NetworkPolicies enforced on the real node's pods, by rules of the kernel's firewall in the namespaces of the pods' own.

A stand-in for a network plugin that enforces them: what it enforces is what `network_policies` makes of what the
apiserver has when it is asked to, and what it does ends with the pods. The machine's own rules stay as they are.
"""

import asyncio
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

from scheduler.entrypoints.devcluster.client import ApiClient
from tests.realnode.enclosure import NodeUnavailable
from tests.realnode.machine import address
from tests.realnode.network_policies import Direction, Json, Opening, World, openings
from tests.realnode.node import RealNode

_LIMIT_SECONDS = 240.0
_CHAINS: tuple[tuple[Direction, str, str, str], ...] = (
    ("Ingress", "INPUT", "--source", "--in-interface"),
    ("Egress", "OUTPUT", "--destination", "--out-interface"),
)


async def enforce(node: RealNode, api: ApiClient) -> None:
    """For every pod that runs on the node, as the policies of this moment have it; NodeUnavailable: the kernel refuses."""
    world = World(
        policies=await api.items("/apis/networking.k8s.io/v1/networkpolicies"),
        pods=await api.items("/api/v1/pods"),
        namespaces=await api.items("/api/v1/namespaces"),
    )
    for pod in _running(node, world.pods):
        await asyncio.to_thread(_apply, node, pod, rules(pod, world))


async def connect(node: RealNode, api: ApiClient) -> None:
    """Lets the pods that run on the node reach each other: the machine, which may forward nothing, forwards for them.

    It is a setting of each pod's own link, and goes with it.
    """
    for pod in _running(node, await api.items("/api/v1/pods")):
        link = _link_to(pod["status"]["podIP"])
        Path(f"/proc/sys/net/ipv4/conf/{link}/forwarding").write_text("1")


def rules(pod: Json, world: World) -> str:
    """As iptables-restore reads them: they take the place of what was there, all at once."""
    lines = ["*filter", ":INPUT ACCEPT", ":OUTPUT ACCEPT"]
    for direction, chain, peer, interface in _CHAINS:
        through = openings(pod, direction, world)
        if through is None:
            continue
        lines.append(f"-A {chain} {interface} lo -j ACCEPT")
        lines.append(f"-A {chain} -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT")
        # Kubelet's probes, and all that the machine itself asks of its pods.
        lines += [f"-A {chain} {peer} {own} -j ACCEPT" for own in _of_the_node(pod)]
        for number, opening in enumerate(sorted(through, key=repr)):
            lines += _lines(opening, chain, peer, f"{chain}-{number}")
        # Said to whoever asks, so that a test need not wait to learn that nothing comes.
        lines.append(f"-A {chain} -j REJECT --reject-with icmp-admin-prohibited")
    return "\n".join([*lines, "COMMIT", ""])


def _lines(opening: Opening, chain: str, peer: str, own_chain: str) -> Iterator[str]:
    yield f":{own_chain} -"
    yield from (f"-A {own_chain} {peer} {block} -j RETURN" for block in opening.block.excepted)
    yield f"-A {own_chain} -j ACCEPT"
    ports = opening.ports
    on = "" if ports is None else f"--protocol {ports.protocol.lower()} --dport {ports.first}:{ports.last} "
    yield f"-A {chain} {peer} {opening.block.addresses} {on}-j {own_chain}"


def _apply(node: RealNode, pod: Json, restored: str) -> None:
    # The one that holds the pod's namespaces open is there as long as any is, and any other lives in the same.
    pids = node.pids(pod["metadata"]["uid"])
    if not pids:
        return  # it has ended since it was asked for
    done = subprocess.run(
        ["nsenter", f"--target={pids[0]}", "--net", "iptables-restore"],
        input=restored,
        capture_output=True,
        text=True,
        timeout=_LIMIT_SECONDS,
        check=False,
    )
    if done.returncode != 0:
        raise NodeUnavailable(f"iptables-restore: {done.stderr.strip()}")


def _running(node: RealNode, pods: Sequence[Json]) -> list[Json]:
    return [
        pod for pod in pods if pod["spec"].get("nodeName") == node.name and pod["status"].get("phase") == "Running"
    ]


def _of_the_node(pod: Json) -> Iterator[str]:
    """The machine's address, and the one that it has on its links to pods: the first of their subnet."""
    machine = address()
    assert machine is not None, "looked for before the node was started"
    yield machine
    yield pod["status"]["podIP"].rpartition(".")[0] + ".1"


def _link_to(pod_address: str) -> str:
    """The machine's end of the pod's link: the one with a route to that address alone."""
    backwards = "".join(f"{int(part):02X}" for part in reversed(pod_address.split(".")))
    routes = (line.split() for line in Path("/proc/net/route").read_text().splitlines()[1:])
    return next(link for link, destination, *_ in routes if destination == backwards)
