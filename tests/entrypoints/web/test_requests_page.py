"""Requests on the real service: asked for by a form, decided by a second person, refused as a sentence."""

import re

import httpx
import pytest

from scheduler.adapters.policy_files import read_policy
from scheduler.domain.allowances import Holder, HolderKind
from scheduler.domain.approvals import Change, Proposal, ProposalKind
from scheduler.domain.awards import Award
from scheduler.domain.people import Caller, Role
from scheduler.domain.units import MS_PER_HOUR, GpuClassName, Instant
from scheduler.entrypoints.running import Service
from scheduler.lifecycle.awarding.compensate import Package
from tests.entrypoints.company import NOON, engineer_id
from tests.entrypoints.two_persons import RAISED, want_two_persons
from tests.entrypoints.web.reading import Page, read
from tests.entrypoints.web.signed_in import client_of


def caller(company: Service, subject: str, *roles: Role) -> Caller:
    person = company.world.people[engineer_id(company, subject)]
    return Caller(subject, frozenset(roles), person.id, person.team)


def asked_by_ada(company: Service, hours: int = 40) -> str:
    ada = caller(company, "ada", Role.ENGINEER)
    assert ada.engineer is not None
    change = Change(Holder(HolderKind.ENGINEER, ada.engineer), hours * MS_PER_HOUR)
    return company.proposals.request(ada, ProposalKind.HOURS, change, "the ablations", now=NOON).id


async def ask(client: httpx.AsyncClient, page: str, /, **fields: str) -> httpx.Response:
    """The form of a page, as it stands but for what is filled in."""
    form = read(await client.get("/requests", params={"ask": page})).form("/requests")
    return await client.post(form.action, data={**form.fields, **fields})


def actions(page: Page) -> set[str]:
    return {form.action for form in page.forms}


def available(company: Service, subject: str) -> int:
    return company.views.balance(caller(company, subject, Role.ENGINEER), NOON).available


async def test_hours_are_asked_for_and_stand_there_with_who_asked(company: Service) -> None:
    async with client_of(company, "ada") as client:
        page = read(
            await ask(client, "hours", hours="12.5", gpu_class="H100", until="2026-12-04", reason="the paper")
        )
    assert "12.5 h more waiting the paper for engineer ada, on H100, until Sat 5 Dec, 00:00" in page.text
    assert "asked by ada (engineer)" in page.text
    (mine,) = company.approval_views.own(caller(company, "ada", Role.ENGINEER), NOON)
    assert mine.amount_ms == 25 * MS_PER_HOUR // 2
    assert f"/requests/{mine.id}/withdraw" in actions(page)
    assert f"/requests/{mine.id}/approve" not in actions(page)


async def test_the_same_form_sent_twice_asks_once(company: Service) -> None:
    async with client_of(company, "ada") as client:
        form = read(await client.get("/requests?ask=hours")).form("/requests")
        for _ in range(2):
            await client.post(form.action, data={**form.fields, "hours": "10", "reason": "twice"})
    assert len(company.approval_views.own(caller(company, "ada", Role.ENGINEER), NOON)) == 1


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"hours": "plenty", "reason": "x"}, "invalid-amount"),
        ({"hours": "0", "reason": "x"}, "invalid-amount"),
        ({"hours": "5", "reason": ""}, "invalid-value"),
        ({"hours": "5", "reason": "x", "until": "soon"}, "invalid-value"),
        ({"hours": "5", "reason": "x", "until": "9999-12-31"}, "invalid-value"),
        ({"hours": "5", "reason": "x", "until": "2020-01-01"}, "invalid-value"),
        ({"hours": "5", "reason": "x", "gpu_class": "B9"}, "unknown-gpu-class"),
        ({"hours": "5", "reason": "x", "holder": "team:platform"}, "not-yours"),
        ({"hours": "5", "reason": "x", "kind": "grant"}, "invalid-value"),
    ],
)
async def test_what_is_refused_says_so_and_asks_for_nothing(
    fields: dict[str, str], code: str, company: Service
) -> None:
    async with client_of(company, "ada") as client:
        answer = await ask(client, "hours", **fields)
    assert answer.status_code in {403, 404, 422}
    assert code in read(answer).text
    assert company.approval_views.own(caller(company, "ada", Role.ENGINEER), NOON) == []


async def test_what_was_filled_in_is_kept_after_a_refusal(company: Service) -> None:
    async with client_of(company, "ada") as client:
        form = read(await ask(client, "hours", hours="plenty", reason="the paper")).form("/requests")
    assert (form.fields["hours"], form.fields["reason"]) == ("plenty", "the paper")


