"""Grants by hand in every unit: who may hold them, what becomes of them, and what is refused with nothing written."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from scheduler.domain.allowances import AllowanceSource, Holder, HolderKind
from scheduler.domain.approvals import Change, ProposalKind
from scheduler.domain.awards import Award
from scheduler.domain.errors import Conflict, Exhausted, InvalidInput, NotPermitted, Refusal, RefusalCode
from scheduler.domain.people import Caller, Role
from scheduler.domain.policy import CoverageRule
from scheduler.domain.quantities import TOKENS, class_unit, money_unit, unit_label
from scheduler.domain.units import (
    AMOUNT_MAX,
    MS_PER_DAY,
    MS_PER_HOUR,
    STANDARD_GPU,
    AllowanceId,
    GpuClassName,
    Instant,
    PerMille,
    Unit,
)
from scheduler.lifecycle.approvals.approve import Lower
from scheduler.lifecycle.awarding.awards import Awards
from scheduler.lifecycle.awarding.expire import expire_due
from scheduler.lifecycle.awarding.transfer import Passing
from scheduler.lifecycle.views.reader import Views
from scheduler.lifecycle.views.unit_shapes import UnitView
from tests.lifecycle.build import H100, NOON, OPERATOR, Company, policy
from tests.lifecycle.priced import EUR, Desk, euros

UNITS = {
    "standard hours": STANDARD_GPU,
    "class hours": class_unit(H100),
    "tokens of a model": Unit("tokens/llama"),
    "tokens of any": TOKENS,
    "money": EUR,
}
OTHERS = {name: unit for name, unit in UNITS.items() if unit != STANDARD_GPU}
AMOUNT = 12 * MS_PER_HOUR
LATER = Instant(NOON + 10 * MS_PER_DAY)
NEXT_YEAR = Instant(NOON + 100 * MS_PER_DAY)
FINANCE = Caller("fin", frozenset({Role.FINANCE}))
PEOPLE = Caller("pat", frozenset({Role.PEOPLE}))
in_each = pytest.mark.parametrize("unit", UNITS.values(), ids=UNITS.keys())


@pytest.fixture
def company() -> Iterator[Company]:
    base = policy()
    tiers = {name: replace(tier, may_transfer=True, may_donate=True) for name, tier in base.tiers.items()}
    made = Company(replace(base, tiers=tiers))
    made.world.price_book = euros()
    yield made
    made.close_in_balance()


@pytest.fixture
def awards(company: Company) -> Awards:
    return Awards(company.store, company.world, company.ids)


def asked(company: Company, unit: Unit, amount: int = AMOUNT, **fields: object) -> Award:
    holder = Holder(HolderKind.ENGINEER, company.engineer("ada").id)
    made = Award(holder, amount, expires_at=LATER, reason="the paper", unit=unit)
    return replace(made, **fields)  # type: ignore[arg-type]  # by name


def grant(company: Company, unit: Unit, amount: int = AMOUNT) -> AllowanceId:
    return company.commands.grant(FINANCE, asked(company, unit, amount), now=company.now).id


def of_unit(company: Company, unit: Unit, owner: str = "ada") -> UnitView:
    made = Views(company.store, company.world).statement(OPERATOR, "2026-11", company.now, owner)
    (found,) = made.others
    assert found.unit == unit_label(unit)
    return found


def rows_of(company: Company) -> dict[str, int]:
    tables = ("allowances", "transactions", "entries", "accounts", "proposals", "audit_events", "commands")
    with company.store._write() as connection:
        return {name: connection.exec_driver_sql(f"SELECT COUNT(*) FROM {name}").scalar_one() for name in tables}  # noqa: S608  # names of ours


@in_each
@pytest.mark.parametrize("kind", list(HolderKind), ids=lambda kind: kind.value)
def test_a_grant_by_hand_is_in_any_unit_for_any_holder(company: Company, unit: Unit, kind: HolderKind) -> None:
    name = {HolderKind.TEAM: "research", HolderKind.PROJECT: "aurora"}.get(kind) or company.engineer("ada").id
    made = company.commands.grant(FINANCE, asked(company, unit, holder=Holder(kind, name)), now=NOON)
    balance = company.world.balances[made.id]
    assert (balance.allowance.unit, balance.available) == (unit, AMOUNT)
    assert balance.allowance.source is AllowanceSource.AD_HOC


@pytest.mark.parametrize("unit", OTHERS.values(), ids=OTHERS.keys())
def test_the_statement_ties_in_the_units_own_sums(company: Company, awards: Awards, unit: Unit) -> None:
    source = grant(company, unit)
    to = Holder(HolderKind.ENGINEER, company.engineer("bob").id)
    awards.transfer(company.caller("ada"), Passing(source, to, AMOUNT // 4, "a deadline"), now=NOON)
    company.now = LATER
    with company.changing() as batch:
        assert expire_due(batch) == 2
    sums = of_unit(company, unit).quantities
    assert sums["granted"] + sums["transferred"] - sums["expired"] == sums["closing"] + sums["held"] == 0
    assert (sums["granted"], sums["transferred"], sums["expired"]) == (AMOUNT, -AMOUNT // 4, AMOUNT * 3 // 4)
    assert of_unit(company, unit, "bob").quantities["expired"] == AMOUNT // 4


@in_each
def test_what_is_granted_is_passed_on_donated_frozen_and_expires(
    company: Company, awards: Awards, unit: Unit
) -> None:
    source = grant(company, unit)
    bob, team = Holder(HolderKind.ENGINEER, company.engineer("bob").id), Holder(HolderKind.TEAM, "research")
    passed = awards.transfer(company.caller("ada"), Passing(source, bob, 1, "a deadline"), now=NOON)
    given = awards.transfer(company.caller("ada"), Passing(source, team, 2, "spare"), now=NOON)
    assert {each.unit for each in (passed, given)} == {unit}
    awards.freeze(FINANCE, source, "a dispute", is_frozen=True, now=NOON)
    assert company.world.balances[source].spendable == 0
    with pytest.raises(Exhausted) as refused:
        awards.transfer(company.caller("ada"), Passing(source, bob, 1, "again"), now=NOON)
    assert refused.value.code is RefusalCode.ALLOWANCE_SHORT
    company.now = LATER
    with company.changing() as batch:
        assert expire_due(batch) == 3
    assert [company.available(each) for each in (source, passed.id, given.id)] == [0, 0, 0]


@in_each
@pytest.mark.parametrize("amount", [0, -1, AMOUNT_MAX, 2**63], ids=["nothing", "less", "the bound", "2 to the 63"])
def test_an_amount_that_is_none_is_refused_in_every_unit(company: Company, unit: Unit, amount: int) -> None:
    before = rows_of(company)
    with pytest.raises(InvalidInput) as refused:
        grant(company, unit, amount)
    assert refused.value.code is RefusalCode.INVALID_AMOUNT
    assert rows_of(company) == before


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"unit": class_unit(GpuClassName("B200"))}, RefusalCode.UNKNOWN_GPU_CLASS),
        ({"unit": money_unit("USD")}, RefusalCode.UNKNOWN_CURRENCY),
        ({"unit": Unit("litres")}, RefusalCode.UNKNOWN_UNIT),
        ({"gpu_classes": frozenset({GpuClassName("B200")})}, RefusalCode.UNKNOWN_GPU_CLASS),
        ({"expires_at": NOON}, RefusalCode.EXPIRY_BEFORE_GRANT),
        ({"holder": Holder(HolderKind.ENGINEER, "nobody")}, RefusalCode.UNKNOWN_ENGINEER),
        ({"holder": Holder(HolderKind.TEAM, "nobody")}, RefusalCode.UNKNOWN_TEAM),
        ({"holder": Holder(HolderKind.PROJECT, "nobody")}, RefusalCode.UNKNOWN_PROJECT),
    ],
    ids=["a class", "a currency", "a unit", "classes", "an expiry", "an engineer", "a team", "a project"],
)
def test_what_the_company_does_not_have_is_refused_and_nothing_is_written(
    company: Company, fields: dict[str, object], code: RefusalCode
) -> None:
    before = rows_of(company)
    with pytest.raises(Refusal) as refused:
        company.commands.grant(FINANCE, replace(asked(company, STANDARD_GPU), **fields), now=NOON)  # type: ignore[arg-type]  # by name
    assert refused.value.code is code
    assert rows_of(company) == before


def test_hours_of_a_class_for_other_classes_alone_are_refused(company: Company) -> None:
    spare = GpuClassName("A100")
    known = company.world.require_policy()
    company.world.policy = replace(known, gpu_classes={**known.gpu_classes, spare: known.gpu_classes[H100]})
    with pytest.raises(InvalidInput) as refused:
        company.commands.grant(FINANCE, asked(company, class_unit(H100), gpu_classes=frozenset({spare})), now=NOON)
    assert refused.value.code is RefusalCode.UNIT_MISMATCH


def test_money_without_prices_is_refused(company: Company) -> None:
    company.world.price_book = None
    with pytest.raises(InvalidInput) as refused:
        grant(company, EUR)
    assert refused.value.code is RefusalCode.UNKNOWN_CURRENCY


def test_class_hours_beyond_the_ratio_are_refused_and_tokens_are_no_gpu_time(company: Company) -> None:
    known = company.world.require_policy()
    company.world.policy = replace(known, coverage=CoverageRule(PerMille(1)))
    before = rows_of(company)
    for unit in (STANDARD_GPU, class_unit(H100)):
        with pytest.raises(Exhausted) as refused:
            grant(company, unit, 100_000 * MS_PER_HOUR)
        assert refused.value.code is RefusalCode.COVERAGE_EXCEEDED
    assert rows_of(company) == before
    assert grant(company, TOKENS)
    assert grant(company, EUR)


@pytest.mark.parametrize("unit", OTHERS.values(), ids=OTHERS.keys())
def test_pay_by_hand_keeps_its_terms_where_it_is_time(company: Company, unit: Unit) -> None:
    made = company.commands.grant(PEOPLE, asked(company, unit, source=AllowanceSource.COMPENSATION), now=NOON)
    assert (made.kept_terms is not None) == (unit == class_unit(H100))


def test_nobody_grants_to_themselves_in_any_unit(company: Company) -> None:
    ada = replace(company.caller("ada"), roles=frozenset({Role.FINANCE}))
    for unit in UNITS.values():
        with pytest.raises(NotPermitted):
            company.commands.grant(ada, asked(company, unit), now=NOON)


@in_each
def test_every_grant_waits_for_a_second_person_where_policy_says_so(company: Company, unit: Unit) -> None:
    desk = Desk(company)
    before = company.world.balances.copy()
    with pytest.raises(Conflict) as refused:
        grant(company, unit)
    assert refused.value.code is RefusalCode.APPROVAL_NEEDED
    waiting = desk.proposals.grant(FINANCE, asked(company, unit), now=NOON)
    assert company.world.balances == before
    with pytest.raises(NotPermitted) as own:
        desk.approvals.approve(FINANCE, waiting.id, now=NOON)
    assert own.value.code is RefusalCode.OWN_REQUEST
    made = desk.approvals.approve(Caller("fay", frozenset({Role.FINANCE})), waiting.id, now=NOON).moves[-1].made
    balance = company.world.balances[AllowanceId(made)]
    assert (balance.allowance.unit, balance.available) == (unit, AMOUNT)


@in_each
def test_more_of_any_unit_is_asked_for_and_less_is_given(company: Company, unit: Unit) -> None:
    desk = Desk(company)
    ada = company.caller("ada")
    change = Change(Holder(HolderKind.ENGINEER, company.engineer("ada").id), AMOUNT, unit=unit)
    waiting = desk.proposals.request(ada, ProposalKind.HOURS, change, "the ablations", now=NOON)
    done = desk.approvals.approve(FINANCE, waiting.id, Lower(AMOUNT // 3), now=NOON)
    balance = company.world.balances[AllowanceId(done.moves[-1].made)]
    assert (balance.allowance.unit, balance.available) == (unit, AMOUNT // 3)
    longer = Change(change.holder, allowance=balance.allowance.id, until=NEXT_YEAR, amount=7)
    again = desk.proposals.request(ada, ProposalKind.EXTENSION, longer, "reviews", now=NOON)
    made = desk.approvals.approve(FINANCE, again.id, now=NOON).moves[-1].made
    assert (company.world.balances[AllowanceId(made)].allowance.unit, company.available(AllowanceId(made))) == (
        unit,
        7,
    )


@pytest.mark.parametrize("unit", [class_unit(H100), TOKENS], ids=["class hours", "tokens"])
def test_what_is_of_one_class_is_not_asked_for_another(company: Company, unit: Unit) -> None:
    source = grant(company, unit)
    desk = Desk(company)
    change = Change(Holder(HolderKind.ENGINEER, company.engineer("ada").id), allowance=source, gpu_class=H100)
    before = rows_of(company)
    with pytest.raises(InvalidInput) as refused:
        desk.proposals.request(company.caller("ada"), ProposalKind.GPU_CLASS, change, "why not", now=NOON)
    assert refused.value.code is RefusalCode.UNIT_MISMATCH
    assert rows_of(company) == before
