"""Leaderboards over the API: opt-in, seen by those who stand on them."""

from scheduler.entrypoints.running import Service
from tests.entrypoints.api.conftest import Client
from tests.entrypoints.company import NOON, SYSTEM


async def test_nobody_stands_on_it_who_did_not_join(as_: Client) -> None:
    refused = await as_("ada").get("/v1/leaderboard")
    assert (refused.status_code, refused.json()["code"]) == (403, "not-yours")
    assert (await as_("ada").put("/v1/leaderboard/me")).status_code == 204
    found = (await as_("ada").get("/v1/leaderboard")).json()
    assert (found["group"], found["name"], found["is_member"]) == ("team", "research", True)
    assert [each["name"] for each in found["standings"]] == ["Ada"]
    assert found["people"] > 1


async def test_it_is_for_those_who_joined_and_the_lead(as_: Client) -> None:
    await as_("ada").put("/v1/leaderboard/me")
    assert (await as_("bob").get("/v1/leaderboard")).status_code == 403
    assert (await as_("fin").get("/v1/leaderboard", params={"team": "research"})).status_code == 403
    assert (await as_("lea").get("/v1/leaderboard")).json()["is_member"] is False
    await as_("bob").put("/v1/leaderboard/me")
    tier = (await as_("bob").get("/v1/leaderboard", params={"tier": "engineer", "by": "efficiency"})).json()
    assert sorted(each["name"] for each in tier["standings"]) == ["Ada", "Bob"]
    assert (await as_("bob").get("/v1/leaderboard", params={"tier": "staff"})).status_code == 403
    both = await as_("bob").get("/v1/leaderboard", params={"tier": "engineer", "team": "research"})
    assert both.status_code == 422


async def test_who_leaves_or_is_forgotten_is_gone_from_it(service: Service, as_: Client) -> None:
    for who in ("ada", "bob", "ines"):
        await as_(who).put("/v1/leaderboard/me")
    await as_("bob").delete("/v1/leaderboard/me")
    service.access.forget(SYSTEM, "ines", now=NOON)
    found = (await as_("ada").get("/v1/leaderboard")).json()
    assert [each["name"] for each in found["standings"]] == ["Ada"]
    log = (await as_("aud").get("/v1/audit")).json()["items"]
    assert {event["verb"] for event in log} >= {"join leaderboard", "leave leaderboard"}
    assert (await as_("bob").get("/v1/leaderboard")).status_code == 403
