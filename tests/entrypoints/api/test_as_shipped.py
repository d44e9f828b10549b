"""As shipped: a policy that says nothing of approvals wants a second person for all that raises something."""

from pathlib import Path

import httpx
import pytest

from scheduler.adapters.policy_files import read_policy, read_prices
from scheduler.domain.access import TokenRecord
from scheduler.domain.approvals import ApprovalRules, Persons
from scheduler.domain.people import Caller, Engineer, Role
from scheduler.domain.units import MS_PER_HOUR, EngineerId, TeamName, TierName
from scheduler.entrypoints.bootstrap import build
from scheduler.entrypoints.running import Service
from scheduler.entrypoints.settings import ClusterKind, Settings
from tests.entrypoints.api.conftest import Client
from tests.entrypoints.company import NOON, POLICY, SYSTEM, CountedIds, HandClock, SilentCluster
from tests.entrypoints.two_persons import AS_SHIPPED
from tests.entrypoints.written import rows
from tests.plugins.migrated import open_migrated

PRICES = (POLICY.parents[2] / "policies/prices.yaml").read_text(encoding="utf-8")
DEARER = PRICES.replace("effective: 2.50", "effective: 2.75")
GRANT = {"holder_kind": "engineer", "holder": "ada", "amount_ms": MS_PER_HOUR, "reason": "the paper"}
RAISED = AS_SHIPPED.replace("allowance_gpu_hours: 2500", "allowance_gpu_hours: 2600")
ALL_TWO = ApprovalRules(Persons.TWO, Persons.TWO, Persons.TWO, Persons.TWO)


@pytest.fixture
def shipped(service: Service) -> Service:
    """The small company, whose policy says nothing of approvals any more, with a first price book."""
    service.administration.apply_policy(SYSTEM, AS_SHIPPED, read_policy(AS_SHIPPED, "shipped.yaml"), now=NOON)
    service.pricing.apply(SYSTEM, PRICES, read_prices(PRICES, "prices.yaml"), now=NOON)
    return service


async def propose(as_: Client, what: str) -> httpx.Response:
    """By somebody with the right to it."""
    if what == "an ad-hoc grant":
        return await as_("fin").post("/v1/grants", json=GRANT)
    if what == "a policy that raises something":
        return await as_("olga").put("/v1/policy", params={"name": "raised.yaml"}, content=RAISED)
    return await as_("fin").put("/v1/prices", params={"name": "dearer.yaml"}, content=DEARER)


WAITS = {"an ad-hoc grant": "olga", "a policy that raises something": "fin", "a price book": "olga"}
"""What waits as shipped, and who may approve it, who did not propose it."""


@pytest.mark.parametrize("what", WAITS)
async def test_as_shipped_it_takes_effect_only_when_a_second_person_approves_its_hash(
    shipped: Service, as_: Client, what: str
) -> None:
    before = _in_force(shipped)
    made = await propose(as_, what)
    assert (made.status_code, made.json()["state"]) == (202, "waiting")
    assert _in_force(shipped) == before
    proposed = rows(shipped.store)

    own = await as_(made.json()["asked_by"]).post(f"/v1/approvals/{made.json()['hash']}/approve", json={})
    assert (own.status_code, own.json()["code"]) == (403, "own-request")
    assert rows(shipped.store) == proposed

    approved = await as_(WAITS[what]).post(f"/v1/approvals/{made.json()['hash']}/approve", json={})
    assert (approved.status_code, approved.json()["state"]) == (200, "approved")
    assert _in_force(shipped) != before


def _in_force(service: Service) -> tuple[str, str, int]:
    assert service.world.price_book is not None
    return service.world.require_policy().hash, service.world.price_book.hash, len(service.world.balances)


@pytest.mark.parametrize(
    "holder",
    [
        {"holder": "olga"},
        {"holder_kind": "team", "holder": "platform"},
        {"holder_kind": "project", "holder": "ferry"},
    ],
    ids=["themselves", "their team", "its project"],
)
async def test_as_shipped_nobody_approves_what_benefits_themselves(
    shipped: Service, as_: Client, holder: dict[str, str]
) -> None:
    made = await as_("fin").post("/v1/grants", json=GRANT | holder)
    assert made.status_code == 202
    proposed = rows(shipped.store)
    refused = await as_("olga").post(f"/v1/approvals/{made.json()['id']}/approve", json={})
    assert (refused.status_code, refused.json()["code"]) == (403, "self-benefit")
    assert rows(shipped.store) == proposed


