"""What NetworkPolicies let through, by the semantics that Kubernetes publishes for them. Pure.

A pod that no policy selects for a direction is open in it; one that any selects gets through what all of them let
through together, and nothing else. What a node says to its own pods is no matter of policies.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

Json = Mapping[str, Any]
Direction = Literal["Ingress", "Egress"]
EVERYWHERE = "0.0.0.0/0"


@dataclass(frozen=True, order=True)
class Block:
    """Addresses, less some of them: CIDRs."""

    addresses: str
    excepted: tuple[str, ...] = ()


@dataclass(frozen=True, order=True)
class Ports:
    """Of a protocol in capitals, from first to last."""

    protocol: str
    first: int
    last: int


@dataclass(frozen=True, order=True)
class Opening:
    """To or from these addresses; on all ports of all protocols where none are named."""

    block: Block
    ports: Ports | None


@dataclass(frozen=True)
class World:
    """Everything that policies speak of, as the apiserver has it."""

    policies: Sequence[Json]
    pods: Sequence[Json]
    namespaces: Sequence[Json]


def openings(pod: Json, direction: Direction, world: World) -> frozenset[Opening] | None:
    """What the pod gets through; None: everything, since no policy isolates it."""
    selecting = [
        policy
        for policy in world.policies
        if policy["metadata"]["namespace"] == pod["metadata"]["namespace"]
        and direction in _directions(policy["spec"])
        and selects(policy["spec"]["podSelector"], pod)
    ]
    if not selecting:
        return None
    rules, peers = ("ingress", "from") if direction == "Ingress" else ("egress", "to")
    return frozenset(
        Opening(block, ports)
        for policy in selecting
        for rule in policy["spec"].get(rules) or ()
        for block in _blocks(rule.get(peers), policy, world)
        for ports in _ports(rule.get("ports"), pod)
    )


def selects(selector: Json, thing: Json) -> bool:
    """An empty selector selects all."""
    labels = thing["metadata"].get("labels") or {}
    return all(labels.get(key) == value for key, value in (selector.get("matchLabels") or {}).items()) and all(
        _holds(expression, labels) for expression in selector.get("matchExpressions") or ()
    )


def _directions(spec: Json) -> Sequence[str]:
    """Where none is named: in, and out if the policy has a rule for it."""
    return spec.get("policyTypes") or ("Ingress", *(("Egress",) if spec.get("egress") else ()))


def _holds(expression: Json, labels: Mapping[str, str]) -> bool:
    key, values = expression["key"], expression.get("values") or ()
    match expression["operator"]:
        case "In":
            return labels.get(key) in values
        case "NotIn":
            return labels.get(key) not in values
        case "Exists":
            return key in labels
        case "DoesNotExist":
            return key not in labels
        case other:
            raise AssertionError(f"no such operator: {other}")


def _blocks(peers: Sequence[Json] | None, policy: Json, world: World) -> Iterator[Block]:
    """A rule without peers is for everybody; a peer with both selectors is for who meets both."""
    if not peers:
        yield Block(EVERYWHERE)
    for peer in peers or ():
        if "ipBlock" in peer:
            yield Block(peer["ipBlock"]["cidr"], tuple(peer["ipBlock"].get("except") or ()))
            continue
        home = policy["metadata"]["namespace"]
        within = {
            namespace["metadata"]["name"]
            for namespace in world.namespaces
            if ("namespaceSelector" not in peer and namespace["metadata"]["name"] == home)
            or ("namespaceSelector" in peer and selects(peer["namespaceSelector"], namespace))
        }
        for pod in world.pods:
            address = pod.get("status", {}).get("podIP")
            if address and pod["metadata"]["namespace"] in within and selects(peer.get("podSelector") or {}, pod):
                yield Block(f"{address}/32")


def _ports(ports: Sequence[Json] | None, pod: Json) -> Iterator[Ports | None]:
    if not ports:
        yield None
    for port in ports or ():
        protocol = port.get("protocol", "TCP")
        first = port.get("port")
        if first is None:
            yield Ports(protocol, 0, 65535)
        elif isinstance(first, int):
            yield Ports(protocol, first, port.get("endPort", first))
        else:
            # A name is the pod's own; a pod that has no such port gets nothing through.
            yield from (Ports(protocol, number, number) for number in _named(first, protocol, pod))


def _named(name: str, protocol: str, pod: Json) -> Iterator[int]:
    for container in pod["spec"]["containers"]:
        for port in container.get("ports") or ():
            if port.get("name") == name and port.get("protocol", "TCP") == protocol:
                yield port["containerPort"]