async def test_a_later_end_and_another_class_are_asked_for_one_of_ones_allowances(company: Service) -> None:
    ada = engineer_id(company, "ada")
    award = Award(
        Holder(HolderKind.ENGINEER, ada),
        20 * MS_PER_HOUR,
        expires_at=Instant(NOON + 72 * MS_PER_HOUR),
        gpu_classes=frozenset({GpuClassName("A100")}),
        reason="ad hoc",
    )
    made = company.commands.grant(Caller("fin", frozenset({Role.FINANCE})), award, now=NOON)
    chosen = f"engineer:{ada}:{made.id}"
    async with client_of(company, "ada") as client:
        form = read(await client.get("/requests?ask=extension")).form("/requests")
        assert chosen in form.options["allowance"]
        later = read(
            await ask(client, "extension", allowance=chosen, until="2026-12-20", reason="the cluster was full")
        )
        other = read(await ask(client, "class", allowance=chosen, gpu_class="H100", reason="it needs the memory"))
        again = read(await ask(client, "class", allowance=chosen, gpu_class="A100", reason="I have that"))
    assert f"A later end of {made.id} waiting the cluster was full" in later.text
    assert f"Another GPU class for {made.id} waiting it needs the memory" in other.text
    assert "may be spent on it already" in again.text


async def test_only_a_lead_asks_for_the_team_and_its_projects(company: Service) -> None:
    async with client_of(company, "ada") as client:
        own = read(await client.get("/requests?ask=hours")).form("/requests").options["holder"]
    async with client_of(company, "lea") as client:
        led = read(await client.get("/requests?ask=hours")).form("/requests").options["holder"]
        page = read(await ask(client, "hours", holder="team:research", hours="100", reason="the quarter"))
    assert own == [f"engineer:{engineer_id(company, 'ada')}"]
    assert "team:research" in led
    assert "for team research" in page.text


async def test_who_may_decide_lets_it_take_effect_and_less_than_was_asked(company: Service) -> None:
    name, before = asked_by_ada(company), available(company, "ada")
    async with client_of(company, "fin") as client:
        queue = read(await client.get("/requests"))
        assert "Waiting for a second person 1" in queue.text
        form = queue.form(f"/requests/{name}/approve")
        after = read(await client.post(form.action, data={**form.fields, "hours": "30", "reason": "try with these"}))
    assert available(company, "ada") == before + 30 * MS_PER_HOUR
    assert "Nothing waits for a decision." in after.text
    assert "Decided lately 40.0 h more approved" in after.text
    async with client_of(company, "ada") as client:
        told = read(await client.get("/requests")).text
    assert "40.0 h more approved the ablations" in told
    assert "approved by fin (finance), 30.0 h of it: try with these" in told


async def test_a_request_is_refused_with_a_reason_that_who_asked_reads(company: Service) -> None:
    name = asked_by_ada(company)
    async with client_of(company, "fin") as client:
        silent = await client.post(f"/requests/{name}/reject", data={"reason": ""})
        await client.post(f"/requests/{name}/reject", data={"reason": "no room before March"})
        late = await client.post(f"/requests/{name}/approve", data={})
    assert "A rejection needs a reason." in read(silent).text
    assert late.status_code == 409
    async with client_of(company, "ada") as client:
        page = read(await client.get(f"/requests/{name}"))
    assert "rejected by fin (finance): no room before March" in page.text
    assert not any(action.startswith(f"/requests/{name}") for action in actions(page))


async def test_more_than_was_asked_is_not_approved(company: Service) -> None:
    name, before = asked_by_ada(company), available(company, "ada")
    async with client_of(company, "fin") as client:
        answer = await client.post(f"/requests/{name}/approve", data={"hours": "41"})
    assert (answer.status_code, "invalid-amount" in read(answer).text) == (422, True)
    assert available(company, "ada") == before


async def test_a_request_is_withdrawn_by_who_asked_and_by_nobody_else(company: Service) -> None:
    name = asked_by_ada(company)
    async with client_of(company, "fin") as client:
        assert (await client.post(f"/requests/{name}/withdraw")).status_code == 403
    async with client_of(company, "ada") as client:
        page = read(await client.post(f"/requests/{name}/withdraw"))
    assert "withdrawn by ada (engineer)" in page.text


