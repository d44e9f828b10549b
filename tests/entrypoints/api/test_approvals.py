"""Two persons: what raises allowances, prices or rights waits for the second; and requests of engineers."""

from typing import Any

import httpx
import pytest

from scheduler.domain.units import MS_PER_HOUR
from scheduler.entrypoints.running import Service
from tests.entrypoints.api.conftest import Client
from tests.entrypoints.company import JOB
from tests.entrypoints.two_persons import BASE, LOWERED, RAISED, STAFF_RAISED, want_two_persons
from tests.entrypoints.written import rows

GRANT = {"holder_kind": "engineer", "holder": "ada", "amount_ms": 40 * MS_PER_HOUR, "reason": "the paper"}
HOURS = {"kind": "hours", "amount_ms": 40 * MS_PER_HOUR, "reason": "the ablations"}


async def apply(client: httpx.AsyncClient, text: str) -> httpx.Response:
    return await client.put("/v1/policy", params={"name": "next.yaml"}, content=text)


async def balance(as_: Client, subject: str = "ada") -> int:
    found = (await as_(subject).get("/v1/balance")).json()
    return int(found["available_ms"])


def code_of(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


async def test_one_person_grants_where_policy_does_not_ask_for_two(as_: Client) -> None:
    assert (await as_("fin").post("/v1/grants", json=GRANT)).status_code == 201


@pytest.mark.parametrize(
    "holder",
    [
        {"holder": "olga"},
        {"holder_kind": "team", "holder": "platform"},
        {"holder_kind": "project", "holder": "ferry"},
    ],
    ids=["themselves", "their team", "its project"],
)
async def test_where_one_person_is_enough_nobody_grants_what_is_theirs_to_spend(
    service: Service, as_: Client, holder: dict[str, str]
) -> None:
    before = rows(service.store)
    refused = await as_("olga").post("/v1/grants", json=GRANT | holder)
    assert code_of(refused) == (403, "self-benefit")
    assert rows(service.store) == before


async def test_a_grant_waits_for_a_second_person_and_then_takes_effect(service: Service, as_: Client) -> None:
    want_two_persons(service)
    before = await balance(as_)
    made = await as_("fin").post("/v1/grants", json=GRANT)
    assert made.status_code == 202
    assert made.json()["state"] == "waiting"
    assert made.json()["deciders"] == ["finance", "operator"]
    assert await balance(as_) == before

    approved = await as_("olga").post(f"/v1/approvals/{made.json()['hash'][:12]}/approve", json={})

    assert approved.json()["state"] == "approved"
    assert await balance(as_) == before + 40 * MS_PER_HOUR
    (step,) = approved.json()["moves"]
    assert (step["by"], step["role"], step["state"]) == ("olga", "operator", "approved")


async def test_the_same_grant_sent_twice_under_one_key_is_proposed_once(service: Service, as_: Client) -> None:
    want_two_persons(service)
    sent = [await as_("fin").post("/v1/grants", json=GRANT, headers={"Idempotency-Key": "k1"}) for _ in range(2)]
    assert sent[0].json()["id"] == sent[1].json()["id"]
    assert len((await as_("fin").get("/v1/approvals?waiting=true")).json()["items"]) == 1


async def test_nobody_approves_what_they_proposed(service: Service, as_: Client) -> None:
    want_two_persons(service)
    made = (await as_("fin").post("/v1/grants", json=GRANT)).json()
    refused = await as_("fin").post(f"/v1/approvals/{made['id']}/approve", json={})
    assert code_of(refused) == (403, "own-request")


async def test_nobody_approves_hours_for_themselves_or_their_team(service: Service, as_: Client) -> None:
    want_two_persons(service)
    for holder in (
        {"holder": "olga"},
        {"holder_kind": "team", "holder": "platform"},
        {"holder_kind": "project", "holder": "ferry"},
    ):
        made = (await as_("fin").post("/v1/grants", json=GRANT | holder)).json()
        refused = await as_("olga").post(f"/v1/approvals/{made['id']}/approve", json={})
        assert code_of(refused) == (403, "self-benefit")


async def test_a_grant_that_could_never_be_made_is_refused_before_it_waits(service: Service, as_: Client) -> None:
    want_two_persons(service)
    for wrong in (
        {"holder_kind": "team", "holder": "nobody"},
        {"expires_at": "2020-01-01T00:00:00Z"},
        {"amount_ms": 0},
    ):
        assert (await as_("fin").post("/v1/grants", json=GRANT | wrong)).status_code in {404, 422}
    assert (await as_("fin").get("/v1/approvals")).json()["items"] == []


async def test_a_policy_that_raises_an_allowance_waits_and_one_that_lowers_it_does_not(
    service: Service, as_: Client
) -> None:
    want_two_persons(service)
    assert (await apply(as_("olga"), LOWERED)).status_code == 200
    waiting = await apply(as_("olga"), RAISED)
    assert waiting.status_code == 202
    assert service.world.require_policy().tiers["engineer"].allowance == 900 * MS_PER_HOUR  # type: ignore[index]
    (change,) = waiting.json()["raises"]
    assert (change["path"], change["before"], change["after"]) == ("tiers.engineer.allowance_gpu_hours", 900, 1200)

    approved = await as_("fin").post(f"/v1/approvals/{waiting.json()['hash']}/approve", json={})

    assert approved.status_code == 200
    assert service.world.require_policy().tiers["engineer"].allowance == 1200 * MS_PER_HOUR  # type: ignore[index]
    assert (await as_("olga").get("/v1/policy")).json()["hash"] == waiting.json()["hash"]


async def test_taking_the_second_person_off_needs_a_second_person(service: Service, as_: Client) -> None:
    want_two_persons(service)
    waiting = await apply(as_("olga"), BASE)
    assert waiting.status_code == 202
    assert {change["path"] for change in waiting.json()["raises"]} == {
        "approvals.grants",
        "approvals.policy",
        "approvals.prices",
        "approvals.access",
    }


async def test_nobody_approves_a_policy_that_raises_their_own_tier(service: Service, as_: Client) -> None:
    want_two_persons(service)
    made = (await apply(as_("olga"), STAFF_RAISED)).json()
    refused = await as_("fin").post(f"/v1/approvals/{made['id']}/approve", json={})
    assert code_of(refused) == (403, "self-benefit")


async def test_a_policy_that_was_judged_against_another_is_not_approved(service: Service, as_: Client) -> None:
    want_two_persons(service)
    waiting = (await apply(as_("olga"), RAISED)).json()
    await apply(as_("olga"), LOWERED)
    refused = await as_("fin").post(f"/v1/approvals/{waiting['id']}/approve", json={})
    assert code_of(refused) == (409, "stale")


async def test_what_was_decided_is_not_decided_again(service: Service, as_: Client) -> None:
    want_two_persons(service)
    made = (await as_("fin").post("/v1/grants", json=GRANT)).json()
    rejected = await as_("olga").post(f"/v1/approvals/{made['id']}/reject", json={"reason": "no budget"})
    assert (rejected.json()["state"], rejected.json()["moves"][0]["reason"]) == ("rejected", "no budget")
    refused = await as_("olga").post(f"/v1/approvals/{made['id']}/approve", json={})
    assert code_of(refused) == (409, "wrong-state")


@pytest.mark.parametrize("subject", ["ada", "lea", "aud", "pam"])
async def test_only_who_has_the_right_decides(service: Service, as_: Client, subject: str) -> None:
    want_two_persons(service)
    made = (await as_("fin").post("/v1/grants", json=GRANT)).json()
    refused = await as_(subject).post(f"/v1/approvals/{made['id']}/approve", json={})
    assert refused.status_code in {403, 404}
    assert (await as_("fin").get("/v1/approvals?waiting=true")).json()["items"]


# --- requests --------------------------------------------------------------------------------------------------------


async def ask(as_: Client, **fields: Any) -> dict[str, Any]:
    answer = await as_("ada").post("/v1/requests", json=HOURS | fields)
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def test_hours_are_asked_for_and_the_approver_gives_less(as_: Client) -> None:
    before = await balance(as_)
    asked = await ask(as_)
    body = {"amount_ms": 25 * MS_PER_HOUR, "reason": "try with this"}
    approved = (await as_("fin").post(f"/v1/approvals/{asked['id']}/approve", json=body)).json()
    assert await balance(as_) == before + 25 * MS_PER_HOUR
    assert (approved["amount_ms"], approved["moves"][0]["amount_ms"]) == (40 * MS_PER_HOUR, 25 * MS_PER_HOUR)
    mine = (await as_("ada").get("/v1/requests")).json()["items"]
    assert [(item["state"], item["kind"]) for item in mine] == [("approved", "hours")]


async def test_more_than_was_asked_is_not_approved(as_: Client) -> None:
    asked = await ask(as_)
    answer = await as_("fin").post(f"/v1/approvals/{asked['id']}/approve", json={"amount_ms": 41 * MS_PER_HOUR})
    assert code_of(answer) == (422, "invalid-amount")


async def test_an_operator_asks_and_does_not_approve_their_own_request(as_: Client) -> None:
    made = (await as_("olga").post("/v1/requests", json=HOURS)).json()
    refused = await as_("olga").post(f"/v1/approvals/{made['id']}/approve", json={})
    assert code_of(refused) == (403, "own-request")


async def test_the_operator_who_applied_the_policy_does_not_decide_requests(as_: Client) -> None:
    assert (await apply(as_("olga"), BASE + "\n")).status_code == 200
    asked = await ask(as_)
    refused = await as_("olga").post(f"/v1/approvals/{asked['id']}/approve", json={})
    assert code_of(refused) == (403, "self-benefit")
    assert (await as_("fin").post(f"/v1/approvals/{asked['id']}/approve", json={})).status_code == 200


async def test_an_extension_goes_on_into_an_allowance_that_ends_later(service: Service, as_: Client) -> None:
    owned = (await as_("ada").get("/v1/allowances")).json()["items"]
    old = next(item for item in owned if item["holder_kind"] == "engineer")
    before = await balance(as_)
    asked = await ask(
        as_, kind="extension", allowance=old["id"], until="2026-12-31T00:00:00Z", amount_ms=100 * MS_PER_HOUR
    )
    approved = (await as_("fin").post(f"/v1/approvals/{asked['id']}/approve", json={})).json()

    made = approved["moves"][0]["made"]
    items = {item["id"]: item for item in (await as_("ada").get("/v1/allowances")).json()["items"]}
    assert items[made]["expires_at"] == "2026-12-31T00:00:00Z"
    assert items[made]["available_ms"] == 100 * MS_PER_HOUR
    assert items[old["id"]]["available_ms"] == old["available_ms"] - 100 * MS_PER_HOUR
    assert await balance(as_) == before
    with service.store.reading() as books:
        assert books.journal.differences() == []


async def test_another_class_lets_work_start_that_the_tier_excludes(service: Service, as_: Client) -> None:
    ines = as_("ines")
    work = JOB | {"pods": 1, "gpus_per_pod": 1}
    assert code_of(await ines.post("/v1/workloads", json=work)) == (403, "gpu-class-not-allowed")
    old = next(i for i in (await ines.get("/v1/allowances")).json()["items"] if i["holder_kind"] == "engineer")
    body = {"kind": "class", "allowance": old["id"], "gpu_class": "H100", "amount_ms": 5 * MS_PER_HOUR, "reason": "x"}
    asked = await ines.post("/v1/requests", json=body)
    assert asked.status_code == 201, asked.text
    approved = await as_("fin").post(f"/v1/approvals/{asked.json()['id']}/approve", json={})
    assert approved.status_code == 200, approved.text

    assert (await ines.post("/v1/workloads", json=work)).status_code == 201


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        ({"amount_ms": 0}, (422, "invalid-amount")),
        ({"amount_ms": -1}, (422, "invalid-amount")),
        ({"amount_ms": 2**63}, (422, "invalid-amount")),
        ({"amount_ms": None}, (422, "invalid-amount")),
        ({"until": "2020-01-01T00:00:00Z"}, (422, "invalid-value")),
        ({"gpu_class": "B300"}, (422, "unknown-gpu-class")),
        ({"kind": "grant"}, (422, "invalid-value")),
        ({"kind": "class", "allowance": "g-none", "gpu_class": "H100"}, (403, "allowance-foreign")),
        ({"kind": "extension"}, (403, "allowance-foreign")),
        ({"holder_kind": "team", "holder": "research"}, (403, "not-yours")),
        ({"holder": "bob"}, (403, "not-yours")),
        ({"reason": ""}, (422, "invalid-value")),
    ],
    ids=str,
)
async def test_a_request_that_could_never_be_granted_is_refused_at_once(
    as_: Client, wrong: dict[str, Any], expected: tuple[int, str]
) -> None:
    answer = await as_("ada").post("/v1/requests", json=HOURS | wrong)
    assert code_of(answer) == expected
    assert (await as_("ada").get("/v1/requests")).json()["items"] == []


