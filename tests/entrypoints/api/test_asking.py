"""Asking with odd methods, headers and parameters: what HTTP promises holds, and what was mistyped is told."""

import pytest

from scheduler.domain.people import Role
from scheduler.entrypoints.api.auth import hash_of
from scheduler.entrypoints.running import Service
from tests.entrypoints.api.conftest import Client
from tests.entrypoints.company import JOB, NOON, SYSTEM, token_of


@pytest.mark.parametrize(
    "path", ["/healthz", "/livez", "/metrics", "/v1/me", "/v1/statement?owner=ada", "/v1/nothing"]
)
async def test_head_is_get_without_the_body(as_: Client, path: str) -> None:
    """Probes of load balancers ask so."""
    ada = as_("ada")
    got, head = await ada.get(path), await ada.head(path)
    assert (head.status_code, head.content) == (got.status_code, b"")
    kept = ("content-type", "cache-control", "x-content-type-options")
    assert [head.headers.get(name) for name in kept] == [got.headers.get(name) for name in kept]


async def test_head_changes_nothing_where_only_post_would(as_: Client) -> None:
    assert (await as_("ada").head("/v1/grants")).status_code == 405


async def test_an_amount_that_stands_there_twice_is_none(as_: Client) -> None:
    """RFC 8259 lets a reader take either: who checks the first on the way would not check what is granted."""
    body = b'{"holder_kind": "engineer", "holder": "ada", "amount_ms": 7, "amount_ms": 9, "reason": "twice"}'
    made = await as_("fin").post("/v1/grants", content=body, headers={"Content-Type": "application/json"})
    assert (made.status_code, made.json()["code"]) == (422, "invalid-value")
    assert "the key 'amount_ms' stands there twice" in made.json()["detail"]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32"])
async def test_a_body_in_another_encoding_than_utf_8_is_told_of_it(as_: Client, encoding: str) -> None:
    """What checks bodies on the way reads UTF-8, as RFC 8259 has it, and would see nothing in it."""
    body = '{"name": "train"}'.encode(encoding)
    answer = await as_("ada").post("/v1/workloads", content=body, headers={"Content-Type": "application/json"})
    problem = answer.json()
    assert (answer.status_code, problem["where"], problem["expected"]) == (
        422,
        "body",
        "JSON in UTF-8, not deeply nested",
    )


async def test_an_address_with_a_slash_behind_it_is_none_and_leads_nowhere(as_: Client) -> None:
    """It led to whatever host the request named."""
    answer = await as_("ada").get("/v1/workloads/", headers={"Host": "elsewhere.example"})
    assert (answer.status_code, answer.json()["code"]) == (404, "unknown-address")
    assert "location" not in answer.headers


@pytest.mark.parametrize("media_type", ["text/plain", "application/x-www-form-urlencoded", "application/yaml", ""])
async def test_a_body_that_does_not_say_that_it_is_json_is_told_what_to_say(as_: Client, media_type: str) -> None:
    """`curl -d` alone calls it a form."""
    answer = await as_("ada").post("/v1/workloads", content=b"{}", headers={"Content-Type": media_type})
    problem = answer.json()
    assert (answer.status_code, problem["where"]) == (422, "Content-Type")
    assert problem["expected"] == "Content-Type: application/json"


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/v1/statement?perod=2026-W47", "one of owner, period"),
        ("/v1/workloads?stat=queued", "one of cursor, limit, owner, state, team"),
        ("/v1/me?verbose=1", "no parameter"),
        ("/v1/me?=", "no parameter"),
    ],
)
async def test_a_parameter_that_a_route_does_not_have_is_refused(as_: Client, path: str, expected: str) -> None:
    answer = await as_("ada").get(path)
    problem = answer.json()
    assert (answer.status_code, problem["code"], problem["expected"]) == (422, "invalid-value", expected)
    assert problem["where"] == (path.partition("?")[2].partition("=")[0] or "query")


@pytest.mark.parametrize("asked", ["owner=ada&owner=bao", "owner=ada&owner=ada", "state=queued&limit=1&limit=2"])
async def test_a_parameter_of_one_value_is_given_once(as_: Client, asked: str) -> None:
    answer = await as_("ada").get(f"/v1/workloads?{asked}")
    problem = answer.json()
    name = "limit" if "limit" in asked else "owner"
    assert (answer.status_code, problem["code"], problem["where"]) == (422, "invalid-value", name)
    assert (problem["detail"], problem["expected"]) == (f"{name} stands there twice", "it once")


