"""Money, policies, people, brakes, cluster, health and metrics over HTTP."""

import hashlib
from typing import Any

import pytest

from scheduler.domain.errors import RefusalCode
from scheduler.domain.periods import iso
from scheduler.domain.units import WorkloadId
from scheduler.entrypoints.running import Service
from scheduler.lifecycle.memory.observed_only import Found, ObservedOnly, Would
from tests.entrypoints.api.conftest import Client
from tests.entrypoints.company import JOB, NOON, POLICY, engineer_id

GRANT: dict[str, Any] = {
    "holder_kind": "engineer",
    "holder": "ada",
    "amount_ms": 144_000_000,
    "reason": "the paper",
    "expires_at": "2027-01-01T00:00:00Z",
}


async def test_a_balance_is_what_the_tier_granted(as_: Client) -> None:
    found = (await as_("ada").get("/v1/balance")).json()
    assert (found["available_hours"], found["granted_hours"], found["held_ms"]) == ("1000.0", "1000.0", 0)
    assert (found["period_name"], found["tier"]) == ("2026-W47", "engineer")
    allowances = (await as_("ada").get("/v1/allowances")).json()["items"]
    assert allowances == found["allowances"]


async def test_a_grant_shows_in_balance_and_statement(as_: Client) -> None:
    made = await as_("fin").post("/v1/grants", json=GRANT)
    assert made.status_code == 201
    assert (made.json()["amount_hours"], made.json()["expires_at"]) == ("40.0", "2027-01-01T00:00:00Z")
    assert (await as_("ada").get("/v1/balance")).json()["available_hours"] == "1040.0"
    statement = (await as_("ada").get("/v1/statement", params={"period": "2026-W47"})).json()
    assert statement["granted_hours"] == "1040.0"
    assert [line["text"] for line in statement["lines"] if line["amount_ms"] == 144_000_000] == ["Granted: the paper"]


async def test_compensation_is_granted_by_people_and_pays_personal_work(as_: Client) -> None:
    pay = {**GRANT, "source": "compensation"}
    assert (await as_("fin").post("/v1/grants", json=pay)).status_code == 403
    assert (await as_("pam").post("/v1/grants", json=pay)).status_code == 201
    assert (await as_("ada").post("/v1/workloads", json={**JOB, "project": "personal"})).status_code == 201


async def test_a_grant_with_the_same_key_is_made_once(as_: Client) -> None:
    headers = {"Idempotency-Key": "grant-1"}
    first = await as_("fin").post("/v1/grants", json=GRANT, headers=headers)
    second = await as_("fin").post("/v1/grants", json=GRANT, headers=headers)
    assert first.json() == second.json()
    assert (await as_("ada").get("/v1/balance")).json()["available_hours"] == "1040.0"
    other = await as_("fin").post("/v1/grants", json={**GRANT, "amount_ms": 1}, headers=headers)
    assert (other.status_code, other.json()["code"]) == (409, "idempotency-conflict")


BAD_GRANTS: dict[str, tuple[dict[str, Any], int, RefusalCode]] = {
    "nothing": ({"amount_ms": 0}, 422, RefusalCode.INVALID_AMOUNT),
    "less than nothing": ({"amount_ms": -1}, 422, RefusalCode.INVALID_AMOUNT),
    "2⁶³": ({"amount_ms": 2**63}, 422, RefusalCode.INVALID_AMOUNT),
    "2⁶²": ({"amount_ms": 2**62}, 422, RefusalCode.INVALID_AMOUNT),
    "a fraction": ({"amount_ms": 0.1}, 422, RefusalCode.INVALID_AMOUNT),
    "true": ({"amount_ms": True}, 422, RefusalCode.INVALID_AMOUNT),
    "an end before the beginning": ({"expires_at": "2020-01-01T00:00:00Z"}, 422, RefusalCode.EXPIRY_BEFORE_GRANT),
    "an end without a time zone": ({"expires_at": "2027-01-01T00:00:00"}, 422, RefusalCode.INVALID_VALUE),
    "to nobody": ({"holder": "nobody"}, 404, RefusalCode.UNKNOWN_ENGINEER),
    "to a team that there is not": ({"holder_kind": "team", "holder": "x"}, 422, RefusalCode.UNKNOWN_TEAM),
    "to a project that there is not": ({"holder_kind": "project", "holder": "x"}, 422, RefusalCode.UNKNOWN_PROJECT),
    "without a reason": ({"reason": ""}, 422, RefusalCode.INVALID_VALUE),
    "from a source that there is not": ({"source": "gift"}, 422, RefusalCode.INVALID_VALUE),
}


