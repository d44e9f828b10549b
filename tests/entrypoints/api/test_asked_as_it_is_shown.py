"""What is asked and granted is what whoever decides is shown: nothing beside it, and in nobody else's name."""

from typing import Any

import pytest

from scheduler.adapters.policy_files import read_prices
from scheduler.domain.units import MS_PER_HOUR
from scheduler.entrypoints.running import Service
from tests.entrypoints.api.conftest import Client
from tests.entrypoints.company import NOON, POLICY, SYSTEM
from tests.entrypoints.written import rows

PRICES = (POLICY.parents[2] / "policies/prices.yaml").read_text(encoding="utf-8")
LATER = "2026-12-31T00:00:00Z"
HOUR = {"amount_ms": MS_PER_HOUR, "reason": "x"}


async def own(as_: Client) -> str:
    items = (await as_("ines").get("/v1/allowances")).json()["items"]
    return str(next(item["id"] for item in items if item["holder_kind"] == "engineer"))


@pytest.mark.parametrize(
    ("asked", "where"),
    [
        ({"kind": "hours", "allowance": "own"} | HOUR, "allowance"),
        ({"kind": "hours", "allowance": "own", "quantity": 360_000_000, "unit": "EUR", "reason": "x"}, "allowance"),
        ({"kind": "hours", "allowance": "g-none", "quantity": 1, "unit": "tokens", "reason": "x"}, "allowance"),
        ({"kind": "extension", "allowance": "own", "until": LATER, "gpu_class": "H100"} | HOUR, "gpu_class"),
        ({"kind": "class", "allowance": "own", "until": LATER, "gpu_class": "H100"} | HOUR, "until"),
        (
            {"kind": "extension", "allowance": "own", "until": LATER, "quantity": 1, "unit": "EUR", "reason": "x"},
            "unit",
        ),
    ],
    ids=["hours of one", "money as hours", "tokens as hours", "a class with an end", "an end with a class", "a unit"],
)
async def test_a_request_that_says_more_than_its_kind_is_refused_and_nothing_waits(
    service: Service, as_: Client, asked: dict[str, Any], where: str
) -> None:
    """360 EUR that name an allowance in hours were shown to whoever decided as 0.1 h."""
    service.pricing.apply(SYSTEM, PRICES, read_prices(PRICES, "prices.yaml"), now=NOON)
    before = rows(service.store)
    body = asked | ({"allowance": await own(as_)} if asked["allowance"] == "own" else {})
    refused = await as_("ines").post("/v1/requests", json=body)
    assert (refused.status_code // 100, refused.json()["where"]) == (4, where)
    assert rows(service.store) == before


@pytest.mark.parametrize("source", ["tier", "project", "rollover", "transfer"])
@pytest.mark.parametrize(("kind", "holder"), [("engineer", "ada"), ("project", "atlas")])
async def test_nobody_grants_in_the_name_of_the_policy(
    service: Service, as_: Client, source: str, kind: str, holder: str
) -> None:
    before = rows(service.store)
    body = HOUR | {"holder_kind": kind, "holder": holder, "source": source}
    refused = await as_("fin").post("/v1/grants", json=body)
    assert (refused.status_code, refused.json()["where"]) == (422, "source")
    assert rows(service.store) == before


@pytest.mark.parametrize(("kind", "holder"), [("team", "research"), ("project", "atlas")])
async def test_pay_is_a_persons(service: Service, as_: Client, kind: str, holder: str) -> None:
    before = rows(service.store)
    body = HOUR | {"holder_kind": kind, "holder": holder, "source": "compensation"}
    refused = await as_("pam").post("/v1/grants", json=body)
    assert (refused.status_code, refused.json()["where"]) == (422, "holder_kind")
    assert rows(service.store) == before


async def test_tokens_are_of_no_gpu_class(service: Service, as_: Client) -> None:
    before = rows(service.store)
    tokens: dict[str, Any] = {"quantity": 5, "unit": "tokens/llama", "gpu_classes": ["H100"], "reason": "x"}
    asked = {"kind": "hours", "quantity": 5, "unit": "tokens", "gpu_class": "H100", "reason": "x"}
    for who, path, body in (
        ("fin", "/v1/grants", tokens | {"holder_kind": "engineer", "holder": "ada"}),
        ("pam", "/v1/grants/compensation", tokens | {"holder": "ada"}),
        ("ada", "/v1/requests", asked),
    ):
        refused = await as_(who).post(path, json=body)
        assert refused.json()["code"] == "unit-mismatch", path
    assert rows(service.store) == before


@pytest.mark.parametrize("path", ["/v1/grants/compensation", "/v1/statement/offer"])
@pytest.mark.parametrize(
    "beside", [{"months": 48}, {"cliff_months": 12}, {"every_months": 1}, {"is_annual": True}], ids=str
)
async def test_a_schedule_is_given_once(service: Service, as_: Client, path: str, beside: dict[str, Any]) -> None:
    """`months` beside `parts` counted for nothing, and nobody was told."""
    before = rows(service.store)
    body: dict[str, Any] = {"quantity": 5, "parts": [{"at": LATER, "quantity": 5}]}
    body |= {"holder": "ada", "reason": "x"} if path == "/v1/grants/compensation" else {}
    refused = await as_("pam").post(path, json=body | beside)
    found = (refused.status_code, refused.json()["code"], refused.json()["where"])
    assert found == (422, "invalid-schedule", next(iter(beside)))
    assert rows(service.store) == before
    assert (await as_("pam").post(path, json=body | {"is_annual": False})).status_code in {200, 201, 202}
