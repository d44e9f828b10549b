"""Every route beside everybody: who is let in, and who is refused or told that there is no such thing.

Each request is one that would do, so that a refusal is one of the person. What is asked for is Ada's. Somebody who is
let in may still meet a conflict, for those before them have done the same.
"""

from collections.abc import AsyncIterator, Mapping
from typing import Any

import httpx
import pytest

from scheduler.adapters.policy_files import read_prices
from scheduler.domain.people import Engineer, Role
from scheduler.domain.units import MS_PER_HOUR, EngineerId, TeamName, TierName
from scheduler.entrypoints.api.app import create_app
from scheduler.entrypoints.api.auth import hash_of
from scheduler.metering.wire import inventory_json
from tests.entrypoints.company import JOB, NOON, POLICY, SYSTEM, grant_tiers, small_company, token_of
from tests.entrypoints.described import description
from tests.lifecycle.agents import inventory

EVERYBODY = "ada bob lea max lou olga fin pam aud agent"
"""An engineer, one of her team, her team's lead; an engineer and a lead of another team; an operator, finance, people,
an auditor; and the token that lies on a node."""

PEOPLE = EVERYBODY.removesuffix(" agent")
HERS = "ada olga"
SEEN = "ada lea olga fin aud"
RESEARCH = "ada bob lea"
STATEMENT = "ada fin pam aud"

LET_IN = {
    "POST /v1/workloads": RESEARCH,
    "GET /v1/workloads": PEOPLE,
    "GET /v1/workloads/{workload_id}": SEEN,
    "GET /v1/workloads/{workload_id}/explain": SEEN,
    "POST /v1/workloads/{workload_id}/cancel": HERS,
    "POST /v1/workloads/{workload_id}/extend": HERS,
    "POST /v1/workloads/{workload_id}/checkpoint": HERS,
    "PUT /v1/workloads/{workload_id}/exemption": HERS,
    "DELETE /v1/workloads/{workload_id}/exemption": HERS,
    "POST /v1/quotes": RESEARCH,
    "POST /v1/bookings": RESEARCH,
    "GET /v1/bookings": PEOPLE,
    "GET /v1/bookings/{booking}": "ada bob lea olga fin aud",
    "POST /v1/bookings/{booking}/cancel": HERS,
    "POST /v1/sandboxes": RESEARCH,
    "POST /v1/sandboxes/{workload_id}/stop": HERS,
    "POST /v1/sandboxes/{workload_id}/resume": HERS,
    "GET /v1/sandboxes/{workload_id}/connect": "ada",
    "GET /v1/balance": STATEMENT,
    "GET /v1/allowances": STATEMENT,
    "GET /v1/statement": STATEMENT,
    "GET /v1/statement/csv": STATEMENT,
    "GET /v1/statement/signed": PEOPLE,
    "GET /v1/finance/burn": STATEMENT,
    "GET /v1/finance/efficiency": STATEMENT,
    "GET /v1/finance/fringe": STATEMENT,
    "GET /v1/vesting": STATEMENT,
    "GET /v1/vesting/{package}": STATEMENT,
    "POST /v1/grants": "olga fin",
    "POST /v1/grants/compensation": "pam",
    "POST /v1/statement/offer": "fin pam",
    "POST /v1/vesting/claw-back": "pam",
    "POST /v1/allowances/freeze": "olga fin pam",
    "POST /v1/allowances/unfreeze": "olga fin pam",
    "POST /v1/transfers": "",
    "GET /v1/approvals": PEOPLE,
    "GET /v1/approvals/{name}": "ada olga fin aud",
    "POST /v1/approvals/{name}/approve": "olga fin",
    "POST /v1/approvals/{name}/reject": "olga fin",
    "POST /v1/approvals/{name}/withdraw": "ada",
    "GET /v1/requests": PEOPLE,
    "POST /v1/requests": PEOPLE,
    "GET /v1/leaderboard": "lea lou",
    "PUT /v1/leaderboard/me": PEOPLE,
    "DELETE /v1/leaderboard/me": PEOPLE,
    "GET /v1/coverage": "olga fin pam aud",
    "GET /v1/finance/fairness": "olga fin pam aud",
    "GET /v1/finance/month": "olga fin aud",
    "GET /v1/finance/focus": "fin aud",
    "GET /v1/finance/gl": "fin aud",
    "GET /v1/finance/cost": "fin aud",
    "POST /v1/finance/payments": "fin pam",
    "GET /v1/cluster": PEOPLE,
    "GET /v1/queue": PEOPLE,
    "GET /v1/verdicts": PEOPLE,
    "GET /v1/observed": PEOPLE,
    "GET /v1/policy": PEOPLE,
    "PUT /v1/policy": "olga",
    "GET /v1/policies": PEOPLE,
    "GET /v1/prices": PEOPLE,
    "PUT /v1/prices": "fin",
    "GET /v1/prices/hour": "olga fin pam aud",
    "GET /v1/me": EVERYBODY,
    "GET /v1/people": "lea lou olga fin pam aud",
    "PUT /v1/people": "olga pam",
    "POST /v1/people/{name}/forget": "olga pam",
    "GET /v1/brakes": PEOPLE,
    "PUT /v1/brakes/{brake}": "olga",
    "DELETE /v1/brakes/{brake}": "olga",
    "GET /v1/tokens": "olga aud",
    "POST /v1/tokens": "olga",
    "DELETE /v1/tokens/{token}": "olga",
    "GET /v1/audit": "aud",
    "GET /v1/audit/access": "olga aud",
    "GET /v1/audit/rebuild": "olga fin aud",
    "POST /v1/audit/heads": "olga fin aud",
    "GET /v1/periods": "olga fin aud",
    "GET /v1/periods/{name}": "olga fin aud",
    "POST /v1/periods/{name}/close": "fin",
    "GET /v1/periods/{name}/reconciliation": "olga fin aud",
    "POST /v1/periods/{name}/settlements": "fin",
    "PUT /v1/nodes/{node}/inventory": "agent",
    "POST /v1/nodes/{node}/windows": "agent",
    "GET /v1/nodes": "olga aud",
    # A gateway's alone, which is nobody of these: test_token_holds lets it in.
    "POST /v1/token-holds": "",
    "GET /v1/token-holds/{name}": "",
    "POST /v1/token-holds/{name}/charge": "",
    "POST /v1/token-holds/{name}/release": "",
    "GET /v1/refused-samples": "olga aud",
    "GET /v1/misuses": "olga aud",
    "GET /v1/gpu-faults": "olga aud",
    "GET /v1/gpu-metrics": "olga aud",
    "GET /v1/reclaims": "olga aud",
    "GET /v1/conservation": "olga fin aud",
    "GET /v1/conservation/{node}": "olga fin aud",
}
"""A transfer is refused to all where policy allows none, as here."""

