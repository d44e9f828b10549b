"""The role that the books record of an act is the one that allowed it, whatever else the person may do."""

import ast
from pathlib import Path

import pytest

from scheduler.domain.errors import NotPermitted
from scheduler.domain.people import Caller, Role
from scheduler.domain.units import EngineerId
from scheduler.entrypoints.api.auth import hash_of
from scheduler.entrypoints.running import Service
from tests.entrypoints.api.conftest import Client
from tests.entrypoints.company import JOB, NOON, POLICY, SYSTEM, token_of

LIFECYCLE = Path(__file__).parents[3] / "scheduler/lifecycle"
PRICES = (POLICY.parents[2] / "policies/prices.yaml").read_text(encoding="utf-8")
GRANT = {"holder_kind": "engineer", "holder": "ada", "amount_ms": 7, "reason": "more"}
TOKEN = {"subject": "ines", "roles": ["engineer"]}


@pytest.fixture
def everything(service: Service) -> None:
    """Lea has a token with every role of a person."""
    roles = frozenset(Role) - {Role.AGENT, Role.GATEWAY}
    service.administration.issue_token(SYSTEM, "lea", roles, hash_of(token_of("all")), now=NOON)


async def roles_recorded(as_: Client) -> list[tuple[str, str]]:
    """(verb, role) of what was done last, the newest first."""
    events = (await as_("aud").get("/v1/audit", params={"limit": 20})).json()["items"]
    return [(event["verb"], event["role"]) for event in events]


@pytest.mark.usefixtures("everything")
async def test_an_act_of_somebody_with_every_role_is_recorded_under_the_one_that_it_needed(as_: Client) -> None:
    lea, ada = as_("all"), as_("ada")
    theirs = (await ada.post("/v1/workloads", json=JOB)).json()["id"]
    own = (await lea.post("/v1/workloads", json=JOB)).json()["id"]
    done = [
        await lea.post(f"/v1/workloads/{own}/cancel"),
        await lea.post(f"/v1/workloads/{theirs}/cancel"),
        await lea.put("/v1/prices", params={"name": "next.yaml"}, content=PRICES),
        await lea.post("/v1/periods/2026-10/close", json={}),
        await lea.post("/v1/grants", json=GRANT),
        await lea.put("/v1/brakes/launch", json={"why": "rack 4"}),
        await lea.post("/v1/tokens", json=TOKEN),
    ]
    assert [answer.status_code for answer in done] == [200, 200, 200, 200, 201, 200, 201]
    assert (await roles_recorded(as_))[:8] == [
        ("issue token", "operator"),
        ("pause launch", "operator"),
        ("grant", "finance"),
        ("close", "finance"),
        ("close provisionally", "finance"),
        ("apply prices", "finance"),
        ("cancel", "operator"),
        ("cancel", "engineer"),
    ]


@pytest.mark.usefixtures("everything")
async def test_a_close_keeps_the_role_too(as_: Client) -> None:
    await as_("all").post("/v1/periods/2026-10/close", json={})
    steps = (await as_("fin").get("/v1/periods")).json()["items"]
    assert {step["role"] for step in steps} == {"finance"}


@pytest.mark.usefixtures("everything")
async def test_a_proposal_and_its_approval_keep_the_roles_that_they_took(service: Service, as_: Client) -> None:
    asked = {"kind": "hours", "amount_ms": 3_600_000, "reason": "a run more"}
    request = (await as_("ada").post("/v1/requests", json=asked)).json()["id"]
    decided = await as_("all").post(f"/v1/approvals/{request}/approve", json={"reason": "yes"})
    assert decided.status_code == 200
    assert (await roles_recorded(as_))[:3] == [
        ("approve", "finance"),
        ("grant", "finance"),
        ("request hours", "engineer"),
    ]
    with service.store.reading() as books:
        approval = books.approvals.get(request)
    assert approval is not None
    assert (approval.proposal.role, approval.moves[0].role) == ("engineer", "finance")


def test_the_right_that_was_asked_for_first_stays() -> None:
    both = Caller("petra", frozenset({Role.ENGINEER, Role.FINANCE, Role.OPERATOR}), EngineerId("e-1"))
    assert both.role == "engineer"
    assert both.require(Role.OPERATOR).role == "operator"
    assert both.require(Role.FINANCE, Role.OPERATOR).role == "finance"
    assert both.require(Role.PEOPLE, Role.OPERATOR).role == "operator", "of those asked for one that they have"
    assert both.require(Role.OPERATOR).require(Role.FINANCE, Role.OPERATOR).role == "operator"
    assert (both.acting_for(EngineerId("e-1")).role, both.acting_for(EngineerId("e-2")).role) == (
        "engineer",
        "operator",
    )
    with pytest.raises(NotPermitted, match="lacks the role") as refused:
        both.require(Role.PEOPLE, Role.AUDITOR, Role.LEAD, Role.AUDITOR)
    assert refused.value.expected == "the role people, auditor or lead", "each once"


def test_no_verb_that_records_a_role_drops_the_right_that_it_asked_for() -> None:
    """A function that calls `caller.require(…)` for its refusal alone records nothing."""
    forgetful = [
        f"{path.name}:{function.name}"
        for path in sorted(LIFECYCLE.rglob("*.py"))
        for function in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(function, ast.FunctionDef)
        and "caller.require(" in {ast.unparse(each)[:15] for each in ast.walk(function) if isinstance(each, ast.Expr)}
        and "changing(" in ast.unparse(function)
    ]
    assert forgetful == []
