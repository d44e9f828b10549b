"""Packages of compensation: promised, vested, frozen, clawed back; and what the statement says of it."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from scheduler.domain.errors import Conflict, InvalidInput, NotFound, NotPermitted, Refusal, RefusalCode
from scheduler.domain.people import Caller, Role
from scheduler.domain.periods import to_instant
from scheduler.domain.quantities import TOKENS, class_unit, money_unit, unit_named
from scheduler.domain.units import AMOUNT_MAX, MS_PER_HOUR, CommandId, EngineerId, Instant
from scheduler.domain.vesting import PackageKind, VestingPart
from scheduler.lifecycle.accounting.export_history import history
from scheduler.lifecycle.awarding.awards import Awards
from scheduler.lifecycle.awarding.compensate import Package, vest_due
from scheduler.lifecycle.views.money import MoneyViews
from scheduler.lifecycle.views.reader import Views
from scheduler.lifecycle.views.statement_shapes import StatementView
from scheduler.lifecycle.writing.answered import Command
from scheduler.lifecycle.writing.batch import changing
from tests.lifecycle.build import H100, NOON, OPERATOR, Company

PEOPLE = Caller("pat", frozenset({Role.PEOPLE}))
HOUR = MS_PER_HOUR
YEAR_LATER = to_instant(datetime(2027, 11, 20, tzinfo=UTC))


@pytest.fixture
def company() -> Iterator[Company]:
    made = Company()
    yield made
    made.close_in_balance()


@pytest.fixture
def awards(company: Company) -> Awards:
    return Awards(company.store, company.world, company.ids)


def package(company: Company, hours: int = 480) -> Package:
    return Package(company.engineer("ada").id, hours * HOUR, reason="the offer")


def vest(company: Company, now: Instant) -> int:
    company.now = now
    with changing(company.store, company.world, now) as batch:
        return vest_due(batch)


def statement(company: Company, period: str, owner: str = "ada") -> StatementView:
    return Views(company.store, company.world).statement(PEOPLE, period, company.now, owner)


def test_a_package_is_promised_and_vests_at_the_cliff_and_monthly(company: Company, awards: Awards) -> None:
    allowance = awards.compensate(PEOPLE, package(company), now=NOON)
    balance = company.world.balances[allowance.id]
    assert (balance.available, balance.promised) == (0, 480 * HOUR)
    assert vest(company, Instant(YEAR_LATER - 1)) == 0
    assert vest(company, YEAR_LATER) == 1
    assert vest(company, YEAR_LATER) == 0
    balance = company.world.balances[allowance.id]
    assert (balance.available, balance.promised) == (120 * HOUR, 360 * HOUR)
    assert vest(company, to_instant(datetime(2040, 1, 1, tzinfo=UTC))) == 36
    assert company.world.balances[allowance.id].promised == 0


def test_a_late_run_dates_each_part_when_it_vested(company: Company, awards: Awards) -> None:
    awards.compensate(PEOPLE, replace(package(company), cliff_months=0), now=NOON)
    vest(company, to_instant(datetime(2027, 3, 1, tzinfo=UTC)))
    assert [
        (statement(company, month).vested, statement(company, month).promised) for month in ("2026-12", "2027-02")
    ] == [
        (10 * HOUR, 470 * HOUR),
        (10 * HOUR, 450 * HOUR),
    ]


def test_an_amount_a_year_is_multiplied_by_the_years(company: Company, awards: Awards) -> None:
    asked = replace(package(company, 100), is_annual=True, kind=PackageKind.REFRESH)
    allowance = awards.compensate(PEOPLE, asked, now=NOON)
    assert allowance.amount == 400 * HOUR
    with pytest.raises(InvalidInput, match="no whole amount") as refused:
        awards.compensate(PEOPLE, replace(asked, amount=1, months=7, cliff_months=0), now=NOON)
    assert refused.value.code is RefusalCode.INVALID_SCHEDULE


def test_the_statement_shows_promised_vested_clawed_back_and_ties(company: Company, awards: Awards) -> None:
    awards.compensate(PEOPLE, replace(package(company), cliff_months=0, months=4), now=NOON)
    vest(company, to_instant(datetime(2027, 1, 1, tzinfo=UTC)))
    taken = awards.claw_back(PEOPLE, company.engineer("ada").id, "she leaves", now=company.now)
    assert [each.taken for each in taken] == [360 * HOUR]
    assert awards.claw_back(PEOPLE, company.engineer("ada").id, "again", now=company.now) == []
    view = statement(company, "2026-11-01/2027-02-01")
    assert (view.vested, view.clawed_back, view.promised) == (120 * HOUR, 360 * HOUR, 0)
    assert (view.opening, view.closing, view.held) == (0, 120 * HOUR, 0)
    assert [(line.kind, line.amount) for line in view.lines] == [
        ("promise", 0),
        ("vest", 120 * HOUR),
        ("clawback", 0),
    ]
    assert "she leaves" in view.lines[-1].text


def test_what_is_due_at_the_departure_vests_before_the_rest_is_taken(company: Company, awards: Awards) -> None:
    awards.compensate(PEOPLE, replace(package(company), cliff_months=0, months=4), now=NOON)
    taken = awards.claw_back(
        PEOPLE, company.engineer("ada").id, "left", now=to_instant(datetime(2027, 1, 1, tzinfo=UTC))
    )
    assert [each.taken for each in taken] == [360 * HOUR]


def test_a_package_that_began_in_the_past_vests_what_is_due_at_its_grant(company: Company, awards: Awards) -> None:
    asked = replace(package(company), starts_at=to_instant(datetime(2025, 11, 20, tzinfo=UTC)))
    allowance = awards.compensate(PEOPLE, asked, now=NOON)
    assert company.world.balances[allowance.id].available == 120 * HOUR
    assert statement(company, "2026-11").vested == 120 * HOUR


def test_vested_compensation_pays_personal_work_until_it_is_frozen(company: Company, awards: Awards) -> None:
    allowance = awards.compensate(PEOPLE, replace(package(company), months=0, cliff_months=0), now=NOON)
    assert company.submit("ada", project=None).owner == company.engineer("ada").id
    awards.freeze(PEOPLE, allowance.id, "a dispute", is_frozen=True, now=NOON)
    with pytest.raises(Refusal) as refused:
        company.submit("ada", project=None)
    assert refused.value.code is RefusalCode.ALLOWANCE_SHORT


def test_tokens_pay_for_no_gpu(company: Company, awards: Awards) -> None:
    awards.compensate(PEOPLE, replace(package(company), unit=TOKENS, months=0, cliff_months=0), now=NOON)
    with pytest.raises(Refusal) as refused:
        company.submit("ada", project=None)
    assert refused.value.code is RefusalCode.ALLOWANCE_SHORT


@pytest.mark.parametrize("unit", ["gpu/h100", "tokens", "tokens/llama"])
def test_every_unit_is_promised_vested_and_stated_by_itself(company: Company, awards: Awards, unit: str) -> None:
    asked = replace(package(company), amount=1_000, unit=unit_named(unit), months=4, cliff_months=0)
    awards.compensate(PEOPLE, asked, now=NOON)
    vest(company, to_instant(datetime(2027, 1, 1, tzinfo=UTC)))
    view = statement(company, "2026-11-01/2027-02-01")
    assert (view.opening, view.vested, view.closing, view.promised) == (0, 0, 0, 0)
    (other,) = view.others
    assert other.unit == unit
    assert (other.quantities["vested"], other.quantities["closing"], other.quantities["promised"]) == (250, 250, 750)
    assert [line.kind for line in other.lines] == ["promise", "vest"]
    assert statement(company, "2027-01", "company").others[0].quantities["opening"] == 250


def test_what_has_not_vested_and_other_units_are_in_no_sum_of_hours(company: Company, awards: Awards) -> None:
    package_of_hours = replace(package(company), cliff_months=0, months=4)
    awards.compensate(PEOPLE, package_of_hours, now=NOON)
    awards.compensate(PEOPLE, replace(package_of_hours, unit=TOKENS, months=0), now=NOON)
    vest(company, to_instant(datetime(2026, 12, 20, tzinfo=UTC)))
    views = Views(company.store, company.world)
    month = views.month(OPERATOR, "2026-11-01/2027-01-01", company.now)
    assert (month.granted, month.outstanding) == (120 * HOUR, 120 * HOUR)
    balance = views.balance(company.caller("ada"), company.now)
    assert (balance.available, balance.granted) == (120 * HOUR, 120 * HOUR)
    assert sorted(allowance.unit for allowance in balance.allowances) == ["standard", "tokens"]
    money = MoneyViews(company.store, company.world)
    assert money.burn(PEOPLE, company.now, "ada").available == 120 * HOUR
    with company.store.reading() as books:
        grants = [line for line in history(books, NOON, Instant(company.now + 1)) if "grant" in line]
    assert [grant["standard_gpu_ms"] for grant in grants] == [120 * HOUR]


@pytest.mark.parametrize(
    ("unit", "code"),
    [
        (class_unit(H100), None),
        (unit_named("gpu/b300"), RefusalCode.UNKNOWN_GPU_CLASS),
        (money_unit("EUR"), RefusalCode.UNKNOWN_CURRENCY),
        (TOKENS, None),
    ],
    ids=["a class of the policy", "no class of it", "money without a price book", "tokens"],
)
def test_a_unit_is_one_that_the_company_has(
    company: Company, awards: Awards, unit: str, code: RefusalCode | None
) -> None:
    asked = replace(package(company), unit=unit)  # type: ignore[arg-type]  # a unit is text
    if code is None:
        assert awards.compensate(PEOPLE, asked, now=NOON).unit == unit
        return
    with pytest.raises(InvalidInput) as refused:
        awards.compensate(PEOPLE, asked, now=NOON)
    assert refused.value.code is code


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"amount": 0}, RefusalCode.INVALID_AMOUNT),
        ({"amount": -1}, RefusalCode.INVALID_AMOUNT),
        ({"amount": 2**63}, RefusalCode.INVALID_AMOUNT),
        ({"amount": AMOUNT_MAX}, RefusalCode.INVALID_AMOUNT),
        ({"parts": (VestingPart(Instant(NOON + 1), 1),)}, RefusalCode.SCHEDULE_SUM),
        ({"expires_at": NOON}, RefusalCode.EXPIRY_BEFORE_GRANT),
        ({"expires_at": Instant(NOON + HOUR)}, RefusalCode.EXPIRY_BEFORE_GRANT),
        ({"cliff_months": 49}, RefusalCode.INVALID_SCHEDULE),
        ({"gpu_classes": frozenset({"b300"})}, RefusalCode.UNKNOWN_GPU_CLASS),
        ({"holder": EngineerId("e-nobody")}, RefusalCode.UNKNOWN_ENGINEER),
    ],
    ids=[
        "nothing",
        "less than nothing",
        "2⁶³",
        "the bound",
        "parts that do not sum",
        "an expiry at the grant",
        "an expiry before the last part",
        "a cliff beyond the end",
        "a class that there is not",
        "nobody",
    ],
)
def test_a_package_that_cannot_be_is_refused_and_nothing_is_written(
    company: Company, awards: Awards, change: dict[str, object], code: RefusalCode
) -> None:
    with pytest.raises(Refusal) as refused:
        awards.compensate(PEOPLE, replace(package(company), **change), now=NOON)  # type: ignore[arg-type]
    assert refused.value.code is code
    with company.store.reading() as books:
        assert books.allowances.balances() == []
        assert list(books.journal.entries()) == []


def test_the_same_command_twice_is_one_grant(company: Company, awards: Awards) -> None:
    command = Command(CommandId("pat:1"), "hash")
    first = awards.compensate(PEOPLE, package(company), now=NOON, command=command)
    assert awards.compensate(PEOPLE, package(company), now=NOON, command=command) == first
    with pytest.raises(Conflict):
        awards.compensate(PEOPLE, package(company), now=NOON, command=replace(command, body_hash="other"))


def test_only_people_operations_promise_and_not_to_themselves(company: Company, awards: Awards) -> None:
    ada = company.engineer("ada")
    for caller in (Caller("fin", frozenset({Role.FINANCE})), Caller("ada", frozenset({Role.PEOPLE}), ada.id)):
        with pytest.raises(NotPermitted):
            awards.compensate(caller, package(company), now=NOON)
        with pytest.raises(NotPermitted):
            awards.claw_back(caller, ada.id, "why", now=NOON)


def test_a_frozen_allowance_pays_nothing_until_it_is_unfrozen(company: Company, awards: Awards) -> None:
    allowance = awards.compensate(PEOPLE, replace(package(company), months=0, cliff_months=0), now=NOON)
    frozen = awards.freeze(PEOPLE, allowance.id, "a dispute", is_frozen=True, now=NOON)
    assert awards.freeze(PEOPLE, allowance.id, "again", is_frozen=True, now=Instant(NOON + 1)) == frozen
    balance = company.world.balances[allowance.id]
    assert (balance.is_frozen, balance.spendable, balance.available) == (True, 0, 480 * HOUR)
    awards.freeze(PEOPLE, allowance.id, "settled", is_frozen=False, now=Instant(NOON + 2))
    assert company.world.balances[allowance.id].spendable == 480 * HOUR
    with company.store.reading() as books:
        assert [each.reason for each in books.allowances.freezes(allowance.id)] == ["a dispute", "settled"]
    with pytest.raises(NotFound) as refused:
        awards.freeze(PEOPLE, allowance.id + "x", "why", is_frozen=True, now=NOON)  # type: ignore[arg-type]
    assert refused.value.code is RefusalCode.UNKNOWN_ALLOWANCE
    with pytest.raises(NotPermitted):
        awards.freeze(Caller("fin", frozenset({Role.FINANCE})), allowance.id, "why", is_frozen=True, now=NOON)


def test_a_statement_of_before_a_package_was_granted_does_not_have_it(company: Company, awards: Awards) -> None:
    allowance = awards.compensate(PEOPLE, package(company), now=NOON)
    views = Views(company.store, company.world)
    had = {
        period: [each.allowance_id for each in views.statement(company.caller("ada"), period, NOON).packages]
        for period in ("2026-10", "2026-11", "2026-12")
    }
    assert had == {"2026-10": [], "2026-11": [allowance.id], "2026-12": [allowance.id]}


def test_packages_are_seen_by_their_holder_and_people_operations_alone(company: Company, awards: Awards) -> None:
    allowance = awards.compensate(PEOPLE, package(company), now=NOON)
    money = MoneyViews(company.store, company.world)
    (view,) = money.vesting(company.caller("ada"), NOON)
    assert (view.allowance_id, view.total_text, view.vested_text) == (allowance.id, "480.0 h", "0.0 h")
    assert view.next_at == view.parts[0].at == YEAR_LATER
    assert money.package(PEOPLE, allowance.id, NOON) == view
    with pytest.raises(NotFound):
        money.package(company.caller("bob"), allowance.id, NOON)
    with pytest.raises(NotPermitted):
        money.vesting(company.caller("bob"), NOON, "ada")
    awards.claw_back(PEOPLE, company.engineer("ada").id, "left", now=NOON)
    assert {part.state for part in money.package(PEOPLE, allowance.id, NOON).parts} == {"forfeited"}
