"""Who asks: tokens, sessions, roles; and pages of other sites."""

import asyncio

import pytest

from scheduler.domain.units import MS_PER_DAY, Instant
from scheduler.entrypoints.api.auth import REMEMBERED_SECONDS, SESSION_COOKIE, hash_of, new_token
from scheduler.entrypoints.running import Service
from tests.entrypoints.api.conftest import Client
from tests.entrypoints.company import JOB, NOON, SYSTEM, token_of

PATHS = (
    ("GET", "/v1/workloads"),
    ("POST", "/v1/workloads"),
    ("GET", "/v1/workloads/w-1"),
    ("GET", "/v1/workloads/w-1/explain"),
    ("POST", "/v1/workloads/w-1/cancel"),
    ("POST", "/v1/sandboxes"),
    ("GET", "/v1/sandboxes/w-1/connect"),
    ("GET", "/v1/balance"),
    ("GET", "/v1/allowances"),
    ("GET", "/v1/statement?period=2026-11"),
    ("POST", "/v1/grants"),
    ("GET", "/v1/cluster"),
    ("GET", "/v1/queue"),
    ("GET", "/v1/verdicts"),
    ("GET", "/v1/audit"),
    ("GET", "/v1/policy"),
    ("PUT", "/v1/policy?name=p"),
    ("GET", "/v1/policies"),
    ("GET", "/v1/people"),
    ("PUT", "/v1/people?name=p"),
    ("GET", "/v1/me"),
    ("GET", "/v1/brakes"),
    ("PUT", "/v1/brakes/launch"),
    ("DELETE", "/v1/brakes/launch"),
    ("POST", "/v1/tokens"),
    ("GET", "/v1/finance/month"),
)


@pytest.mark.parametrize(("method", "path"), PATHS)
async def test_nothing_is_answered_without_a_token(as_: Client, method: str, path: str) -> None:
    answer = await as_(None).request(method, path)
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")
    assert answer.headers["www-authenticate"].startswith("Bearer")


@pytest.mark.parametrize(
    "header", ["", "Bearer", "Bearer ", "Bearer x", "Basic YTpi", "Bearer " + "a" * 5000, "Bearer 'or 1=1--oooooooo"]
)
async def test_a_header_that_carries_no_token_of_ours_is_no_sign_in(as_: Client, header: str) -> None:
    answer = await as_(None).get("/v1/me", headers={"Authorization": header})
    assert answer.status_code == 401


async def test_two_tokens_are_none(as_: Client) -> None:
    """Which of them counts, readers differ in."""
    ada, bao = (f"Bearer {token_of(name)}" for name in ("ada", "bao"))
    for first, second in ((ada, bao), (bao, ada), (ada, ada)):
        headers = [("Authorization", first), ("Authorization", second)]
        assert (await as_(None).get("/v1/me", headers=headers)).status_code == 401


async def test_a_token_that_expired_is_answered_like_an_unknown_one(as_: Client, service: Service) -> None:
    token = new_token()
    expires_at = Instant(NOON + 1000)
    roles = SYSTEM.roles
    service.administration.issue_token(SYSTEM, "ada", roles, hash_of(token), now=NOON, expires_at=expires_at)
    headers = {"Authorization": f"Bearer {token}"}
    assert (await as_(None).get("/v1/me", headers=headers)).status_code == 200
    service.clock.at = Instant(NOON + int(REMEMBERED_SECONDS * 1000))  # type: ignore[attr-defined]  # the test's own clock
    expired = (await as_(None).get("/v1/me", headers=headers)).json()
    unknown = (await as_(None).get("/v1/me", headers={"Authorization": f"Bearer {new_token()}"})).json()
    assert {**expired, "request_id": ""} == {**unknown, "request_id": ""}


