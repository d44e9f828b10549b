"""The log of who did what: actor, role, request, and the thing before and after, for every change by a person."""

import json
from pathlib import Path
from typing import Any

from scheduler.adapters.head_folder import HeadFolder
from scheduler.adapters.policy_files import read_prices
from scheduler.adapters.signing import open_key
from scheduler.domain.people import Role
from scheduler.entrypoints.api.auth import hash_of
from scheduler.entrypoints.running import Service
from scheduler.lifecycle.accounting.publish import Publisher
from tests.entrypoints.api.conftest import Client
from tests.entrypoints.company import JOB, NOON, POLICY, SYSTEM, token_of

PRICES = (POLICY.parents[2] / "policies/prices.yaml").read_text(encoding="utf-8")


async def last(as_: Client) -> dict[str, Any]:
    (event,) = (await as_("aud").get("/v1/audit", params={"limit": 1})).json()["items"]
    assert event["request_id"]
    assert event["role"]
    found: dict[str, Any] = event
    return found


async def test_what_a_person_does_to_a_workload_is_kept_before_and_after(as_: Client) -> None:
    ada = as_("ada")
    workload = (await ada.post("/v1/workloads", json=JOB)).json()["id"]
    await ada.post(f"/v1/workloads/{workload}/extend", json={"extra_ms": 3_600_000})
    extended = await last(as_)
    before, after = json.loads(extended["before"]), json.loads(extended["after"])
    assert (extended["verb"], extended["actor"], extended["target"]) == ("extend", "ada", workload)
    assert (before["time_limit_ms"], after["time_limit_ms"]) == (3_600_000, 7_200_000)
    await ada.put(f"/v1/workloads/{workload}/exemption", json={"why": "a", "expires_at": "2026-11-21T12:00:00Z"})
    await ada.put(f"/v1/workloads/{workload}/exemption", json={"why": "b", "expires_at": "2026-11-22T12:00:00Z"})
    exempted = await last(as_)
    assert [json.loads(exempted[side])["why"] for side in ("before", "after")] == ["a", "b"]
    await ada.post(f"/v1/workloads/{workload}/cancel")
    cancelled = await last(as_)
    states = [json.loads(cancelled[side])["state"] for side in ("before", "after")]
    assert (cancelled["verb"], states) == ("cancel", ["queued", "cancelled"])


async def test_a_brake_is_kept_with_what_was_there_before(as_: Client) -> None:
    olga = as_("olga")
    await olga.put("/v1/brakes/launch", json={"why": "rack 4"})
    assert [(await last(as_))[side][:10] for side in ("before", "after")] == ["", '{"why":"ra']
    await olga.delete("/v1/brakes/launch")
    resumed = await last(as_)
    assert (resumed["verb"], json.loads(resumed["before"])["why"], resumed["after"]) == (
        "resume launch",
        "rack 4",
        "",
    )


async def test_a_policy_is_kept_with_each_key_that_it_changed(as_: Client) -> None:
    text = POLICY.read_text(encoding="utf-8").replace("allowance_gpu_hours: 2500", "allowance_gpu_hours: 2400")
    before_hash = (await as_("olga").get("/v1/policy")).json()["hash"]
    applied = (await as_("olga").put("/v1/policy", params={"name": "next.yaml"}, content=text)).json()
    event = await last(as_)
    key = "tiers.senior.allowance_gpu_hours"
    assert json.loads(event["before"]) == {"policy": before_hash, key: 2500}
    assert json.loads(event["after"]) == {"policy": applied["hash"], key: 2400}


async def test_prices_are_kept_with_the_book_before(service: Service, as_: Client) -> None:
    first = service.pricing.apply(SYSTEM, PRICES, read_prices(PRICES, "first.yaml"), now=NOON)
    await as_("fin").put("/v1/prices", params={"name": "second.yaml"}, content=PRICES + "\n# later\n")
    event = await last(as_)
    assert event["before"] == f"first.yaml {first.hash}"
    assert event["after"].startswith("second.yaml ")


async def test_a_grant_is_kept_with_its_terms_and_no_name(as_: Client) -> None:
    body = {"holder_kind": "engineer", "holder": "ada", "amount_ms": 7, "reason": "more"}
    await as_("fin").post("/v1/grants", json=body)
    said = (await last(as_))["after"]
    assert (json.loads(said)["amount"], json.loads(said)["reason"], "ada" in said) == (7, "more", False)


