"""Coverage: shown per class and period; what would promise more than policy allows is refused, and nothing is written."""

from typing import Any

import pytest

from scheduler.adapters.policy_files import read_policy
from scheduler.domain.units import MS_PER_HOUR
from scheduler.entrypoints.running import Service
from tests.entrypoints.api.conftest import Client
from tests.entrypoints.company import NOON, POLICY, SYSTEM
from tests.entrypoints.written import rows

BASE = POLICY.read_text(encoding="utf-8")
TEAM = {"holder_kind": "team", "holder": "research", "reason": "x", "gpu_classes": ["H100"]}
HUGE = TEAM | {"amount_ms": 400_000 * MS_PER_HOUR, "expires_at": "2026-11-22T00:00:00Z"}


@pytest.fixture(autouse=True)
def bounded(service: Service) -> None:
    text = BASE + "\ncoverage: {ratio_max_per_mille: 3000, availability_per_mille: 900}\n"
    service.administration.apply_policy(SYSTEM, text, read_policy(text, "bounded.yaml"), now=NOON)


async def classes(as_: Client, period: str | None = None) -> dict[str, dict[str, Any]]:
    params = {} if period is None else {"period": period}
    found = (await as_("fin").get("/v1/coverage", params=params)).json()
    assert (found["availability_per_mille"], found["ratio_max_per_mille"]) == (900, 3000)
    assert found["capacity_from"] == "quotas"
    return {each["gpu_class"]: each for each in found["classes"]}


async def test_the_running_period_has_what_is_left_and_the_next_what_policy_will_grant(as_: Client) -> None:
    running, following = await classes(as_), await classes(as_, "2026-W48")
    assert running["H100"]["outstanding_ms"] > 0
    assert running["H100"]["promised_ms"] == 0
    assert following["H100"]["outstanding_ms"] == 0
    assert following["H100"]["promised_ms"] > 0
    assert following["H100"]["deliverable_ms"] == 192 * 168 * MS_PER_HOUR * 900 // 1000


async def test_a_grant_beyond_the_ratio_is_refused_and_nothing_is_written(as_: Client) -> None:
    before = await classes(as_)
    refused = await as_("fin").post("/v1/grants", json=HUGE)
    assert (refused.status_code, refused.json()["code"]) == (409, "coverage-exceeded")
    assert "H100 in 2026-W47" in refused.json()["detail"]
    assert await classes(as_) == before
    assert (await as_("fin").post("/v1/grants", json=HUGE | {"amount_ms": MS_PER_HOUR})).status_code == 201


async def test_a_request_is_not_approved_beyond_the_ratio(as_: Client) -> None:
    body = {"kind": "hours", "amount_ms": 400_000 * MS_PER_HOUR, "reason": "x"}
    asked = (await as_("ada").post("/v1/requests", json=body)).json()
    refused = await as_("fin").post(f"/v1/approvals/{asked['id']}/approve", json={})
    assert (refused.status_code, refused.json()["code"]) == (409, "coverage-exceeded")
    less = {"amount_ms": 10 * MS_PER_HOUR}
    assert (await as_("fin").post(f"/v1/approvals/{asked['id']}/approve", json=less)).status_code == 200


async def test_a_policy_that_promises_more_than_the_ratio_is_refused(service: Service, as_: Client) -> None:
    text = (BASE + "\ncoverage: {ratio_max_per_mille: 3000, availability_per_mille: 900}\n").replace(
        "allowance_gpu_hours: 4000", "allowance_gpu_hours: 400000"
    )
    refused = await as_("olga").put("/v1/policy", params={"name": "next.yaml"}, content=text)
    assert (refused.status_code, refused.json()["code"]) == (409, "coverage-exceeded")
    assert service.world.require_policy().name == "bounded.yaml"


async def test_an_engineer_does_not_see_it(as_: Client) -> None:
    assert (await as_("ada").get("/v1/coverage")).status_code == 403


def directory(*people: tuple[str, str]) -> str:
    lines = (f"- {{subject: {who}, name: X, team: research, tier: {tier}}}\n" for who, tier in people)
    return "version: 1\nengineers:\n" + "".join(lines)


async def put_people(as_: Client, text: str) -> tuple[int, str]:
    answer = await as_("pam").put("/v1/people", params={"name": "people.yaml"}, content=text)
    return answer.status_code, answer.json().get("code", "")


async def test_people_whom_tiers_would_grant_more_than_the_ratio_are_not_taken_in(
    service: Service, as_: Client
) -> None:
    """A class delivers 29,030 standard hours of H100 a week, and the ratio is 3: 100 more of staff are 500,000 h."""
    staff = [(f"new-{number}", "staff") for number in range(100)]
    before = rows(service.store)
    assert await put_people(as_, directory(*staff)) == (409, "coverage-exceeded")
    assert rows(service.store) == before
    assert len(service.world.people) == 8
    assert (await put_people(as_, directory(*staff[:2])))[0] == 200
    assert (await put_people(as_, directory(*((who, "intern") for who, _ in staff))))[0] == 200
    assert await put_people(as_, directory(*staff)) == (409, "coverage-exceeded"), "nor by another tier"
    assert (await put_people(as_, directory(("bob", "engineer"))))[0] == 200
