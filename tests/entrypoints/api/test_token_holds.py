"""A gateway's requests: only with its role, by id or subject, and the same key holds once."""

import pytest

from scheduler.domain.people import Role
from scheduler.domain.units import MS_PER_HOUR, Instant
from scheduler.entrypoints.api.auth import hash_of
from scheduler.entrypoints.running import Service
from scheduler.lifecycle.awarding import draw_tokens
from tests.entrypoints.api.conftest import Client
from tests.entrypoints.company import NOON, SYSTEM, token_of

GRANT = {"holder_kind": "engineer", "holder": "ada", "quantity": 1_000, "unit": "tokens", "reason": "evaluations"}
HELD = {"owner": "ada", "model": "llama-3.1", "tokens": 900}


@pytest.fixture(autouse=True)
def gateway(service: Service) -> None:
    service.administration.issue_token(
        SYSTEM, "gateway:eu", frozenset({Role.GATEWAY}), hash_of(token_of("gw")), now=NOON
    )


async def test_a_gateway_holds_charges_and_releases(as_: Client) -> None:
    assert (await as_("fin").post("/v1/grants", json=GRANT)).status_code == 201
    sent = [
        await as_("gw").post("/v1/token-holds", json=HELD, headers={"Idempotency-Key": "answer-1"}) for _ in range(2)
    ]
    assert [each.status_code for each in sent] == [201, 201]
    held = sent[0].json()
    assert held == sent[1].json()
    assert (held["tokens"], held["used"], held["state"], held["model"]) == (900, 0, "open", "llama-3.1")
    path = f"/v1/token-holds/{held['id']}"
    (own,) = (each for each in (await as_("ada").get("/v1/balance")).json()["allowances"] if each["unit"] == "tokens")
    assert (own["left"], own["held_shown"]) == ("100 tokens", "900 tokens")
    assert (await as_("gw").post(f"{path}/charge", json={"tokens": 250})).json()["used"] == 250
    assert (await as_("gw").post(f"{path}/release")).json()["state"] == "resolved"
    assert (await as_("gw").get(path)).json()["resolved_at"] is not None
    (unit,) = (await as_("ada").get("/v1/balance")).json()["units"]
    assert (unit["unit"], unit["left_quantity"], unit["charged_quantity"]) == ("tokens", 750, 250)


async def test_what_no_gateway_resolved_is_released_by_the_service_itself(
    as_: Client, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(draw_tokens, "RELEASED_AT_ONCE", 2)
    await as_("fin").post("/v1/grants", json=GRANT)
    made = [(await as_("gw").post("/v1/token-holds", json=HELD | {"tokens": 100})).json()["id"] for _ in range(5)]
    service.clock.at = Instant(NOON + MS_PER_HOUR)  # type: ignore[attr-defined]  # the test's own clock
    await service.periodic.grant()
    found = [(await as_("gw").get(f"/v1/token-holds/{each}")).json()["state"] for each in made]
    assert found == ["resolved"] * 5


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"tokens": 0}, "invalid-value"),
        ({"tokens": 0.1}, "invalid-value"),
        ({"tokens": 2**63}, "invalid-value"),
        ({"owner": "nobody"}, "unknown-engineer"),
        ({"tokens": 1}, "allowance-short"),
    ],
    ids=["nothing", "a part", "2 to the 63", "nobody", "without a grant"],
)
async def test_what_cannot_be_held_is_refused(as_: Client, fields: dict[str, object], code: str) -> None:
    assert (await as_("gw").post("/v1/token-holds", json=HELD | fields)).json()["code"] == code


async def test_nobody_else_draws_tokens_and_a_gateway_reads_nothing_else(as_: Client) -> None:
    for who in ("ada", "fin", "olga"):
        assert (await as_(who).post("/v1/token-holds", json=HELD)).json()["code"] == "role-required"
    assert (await as_("gw").get("/v1/balance", params={"owner": "ada"})).json()["code"] == "not-yours"
    assert (await as_("gw").get("/v1/statement", params={"owner": "ada"})).json()["code"] == "not-yours"
    assert (await as_("gw").get("/v1/token-holds/t-1")).json()["code"] == "unknown-hold"