FOR_ANYBODY = {"/healthz", "/livez", "/readyz", "/v1/problems/{code}", "/v1/demo/tokens"}

BOOKED = {
    "gpu_class": "H100",
    "gpus": 1,
    "length_ms": MS_PER_HOUR,
    "project": "atlas",
    "starts_at": "2026-11-21T09:00:00Z",
}
PACKAGE = {"holder": "ada", "quantity": 48 * MS_PER_HOUR, "months": 48, "cliff_months": 12, "reason": "the offer"}
OF_ALLOWANCE = {"allowance": "tier/e-0001/2026-W47", "reason": "a dispute"}
SANDBOX = {"gpu_classes": ["H100"], "name": "notebook", "project": "atlas", "time_limit_ms": 4 * MS_PER_HOUR}
ASKED = {"amount_ms": MS_PER_HOUR, "kind": "hours", "reason": "the ablations"}
ON_NODE = inventory_json(inventory("node-1", NOON))

BODIES: Mapping[str, dict[str, Any]] = {
    "POST /v1/workloads": JOB,
    "POST /v1/quotes": JOB,
    "POST /v1/bookings": BOOKED,
    "POST /v1/sandboxes": SANDBOX,
    "POST /v1/workloads/{workload_id}/extend": {"extra_ms": MS_PER_HOUR},
    "PUT /v1/workloads/{workload_id}/exemption": {"expires_at": "2026-11-20T18:00:00Z", "why": "the demo"},
    "POST /v1/grants": {"amount_ms": MS_PER_HOUR, "holder": "ada", "holder_kind": "engineer", "reason": "a deadline"},
    "POST /v1/grants/compensation": PACKAGE,
    "POST /v1/statement/offer": {"is_annual": True, "quantity": 48 * MS_PER_HOUR},
    "POST /v1/vesting/claw-back": {"holder": "ada", "reason": "leaves"},
    "POST /v1/allowances/freeze": OF_ALLOWANCE,
    "POST /v1/allowances/unfreeze": OF_ALLOWANCE,
    "POST /v1/transfers": OF_ALLOWANCE | {"quantity": MS_PER_HOUR, "to": "lea"},
    "POST /v1/requests": ASKED,
    "POST /v1/finance/payments": {"owner": "ada", "micro": 1_000_000, "currency": "EUR", "reason": "payroll"},
    "POST /v1/approvals/{name}/approve": {"reason": "go on"},
    "POST /v1/approvals/{name}/reject": {"reason": "no room"},
    "PUT /v1/brakes/{brake}": {"why": "draining rack 4"},
    "POST /v1/tokens": {"roles": ["engineer"], "subject": "ada"},
    "POST /v1/periods/{name}/close": {"provisionally": True},
    "POST /v1/periods/{name}/settlements": {"differences": ["2026-W46/x"], "kind": "write-off", "reason": "away"},
    "POST /v1/token-holds": {"owner": "ada", "model": "llama-3.1", "tokens": 9},
    "POST /v1/token-holds/{name}/charge": {"tokens": 9},
    "PUT /v1/nodes/{node}/inventory": ON_NODE,
    "POST /v1/nodes/{node}/windows": {"node": "node-1", "boot_id": ON_NODE["boot_id"], "windows": []},
}