@pytest.mark.parametrize("quantity", [0, -1, 2**62, 2**63, 0.1, True, "1"])
@pytest.mark.parametrize("path", ["/v1/grants/compensation", "/v1/transfers"])
async def test_a_quantity_that_is_none_is_refused(as_: Client, path: str, quantity: object) -> None:
    body = {"quantity": quantity, "reason": "x"}
    body |= {"holder": "ada"} if "compensation" in path else {"allowance": "g-1", "to": "bob"}
    answer = await as_("pam").post(path, json=body)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid-amount")


@pytest.mark.parametrize(("change", "status", "code"), BAD_GRANTS.values(), ids=BAD_GRANTS.keys())
async def test_a_bad_grant_is_refused_and_changes_nothing(
    as_: Client, change: dict[str, Any], status: int, code: RefusalCode
) -> None:
    answer = await as_("fin").post("/v1/grants", json={**GRANT, **change})
    assert (answer.status_code, answer.json()["code"]) == (status, code.value)
    assert (await as_("ada").get("/v1/balance")).json()["available_hours"] == "1000.0"


async def test_engineers_grant_nothing_and_nobody_to_themselves(as_: Client) -> None:
    assert (await as_("ada").post("/v1/grants", json=GRANT)).status_code == 403
    assert (await as_("olga").post("/v1/grants", json={**GRANT, "holder": "olga"})).status_code == 403


async def test_a_policy_is_applied_once_it_reads_well(as_: Client, service: Service) -> None:
    text = POLICY.read_text().replace("queued_per_engineer: 2000", "queued_per_engineer: 1")
    applied = await as_("olga").put("/v1/policy", params={"name": "new.yaml"}, content=text)
    assert applied.status_code == 200
    assert applied.json()["name"] == "new.yaml"
    assert applied.json()["applied_by"] == "olga", "who reads sees a name; an opaque id stands in the books"
    assert applied.json()["applied_at"] == iso(NOON)
    assert applied.json()["hash"] == hashlib.sha256(text.encode()).hexdigest()
    with service.store.reading() as books:
        kept = books.control.policies()[0]
    assert (kept.hash, kept.applied_at, kept.applied_by) == (
        applied.json()["hash"],
        NOON,
        engineer_id(service, "olga"),
    )
    assert (await as_("ada").get("/v1/policy")).json()["text"] == text
    assert len((await as_("ada").get("/v1/policies")).json()["items"]) == 2
    await as_("ada").post("/v1/workloads", json=JOB)
    full = await as_("ada").post("/v1/workloads", json=JOB)
    assert (full.status_code, full.json()["code"]) == (429, "queue-full")
    assert service.world.require_policy().hash == applied.json()["hash"]


BOMB = b"a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n"


@pytest.mark.parametrize(
    "content", [b"", b"\x00", b"{", BOMB, b"version: 2\n", b"x" * 1_100_000], ids=lambda b: b[:8]
)
async def test_a_policy_that_is_none_is_refused_and_the_old_one_stays(as_: Client, content: bytes) -> None:
    before = (await as_("ada").get("/v1/policy")).json()["hash"]
    answer = await as_("olga").put("/v1/policy", params={"name": "bad.yaml"}, content=content)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid-policy")
    assert "bad.yaml:" in answer.json()["detail"]
    assert (await as_("ada").get("/v1/policy")).json()["hash"] == before