async def test_nobody_approves_their_own_and_the_page_says_so_as_a_sentence(company: Service) -> None:
    want_two_persons(company)
    fin = caller(company, "fin", Role.FINANCE)
    award = Award(
        Holder(HolderKind.ENGINEER, engineer_id(company, "ada")),
        MS_PER_HOUR,
        expires_at=Instant(NOON + MS_PER_HOUR),
        reason="x",
    )
    made = company.proposals.grant(fin, award, now=NOON)
    async with client_of(company, "fin") as client:
        queue = read(await client.get("/requests"))
        answer = await client.post(f"/requests/{made.id}/approve", data={})
    assert "yours: another person decides it" in queue.text
    assert f"/requests/{made.id}/approve" not in actions(queue)
    assert answer.status_code == 403
    assert "Nobody approves what they asked for themselves." in read(answer).text
    assert "own-request" in read(answer).text


async def test_nobody_approves_what_benefits_them(company: Service) -> None:
    olga = engineer_id(company, "olga")
    want_two_persons(company)
    award = Award(Holder(HolderKind.ENGINEER, olga), MS_PER_HOUR, expires_at=Instant(NOON + MS_PER_HOUR), reason="x")
    made = company.proposals.grant(caller(company, "fin", Role.FINANCE), award, now=NOON)
    async with client_of(company, "olga") as client:
        answer = await client.post(f"/requests/{made.id}/approve", data={})
    assert answer.status_code == 403
    assert "Nobody approves what benefits themselves." in read(answer).text


async def test_a_policy_waits_with_what_it_raises_and_its_text(company: Service) -> None:
    want_two_persons(company)
    made = company.proposals.apply_policy(
        Caller("robot", frozenset({Role.OPERATOR})), RAISED, read_policy(RAISED, "raised.yaml"), now=NOON
    )
    assert isinstance(made, Proposal)
    async with client_of(company, "fin") as client:
        queue = read(await client.get("/requests"))
        page = read(await client.get(f"/requests/{made.id}"))
        await client.post(f"/requests/{made.id}/approve", data={})
    assert "tiers.engineer.allowance_gpu_hours: 1000 → 1200" in queue.text
    assert f"Its text sha256 {made.hash}" in page.text
    assert "allowance_gpu_hours: 1200" in page.text
    assert company.world.require_policy().hash == made.hash


async def test_an_auditor_reads_the_queue_and_decides_nothing(company: Service) -> None:
    name = asked_by_ada(company)
    async with client_of(company, "aud") as client:
        page = read(await client.get("/requests"))
        answer = await client.post(f"/requests/{name}/approve", data={})
    assert "the ablations" in page.text
    assert f"/requests/{name}/approve" not in actions(page)
    assert answer.status_code == 403


async def test_nobody_else_sees_a_request(company: Service) -> None:
    name = asked_by_ada(company)
    async with client_of(company, "bob") as client:
        assert "the ablations" not in read(await client.get("/requests")).text
        assert (await client.get(f"/requests/{name}")).status_code == 404
        assert (await client.post(f"/requests/{name}/approve", data={})).status_code == 404


async def test_another_sites_page_cannot_decide(company: Service) -> None:
    name = asked_by_ada(company)
    async with client_of(company, "fin") as client:
        answer = await client.post(f"/requests/{name}/approve", data={}, headers={"Origin": "https://evil.test"})
    assert answer.status_code == 403
    assert company.approval_views.one(caller(company, "ada", Role.ENGINEER), name, NOON).state == "waiting"


async def test_an_unknown_step_is_not_found(company: Service) -> None:
    name = asked_by_ada(company)
    async with client_of(company, "fin") as client:
        assert (await client.post(f"/requests/{name}/celebrate", data={})).status_code == 404


async def test_whoever_approves_pay_reads_how_much_it_is_and_when_it_vests(company: Service) -> None:
    want_two_persons(company)
    asked = Package(engineer_id(company, "ada"), 300 * MS_PER_HOUR, months=24, cliff_months=6, reason="the offer")
    company.proposals.compensate(Caller("pat", frozenset({Role.PEOPLE})), asked, now=NOON)
    async with client_of(company, "pam") as client:
        text = read(await client.get("/requests")).text
    assert "A package of pay: 300.0 h, annual, standard" in text
    assert (
        "vests every month over 24 months, nothing before 6 months; begins when it is approved; pays personal" in text
    )


async def test_the_page_of_a_request_says_what_it_would_bring_coverage_to(company: Service) -> None:
    name = asked_by_ada(company, 20_000)
    async with client_of(company, "fin") as client:
        decider = read(await client.get(f"/requests/{name}"))
        queue = read(await client.get("/requests"))
    async with client_of(company, "ada") as client:
        own = read(await client.get(f"/requests/{name}"))
    assert re.search(r"Promised of H100 in 2026-W47: \d+\.\d %, \d+\.\d % without it", decider.text)
    assert queue.text.count("Promised of ") == 1, "of the fullest class alone"
    assert "Promised of" not in own.text