async def test_everything_that_a_person_changed_is_kept_with_what_it_came_to(as_: Client) -> None:
    """What is new has nothing before it, what is gone nothing after it; nothing at all of either says nothing."""
    ada, fin, pam = as_("ada"), as_("fin"), as_("pam")
    assert (await ada.post("/v1/workloads", json=JOB)).status_code == 201
    submitted = await last(as_)
    assert (submitted["verb"], json.loads(submitted["after"])["state"]) == ("submit", "queued")
    assert (await ada.put("/v1/leaderboard/me")).status_code == 204
    assert (await ada.delete("/v1/leaderboard/me")).status_code == 204
    left = await last(as_)
    assert (left["verb"], left["before"], left["after"]) == ("leave leaderboard", "joined", "")
    asked = (await ada.post("/v1/requests", json={"kind": "hours", "amount_ms": 3_600_000, "reason": "r"})).json()
    assert (await ada.post(f"/v1/approvals/{asked['id']}/withdraw", json={})).status_code == 200
    withdrawn = await last(as_)
    assert (withdrawn["verb"], withdrawn["before"][:7], withdrawn["after"]) == ("withdraw", "waiting", "withdrawn")
    grant = {"holder_kind": "engineer", "holder": "ada", "amount_ms": 3_600_000, "reason": "r"}
    allowance = (await fin.post("/v1/grants", json=grant)).json()["id"]
    for verb in ("freeze", "unfreeze"):
        assert (await fin.post(f"/v1/allowances/{verb}", json={"allowance": allowance, "reason": verb})).is_success
    thawed = await last(as_)
    assert (thawed["verb"], thawed["before"], thawed["after"]) == ("unfreeze", "freeze", "unfreeze")
    package = {"holder": "ada", "quantity": 43_200_000, "months": 12, "cliff_months": 0, "reason": "pay"}
    assert (await pam.post("/v1/grants/compensation", json=package)).status_code == 201
    assert (await pam.post("/v1/vesting/claw-back", json={"holder": "ada", "reason": "left"})).is_success
    clawed = await last(as_)
    assert (clawed["verb"], clawed["before"], clawed["after"]) == ("claw back", "12.0 h promised", "12.0 h: left")
    events = (await as_("aud").get("/v1/audit", params={"limit": 200})).json()["items"]
    assert [
        each["verb"] for each in events if each["actor"] != SYSTEM and not (each["before"] or each["after"])
    ] == []


async def test_what_is_withdrawn_and_was_not_there_is_no_change(as_: Client) -> None:
    ada = as_("ada")
    workload = (await ada.post("/v1/workloads", json=JOB)).json()["id"]
    assert (await ada.delete(f"/v1/workloads/{workload}/exemption")).is_success
    assert (await last(as_))["verb"] == "submit"


async def test_a_token_is_kept_with_the_request_that_issued_it_and_that_took_it_back(as_: Client) -> None:
    olga = as_("olga")
    body = {"subject": "node:n9", "roles": ["agent"]}
    assert (await olga.post("/v1/tokens", json=body, headers={"X-Request-Id": "issued-1"})).is_success
    issued = await last(as_)
    assert (issued["verb"], issued["actor"], issued["request_id"]) == ("issue token", "olga", "issued-1")
    token = issued["after"].partition(":")[0]
    assert (await olga.delete(f"/v1/tokens/{token}", headers={"X-Request-Id": "taken-1"})).is_success
    taken = await last(as_)
    assert (taken["verb"], taken["before"], taken["request_id"]) == ("revoke token", token, "taken-1")


async def test_what_a_gateway_held_charged_and_released_is_kept_with_its_requests(
    service: Service, as_: Client
) -> None:
    award = {"holder_kind": "engineer", "holder": "ada", "quantity": 1_000, "unit": "tokens", "reason": "r"}
    assert (await as_("fin").post("/v1/grants", json={**award, "purposes": ["personal"]})).is_success
    roles = frozenset({Role.GATEWAY})
    service.administration.issue_token(SYSTEM, "gateway:eu", roles, hash_of(token_of("gw")), now=NOON)
    gateway = as_("gw")

    async def sent(path: str, body: dict[str, Any], request_id: str) -> dict[str, Any]:
        answer = await gateway.post(path, json=body, headers={"X-Request-Id": request_id})
        assert answer.is_success, answer.text
        return await last(as_)

    asked = {"owner": "ada", "model": "llama", "tokens": 900}
    held = await sent("/v1/token-holds", asked, "held-1")
    charged = await sent(f"/v1/token-holds/{held['target']}/charge", {"tokens": 250}, "charged-1")
    released = await sent(f"/v1/token-holds/{held['target']}/release", {}, "released-1")
    assert [(each["verb"], each["role"], each["request_id"]) for each in (held, charged, released)] == [
        ("hold tokens", "gateway", "held-1"),
        ("charge tokens", "gateway", "charged-1"),
        ("release tokens", "gateway", "released-1"),
    ]
    told = [json.loads(text) for text in (held["after"], charged["before"], charged["after"], released["after"])]
    assert [(each["used"], each["state"]) for each in told] == [
        (0, "open"),
        (0, "open"),
        (250, "open"),
        (250, "resolved"),
    ]
    await sent(f"/v1/token-holds/{held['target']}/release", {}, "released-2")
    assert (await last(as_))["request_id"] == "released-1", "what changes nothing is no change"


async def test_who_asked_for_a_head_is_kept_in_what_the_head_proves(
    service: Service, as_: Client, tmp_path: Path
) -> None:
    key = open_key(tmp_path / "key.pem")
    service.publisher = Publisher(service.store, HeadFolder(tmp_path / "heads"), key, service.clock.now)
    first = (await as_("aud").post("/v1/audit/heads", headers={"X-Request-Id": "head-1"})).json()
    event = await last(as_)
    said = (event["verb"], event["actor"], event["role"], event["request_id"], event["before"], event["after"])
    assert said == ("publish head", "aud", "auditor", "head-1", "", "1")
    again = (await as_("fin").post("/v1/audit/heads")).json()
    assert (first["is_new"], again["is_new"], again["number"]) == (True, False, 1), "nothing came since"
    assert (await last(as_))["request_id"] == "head-1"
    await as_("olga").put("/v1/brakes/launch", json={"why": "rack 4"})
    assert (await as_("fin").post("/v1/audit/heads")).json()["number"] == 2
    assert [(await last(as_))[side] for side in ("actor", "before", "after")] == ["fin", "1", "2"]
