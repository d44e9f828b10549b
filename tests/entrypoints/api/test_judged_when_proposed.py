"""What could not take effect as things are is refused when it is proposed, and what no longer could when it is approved."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial

import httpx
import pytest

from scheduler.adapters.policy_files import read_policy, read_prices
from scheduler.domain.access import TokenRecord
from scheduler.domain.allowances import Holder, HolderKind
from scheduler.domain.approvals import Change, ProposalKind
from scheduler.domain.errors import Conflict, NotFound, Refusal, RefusalCode
from scheduler.domain.people import Caller, Role
from scheduler.domain.units import MS_PER_HOUR, EngineerId, TeamName
from scheduler.entrypoints.api.auth import hash_of
from scheduler.entrypoints.running import Service
from tests.entrypoints.api.conftest import Client
from tests.entrypoints.company import NOON, POLICY, SYSTEM, engineer_id, token_of
from tests.entrypoints.two_persons import STRICT
from tests.entrypoints.written import rows

PRICES = (POLICY.parents[2] / "policies/prices.yaml").read_text(encoding="utf-8")
DEARER = PRICES.replace("    effective: 2.50\n", "    effective: 2.60\n")
IN_DOLLARS = PRICES.replace("currency: EUR", "currency: USD")
BOUND = "coverage: {ratio_max_per_mille: 3000, availability_per_mille: 900}\n"
GENEROUS = (STRICT + BOUND).replace("allowance_gpu_hours: 2500", "allowance_gpu_hours: 90000000")
MANY_HOURS = 90_000_000 * MS_PER_HOUR
MANY_PEOPLE = "version: 1\nengineers:\n" + "".join(
    f"  - {{subject: s{number}, team: research, tier: staff}}\n" for number in range(200)
)
GRANT = {"holder_kind": "engineer", "holder": "ada", "amount_ms": MANY_HOURS, "reason": "evaluations"}
PACKAGE = {"holder": "ada", "quantity": MANY_HOURS, "months": 12, "cliff_months": 0, "reason": "the offer"}

Ask = Callable[[Client], Awaitable[httpx.Response]]


async def prices(as_: Client, text: str) -> httpx.Response:
    return await as_("fin").put("/v1/prices", params={"name": "next.yaml"}, content=text)


async def policy(as_: Client) -> httpx.Response:
    return await as_("olga").put("/v1/policy", params={"name": "next.yaml"}, content=GENEROUS)


async def people(as_: Client) -> httpx.Response:
    return await as_("olga").put("/v1/people", params={"name": "people.yaml"}, content=MANY_PEOPLE)


async def grant(as_: Client) -> httpx.Response:
    return await as_("fin").post("/v1/grants", json=GRANT)


async def package(as_: Client) -> httpx.Response:
    return await as_("pam").post("/v1/grants/compensation", json=PACKAGE)


def under(service: Service, text: str) -> None:
    service.administration.apply_policy(SYSTEM, text, read_policy(text, "rules.yaml"), now=NOON)


def close_october(service: Service) -> None:
    service.periods.close(SYSTEM, "2026-10", now=NOON)


def bound(service: Service) -> None:
    under(service, STRICT + BOUND)


Became = Callable[[Service], None]
CASES: dict[str, tuple[Became, Ask, str]] = {
    "prices of a closed period": (close_october, partial(prices, text=DEARER), "rate-closed"),
    "prices in another currency": (close_october, partial(prices, text=IN_DOLLARS), "unknown-currency"),
    "people beyond what is delivered": (bound, people, "coverage-exceeded"),
    "a grant beyond what is delivered": (bound, grant, "coverage-exceeded"),
    "a package beyond what is delivered": (bound, package, "coverage-exceeded"),
    "a policy beyond what is delivered": (bound, policy, "coverage-exceeded"),
}


@pytest.fixture
def service(service: Service) -> Service:
    """Under two persons, with prices."""
    service.pricing.apply(SYSTEM, PRICES, read_prices(PRICES, "prices.yaml"), now=NOON)
    under(service, STRICT)
    return service


@pytest.mark.parametrize("case", CASES)
async def test_what_cannot_take_effect_is_refused_when_it_is_proposed(
    service: Service, as_: Client, case: str
) -> None:
    becomes, ask, code = CASES[case]
    becomes(service)
    before = rows(service.store)
    refused = await ask(as_)
    assert (refused.status_code < 500, refused.json()["code"]) == (True, code)
    assert rows(service.store) == before, "nothing waits, and nothing was half-written"


@pytest.mark.parametrize("case", [case for case in CASES if "policy" not in case])
async def test_what_no_longer_can_is_refused_when_it_is_approved_and_waits_on(
    service: Service, as_: Client, case: str
) -> None:
    """A policy that another came before is stale whatever it grants."""
    becomes, ask, code = CASES[case]
    waiting = await ask(as_)
    assert waiting.status_code == 202, waiting.text
    becomes(service)
    before = rows(service.store)
    with pytest.raises(Refusal) as refused:
        service.approvals.approve(SYSTEM, waiting.json()["id"], now=NOON)
    assert refused.value.code == code
    assert rows(service.store) == before
    (still,) = (await as_("aud").get("/v1/approvals", params={"waiting": True})).json()["items"]
    assert still["state"] == "waiting"


async def test_a_proposal_that_is_sent_again_is_the_one_that_waits_though_it_could_not_be_made_any_more(
    service: Service, as_: Client
) -> None:
    key = {"Idempotency-Key": "once"}
    first = await as_("fin").post("/v1/grants", json=GRANT, headers=key)
    bound(service)
    again = await as_("fin").post("/v1/grants", json=GRANT, headers=key)
    assert (again.status_code, again.json()["id"]) == (202, first.json()["id"])


async def test_nobody_asks_for_what_is_left_of_an_allowance_of_which_nothing_is(
    service: Service, as_: Client
) -> None:
    ada = engineer_id(service, "ada")
    (own,) = (each.allowance for each in service.world.balances.values() if each.allowance.holder.id == ada)
    asked = {"kind": "extension", "allowance": own.id, "until": "2026-12-31T00:00:00Z", "reason": "reviews"}
    frozen = {"allowance": own.id, "reason": "a dispute"}
    assert (await as_("pam").post("/v1/allowances/freeze", json=frozen)).status_code == 200
    refused = await as_("ada").post("/v1/requests", json=asked)
    assert (refused.status_code, refused.json()["code"]) == (409, "allowance-short")
    assert (await as_("pam").post("/v1/allowances/unfreeze", json=frozen)).status_code == 200
    assert (await as_("ada").post("/v1/requests", json=asked)).status_code == 201


def test_a_lead_of_a_team_that_no_pool_serves_asks_for_no_hours_of_it(service: Service) -> None:
    lead = Caller("lena", frozenset({Role.LEAD}), EngineerId("e-9"), TeamName("nowhere"))
    change = Change(Holder(HolderKind.TEAM, "nowhere"), amount=MS_PER_HOUR)
    with pytest.raises(NotFound) as refused:
        service.proposals.request(lead, ProposalKind.HOURS, change, "the ablations", now=NOON)
    assert refused.value.code is RefusalCode.UNKNOWN_TEAM


def test_a_token_that_is_out_for_somebody_else_is_not_proposed(service: Service) -> None:
    olga = replace(SYSTEM, subject="olga")
    with pytest.raises(Conflict) as refused:
        service.rights.issue_token(
            olga, TokenRecord(hash_of(token_of("ada")), "bob", frozenset({Role.AUDITOR})), now=NOON
        )
    assert refused.value.code is RefusalCode.IDEMPOTENCY_CONFLICT
