"""What a person paid for their own compute: in the journal once, on their statement, and never by their own word."""

from dataclasses import replace
from typing import Any

import pytest

from scheduler.adapters.policy_files import read_prices
from scheduler.domain.periods import iso
from scheduler.domain.units import MS_PER_DAY, Instant
from scheduler.entrypoints.running import Service
from tests.entrypoints.api.conftest import Client
from tests.entrypoints.company import NOON, POLICY, SYSTEM
from tests.entrypoints.two_persons import want_two_persons

PRICES = (POLICY.parents[2] / "policies/prices.yaml").read_text(encoding="utf-8")
PAID = {"owner": "ada", "micro": 120_000_000, "currency": "EUR", "reason": "payroll of November"}


@pytest.fixture(autouse=True)
def prices(service: Service) -> None:
    service.pricing.apply(SYSTEM, PRICES, read_prices(PRICES, "prices.yaml"), now=NOON)


async def fringe(as_: Client, year: str = "2026") -> dict[str, Any]:
    found = await as_("fin").get("/v1/finance/fringe", params={"year": year, "owner": "ada"})
    assert found.status_code == 200, found.text
    answer: dict[str, Any] = found.json()
    return answer


async def test_a_payment_is_recorded_once_and_stands_on_the_statement(service: Service, as_: Client) -> None:
    sent = [
        await as_("fin").post("/v1/finance/payments", json=PAID, headers={"Idempotency-Key": "k"}) for _ in range(2)
    ]
    assert [each.status_code for each in sent] == [201, 201]
    assert sent[0].json()["payment"] == sent[1].json()["payment"]
    found = await fringe(as_)
    assert [(each["micro"], each["reason"]) for each in found["payments"]] == [(120_000_000, "payroll of November")]
    assert found["paid_beyond_micro"] == 120_000_000, "nothing was used yet that it could be for"
    with service.store.reading() as books:
        assert books.journal.differences() == []


async def test_it_is_of_the_year_of_its_day(service: Service, as_: Client) -> None:
    before = {**PAID, "paid_at": "2025-12-31T12:00:00Z"}
    assert (await as_("pam").post("/v1/finance/payments", json=before)).status_code == 201
    assert (await fringe(as_))["payments"] == []
    assert len((await fringe(as_, "2025"))["payments"]) == 1


@pytest.mark.parametrize(
    ("zone", "at"),
    [
        ("Pacific/Kiritimati", "2025-12-30T22:00:00Z"),
        ("UTC", "2025-12-31T12:00:00Z"),
        ("Etc/GMT+12", "2026-01-01T00:00:00Z"),
    ],
)
async def test_a_day_is_one_of_the_policys_time_zone(service: Service, as_: Client, zone: str, at: str) -> None:
    assert service.world.policy is not None
    service.world.policy = replace(service.world.policy, time_zone=zone)
    made = await as_("pam").post("/v1/finance/payments", json={**PAID, "paid_on": "2025-12-31"})
    assert (made.status_code, made.json()["paid_at"]) == (201, at)
    assert [len((await fringe(as_, year))["payments"]) for year in ("2025", "2026")] == [1, 0]


async def test_today_is_no_later_than_now_and_a_day_that_is_none_is_refused(as_: Client) -> None:
    async def recorded(**dated: str) -> tuple[int, str]:
        found = await as_("pam").post("/v1/finance/payments", json={**PAID, **dated})
        return found.status_code, found.json().get("paid_at", found.json().get("code"))

    today = iso(NOON)[:10]
    code, paid_at = await recorded(paid_on=today)
    assert (code, paid_at[:10], paid_at <= iso(NOON)) == (201, today, True)
    assert await recorded(paid_on="2026-02-30") == (422, "invalid-value")
    assert await recorded(paid_on="2031-01-01") == (422, "invalid-value")
    assert await recorded(paid_on=today, paid_at=iso(NOON)) == (422, "invalid-value")


async def test_a_day_in_a_closed_period_stays_in_its_tax_year_and_counts_in_the_open_period(
    service: Service, as_: Client
) -> None:
    service.periods.close(SYSTEM, "2025-12", now=NOON)
    before = {**PAID, "paid_at": "2025-12-31T12:00:00Z"}
    assert (await as_("pam").post("/v1/finance/payments", json=before)).status_code == 201
    assert [each["micro"] for each in (await fringe(as_, "2025"))["payments"]] == [120_000_000]


@pytest.mark.parametrize(
    ("who", "wrong", "status", "code"),
    [
        ("ada", {}, 403, "role-required"),
        ("fin", {"owner": "fin"}, 403, "self-benefit"),
        ("fin", {"owner": "nobody"}, 404, "unknown-engineer"),
        ("fin", {"micro": 0}, 422, "invalid-amount"),
        ("fin", {"micro": 2**63}, 422, "invalid-value"),
        ("fin", {"micro": 0.1}, 422, "invalid-value"),
        ("fin", {"micro": -1}, 422, "invalid-amount"),
        ("fin", {"currency": "USD"}, 422, "unknown-currency"),
        ("fin", {"paid_at": "2027-01-01T00:00:00Z"}, 422, "invalid-value"),
    ],
    ids=["no right", "own", "nobody", "nothing", "too much", "a fraction", "back", "currency", "to come"],
)
async def test_what_cannot_have_been_paid_is_refused_and_nothing_is_written(
    as_: Client, who: str, wrong: dict[str, Any], status: int, code: str
) -> None:
    refused = await as_(who).post("/v1/finance/payments", json=PAID | wrong)
    assert (refused.status_code, refused.json()["code"]) == (status, code)
    assert (await fringe(as_))["payments"] == []


async def test_what_was_paid_goes_back_up_to_what_it_was(as_: Client) -> None:
    await as_("fin").post("/v1/finance/payments", json=PAID)
    assert (await as_("fin").post("/v1/finance/payments", json=PAID | {"micro": -120_000_001})).status_code == 422
    assert (await as_("fin").post("/v1/finance/payments", json=PAID | {"micro": -120_000_000})).status_code == 201
    assert [each["micro"] for each in (await fringe(as_))["payments"]] == [120_000_000, -120_000_000]


async def test_it_waits_for_another_where_grants_take_two_persons(service: Service, as_: Client) -> None:
    want_two_persons(service)
    waiting = (await as_("fin").post("/v1/finance/payments", json=PAID)).json()
    assert (waiting["kind"], waiting["state"], waiting["file"]) == ("payment", "waiting", "120.00 EUR")
    assert (await fringe(as_))["payments"] == []
    refused = await as_("fin").post(f"/v1/approvals/{waiting['hash']}/approve", json={})
    assert refused.json()["code"] == "own-request"
    service.clock.at = Instant(NOON + MS_PER_DAY)  # type: ignore[attr-defined]
    assert (await as_("pam").post(f"/v1/approvals/{waiting['hash']}/approve", json={})).status_code == 200
    (paid,) = (await fringe(as_))["payments"]
    assert (paid["micro"], paid["paid_at"]) == (120_000_000, "2026-11-20T12:00:00Z")
