"""Whoever decides reads what a proposal would bring coverage to, before it takes effect."""

from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from scheduler.domain.people import Caller, Role
from scheduler.domain.units import MS_PER_HOUR
from scheduler.entrypoints.running import Service
from tests.entrypoints.api.conftest import Client
from tests.entrypoints.company import NOON
from tests.entrypoints.two_persons import RAISED, want_two_persons

HOURS = 20_000 * MS_PER_HOUR
GRANT_OF_TOKENS = {"holder_kind": "engineer", "holder": "ada", "quantity": 9_000, "unit": "tokens", "reason": "x"}
GRANT = {"holder_kind": "team", "holder": "research", "reason": "x", "gpu_classes": ["H100"]}
PACKAGE = {"holder": "ada", "kind": "signing", "reason": "the offer", "quantity": HOURS, "gpu_classes": ["H100"]}
PARTS = [{"at": "2028-03-05T23:00:00Z", "quantity": HOURS}]
MORE_PEOPLE = "version: 1\nengineers:\n" + "".join(
    f"- {{subject: new-{number}, name: X, team: research, tier: senior}}\n" for number in range(12)
)
WEEK, LATER = "2026-W47", "2028-W10"

SECOND = Caller("second", frozenset({Role.FINANCE, Role.OPERATOR, Role.PEOPLE}))

Ask = Callable[[Client], Awaitable[httpx.Response]]


async def grant(as_: Client) -> httpx.Response:
    body = GRANT | {"amount_ms": HOURS, "expires_at": "2026-11-22T23:00:00Z"}
    return await as_("fin").post("/v1/grants", json=body)


async def package(as_: Client) -> httpx.Response:
    body = PACKAGE | {"parts": PARTS, "expires_at": "2028-03-19T23:00:00Z"}
    return await as_("pam").post("/v1/grants/compensation", json=body)


async def policy(as_: Client) -> httpx.Response:
    return await as_("olga").put("/v1/policy", params={"name": "next.yaml"}, content=RAISED)


async def people(as_: Client) -> httpx.Response:
    return await as_("pam").put("/v1/people", params={"name": "people.yaml"}, content=MORE_PEOPLE)


async def more_hours(as_: Client) -> httpx.Response:
    body = {"kind": "hours", "quantity": HOURS, "gpu_class": "H100", "reason": "x"}
    return await as_("ada").post("/v1/requests", json=body)


async def other_class(as_: Client) -> httpx.Response:
    own = (await as_("ines").get("/v1/balance")).json()["allowances"]
    mine = next(each["id"] for each in own if each["id"].startswith("tier/"))
    body = {"kind": "class", "allowance": mine, "gpu_class": "H100", "reason": "too large"}
    return await as_("ines").post("/v1/requests", json=body)


async def tokens(as_: Client) -> httpx.Response:
    return await as_("fin").post("/v1/grants", json=GRANT_OF_TOKENS)


ASKED: dict[str, tuple[Ask, str, str]] = {
    "a grant": (grant, "H100", WEEK),
    "a package that vests in years": (package, "H100", LATER),
    "a policy": (policy, "H100", ""),
    "people": (people, "H100", ""),
    "more hours": (more_hours, "H100", WEEK),
    "another class": (other_class, "H100", WEEK),
}


async def shown(as_: Client, who: str, name: str) -> dict[str, dict[str, Any]]:
    found = (await as_(who).get(f"/v1/approvals/{name}")).json()["coverage"]
    return {each["gpu_class"]: each for each in found}


async def ratio(as_: Client, gpu_class: str, period: str) -> int:
    found = (await as_("fin").get("/v1/coverage", params={"period": period})).json()["classes"]
    return next(int(each["ratio_per_mille"]) for each in found if each["gpu_class"] == gpu_class)


@pytest.mark.parametrize("what", ASKED)
async def test_what_is_shown_before_is_what_there_is_afterwards(service: Service, as_: Client, what: str) -> None:
    want_two_persons(service)
    ask, gpu_class, period = ASKED[what]
    asked = await ask(as_)
    assert asked.status_code in {201, 202}, asked.text
    name = asked.json()["id"]
    before = await shown(as_, "aud", name)
    found = before[gpu_class]
    assert found["ratio_before_per_mille"] == await ratio(as_, gpu_class, found["period"])
    assert found["ratio_after_per_mille"] > found["ratio_before_per_mille"]
    assert period in {"", found["period"]}
    service.approvals.approve(SECOND, name, now=NOON)
    for each in before.values():
        assert each["ratio_after_per_mille"] == await ratio(as_, each["gpu_class"], each["period"])
    assert await shown(as_, "aud", name) == {}, "what was decided waits no more"


async def test_a_grant_of_one_class_changes_no_other_and_one_of_tokens_none(service: Service, as_: Client) -> None:
    want_two_persons(service)
    assert [each["gpu_class"] for each in (await grant(as_)).json()["coverage"]] == ["H100"]
    assert (await tokens(as_)).json()["coverage"] == []


async def test_who_may_not_see_coverage_reads_none_of_their_own_request(service: Service, as_: Client) -> None:
    name = (await more_hours(as_)).json()["id"]
    assert await shown(as_, "ada", name) == {}
    assert list(await shown(as_, "fin", name)) == ["H100"]


@pytest.mark.parametrize("what", [what for what in ASKED if what not in {"a policy", "people"}])
async def test_a_list_tells_of_the_fullest_class_what_the_proposal_itself_does(
    service: Service, as_: Client, what: str
) -> None:
    want_two_persons(service)
    for _ in range(2):
        name = (await ASKED[what][0](as_)).json()["id"]
        itself = (await shown(as_, "aud", name)).values()
        listed = (await as_("aud").get("/v1/approvals", params={"waiting": "true"})).json()["items"]
        (most,) = next(each["coverage"] for each in listed if each["id"] == name)
        assert most in itself
        assert most["ratio_after_per_mille"] == max(each["ratio_after_per_mille"] for each in itself)
        await as_("fin").post("/v1/grants", json=GRANT | {"amount_ms": 1, "reason": "another waits"})
    asked = (await as_("ada").get("/v1/approvals")).json()["items"]
    assert [each["coverage"] for each in asked] == [[] for _ in asked], "coverage is for who may see it"
