"""Coverage is judged in every period that a promise reaches into, and the worst of them is told."""

from itertools import islice
from typing import Any

import pytest

from scheduler.adapters.policy_files import read_policy
from scheduler.domain.periods import Period
from scheduler.domain.units import MS_PER_DAY, MS_PER_HOUR, AllowanceId, Instant
from scheduler.entrypoints.running import Service
from scheduler.finance.coverage import Commitment
from scheduler.lifecycle.awarding.compensate import Package, package_allowance
from scheduler.lifecycle.awarding.outlook import PERIODS_MAX, Outlook, packaged, periods_until, to_look_at
from tests.entrypoints.api.conftest import Client
from tests.entrypoints.company import NOON, POLICY, SYSTEM, engineer_id

BOUND = "\ncoverage: {ratio_max_per_mille: 3000, availability_per_mille: 900}\n"
BASE = POLICY.read_text(encoding="utf-8") + BOUND
PACKAGE = {"holder": "ada", "kind": "signing", "reason": "the offer", "gpu_classes": ["H100"]}
GRANT = {"holder_kind": "team", "holder": "research", "reason": "x", "gpu_classes": ["H100"]}


@pytest.fixture(autouse=True)
def bounded(service: Service) -> None:
    service.administration.apply_policy(SYSTEM, BASE, read_policy(BASE, "bounded.yaml"), now=NOON)


async def promise(as_: Client, hours: int, at: str, until: str) -> tuple[int, str]:
    """All of it vests that day and can be spent until then."""
    parts = [{"at": at, "quantity": hours * MS_PER_HOUR}]
    body = PACKAGE | {"quantity": hours * MS_PER_HOUR, "parts": parts, "expires_at": until}
    answer = await as_("pam").post("/v1/grants/compensation", json=body)
    return answer.status_code, answer.json().get("detail", "")


async def grant(as_: Client, hours: int, until: str) -> tuple[int, str]:
    body = GRANT | {"amount_ms": hours * MS_PER_HOUR, "expires_at": until}
    answer = await as_("fin").post("/v1/grants", json=body)
    return answer.status_code, answer.json().get("detail", "")


async def coverage(as_: Client, **params: str) -> dict[str, Any]:
    found: dict[str, Any] = (await as_("fin").get("/v1/coverage", params=params)).json()
    return found


async def test_a_long_grant_is_refused_for_the_week_in_which_a_package_has_vested_already(as_: Client) -> None:
    """Now and next week there is room: what fills a week in 2028 was promised before."""
    assert (await promise(as_, 140_000, "2028-03-05T23:00:00Z", "2028-03-19T23:00:00Z"))[0] == 201
    status, why = await grant(as_, 4_000_000, "2029-11-20T00:00:00Z")
    assert status == 409
    assert "H100 in 2028-W10 would be promised to" in why
    assert "; from 2028-W10" not in why
    assert (await grant(as_, 1_500_000, "2028-03-05T00:00:00Z"))[0] == 201, "before that there is room"


async def test_a_policy_is_refused_for_the_week_in_which_a_package_vests(service: Service, as_: Client) -> None:
    assert (await promise(as_, 140_000, "2028-03-05T23:00:00Z", "2028-03-19T23:00:00Z"))[0] == 201
    for hours, status in ((40_000, 409), (4_500, 200)):
        text = BASE.replace("allowance_gpu_hours: 4000", f"allowance_gpu_hours: {hours}")
        answer = await as_("olga").put("/v1/policy", params={"name": "next.yaml"}, content=text)
        assert answer.status_code == status, hours
        if status == 409:
            assert "H100 in 2028-W10 would be promised to" in answer.json()["detail"]