async def test_a_session_reads_and_our_own_pages_write(as_: Client) -> None:
    browser = as_(None)
    browser.cookies.set(SESSION_COOKIE, token_of("ada"))
    assert (await browser.get("/v1/me")).json()["subject"] == "ada"
    for headers in ({"Sec-Fetch-Site": "same-origin"}, {"Origin": "http://allot.test"}):
        assert (await browser.post("/v1/workloads", json=JOB, headers=headers)).status_code == 201


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "http://evil.test"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site", "Origin": "http://allot.test"},
    ],
)
async def test_another_sites_page_cannot_use_a_session(as_: Client, headers: dict[str, str]) -> None:
    browser = as_(None)
    browser.cookies.set(SESSION_COOKIE, token_of("ada"))
    answer = await browser.post("/v1/workloads", json=JOB, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (403, "cross-site")


async def test_a_bad_token_does_not_fall_back_on_the_session(as_: Client) -> None:
    browser = as_(None)
    browser.cookies.set(SESSION_COOKIE, token_of("ada"))
    assert (await browser.get("/v1/me", headers={"Authorization": "Bearer wrong-wrong-wrong"})).status_code == 401


async def test_a_token_is_issued_once_by_an_operator_and_works(as_: Client) -> None:
    issued = await as_("olga").post("/v1/tokens", json={"subject": "ada", "roles": ["engineer"]})
    assert issued.status_code == 201
    token = issued.json()["token"]
    me = (await as_(None).get("/v1/me", headers={"Authorization": f"Bearer {token}"})).json()
    assert (me["subject"], me["roles"]) == ("ada", ["engineer"])
    assert (await as_("ada").post("/v1/tokens", json={"subject": "ada", "roles": ["finance"]})).status_code == 403


async def test_the_same_key_again_issues_no_second_token_and_shows_the_first_no_second_time(
    service: Service, as_: Client
) -> None:
    """A lost answer left a token that nobody held and nobody could name."""
    body = {"subject": "bob", "roles": ["engineer"], "expires_at": "2026-12-01T00:00:00Z"}
    key = {"Idempotency-Key": "for-bob"}
    made = await asyncio.gather(*(as_("olga").post("/v1/tokens", json=body, headers=key) for _ in range(8)))
    assert {answer.status_code for answer in made} == {201}
    (shown,) = [answer.json()["token"] for answer in made if answer.json()["token"] is not None]
    (token_id,) = {answer.json()["id"] for answer in made}
    listed = (await as_("olga").get("/v1/tokens")).json()["items"]
    (known,) = [each for each in listed if each["subject"] == "bob" and each["expires_at"]]
    assert known["id"] == token_id

    service.clock.at = NOON + 30 * MS_PER_DAY  # type: ignore[attr-defined]
    late = (await as_("olga").post("/v1/tokens", json=body, headers=key)).json()
    assert (late["id"], late["token"]) == (token_id, None), "also once it has expired"
    other = await as_("olga").post("/v1/tokens", json=body | {"subject": "ada"}, headers=key)
    assert (other.status_code, other.json()["code"]) == (409, "idempotency-conflict")
    assert (await as_("olga").delete(f"/v1/tokens/{token_id}")).is_success
    me = await as_(None).get("/v1/me", headers={"Authorization": f"Bearer {shown}"})
    assert me.status_code == 401


async def test_a_token_that_is_past_its_end_is_not_issued(as_: Client) -> None:
    body = {"subject": "ada", "roles": ["engineer"], "expires_at": "2020-01-01T00:00:00Z"}
    answer = await as_("olga").post("/v1/tokens", json=body)
    assert (answer.status_code, answer.json()["where"]) == (422, "expires_at")


async def test_without_a_demo_nobody_becomes_anybody(as_: Client) -> None:
    answer = await as_(None).post("/v1/demo/tokens", json={"subject": "ada"})
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")


def test_new_tokens_differ_and_are_stored_as_hashes() -> None:
    tokens = {new_token() for _ in range(100)}
    assert len(tokens) == 100
    assert all(token.startswith("allot_") and len(hash_of(token)) == 64 for token in tokens)


async def test_a_revoked_token_is_good_for_no_more_than_a_moment(as_: Client, service: Service) -> None:
    ada = as_("ada")
    assert (await ada.get("/v1/me")).status_code == 200
    with service.store.writing() as books:
        books.people.revoke_token(hash_of(token_of("ada")))
    service.clock.at = Instant(NOON + int(REMEMBERED_SECONDS * 1000))  # type: ignore[attr-defined]  # the test's own clock
    assert (await ada.get("/v1/me")).status_code == 401