PRICES = (POLICY.parents[2] / "policies/prices.yaml").read_text(encoding="utf-8")
FILES = {
    "PUT /v1/policy": POLICY.read_text(encoding="utf-8"),
    "PUT /v1/prices": PRICES,
    # Somebody new: a file that gives its sender more is refused for that, whatever their role.
    "PUT /v1/people": "version: 1\nengineers:\n  - {subject: zoe, team: research, tier: intern}\n",
}
QUERIES: Mapping[str, dict[str, str]] = {
    **{route: {"name": "next.yaml"} for route in FILES},
    **{route: {"owner": "ada"} for route, people in LET_IN.items() if people == STATEMENT},
    "GET /v1/vesting/{package}": {},
    "GET /v1/finance/fringe": {"owner": "ada", "year": "2026"},
    "GET /v1/prices/hour": {"gpu_class": "H100", "pool": "research"},
}
HIDDEN = {"unknown-workload", "unknown-booking", "unknown-proposal", "unknown-allowance"}


class Asker:
    """Asks as anybody, for things of Ada's."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client
        self._places: dict[str, str] = {"brake": "launch", "node": "node-1"}

    async def prepare(self) -> None:
        """What Ada has, once."""
        made = [
            await self.send("ada", "POST", "/v1/workloads", json=JOB),
            await self.send("ada", "POST", "/v1/sandboxes", json=SANDBOX),
            await self.send("ada", "POST", "/v1/bookings", json=BOOKED),
            await self.send("pam", "POST", "/v1/grants/compensation", json=PACKAGE),
        ]
        workload, sandbox, booking, package = (answer.json() for answer in made)
        self._places |= {"workload_id": workload["id"], "sandbox": sandbox["id"], "booking": booking["id"]}
        self._places |= {"package": package["allowance_id"]}
        tokens = (await self.send("olga", "GET", "/v1/tokens")).json()["items"]
        self._places |= {"token": next(token["id"] for token in tokens if token["subject"] == "bob")}

    async def request_anew(self) -> None:
        """A request of Ada's that waits."""
        self._places["approval"] = (await self.send("ada", "POST", "/v1/requests", json=ASKED)).json()["id"]

    async def send(self, who: str, method: str, path: str, **parts: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {token_of(who)}"}
        return await self._client.request(method, path, headers=headers, **parts)

    async def is_let_in(self, who: str, route: str) -> bool:
        method, path = route.split(" ")
        parts: dict[str, Any] = {"params": QUERIES.get(route, {})}
        if route in FILES:
            parts["content"] = FILES[route].encode()
        elif route in BODIES:
            parts["json"] = BODIES[route]
        answer = await self.send(who, method, self._address(path), **parts)
        assert answer.status_code not in {400, 401, 405, 422, 500}, (route, who, answer.text)
        return answer.status_code != 403 and not (answer.status_code == 404 and answer.json()["code"] in HIDDEN)

    def _address(self, path: str) -> str:
        if path.startswith("/v1/sandboxes"):
            path = path.replace("{workload_id}", "{sandbox}")
        names = {"approvals": self._places["approval"], "people": "max", "periods": "2026-W46", "token-holds": "t-1"}
        return path.format(**self._places, name=names.get(path.split("/")[2], ""))


@pytest.fixture
async def asker() -> AsyncIterator[Asker]:
    service = small_company()
    others = {"lou": ("staff", {Role.ENGINEER, Role.LEAD}), "max": ("engineer", {Role.ENGINEER})}
    people = [
        Engineer(EngineerId(""), subject, TeamName("platform"), TierName(tier), subject, frozenset(roles))
        for subject, (tier, roles) in others.items()
    ]
    service.administration.apply_people(SYSTEM, people, now=NOON)
    for subject, roles in [(each.subject, each.roles) for each in people] + [("agent", frozenset({Role.AGENT}))]:
        node = None if Role.AGENT not in roles else "node-1"
        named = subject if node is None else f"node:{node}"
        service.administration.issue_token(SYSTEM, named, roles, hash_of(token_of(subject)), now=NOON)
    grant_tiers(service)
    service.pricing.apply(SYSTEM, PRICES, read_prices(PRICES, "prices.yaml"), now=NOON)
    app = create_app(service, elapsed=lambda: 0.0)
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://allot.test") as client:
        made = Asker(client)
        await made.prepare()
        yield made
    service.store.close()


async def test_everybody_is_let_in_where_the_table_says_and_nowhere_else(asker: Asker) -> None:
    let_in = {}
    for route, expected in LET_IN.items():
        # Those who may do it come last: what they do to Ada's work must not be what keeps the others out.
        await asker.request_anew()
        ordered = [who for who in EVERYBODY.split() if who not in expected.split()] + expected.split()
        found = {who for who in ordered if await asker.is_let_in(who, route)}
        let_in[route] = " ".join(who for who in EVERYBODY.split() if who in found)
    assert let_in == LET_IN


def test_every_route_stands_in_the_table() -> None:
    paths = description()["paths"]
    routes = {f"{method.upper()} {path}" for path, methods in paths.items() for method in methods}
    assert {route for route in routes if route.split(" ")[1] not in FOR_ANYBODY} == set(LET_IN)
