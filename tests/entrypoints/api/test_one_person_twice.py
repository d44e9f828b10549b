"""One person is not two: neither by a second token, nor by entering the directory in between."""

import pytest

from scheduler.domain.people import Engineer, Role
from scheduler.domain.units import MS_PER_HOUR, EngineerId, TeamName, TierName
from scheduler.entrypoints.api.auth import hash_of
from scheduler.entrypoints.running import Service
from tests.entrypoints.api.conftest import Client
from tests.entrypoints.company import NOON, SYSTEM, token_of
from tests.entrypoints.two_persons import AS_SHIPPED, RAISED, want_two_persons
from tests.entrypoints.written import rows

DECIDES = frozenset({Role.FINANCE, Role.OPERATOR})
GRANT = {"holder_kind": "engineer", "holder": "ada", "amount_ms": MS_PER_HOUR, "reason": "x"}


@pytest.fixture
def two(service: Service) -> Service:
    """Tokens of somebody who is not in the directory yet, and a second token of fin; then two persons are wanted."""
    issue = service.administration.issue_token
    issue(SYSTEM, "eve", DECIDES, hash_of(token_of("eve")), now=NOON)
    issue(SYSTEM, "fin", DECIDES, hash_of(token_of("fin-second")), now=NOON)
    want_two_persons(service)
    return service


async def enter(two: Service, as_: Client) -> None:
    """Eve enters the directory: a people file that two others agree on."""
    eve = Engineer(EngineerId(""), "eve", TeamName("apps"), TierName("staff"), "Eve", DECIDES)
    with two.store.writing() as books:
        books.people.save([Engineer(EngineerId("e-eve"), eve.subject, eve.team, eve.tier, eve.name, eve.roles)])
        people = books.people.all()
    two.world.put_people(people)
    two.clock.at = NOON + 10_000  # type: ignore[attr-defined]  # tokens are remembered for a moment


async def test_who_enters_the_directory_in_between_approves_nothing_of_their_own(two: Service, as_: Client) -> None:
    grant = (await as_("eve").post("/v1/grants", json=GRANT)).json()
    policy = (await as_("eve").put("/v1/policy", params={"name": "next.yaml"}, content=RAISED)).json()
    assert grant["asked_by"] == "eve"
    await enter(two, as_)
    before = rows(two.store)
    for made in (grant, policy):
        for verb, body in (("approve", {}), ("reject", {"reason": "x"})):
            refused = await as_("eve").post(f"/v1/approvals/{made['id']}/{verb}", json=body)
            assert (refused.status_code, refused.json()["code"]) == (403, "own-request")
    assert rows(two.store) == before
    assert (await as_("eve").post(f"/v1/approvals/{grant['id']}/withdraw")).json()["state"] == "withdrawn"


async def test_whoever_applied_the_policy_before_they_were_in_the_directory_decides_no_request(
    two: Service, as_: Client
) -> None:
    looser = AS_SHIPPED + "\n# eve was here\napprovals: {access: one-person}\n"
    made = (await as_("eve").put("/v1/policy", params={"name": "next.yaml"}, content=looser)).json()
    await as_("fin").post(f"/v1/approvals/{made['id']}/approve", json={})
    asked = (await as_("ada").post("/v1/requests", json={"kind": "hours", "amount_ms": 1, "reason": "x"})).json()
    await enter(two, as_)
    refused = await as_("eve").post(f"/v1/approvals/{asked['id']}/approve", json={})
    assert (refused.status_code, refused.json()["code"]) == (403, "self-benefit")


async def test_a_second_token_makes_no_second_person(two: Service, as_: Client) -> None:
    made = (await as_("fin").post("/v1/grants", json=GRANT)).json()
    refused = await as_("fin-second").post(f"/v1/approvals/{made['id']}/approve", json={})
    assert (refused.status_code, refused.json()["code"]) == (403, "own-request")
