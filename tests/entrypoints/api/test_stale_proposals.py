"""What waits and can never be approved any more says so wherever it is listed, and why; it is refused as ever."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from scheduler.domain.people import Role
from scheduler.domain.units import MS_PER_DAY
from scheduler.entrypoints.api.auth import hash_of
from scheduler.entrypoints.running import Service
from tests.entrypoints.api.conftest import Client
from tests.entrypoints.api.test_proposed_coverage import GRANT_OF_TOKENS, PARTS
from tests.entrypoints.api.test_rights_wait import BOB_LEADS, people
from tests.entrypoints.company import NOON, SYSTEM, token_of
from tests.entrypoints.two_persons import LOWERED, RAISED, want_two_persons

Act = Callable[[Client], Awaitable[Any]]
SOON = "2026-11-20T13:00:00Z"


async def policy(as_: Client) -> Any:
    return await as_("olga").put("/v1/policy", params={"name": "next.yaml"}, content=RAISED)


async def another_policy(as_: Client) -> Any:
    return await as_("olga").put("/v1/policy", params={"name": "less.yaml"}, content=LOWERED)


async def people_file(as_: Client) -> Any:
    return await as_("olga").put("/v1/people", params={"name": "people.yaml"}, content=people(BOB_LEADS))


async def another_people_file(as_: Client) -> Any:
    lea = people("subject: lea, team: research, tier: senior")
    return await as_("olga").put("/v1/people", params={"name": "lea.yaml"}, content=lea)


async def token(as_: Client) -> Any:
    body = {"subject": "bob", "roles": ["engineer"], "expires_at": SOON}
    return await as_("olga").post("/v1/tokens", json=body)


async def token_for_good(as_: Client) -> Any:
    return await as_("olga").post("/v1/tokens", json={"subject": "bob", "roles": ["engineer"]})


async def forget(as_: Client) -> Any:
    return await as_("olga").post("/v1/people/bob/forget")


async def grant(as_: Client) -> Any:
    return await as_("fin").post("/v1/grants", json=GRANT_OF_TOKENS | {"expires_at": SOON})


async def package(as_: Client) -> Any:
    body = {"holder": "ada", "reason": "x", "quantity": 5, "parts": [PARTS[0] | {"at": NOON_TOLD, "quantity": 5}]}
    return await as_("pam").post("/v1/grants/compensation", json=body | {"expires_at": SOON})


async def more(as_: Client) -> Any:
    return await as_("ada").post("/v1/requests", json={"kind": "hours", "quantity": 9, "until": SOON, "reason": "x"})


async def another_class(as_: Client) -> Any:
    own = (await as_("ines").get("/v1/balance")).json()["allowances"]
    mine = next(each["id"] for each in own if each["id"].startswith("tier/"))
    body = {"kind": "class", "allowance": mine, "gpu_class": "H100", "reason": "too large"}
    return await as_("ines").post("/v1/requests", json=body)


async def nothing(as_: Client) -> None:
    pass


NOON_TOLD = "2026-11-20T12:00:00Z"

WAITING: dict[str, tuple[Act, Act, str, str]] = {
    "a policy on another": (policy, another_policy, "fin", "it was proposed on top of "),
    "people of another directory": (people_file, another_people_file, "pam", "a directory that has changed since"),
    "a token that would have ended": (token, nothing, "pam", f"the token would have ended {SOON}"),
    "a token of who was forgotten": (token_for_good, forget, "pam", "the person that it is for was forgotten"),
    "a grant that would have ended": (grant, nothing, "olga", f"it would have ended {SOON}"),
    "a package that would have ended": (package, nothing, "peg", f"it would have ended {SOON}"),
    "hours that would have ended": (more, nothing, "fin", f"it would have ended {SOON}"),
    "of an allowance that has ended": (another_class, nothing, "fin", "ended 2026-11-22T23:00:00Z"),
}


def listed(answer: Any, name: str) -> dict[str, Any]:
    (found,) = [each for each in answer.json()["items"] if each["id"] == name]
    return dict(found)


@pytest.mark.parametrize("what", WAITING)
async def test_what_can_never_be_approved_any_more_says_so_and_why(service: Service, as_: Client, what: str) -> None:
    service.administration.issue_token(SYSTEM, "peg", frozenset({Role.PEOPLE}), hash_of(token_of("peg")), now=NOON)
    want_two_persons(service)
    ask, meanwhile, who, why = WAITING[what]
    asked = await ask(as_)
    assert asked.status_code in {201, 202}, asked.text
    name = (asked.json().get("approval") or asked.json())["id"]
    waiting = {"waiting": "true"}
    assert listed(await as_("aud").get("/v1/approvals", params=waiting), name)["stale"] == ""

    await meanwhile(as_)
    service.clock.at = NOON + 5 * MS_PER_DAY  # type: ignore[attr-defined]
    found = listed(await as_("aud").get("/v1/approvals", params=waiting), name)
    assert why in found["stale"]
    assert (await as_("aud").get(f"/v1/approvals/{name}")).json()["stale"] == found["stale"]
    refused = await as_(who).post(f"/v1/approvals/{name}/approve", json={})
    assert refused.status_code in {409, 422}, refused.text
    page = (await as_(who).get(f"/requests/{name}")).text
    assert "It can no longer be approved: " in page
    assert f'action="/requests/{name}/approve"' not in page

    said = await as_(who).post(f"/v1/approvals/{name}/reject", json={"reason": "too late"})
    assert (said.status_code, said.json()["state"], said.json()["stale"]) == (200, "rejected", "")