async def test_a_lead_asks_for_the_team_and_withdraws(as_: Client) -> None:
    body = HOURS | {"holder_kind": "team", "holder": "research"}
    made = (await as_("lea").post("/v1/requests", json=body)).json()
    assert code_of(await as_("fin").post(f"/v1/approvals/{made['id']}/withdraw")) == (403, "not-yours")
    withdrawn = await as_("lea").post(f"/v1/approvals/{made['id']}/withdraw")
    assert withdrawn.json()["state"] == "withdrawn"


async def test_to_another_engineer_a_request_does_not_exist(as_: Client) -> None:
    asked = await ask(as_)
    assert code_of(await as_("bob").get(f"/v1/approvals/{asked['id']}")) == (404, "unknown-proposal")


async def test_every_step_is_in_the_audit_log_with_before_and_after(service: Service, as_: Client) -> None:
    asked = await ask(as_)
    await as_("fin").post(f"/v1/approvals/{asked['id']}/approve", json={})
    events = (await as_("aud").get("/v1/audit", params={"target": asked["id"]})).json()["items"]
    assert [(e["verb"], e["actor"], e["before"][:7]) for e in events] == [
        ("approve", "fin", "waiting"),
        ("request hours", "ada", ""),
    ]
    assert all(e["request_id"] and e["after"] for e in events)
    assert "ada" not in events[1]["after"]


