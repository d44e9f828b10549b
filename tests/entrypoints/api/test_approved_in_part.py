"""Approved in part: an approver gives less than was asked, and neither more nor other than it."""

from typing import Any

import httpx
import pytest

from scheduler.domain.units import MS_PER_HOUR
from scheduler.entrypoints.running import Service
from tests.entrypoints.api.conftest import Client
from tests.entrypoints.written import rows

PERIOD_END = "2026-11-22T23:00:00Z"
LATER = "2026-12-31T00:00:00Z"


async def own(as_: Client) -> dict[str, Any]:
    """The tier's allowance of ines, who may not use an H100."""
    items = (await as_("ines").get("/v1/allowances")).json()["items"]
    found: dict[str, Any] = next(item for item in items if item["holder_kind"] == "engineer")
    return found


async def ask(as_: Client, **fields: Any) -> str:
    body = {"kind": "hours", "amount_ms": 5 * MS_PER_HOUR, "reason": "x"} | fields
    answer = await as_("ines").post("/v1/requests", json=body)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


async def approve(as_: Client, name: str, **body: Any) -> httpx.Response:
    return await as_("fin").post(f"/v1/approvals/{name}/approve", json=body)


@pytest.mark.parametrize(
    ("kind", "until"),
    [
        ("hours", "2099-01-01T00:00:00Z"),
        ("hours", "2026-11-22T23:00:00.001Z"),
        ("hours", "2020-01-01T00:00:00Z"),
        ("extension", "2027-01-01T00:00:00Z"),
        ("extension", PERIOD_END),
        ("extension", "2020-01-01T00:00:00Z"),
        ("class", "2099-01-01T00:00:00Z"),
        ("class", "2026-11-21T00:00:00Z"),
        ("class", "2020-01-01T00:00:00Z"),
    ],
)
async def test_an_end_that_nobody_asked_for_is_not_approved_and_nothing_moves(
    service: Service, as_: Client, kind: str, until: str
) -> None:
    old = await own(as_)
    of = {} if kind == "hours" else {"allowance": old["id"]}
    wish: dict[str, Any] = {"hours": {}, "extension": {"until": LATER}, "class": {"gpu_class": "H100"}}[kind]
    name = await ask(as_, kind=kind, **of, **wish)
    before = rows(service.store)
    refused = await approve(as_, name, until=until)
    assert (refused.status_code, refused.json()["code"], refused.json()["where"]) == (422, "invalid-value", "until")
    assert rows(service.store) == before
    assert await own(as_) == old
    (mine,) = (await as_("ines").get("/v1/requests")).json()["items"]
    assert (mine["state"], mine["moves"]) == ("waiting", [])


@pytest.mark.parametrize(
    ("kind", "until"),
    [("hours", "2026-11-22T00:00:00Z"), ("hours", PERIOD_END), ("extension", "2026-12-01T00:00:00Z")],
)
async def test_a_sooner_end_than_was_asked_is_approved(as_: Client, kind: str, until: str) -> None:
    of = {} if kind == "hours" else {"allowance": (await own(as_))["id"], "until": LATER}
    approved = await approve(as_, await ask(as_, kind=kind, **of), until=until)
    assert approved.status_code == 200, approved.text
    items = {item["id"]: item for item in (await as_("ines").get("/v1/allowances")).json()["items"]}
    assert items[approved.json()["moves"][0]["made"]]["expires_at"] == until


@pytest.mark.parametrize("kind", ["extension", "class"])
async def test_a_request_that_changes_pay_is_seen_and_decided_by_people_operations_alone(
    service: Service, as_: Client, kind: str
) -> None:
    body = {"holder": "ines", "quantity": 10 * MS_PER_HOUR, "months": 0, "cliff_months": 0, "reason": "signing"}
    body |= {"gpu_classes": ["A100"], "expires_at": LATER}
    made = await as_("pam").post("/v1/grants/compensation", json=body)
    pay = made.json()["allowance_id"]
    wish: dict[str, Any] = {"extension": {"until": "2027-06-01T00:00:00Z"}, "class": {"gpu_class": "H100"}}[kind]
    name = await ask(as_, kind=kind, allowance=pay, **wish)
    before = rows(service.store)
    for who in ("fin", "olga"):
        assert (await as_(who).get(f"/v1/approvals/{name}")).status_code == 404
        assert name not in (await as_(who).get("/v1/approvals")).text
        assert (await as_(who).post(f"/v1/approvals/{name}/approve", json={})).status_code == 404
    assert rows(service.store) == before
    found = (await as_("pam").get(f"/v1/approvals/{name}")).json()
    assert found["deciders"] == ["people"]
    approved = await as_("pam").post(f"/v1/approvals/{name}/approve", json={})
    assert (approved.status_code, approved.json()["state"]) == (200, "approved")
