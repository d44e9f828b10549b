"""Coverage of pay: what vests with its grant, and what vests years from now, is a liability like any other grant."""

from typing import Any

import httpx
import pytest

from scheduler.adapters.policy_files import read_policy
from scheduler.domain.units import MS_PER_HOUR
from scheduler.entrypoints.running import Service
from tests.entrypoints.api.conftest import Client
from tests.entrypoints.company import NOON, SYSTEM
from tests.entrypoints.two_persons import BASE
from tests.entrypoints.written import rows

BOUND = "\ncoverage: {ratio_max_per_mille: 3000, availability_per_mille: 900}\n"
H100_A_WEEK = 192 * 168 * MS_PER_HOUR * 900 // 1000  # what the quotas of the policy deliver, of weight 1000
PACKAGE = {"holder": "ada", "kind": "signing", "reason": "x", "gpu_classes": ["H100"]}


def bound(service: Service) -> None:
    text = BASE + BOUND
    service.administration.apply_policy(SYSTEM, text, read_policy(text, "bounded.yaml"), now=NOON)


def at_once(terms: dict[str, Any]) -> dict[str, Any]:
    """Without a cliff, where they are equal steps."""
    return terms if terms.get("parts") else {"cliff_months": 0} | terms


async def promise(as_: Client, hours: int, **terms: Any) -> httpx.Response:
    body = PACKAGE | {"quantity": hours * MS_PER_HOUR} | at_once(terms)
    return await as_("pam").post("/v1/grants/compensation", json=body)


SCHEDULES: dict[str, dict[str, Any]] = {
    "at once": {"months": 0},
    "from a day that has been": {"months": 12, "starts_at": "2025-11-20T00:00:00Z"},
    "monthly, beyond the next period": {"months": 12},
    "after a cliff": {"months": 48, "cliff_months": 12},
    "in parts, the last in five years": {
        "parts": [{"at": "2027-01-01T00:00:00Z", "quantity": 1}, {"at": "2031-11-01T00:00:00Z", "quantity": None}]
    },
}


@pytest.mark.parametrize("when", SCHEDULES)
async def test_a_package_beyond_the_ratio_is_refused_whenever_it_vests(
    service: Service, as_: Client, when: str
) -> None:
    bound(service)
    terms = dict(SCHEDULES[when])
    hours = 100_000_000
    if "parts" in terms:
        whole = hours * MS_PER_HOUR
        terms["parts"] = [{**part, "quantity": part["quantity"] or whole - 1} for part in terms["parts"]]
    before = rows(service.store)
    refused = await promise(as_, hours, **terms)
    assert (refused.status_code, refused.json()["code"]) == (409, "coverage-exceeded"), when
    assert "H100" in refused.json()["detail"]
    letter = {name: value for name, value in (PACKAGE | at_once(terms)).items() if name not in {"holder", "reason"}}
    offered = await as_("pam").post("/v1/statement/offer", json=letter | {"quantity": hours * MS_PER_HOUR})
    assert offered.json()["code"] == "coverage-exceeded", "an offer does not promise what no grant may"
    assert rows(service.store) == before


async def test_a_package_is_refused_above_the_ratio_in_its_fullest_week_and_granted_at_it(
    service: Service, as_: Client
) -> None:
    """All of it vests in a year and is spent evenly over the year after: 167 h of its 8,760 fall into the week in which
    the clocks are put forward, which delivers least; what tiers and projects may spend on an H100 in it stands beside."""
    bound(service)
    week = (await as_("fin").get("/v1/coverage", params={"period": "2028-W12"})).json()["classes"]
    h100 = next(each for each in week if each["gpu_class"] == "H100")
    assert h100["deliverable_ms"] == H100_A_WEEK * 167 // 168
    room = 3 * h100["deliverable_ms"] - h100["promised_ms"]
    fits = room * 8_760 // 167 // MS_PER_HOUR
    part = {"at": "2027-11-20T00:00:00Z"}

    async def of(hours: int) -> int:
        return (await promise(as_, hours, parts=[part | {"quantity": hours * MS_PER_HOUR}])).status_code

    assert await of(fits + 60) == 409
    assert await of(fits - 60) == 201
    assert await of(60) == 201
    assert await of(120) == 409


async def test_money_and_tokens_are_left_out_as_the_page_says(service: Service, as_: Client) -> None:
    bound(service)
    answer = await promise(as_, 100_000_000, unit="tokens", gpu_classes=None, months=0)
    assert answer.status_code == 201


@pytest.mark.parametrize(("weight", "buys"), [(2_000, 2), (1_000, 1), (500, 1)])
@pytest.mark.parametrize("when", [{"months": 0}, {"parts": [{"at": "2028-03-06T00:00:00Z", "quantity": 1}]}])
async def test_pay_that_keeps_its_weight_counts_by_what_it_buys_of_a_class_that_weighs_more(
    service: Service, as_: Client, weight: int, buys: int, when: dict[str, Any]
) -> None:
    """What is more than without it, in a week in which it is outstanding, or vests."""
    terms = when | {"parts": [{**each, "quantity": 10_000 * MS_PER_HOUR} for each in when.get("parts", ())] or None}
    heavier = BASE.replace("weight_per_mille: 1000", f"weight_per_mille: {weight}")

    async def counted() -> list[int]:
        """Under today's policy and under the one that weighs H100 otherwise."""
        sums = []
        for text in (BASE, heavier):
            service.administration.apply_policy(SYSTEM, text, read_policy(text, "weights.yaml"), now=NOON)
            found = (await as_("fin").get("/v1/coverage", params={"period": "2028-W10"})).json()["classes"]
            (h100,) = [each for each in found if each["gpu_class"] == "H100"]
            sums.append(h100["outstanding_ms"] + h100["promised_ms"])
        return sums

    without = await counted()
    service.administration.apply_policy(SYSTEM, BASE, read_policy(BASE, "weights.yaml"), now=NOON)
    granted = await promise(as_, 10_000, **terms, expires_at="2028-03-20T00:00:00Z")
    assert granted.status_code == 201, granted.text
    now, then = (each - before for each, before in zip(await counted(), without, strict=True))
    assert now > 0
    assert abs(then - buys * now) <= 2
