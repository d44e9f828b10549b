"""The evaluator of NetworkPolicies, held to what Kubernetes' own page on them says, example by example."""

from ipaddress import ip_address, ip_network
from typing import Any

import pytest
import yaml

from tests.plugins.deployed import MANIFESTS
from tests.realnode.enforcer import rules
from tests.realnode.network_policies import Direction, World, openings

Labels = dict[str, str]


def pod(namespace: str, address: str, ports: Labels | None = None, **labels: str) -> dict[str, Any]:
    named = [{"name": name, "containerPort": int(number)} for name, number in (ports or {}).items()]
    return {
        "metadata": {"namespace": namespace, "name": address, "labels": labels},
        "spec": {"containers": [{"ports": named}]},
        "status": {"podIP": address},
    }


DB = pod("default", "10.0.1.1", {"redis": "6379"}, role="db")
FRONTEND = pod("default", "10.0.1.2", role="frontend")
ELSEWHERE = pod("other", "10.0.2.1", role="frontend")
MINE = pod("mine", "10.0.3.1", user="alice", role="client")
MINE_TOO = pod("mine", "10.0.3.2")
NAMESPACES = [
    {"metadata": {"name": name, "labels": {"kubernetes.io/metadata.name": name, **labels}}}
    for name, labels in (("default", {}), ("other", {}), ("mine", {"project": "myproject"}))
]
OUTSIDE, EXCEPTED = "172.17.0.9", "172.17.1.9"
SERVER = "10.0.4.1"
NAMES = {"10.0.1.2": "frontend", "10.0.2.1": "elsewhere", "10.0.3.1": "mine", "10.0.3.2": "mine too"}
ALL = {*NAMES.values(), OUTSIDE, EXCEPTED}

COMBINED = """
podSelector: {matchLabels: {role: db}}
policyTypes: [Ingress, Egress]
ingress:
- from:
  - ipBlock: {cidr: 172.17.0.0/16, except: [172.17.1.0/24]}
  - namespaceSelector: {matchLabels: {project: myproject}}
  - podSelector: {matchLabels: {role: frontend}}
  ports: [{protocol: TCP, port: 6379}]
egress:
- to: [{ipBlock: {cidr: 10.0.0.0/24}}]
  ports: [{protocol: TCP, port: 5978}]
"""


def world(*specs: str) -> World:
    policies = [{"metadata": {"namespace": "default"}, "spec": yaml.safe_load(spec)} for spec in specs]
    return World(policies, (DB, FRONTEND, ELSEWHERE, MINE, MINE_TOO), NAMESPACES)


def through(
    known: World, direction: Direction = "Ingress", *others: str, port: int = 6379, to: dict[str, Any] = DB
) -> set[str]:
    """Who gets through to the pod, or is reached from it, on a port of TCP."""
    found = openings(to, direction, known)
    return {
        NAMES.get(other, other)
        for other in (*NAMES, OUTSIDE, EXCEPTED, *others)
        if found is None
        or any(
            ip_address(other) in ip_network(each.block.addresses)
            and not any(ip_address(other) in ip_network(block) for block in each.block.excepted)
            and (each.ports is None or (each.ports.protocol == "TCP" and each.ports.first <= port <= each.ports.last))
            for each in found
        )
    }