async def test_whatever_is_wrong_with_a_policy_is_listed_with_its_place(as_: Client) -> None:
    content = b"version: 2\nperiod: fortnight\n"
    answer = (await as_("olga").put("/v1/policy", params={"name": "bad.yaml"}, content=content)).json()
    places = [(each["code"], each["where"]) for each in answer["errors"]]
    assert ("invalid-policy", "bad.yaml:2:9") in places
    assert answer["detail"].splitlines() == [f"{each['where']}: {each['detail']}" for each in answer["errors"]]


async def test_ten_megabytes_of_policy_are_not_read(as_: Client) -> None:
    answer = await as_("olga").put("/v1/policy", params={"name": "big.yaml"}, content=b"# " * 5_000_000)
    assert (answer.status_code, answer.json()["code"]) == (413, "body-too-large")


async def test_policies_and_people_are_applied_by_those_who_may(as_: Client) -> None:
    for path in ("/v1/policy", "/v1/people"):
        answer = await as_("ada").put(path, params={"name": "x"}, content=b"version: 1")
        assert (answer.status_code, answer.json()["code"]) == (403, "role-required")


async def test_people_are_matched_by_subject(as_: Client, service: Service) -> None:
    before = engineer_id(service, "ada")
    text = (
        "version: 1\nengineers:\n"
        "  - {subject: ada, name: Ada L., team: research, tier: senior}\n"
        "  - {subject: new, team: apps, tier: intern}\n"
    )
    applied = await as_("pam").put("/v1/people", params={"name": "people.yaml"}, content=text)
    assert applied.json() == {"engineers": 2, "new": 1}
    assert engineer_id(service, "ada") == before
    found = {person["subject"]: person for person in (await as_("olga").get("/v1/people")).json()["items"]}
    assert (found["ada"]["tier"], found["new"]["roles"]) == ("senior", ["engineer"])
    bad = await as_("pam").put("/v1/people", params={"name": "p.yaml"}, content="version: 1\nengineers: 7\n")
    assert (bad.status_code, bad.json()["code"]) == (422, "invalid-directory")


async def test_a_brake_is_put_on_and_off_by_operators(as_: Client) -> None:
    olga = as_("olga")
    paused = await olga.put("/v1/brakes/preempt", json={"why": "rack 4 is drained"})
    assert (paused.status_code, paused.json()["by"]) == (200, "olga")
    shown = (await as_("ada").get("/v1/brakes")).json()["pauses"]
    assert [(pause["brake"], pause["why"]) for pause in shown] == [("preempt", "rack 4 is drained")]
    assert (await as_("ada").delete("/v1/brakes/preempt")).status_code == 403
    assert (await olga.delete("/v1/brakes/preempt")).status_code == 204
    assert (await as_("ada").get("/v1/brakes")).json()["pauses"] == []
    assert (await olga.put("/v1/brakes/everything", json={"why": "x"})).status_code == 422
    assert (await olga.put("/v1/brakes/launch", json={"why": ""})).status_code == 422


async def test_the_cluster_names_its_nodes_and_nobody(as_: Client) -> None:
    cluster = (await as_("ada").get("/v1/cluster")).json()
    assert (cluster["gpus"], len(cluster["nodes"]), cluster["is_simulated"]) == (32, 4, False)


async def test_what_was_done_stands_in_the_audit_log_with_its_request(as_: Client) -> None:
    headers = {"X-Request-Id": "my-request-1"}
    answer = await as_("fin").post("/v1/grants", json=GRANT, headers=headers)
    assert answer.headers["x-request-id"] == "my-request-1"
    events = (await as_("aud").get("/v1/audit", params={"limit": 1})).json()
    assert (events["items"][0]["verb"], events["items"][0]["actor"]) == ("grant", "fin")
    assert events["items"][0]["request_id"] == "my-request-1"
    older = (await as_("aud").get("/v1/audit", params={"limit": 1, "cursor": events["next_cursor"]})).json()
    assert older["items"][0]["seq"] < events["items"][0]["seq"]


