"""Exemptions and reclaims over HTTP."""

import pytest

from tests.entrypoints.api.conftest import Client
from tests.entrypoints.company import JOB

WHY = {"why": "the demo is tomorrow", "expires_at": "2026-11-21T18:00:00Z"}


async def submitted(as_: Client) -> str:
    workload_id: str = (await as_("ada").post("/v1/workloads", json=JOB)).json()["id"]
    return f"/v1/workloads/{workload_id}/exemption"


@pytest.mark.parametrize("subject", ["ada", "olga"])
async def test_the_owner_or_an_operator_answers_for_rest_and_withdraws_it(as_: Client, subject: str) -> None:
    path = await submitted(as_)
    answer = await as_(subject).put(path, json=WHY)
    assert answer.status_code == 200
    made = answer.json()
    assert (made["why"], made["by"], made["expires_at"]) == (WHY["why"], subject, WHY["expires_at"])
    assert (await as_(subject).delete(path)).status_code == 204


async def test_to_anybody_else_the_workload_does_not_exist(as_: Client) -> None:
    path = await submitted(as_)
    for answer in (await as_("bob").put(path, json=WHY), await as_("bob").delete(path)):
        assert (answer.status_code, answer.json()["code"]) == (404, "unknown-workload")


@pytest.mark.parametrize(
    "changed",
    [
        {"why": ""},
        {"why": "x" * 513},
        {"expires_at": "2026-11-20T11:00:00Z"},
        {"expires_at": "2026-12-20T11:00:00Z"},
        {"expires_at": "tomorrow"},
        {"colour": "red"},
    ],
)
async def test_an_exemption_needs_a_reason_and_an_end_within_a_week(as_: Client, changed: dict[str, str]) -> None:
    answer = await as_("ada").put(await submitted(as_), json=WHY | changed)
    assert answer.status_code == 422


async def test_reclaims_are_for_operators_and_auditors(as_: Client) -> None:
    assert (await as_("ada").get("/v1/reclaims")).status_code == 403
    assert (await as_("olga").get("/v1/reclaims")).json() == {"items": [], "next_cursor": None}