@pytest.mark.parametrize("number", ["1_0", "%201", "1%20", "+1", "1.0", "%D9%A1", "%C2%B2", "", "1e1", "9" * 20])
async def test_a_parameter_that_is_a_number_is_written_in_digits_alone(as_: Client, number: str) -> None:
    answer = await as_("ada").get(f"/v1/workloads?limit={number}")
    problem = answer.json()
    assert (answer.status_code, problem["code"], problem["where"]) == (422, "invalid-value", "limit")
    assert problem["expected"] == "a whole number of at most 19 digits"
    assert (await as_("ada").get("/v1/workloads?limit=010")).status_code == 200


async def test_a_parameter_of_several_values_is_given_several_times(as_: Client) -> None:
    assert (await as_("ada").get("/v1/workloads?state=queued&state=running")).status_code == 200


async def test_who_has_no_token_learns_of_no_parameter(as_: Client) -> None:
    assert (await as_(None).get("/v1/statement?perod=2026-W47")).status_code == 401


async def test_the_token_that_lies_on_a_node_reads_and_submits_nothing(as_: Client, service: Service) -> None:
    service.administration.issue_token(
        SYSTEM, "node:n-1", frozenset({Role.AGENT}), hash_of(token_of("n-1")), now=NOON
    )
    agent = as_("n-1")
    for path in ("/v1/queue", "/v1/cluster", "/v1/policy", "/v1/prices", "/v1/verdicts"):
        answer = await agent.get(path)
        assert (answer.status_code, answer.json()["code"]) == (403, "role-required")
    assert (await agent.post("/v1/workloads", json=JOB)).status_code == 403
    assert (await agent.get("/v1/me")).json()["roles"] == ["agent"]


@pytest.mark.parametrize("period", ["9999-12", "9999", "9999-12-31", "9999-W52", "0001-01", "0001-01-01/9999-12-31"])
async def test_a_period_at_the_end_of_the_calendar_is_refused(as_: Client, period: str) -> None:
    answer = await as_("fin").get("/v1/finance/month", params={"period": period})
    assert (answer.status_code, answer.json()["where"]) == (422, "period")


@pytest.mark.parametrize(
    "instant", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59Z", "9999-12-31T23:59:59-12:00"]
)
async def test_an_instant_at_the_end_of_the_calendar_is_refused(as_: Client, instant: str) -> None:
    body = {"amount_ms": 1000, "holder": "ada", "holder_kind": "engineer", "reason": "x", "expires_at": instant}
    answer = await as_("fin").post("/v1/grants", json=body)
    assert (answer.status_code, answer.json()["where"]) == (422, "expires_at")
    asked = {"gpu_class": "H100", "pool": "research", "at": instant}
    answer = await as_("fin").get("/v1/prices/hour", params=asked)
    assert (answer.status_code, answer.json()["where"]) == (422, "at")


@pytest.mark.parametrize(
    ("who", "path", "body", "where", "one_of"),
    [
        ("fin", "/v1/grants", {"holder_kind": "team", "holder": "x", "amount_ms": 1}, "holder", "research"),
        ("fin", "/v1/grants", {"holder_kind": "project", "holder": "x", "amount_ms": 1}, "holder", "atlas"),
        ("ada", "/v1/transfers", {"allowance": "a", "quantity": 1, "to_kind": "team", "to": "x"}, "to", "research"),
    ],
)
async def test_who_names_a_holder_that_is_not_there_is_told_which_field_and_who_is(
    as_: Client, who: str, path: str, body: dict[str, object], where: str, one_of: str
) -> None:
    problem = (await as_(who).post(path, json={**body, "reason": "a try"})).json()
    assert (problem["status"], problem["where"]) == (422, where)
    assert problem["expected"].startswith("one of ")
    assert one_of in problem["expected"]


async def test_a_cursor_of_another_list_is_told_to_be_one(as_: Client) -> None:
    problem = (await as_("ada").get("/v1/workloads", params={"cursor": "MTo0MzM"})).json()
    assert (problem["code"], problem["where"]) == ("invalid-cursor", "cursor")
    assert (problem["detail"], problem["remedy"]) == ("the cursor belongs to another list", "begin without a cursor")