@pytest.mark.parametrize("quantity", [0, -1, 2**63, 0.1, 1.0, "1", None], ids=repr)
async def test_a_quantity_that_is_none_is_refused_in_every_unit(as_: Client, quantity: object) -> None:
    before = (await as_("ada").get("/v1/allowances")).json()["items"]
    for unit in ("standard", "gpu/H100", "tokens", "tokens/llama"):
        body = {"holder_kind": "engineer", "holder": "ada", "quantity": quantity, "unit": unit, "reason": "x"}
        answer = await as_("fin").post("/v1/grants", json=body)
        assert code_of(answer) == (422, "invalid-amount")
    assert (await as_("ada").get("/v1/allowances")).json()["items"] == before


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"amount_ms": 1, "quantity": 1}, "invalid-amount"),
        ({"amount_ms": 1, "unit": "tokens"}, "invalid-amount"),
        ({"quantity": 1, "unit": "litres"}, "unknown-unit"),
        ({"quantity": 1, "unit": "XYZ"}, "unknown-currency"),
        ({"quantity": 1, "unit": "EUR"}, "unknown-currency"),
        ({"quantity": 1, "unit": "gpu/B200"}, "unknown-gpu-class"),
    ],
)
async def test_an_amount_in_no_unit_of_ours_is_refused(as_: Client, fields: dict[str, object], code: str) -> None:
    for path, body in (
        ("/v1/grants", {"holder_kind": "engineer", "holder": "ada"}),
        ("/v1/requests", {"kind": "hours"}),
    ):
        answer = await as_("fin" if path == "/v1/grants" else "ada").post(
            path, json={**body, **fields, "reason": "x"}
        )
        assert code_of(answer) == (422, code)