async def test_a_request_id_that_could_forge_a_log_line_is_replaced(as_: Client) -> None:
    answer = await as_(None).get("/v1/me", headers={"X-Request-Id": "a b"})
    assert answer.headers["x-request-id"].startswith("r-")
    assert answer.json()["request_id"] == answer.headers["x-request-id"]


async def test_what_is_nowhere_is_a_problem_too(as_: Client) -> None:
    nowhere = await as_("ada").get("/v1/nowhere")
    assert (nowhere.status_code, nowhere.json()["code"]) == (404, "unknown-address")
    method = await as_("ada").delete("/v1/workloads")
    assert (method.status_code, method.json()["code"]) == (405, "method-not-allowed")
    assert method.headers["allow"]


async def test_a_problems_type_leads_to_its_meaning(as_: Client) -> None:
    problem = (await as_(None).get("/v1/me")).json()
    meaning = (await as_(None).get(problem["type"])).json()
    assert (meaning["code"], meaning["status"]) == ("unauthenticated", 401)
    assert (await as_(None).get("/v1/problems/none")).status_code == 404


async def test_health_and_readiness_need_no_token(as_: Client) -> None:
    assert (await as_(None).get("/livez")).json() == {"is_alive": True, "stuck": []}
    health = (await as_(None).get("/healthz")).json()
    assert (health["is_ok"], health["is_simulated"]) == (True, False)
    ready = await as_(None).get("/readyz")
    assert (ready.status_code, ready.json()["is_ready"]) == (200, True)


async def test_a_cluster_that_does_not_answer_is_told_while_requests_are_served(
    as_: Client, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def told() -> tuple[int, str, bool]:
        ready, metrics = await as_(None).get("/readyz"), (await as_(None).get("/metrics")).text
        return ready.status_code, ready.json()["cluster"], 'allot_cluster_reachable{simulated="false"} 1.0' in metrics

    assert await told() == (200, "", True)
    monkeypatch.setattr(service.cluster, "is_reachable", False, raising=False)
    away = "the cluster does not answer: nothing is launched or stopped until it does"
    assert await told() == (200, away, False)


async def test_a_database_that_is_gone_is_not_ready(as_: Client, service: Service) -> None:
    client = as_(None)
    service.store.close()
    ready = await client.get("/readyz")
    assert (ready.status_code, ready.json()["is_ready"]) == (503, False)
    assert ready.json()["database"]


async def test_metrics_are_sums_with_a_label_for_what_is_simulated(as_: Client) -> None:
    await as_("ada").post("/v1/workloads", json=JOB)
    text = (await as_(None).get("/metrics")).text
    assert 'allot_workloads{simulated="false",state="queued"} 1.0' in text
    assert 'allot_queued_workloads{reason="Submitted",simulated="false"} 1.0' in text
    assert 'allot_gpus{gpu_class="H100",simulated="false",state="capacity"} 32.0' in text
    assert "ada" not in text


async def test_what_would_have_been_done_is_read_by_operators_and_by_whom_it_concerns(
    service: Service, as_: Client
) -> None:
    assert (await as_("olga").get("/v1/observed")).json() == {"is_observing": False, "open_counts": {}, "items": []}
    feed = service.world.observed = ObservedOnly()
    owner = engineer_id(service, "ada")
    found = Found(
        WorkloadId("w-1"), "train", owner, 8, "Would have launched 8 × H100 on n1, holding 4.0 h.", 14_400_000
    )
    feed.note(Would.LAUNCH, [found], NOON)
    seen = {name: (await as_(name).get("/v1/observed")).json() for name in ("olga", "ada", "bob")}
    assert [len(body["items"]) for body in seen.values()] == [1, 1, 0]
    (item,) = seen["ada"]["items"]
    assert (item["would"], item["workload_name"], item["held_hours"], item["until"]) == (
        "launch",
        "train",
        "4.0",
        None,
    )
    assert seen["bob"]["open_counts"]["launch"] == 1
    assert (await as_("olga").get("/v1/observed?after_seq=1")).json()["items"] == []
