"""Hours passed on: to a colleague, to a team, pool or project; by whom, of what, and what is refused."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from scheduler.domain.allowances import Holder, HolderKind
from scheduler.domain.errors import Refusal, RefusalCode
from scheduler.domain.people import Caller, Engineer, Role
from scheduler.domain.quantities import TOKENS
from scheduler.domain.units import MS_PER_HOUR, AllowanceId, CommandId, EngineerId, Instant, TeamName, TierName
from scheduler.lifecycle.awarding.awards import Awards
from scheduler.lifecycle.awarding.compensate import Package
from scheduler.lifecycle.awarding.periodic import grant_period
from scheduler.lifecycle.awarding.transfer import Passing
from scheduler.lifecycle.views.reader import Views
from scheduler.lifecycle.writing.answered import Command
from tests.lifecycle.build import NOON, OPERATOR, Company, month, policy

HOUR = MS_PER_HOUR
STRICT = TierName("strict")


@pytest.fixture
def company() -> Iterator[Company]:
    base = policy()
    (name, tier) = next(iter(base.tiers.items()))
    tiers = {name: replace(tier, may_transfer=True, may_donate=True), STRICT: replace(tier, name=STRICT)}
    made = Company(replace(base, tiers=tiers))
    eve = Engineer(EngineerId(""), "eve", TeamName("vision"), TierName("staff"), "Eve")
    sam = Engineer(EngineerId(""), "sam", TeamName("research"), STRICT, "Sam")
    made.administration.apply_people(OPERATOR, [eve, sam], now=made.now)
    with made.changing() as batch:
        grant_period(batch, month(NOON))
    yield made
    made.close_in_balance()


@pytest.fixture
def awards(company: Company) -> Awards:
    return Awards(company.store, company.world, company.ids)


def of(company: Company, subject: str) -> AllowanceId:
    return AllowanceId(f"tier/{company.engineer(subject).id}/2026-11")


def to(company: Company, subject: str, hours: int = 40, giver: str = "ada") -> Passing:
    holder = Holder(HolderKind.ENGINEER, company.engineer(subject).id)
    return Passing(of(company, giver), holder, hours * HOUR, "a deadline")


def test_hours_go_to_a_colleague_and_both_statements_tie(company: Company, awards: Awards) -> None:
    made = awards.transfer(company.caller("ada"), to(company, "bob"), now=NOON)
    assert company.world.balances[made.id].available == 40 * HOUR
    assert company.world.balances[of(company, "ada")].available == 60 * HOUR
    views = Views(company.store, company.world)
    for subject, transferred, closing in (("ada", -40, 60), ("bob", 40, 140)):
        view = views.statement(OPERATOR, "2026-11", NOON, subject)
        assert (view.transferred, view.closing) == (transferred * HOUR, closing * HOUR)
        assert view.opening + view.granted + view.transferred == view.closing
        assert "a deadline" in view.lines[-1].text
    team = views.statement(OPERATOR, "2026-11", NOON, "team:research")
    names = {subject: company.engineer(subject) for subject in ("ada", "bob")}
    assert (team.transferred, team.lines[-1].who) == (0, "{ada.name} → {bob.name}".format(**names))
    assert team.lines[-1].holder == "engineer:{ada.id} engineer:{bob.id}".format(**names)


def test_a_balance_counts_what_was_passed_on_for_its_taker_alone(company: Company, awards: Awards) -> None:
    awards.transfer(company.caller("ada"), to(company, "bob"), now=NOON)
    views = Views(company.store, company.world)
    ada, bob = (views.balance(company.caller(subject), NOON) for subject in ("ada", "bob"))
    assert (ada.granted, ada.available) == (60 * HOUR, 60 * HOUR)
    assert (bob.granted, bob.available) == (140 * HOUR, 140 * HOUR)


def test_what_was_passed_on_keeps_its_terms_and_its_expiry(company: Company, awards: Awards) -> None:
    source = company.world.balances[of(company, "ada")].allowance
    made = awards.transfer(company.caller("ada"), to(company, "bob"), now=NOON)
    assert (made.expires_at, made.unit, made.purposes) == (source.expires_at, source.unit, source.purposes)
    assert (made.rollover, made.period) == (None, "")


@pytest.mark.parametrize(
    ("kind", "name"), [(HolderKind.TEAM, "research"), (HolderKind.PROJECT, "aurora")], ids=["a pool", "a project"]
)
def test_hours_are_donated(company: Company, awards: Awards, kind: HolderKind, name: str) -> None:
    target = awards.donee(name) if kind is HolderKind.TEAM else Holder(kind, name)
    made = awards.transfer(company.caller("ada"), Passing(of(company, "ada"), target, HOUR, "spare"), now=NOON)
    assert made.holder == target
    assert company.world.balances[made.id].available == HOUR


def test_the_same_command_twice_passes_on_once(company: Company, awards: Awards) -> None:
    command = Command(CommandId("ada:1"), "hash")
    first = awards.transfer(company.caller("ada"), to(company, "bob"), now=NOON, command=command)
    assert awards.transfer(company.caller("ada"), to(company, "bob"), now=NOON, command=command) == first
    assert company.world.balances[of(company, "ada")].available == 60 * HOUR


@pytest.mark.parametrize("amount", [0, -1, 2**63])
def test_no_amount_is_not_passed_on(company: Company, awards: Awards, amount: int) -> None:
    with pytest.raises(Refusal) as refused:
        awards.transfer(company.caller("ada"), replace(to(company, "bob"), amount=amount), now=NOON)
    assert refused.value.code is RefusalCode.INVALID_AMOUNT


@pytest.mark.parametrize(
    ("giver", "taker", "code"),
    [
        ("ada", "ada", RefusalCode.TRANSFER_TO_SELF),
        ("ada", "eve", RefusalCode.TRANSFER_NOT_ALLOWED),
        ("sam", "ada", RefusalCode.TRANSFER_NOT_ALLOWED),
    ],
    ids=["oneself", "another team", "a tier that may not"],
)
def test_a_transfer_that_may_not_be_is_refused(
    company: Company, awards: Awards, giver: str, taker: str, code: RefusalCode
) -> None:
    with pytest.raises(Refusal) as refused:
        awards.transfer(company.caller(giver), to(company, taker, giver=giver), now=NOON)
    assert refused.value.code is code
    assert company.world.balances[of(company, giver)].available == 100 * HOUR


def test_more_than_there_is_what_is_frozen_and_what_is_another_s_is_refused(company: Company, awards: Awards) -> None:
    ada = company.caller("ada")
    people = Caller("pat", frozenset({Role.PEOPLE}))
    with pytest.raises(Refusal) as refused:
        awards.transfer(ada, to(company, "bob", hours=101), now=NOON)
    assert refused.value.code is RefusalCode.ALLOWANCE_SHORT
    with pytest.raises(Refusal) as refused:
        awards.transfer(company.caller("bob"), to(company, "bob"), now=NOON)
    assert refused.value.code is RefusalCode.ROLE_REQUIRED
    with pytest.raises(Refusal) as refused:
        awards.transfer(OPERATOR, replace(to(company, "bob"), source=AllowanceId("g-none")), now=NOON)
    assert refused.value.code is RefusalCode.UNKNOWN_ALLOWANCE
    awards.freeze(people, of(company, "ada"), "a dispute", is_frozen=True, now=NOON)
    with pytest.raises(Refusal) as refused:
        awards.transfer(ada, to(company, "bob"), now=Instant(NOON + 1))
    assert refused.value.code is RefusalCode.ALLOWANCE_SHORT
    assert f"{of(company, 'ada')} is frozen: nothing of it is passed on" in str(refused.value)


def test_units_never_mix_and_pay_is_never_passed_on(company: Company, awards: Awards) -> None:
    people = Caller("pat", frozenset({Role.PEOPLE}))
    tokens = awards.compensate(
        people, Package(company.engineer("bob").id, 1_000, unit=TOKENS, months=0, cliff_months=0), now=NOON
    )
    with pytest.raises(Refusal) as refused:
        awards.transfer(company.caller("ada"), replace(to(company, "bob"), into=tokens.id), now=NOON)
    assert refused.value.code is RefusalCode.UNIT_MISMATCH
    with pytest.raises(Refusal) as refused:
        awards.transfer(company.caller("bob"), replace(to(company, "ada"), source=tokens.id, amount=1), now=NOON)
    assert refused.value.code is RefusalCode.TRANSFER_NOT_ALLOWED


def test_a_colleague_is_found_in_the_team_alone_and_a_pool_by_its_name(company: Company, awards: Awards) -> None:
    assert awards.colleague(company.caller("ada"), "bob").id == company.engineer("bob").id
    for unseen in ("eve", "nobody"):
        with pytest.raises(Refusal, match="no such engineer in the team"):
            awards.colleague(company.caller("ada"), unseen)
    assert awards.donee("research") == Holder(HolderKind.TEAM, "research")
    with pytest.raises(Refusal) as refused:
        awards.donee("nowhere")
    assert refused.value.code is RefusalCode.UNKNOWN_TEAM