@pytest.mark.parametrize(
    ("specs", "expected"),
    [
        pytest.param([], ALL, id="no policy: everybody"),
        pytest.param(["podSelector: {matchLabels: {role: web}}"], ALL, id="a policy for others: everybody"),
        pytest.param(["{podSelector: {}, policyTypes: [Ingress]}"], set(), id="deny all"),
        pytest.param(
            ["{podSelector: {}, ingress: []}"], set(), id="a policy is about what comes in, unless it says so"
        ),
        pytest.param(["{podSelector: {}, policyTypes: [Egress]}"], ALL, id="a policy for what goes out alone"),
        pytest.param(["{podSelector: {}, ingress: [{}]}"], ALL, id="an empty rule: everybody"),
        pytest.param(["{podSelector: {}}", "{podSelector: {}, ingress: [{}]}"], ALL, id="policies add up"),
        pytest.param([COMBINED], {"frontend", "mine", "mine too", OUTSIDE}, id="the page's own example"),
        pytest.param(
            ["{podSelector: {}, ingress: [{from: [{podSelector: {}}]}]}"], {"frontend"}, id="all of its namespace"
        ),
        pytest.param(
            ["{podSelector: {}, ingress: [{from: [{namespaceSelector: {}}]}]}"],
            ALL - {OUTSIDE, EXCEPTED},
            id="all pods of all namespaces, and nobody from outside",
        ),
        pytest.param(
            [
                "{podSelector: {}, ingress: [{from: [{namespaceSelector: {matchLabels: {project: myproject}},"
                " podSelector: {matchLabels: {role: client}}}]}]}"
            ],
            {"mine"},
            id="both selectors in one peer: who meets both",
        ),
        pytest.param(
            [
                "{podSelector: {}, ingress: [{from: [{namespaceSelector: {matchLabels: {project: myproject}}},"
                " {podSelector: {matchLabels: {role: client}}}]}]}"
            ],
            {"mine", "mine too"},
            id="selectors in two peers: who meets either",
        ),
        pytest.param(
            [
                "{podSelector: {}, ingress: [{from: [{namespaceSelector: {matchExpressions:"
                " [{key: kubernetes.io/metadata.name, operator: In, values: [other, mine]}]}}]}]}"
            ],
            {"elsewhere", "mine", "mine too"},
            id="namespaces by their names",
        ),
        pytest.param(
            [
                "{podSelector: {}, ingress: [{from: [{namespaceSelector: {}, podSelector: {matchExpressions:"
                " [{key: role, operator: NotIn, values: [client]}, {key: user, operator: DoesNotExist}]}}]}]}"
            ],
            {"frontend", "elsewhere", "mine too"},
            id="a label that is not there is not in a list",
        ),
    ],
)
def test_who_gets_in(specs: list[str], expected: set[str]) -> None:
    assert through(world(*specs)) == expected


@pytest.mark.parametrize(
    ("ports", "open_ports"),
    [
        ("[{port: 6379}]", {6379}),
        ("[{port: redis}]", {6379}),
        ("[{port: nothing}]", set()),
        ("[{port: 6380, endPort: 6400}]", {6380, 6400}),
        ("[{protocol: UDP, port: 6379}]", set()),
        ("[{protocol: TCP}]", {80, 6379, 6380, 6400, 6401}),
        ("[]", {80, 6379, 6380, 6400, 6401}),
    ],
)
def test_on_which_ports(ports: str, open_ports: set[int]) -> None:
    known = world(f"{{podSelector: {{}}, ingress: [{{ports: {ports}}}]}}")
    assert {port for port in (80, 6379, 6380, 6400, 6401) if through(known, port=port)} == open_ports


def test_what_goes_out_is_as_the_pages_own_example_has_it() -> None:
    assert through(world(COMBINED), "Egress", port=5978) == set()
    assert through(world(COMBINED), "Egress", port=5978, to=FRONTEND) == ALL
    (only,) = openings(DB, "Egress", world(COMBINED)) or frozenset()
    assert (only.block.addresses, only.ports and only.ports.first) == ("10.0.0.0/24", 5978)


def test_the_kernel_is_told_of_a_pod_that_is_isolated_and_of_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.realnode.enforcer.address", lambda: "192.0.2.1")
    assert rules(FRONTEND, world(COMBINED)).split("\n") == [
        "*filter",
        ":INPUT ACCEPT",
        ":OUTPUT ACCEPT",
        "COMMIT",
        "",
    ]
    told = rules(DB, world(COMBINED))
    assert "--source 172.17.1.0/24 -j RETURN" in told
    assert told.count("-j REJECT") == 2


def test_the_manifests_let_the_service_and_its_agents_say_what_they_have_to() -> None:
    """The server and an agent in their namespaces, with DNS, an apiserver and PostgreSQL outside of them."""
    server = pod("allot-system", SERVER, {"http": "8410"}, **{"app.kubernetes.io/name": "allot"})
    agent = pod("allot-agents", "10.0.5.1", {}, **{"app.kubernetes.io/name": "allot"})
    policies = [yaml.safe_load((MANIFESTS / part / "network-policy.yaml").read_text()) for part in ("base", "agent")]
    known = World(policies, (server, agent, DB), [*NAMESPACES, *map(_namespace, ("allot-system", "allot-agents"))])
    assert {port for port in (22, 8410, 9410) if through(known, port=port, to=server)} == {8410}
    assert {port for port in (22, 8410, 9410) if through(known, port=port, to=agent)} == {9410}
    outward = (22, 53, 443, 5432, 6443, 8410)
    assert {port for port in outward if OUTSIDE in through(known, "Egress", port=port, to=server)} == set(outward) - {
        22,
        8410,
    }
    assert through(known, "Egress", SERVER, port=8410, to=agent) == {SERVER}
    assert OUTSIDE in through(known, "Egress", port=53, to=agent)


def _namespace(name: str) -> dict[str, Any]:
    return {"metadata": {"name": name, "labels": {"kubernetes.io/metadata.name": name}}}