async def test_people_are_refused_for_the_week_in_which_a_package_vests(as_: Client) -> None:
    assert (await promise(as_, 140_000, "2028-03-05T23:00:00Z", "2028-03-19T23:00:00Z"))[0] == 201
    lines = (f"- {{subject: new-{number}, name: X, team: research, tier: senior}}\n" for number in range(12))
    text = "version: 1\nengineers:\n" + "".join(lines)
    answer = await as_("pam").put("/v1/people", params={"name": "people.yaml"}, content=text)
    assert (answer.status_code, "H100 in 2028-W10" in answer.json()["detail"]) == (409, True)


async def test_of_several_the_worst_week_is_told_and_where_they_begin(as_: Client) -> None:
    status, why = await promise(as_, 2_000_000, "2027-03-03T00:00:00Z", "2027-04-14T00:00:00Z")
    assert status == 409
    assert "H100 in 2027-W12 would be promised to" in why, "the clocks are put forward in it"
    assert why.endswith("; from 2027-W09 on there is too little") or "; from 2027-W09 on there is too little" in why


async def test_the_fullest_period_ahead_stands_beside_the_one_that_is_asked(as_: Client) -> None:
    assert (await promise(as_, 60_000, "2028-03-05T23:00:00Z", "2028-03-19T23:00:00Z"))[0] == 201
    found = await coverage(as_)
    assert found["period"] == "2026-W47"
    fullest = {each["gpu_class"]: each for each in found["fullest"]}
    assert fullest["H100"]["period"] == "2028-W10"
    (h100,) = [each for each in (await coverage(as_, period="2028-W10"))["classes"] if each["gpu_class"] == "H100"]
    assert fullest["H100"]["ratio_per_mille"] == h100["ratio_per_mille"]


async def test_a_month_has_what_policy_grants_in_all_its_weeks(as_: Client) -> None:
    """W49 to W53 of 2026, of the first and the last the days that are in December."""
    weeks = [f"2026-W{number}" for number in range(49, 54)]
    promised = {name: await _promised(as_, name) for name in ("2026-12", *weeks)}
    parts = [6, 7, 7, 7, 4]
    inside = sum(promised[week] * days // 7 for week, days in zip(weeks, parts, strict=True))
    assert abs(promised["2026-12"] - inside) <= len(weeks)


async def _promised(as_: Client, period: str) -> int:
    found = await coverage(as_, period=period)
    return next(int(each["promised_ms"]) for each in found["classes"] if each["gpu_class"] == "H100")


def test_no_period_that_is_left_out_is_fuller_than_one_that_is_looked_at(service: Service) -> None:
    policy = service.world.require_policy()
    asked = Package(engineer_id(service, "ada"), 480 * MS_PER_HOUR, months=24, cliff_months=6, every_months=3)
    package = package_allowance(asked, policy, NOON, AllowanceId("p"))
    with service.store.reading() as books:
        outlook = Outlook(books, service.world, policy, NOON).with_extra(packaged(package, policy, NOON))
        periods = list(periods_until(outlook.ends_at, policy, NOON))
        seen = list(to_look_at([outlook], periods))
        ratios = {each.name: [found.ratio_per_mille or 0 for found in outlook.of(each)] for each in periods}
    assert len(periods) > 150
    assert len(seen) < len(periods) / 3
    for number in range(len(policy.gpu_classes)):
        fullest = max(ratios.values(), key=lambda each: each[number])[number]
        assert fullest == max(ratios[each.name][number] for each in seen)


def test_however_far_a_promise_goes_so_many_periods_are_looked_at_and_no_more(service: Service) -> None:
    policy = service.world.require_policy()
    end = Instant(NOON + 400_000 * MS_PER_DAY)
    far = Commitment(MS_PER_HOUR, NOON, end, None)
    assert len(list(periods_until(end, policy, NOON))) == PERIODS_MAX
    looked: list[Period] = []
    with service.store.reading() as books:
        outlook = Outlook(books, service.world, policy, NOON).with_extra([far])
        looked += islice(to_look_at([outlook], periods_until(end, policy, NOON)), PERIODS_MAX)
    assert len(looked) < PERIODS_MAX / 5, "of weeks that are alike one is looked at"
