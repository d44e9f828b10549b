"""Balances, pace and explanations are pay data: who may see whose."""

import pytest

from scheduler.domain.people import Role
from scheduler.entrypoints.api.auth import hash_of
from scheduler.entrypoints.running import Service
from tests.entrypoints.api.conftest import Client
from tests.entrypoints.company import JOB, NOON, SYSTEM, engineer_id, token_of

PRIVATE = ("/v1/balance", "/v1/allowances", "/v1/statement?period=2026-W47")


@pytest.mark.parametrize("path", PRIVATE)
async def test_everybody_sees_their_own(as_: Client, path: str) -> None:
    assert (await as_("ada").get(path)).status_code == 200


@pytest.mark.parametrize("path", PRIVATE)
@pytest.mark.parametrize("subject", ["ada", "lea", "olga"])
async def test_nobody_of_the_team_or_the_platform_sees_anothers(as_: Client, subject: str, path: str) -> None:
    answer = await as_(subject).get(path, params={"owner": "bob"} | _query(path))
    assert (answer.status_code, answer.json()["code"]) == (403, "not-yours")


@pytest.mark.parametrize("path", PRIVATE)
@pytest.mark.parametrize("subject", ["fin", "pam", "aud"])
async def test_finance_people_and_auditors_see_everybodys(as_: Client, subject: str, path: str) -> None:
    assert (await as_(subject).get(path, params={"owner": "bob"} | _query(path))).status_code == 200


async def test_asking_for_somebody_tells_an_engineer_nothing_about_who_there_is(as_: Client) -> None:
    known = await as_("ada").get("/v1/balance", params={"owner": "bob"})
    unknown = await as_("ada").get("/v1/balance", params={"owner": "nobody"})
    assert known.status_code == unknown.status_code == 403
    assert known.json()["detail"] == unknown.json()["detail"]


async def test_anothers_workload_does_not_exist(as_: Client) -> None:
    workload_id = (await as_("bob").post("/v1/workloads", json=JOB)).json()["id"]
    for method, path in (
        ("GET", ""),
        ("GET", "/explain"),
        ("POST", "/cancel"),
        ("POST", "/checkpoint"),
    ):
        answer = await as_("ada").request(method, f"/v1/workloads/{workload_id}{path}")
        assert (answer.status_code, answer.json()["code"]) == (404, "unknown-workload")
    assert (await as_("bob").get(f"/v1/workloads/{workload_id}")).json()["state"] == "queued"


async def test_an_explanation_read_by_an_operator_names_no_allowance(as_: Client) -> None:
    workload_id = (await as_("bob").post("/v1/workloads", json=JOB)).json()["id"]
    assert (await as_("bob").get(f"/v1/workloads/{workload_id}/explain")).json()["payers"]
    assert (await as_("olga").get(f"/v1/workloads/{workload_id}/explain")).json()["payers"] == []


async def test_the_queue_names_no_person_to_an_engineer(as_: Client) -> None:
    await as_("bob").post("/v1/workloads", json=JOB)
    for workload in (await as_("ada").get("/v1/queue")).json()["items"]:
        assert workload["owner_name"] == ""


async def test_a_lead_lists_the_team_and_an_engineer_only_themselves(as_: Client) -> None:
    for subject in ("ada", "bob"):
        await as_(subject).post("/v1/workloads", json=JOB)
    assert len((await as_("lea").get("/v1/workloads")).json()["items"]) == 2
    assert len((await as_("ada").get("/v1/workloads")).json()["items"]) == 1
    assert len((await as_("ada").get("/v1/workloads", params={"team": "research"})).json()["items"]) == 1


async def test_a_lead_lists_the_work_of_one_of_the_team_and_of_no_other_team(as_: Client) -> None:
    for subject in ("ada", "bob"):
        await as_(subject).post("/v1/workloads", json=JOB)
    listed = (await as_("lea").get("/v1/workloads", params={"owner": "bob"})).json()["items"]
    assert len(listed) == 1
    answer = await as_("lea").get("/v1/workloads", params={"team": "platform"})
    assert (answer.status_code, answer.json()["where"]) == (403, "team")


async def test_a_lead_of_no_team_lists_nobodys_work(as_: Client, service: Service) -> None:
    """A token may have a role without anybody in the directory behind it, and its person may have left."""
    service.administration.issue_token(SYSTEM, "bot", frozenset({Role.LEAD}), hash_of(token_of("bot")), now=NOON)
    await as_("ada").post("/v1/workloads", json=JOB)
    answer = await as_("bot").get("/v1/workloads")
    assert (answer.status_code, answer.json()["code"]) == (403, "not-yours")


async def test_asking_for_somebody_of_another_team_tells_a_lead_nothing_about_who_there_is(as_: Client) -> None:
    known = await as_("lea").get("/v1/balance", params={"owner": "pam"})
    unknown = await as_("lea").get("/v1/balance", params={"owner": "nobody"})
    assert known.status_code == unknown.status_code == 403
    assert known.json()["detail"] == unknown.json()["detail"]


async def test_an_owner_can_be_named_by_subject_or_by_id(as_: Client, service: Service) -> None:
    by_subject = await as_("fin").get("/v1/balance", params={"owner": "ada"})
    by_id = await as_("fin").get("/v1/balance", params={"owner": engineer_id(service, "ada")})
    assert by_subject.json() == by_id.json()


@pytest.mark.parametrize("subject", ["ada", "bob", "ines"])
async def test_the_directory_the_audit_log_and_the_month_are_not_for_engineers(as_: Client, subject: str) -> None:
    for path in ("/v1/people", "/v1/audit", "/v1/finance/month"):
        answer = await as_(subject).get(path)
        assert (answer.status_code, answer.json()["code"]) == (403, "role-required")


def _query(path: str) -> dict[str, str]:
    return {"period": "2026-W47"} if "period" in path else {}
