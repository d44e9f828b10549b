"""Two persons for everything that raises: no path around it, and a package of pay that waits like a grant does."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from scheduler.adapters.package_text import read_package
from scheduler.adapters.policy_files import read_policy, read_prices
from scheduler.domain.allowances import Holder, HolderKind
from scheduler.domain.awards import Award
from scheduler.domain.errors import Conflict, RefusalCode
from scheduler.domain.people import Engineer, Role
from scheduler.domain.units import MS_PER_HOUR, EngineerId, TeamName, TierName
from scheduler.entrypoints.api.auth import hash_of
from scheduler.entrypoints.running import Service
from scheduler.lifecycle.awarding.compensate import Package
from tests.entrypoints.api.conftest import Client
from tests.entrypoints.company import NOON, POLICY, SYSTEM, engineer_id, token_of
from tests.entrypoints.two_persons import RAISED, want_two_persons

PRICES = (POLICY.parents[2] / "policies/prices.yaml").read_text(encoding="utf-8")
DEARER = PRICES.replace("    effective: 2.50\n", "    effective: 2.60\n")
PACKAGE = {"holder": "ada", "quantity": 4_800 * MS_PER_HOUR, "months": 48, "cliff_months": 12, "reason": "the offer"}


def apply_prices(service: Service, text: str = PRICES) -> None:
    service.pricing.apply(SYSTEM, text, read_prices(text, "prices.yaml"), now=NOON)


def apply_dearer_prices(service: Service) -> None:
    apply_prices(service, DEARER)


def grant(service: Service) -> None:
    holder = Holder(HolderKind.ENGINEER, engineer_id(service, "ada"))
    service.commands.grant(SYSTEM, Award(holder, MS_PER_HOUR, reason="x"), now=NOON)


def apply_policy(service: Service) -> None:
    service.administration.apply_policy(SYSTEM, RAISED, read_policy(RAISED, "next.yaml"), now=NOON)


def compensate(service: Service) -> None:
    asked = Package(engineer_id(service, "ada"), 480 * MS_PER_HOUR, reason="x")
    service.awards.compensate(SYSTEM, asked, now=NOON)


@pytest.mark.parametrize("act", [grant, apply_policy, apply_dearer_prices, compensate])
def test_no_command_goes_round_the_second_person(service: Service, act: Callable[[Service], None]) -> None:
    apply_prices(service)
    want_two_persons(service)
    with pytest.raises(Conflict) as refused:
        act(service)
    assert refused.value.code is RefusalCode.APPROVAL_NEEDED


async def test_a_package_waits_for_another_of_people_operations(service: Service, as_: Client) -> None:
    petra = Engineer(
        EngineerId(""), "petra", TeamName("platform"), TierName("staff"), "Petra", frozenset({Role.PEOPLE})
    )
    service.administration.apply_people(SYSTEM, [petra], now=NOON)
    service.administration.issue_token(SYSTEM, "petra", petra.roles, hash_of(token_of("petra")), now=NOON)
    want_two_persons(service)
    sent = [
        await as_("pam").post("/v1/grants/compensation", json=PACKAGE, headers={"Idempotency-Key": "k"})
        for _ in range(2)
    ]
    assert [each.status_code for each in sent] == [202, 202]
    waiting = sent[0].json()
    assert (waiting["kind"], waiting["state"], waiting["holder"]) == ("package", "waiting", "ada")
    assert waiting["id"] == sent[1].json()["id"]
    assert (await as_("ada").get("/v1/vesting")).json()["items"] == []

    async def approve(who: str) -> tuple[int, str]:
        answer = await as_(who).post(f"/v1/approvals/{waiting['id']}/approve", json={})
        return answer.status_code, answer.json().get("code", answer.json().get("state"))

    assert await approve("pam") == (403, "own-request")
    assert await approve("fin") == (404, "unknown-proposal"), "pay is not for finance to see or decide"
    assert await approve("petra") == (200, "approved")
    (package,) = (await as_("ada").get("/v1/vesting")).json()["items"]
    assert package["total_quantity"] == PACKAGE["quantity"]
    assert (await as_("ada").get("/v1/statement")).status_code == 200


async def test_a_package_that_could_never_be_is_refused_before_it_waits(service: Service, as_: Client) -> None:
    want_two_persons(service)
    for changes in (
        {"quantity": 0},
        {"holder": "nobody"},
        {"unit": "gpu/H9000"},
        {"expires_at": "2020-01-01T00:00:00Z"},
    ):
        refused = await as_("pam").post("/v1/grants/compensation", json=PACKAGE | changes)
        assert 400 <= refused.status_code < 500, changes
    assert (await as_("pam").get("/v1/approvals")).json()["items"] == []


def test_the_terms_of_a_package_are_read_as_they_were_written(service: Service) -> None:
    want_two_persons(service)
    asked = Package(engineer_id(service, "ada"), 480 * MS_PER_HOUR, is_annual=True, months=12, reason="für ü")
    service.proposals.compensate(replace(SYSTEM, subject="another"), asked, now=NOON)
    with service.store.reading() as books:
        (waiting,) = books.approvals.waiting()
    assert read_package(waiting.proposal.text) == asked


async def test_whoever_approves_prices_reads_which_change(service: Service, as_: Client) -> None:
    apply_prices(service)
    want_two_persons(service)
    made = await as_("fin").put("/v1/prices", params={"name": "dearer.yaml"}, content=DEARER)
    assert (made.status_code, made.json()["kind"]) == (202, "prices")
    found = (await as_("olga").get(f"/v1/approvals/{made.json()['id']}")).json()
    off_peak = "off-peak 3.60 / 2.20 / 1.90"
    assert [(each["path"], each["before"], each["after"]) for each in found["raises"]] == [
        ("rates.H100 from 2026-07-01", f"3.60 / 2.90 / 2.50, {off_peak}", f"3.60 / 2.90 / 2.60, {off_peak}")
    ]
    assert (await as_("olga").post(f"/v1/approvals/{made.json()['id']}/approve", json={})).status_code == 200
    assert service.world.price_book is not None
    assert service.world.price_book.name == "dearer.yaml"