async def test_as_shipped_nobody_approves_a_policy_that_raises_their_own_tier(shipped: Service, as_: Client) -> None:
    raised = AS_SHIPPED.replace("allowance_gpu_hours: 5000", "allowance_gpu_hours: 6000")
    made = await as_("olga").put("/v1/policy", params={"name": "staff.yaml"}, content=raised)
    refused = await as_("fin").post(f"/v1/approvals/{made.json()['id']}/approve", json={})
    assert (refused.status_code, refused.json()["code"]) == (403, "self-benefit")


async def test_as_shipped_to_say_that_one_person_is_enough_takes_two(shipped: Service, as_: Client) -> None:
    alone = POLICY.read_text(encoding="utf-8")
    made = await as_("olga").put("/v1/policy", params={"name": "alone.yaml"}, content=alone)
    assert made.status_code == 202
    assert {each["path"] for each in made.json()["raises"]} == {
        f"approvals.{key}" for key in ("access", "grants", "policy", "prices")
    }
    assert (await as_("fin").post("/v1/grants", json=GRANT)).status_code == 202


async def test_the_price_book_in_force_put_again_waits_for_nobody_but_to_correct(
    shipped: Service, as_: Client
) -> None:
    again = await as_("fin").put("/v1/prices", params={"name": "prices.yaml"}, content=PRICES)
    assert again.status_code == 200
    corrects = {"name": "prices.yaml", "correct": "true"}
    assert (await as_("fin").put("/v1/prices", params=corrects, content=PRICES)).status_code == 202


async def test_as_shipped_a_token_and_a_people_file_that_give_more_wait(shipped: Service, as_: Client) -> None:
    token = await as_("olga").post("/v1/tokens", json={"subject": "bob", "roles": ["engineer", "finance"]})
    assert token.status_code == 202
    people = "version: 1\nengineers:\n  - {subject: bob, team: research, tier: senior, roles: [engineer, finance]}\n"
    made = await as_("olga").put("/v1/people", params={"name": "people.yaml"}, content=people)
    assert made.status_code == 202


def test_a_fresh_installation_is_set_up_by_the_bootstrap_token_alone(tmp_path: Path) -> None:
    first = tmp_path / "first.yaml"
    first.write_text(AS_SHIPPED, encoding="utf-8")
    settings = Settings(
        cluster=ClusterKind.KUBERNETES, database="sqlite://", policy=first, bootstrap_token="first-" + "0" * 32
    )
    service = build(settings, store=open_migrated(), clock=HandClock(), cluster=SilentCluster(), ids=CountedIds())
    operator = Caller("operator", frozenset({Role.OPERATOR, Role.AUDITOR}))
    assert service.world.require_policy().approvals == ALL_TWO
    people = [
        Engineer(
            EngineerId(""), subject, TeamName("platform"), TierName("staff"), subject, frozenset({Role.ENGINEER})
        )
        for subject in ("ada", "olga")
    ]
    assert service.administration.apply_people(operator, people, now=NOON) == 2
    roles = {"ada": Role.ENGINEER, "fin": Role.FINANCE, "olga": Role.OPERATOR}
    for number, (subject, role) in enumerate(roles.items()):
        made = service.rights.issue_token(
            operator, TokenRecord(str(number) * 64, subject, frozenset({role})), now=NOON
        )
        assert made.waits_for is None, f"{subject} has a token at once"
    assert service.pricing.apply(SYSTEM, PRICES, read_prices(PRICES, "prices.yaml"), now=NOON).name == "prices.yaml"
    third = service.rights.issue_token(operator, TokenRecord("9" * 64, "pam", frozenset({Role.PEOPLE})), now=NOON)
    assert third.waits_for is not None, "from here on there is somebody to agree"
    olga = Caller("olga", frozenset({Role.OPERATOR}))
    assert not service.approvals.approve(olga, third.waits_for, now=NOON).is_waiting
    service.store.close()


@pytest.mark.parametrize("path", sorted((POLICY.parents[2] / "policies").glob("*.yaml")), ids=lambda path: path.name)
def test_every_example_policy_wants_two_persons(path: Path) -> None:
    if path.name not in {"people.yaml", "prices.yaml"}:
        assert read_policy(path.read_bytes(), path.name).approvals == ALL_TWO


def test_a_key_that_is_left_out_says_two_persons() -> None:
    assert ApprovalRules() == ALL_TWO
    one = read_policy(AS_SHIPPED + "\napprovals: {prices: one-person}\n", "one.yaml")
    assert one.approvals == ApprovalRules(prices=Persons.ONE)
    other = read_policy(AS_SHIPPED + "\napprovals: {grants: one-person}\n", "other.yaml")
    assert other.approvals == ApprovalRules(grants=Persons.ONE)
