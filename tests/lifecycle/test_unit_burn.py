"""Burn, run-out and alerts in the units that are not standard hours: each unit by itself."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from scheduler.domain.allowances import Holder, HolderKind
from scheduler.domain.awards import Award
from scheduler.domain.burning import BurnTerms
from scheduler.domain.people import Caller, Role
from scheduler.domain.quantities import TOKENS, class_unit, quantity_text, unit_label
from scheduler.domain.units import MS_PER_DAY, MS_PER_HOUR, STANDARD_GPU, AllowanceId, AttemptId, Instant, Unit
from scheduler.ledger.journal import Account, AccountKind, Transaction, TransactionKind, charged_to, transfer_entries
from scheduler.lifecycle.awarding.periodic import grant_period
from scheduler.lifecycle.sensing.burning import JUMPED, RUNS_OUT, BurnAlerts
from scheduler.lifecycle.views.money import MoneyViews
from scheduler.lifecycle.views.reader import Views
from scheduler.lifecycle.views.unit_burn import UnitBurn
from tests.lifecycle.build import H100, NOON, Company, month, policy
from tests.lifecycle.priced import EUR, euros

FINANCE = Caller("fin", frozenset({Role.FINANCE}))
UNITS = {"class hours": class_unit(H100), "tokens of a model": Unit("tokens/llama"), "tokens": TOKENS, "money": EUR}
A_DAY = 30 * MS_PER_HOUR
"""In the smallest part of whatever unit."""
MIDNIGHT = Instant(NOON - NOON % MS_PER_DAY)
in_each = pytest.mark.parametrize("unit", UNITS.values(), ids=UNITS.keys())


@pytest.fixture
def company() -> Iterator[Company]:
    made = Company(replace(policy(), burn=BurnTerms()))
    made.now = Instant(MIDNIGHT - 10 * MS_PER_DAY)
    made.world.price_book = euros()
    yield made
    made.close()


def grant(company: Company, unit: Unit, days: int = 12) -> AllowanceId:
    """What lasts so many days at A_DAY."""
    holder = Holder(HolderKind.ENGINEER, company.engineer("ada").id)
    asked = Award(holder, days * A_DAY, reason="x", unit=unit)
    return company.commands.grant(FINANCE, asked, now=company.now).id


def charge(company: Company, allowance: AllowanceId, unit: Unit, at: Instant, amount: int) -> None:
    own, held = Account(AccountKind.ALLOWANCE, allowance), Account(AccountKind.HELD, allowance)
    moves = [(TransactionKind.HOLD, own, held), (TransactionKind.CHARGE, held, charged_to(allowance))]
    company.now = at
    with company.changing() as batch:
        for kind, source, target in moves:
            entries = transfer_entries(source, target, amount, unit=unit)
            name = f"{kind.value}:{allowance}:{at}"
            batch.post(Transaction(name, kind, at, entries, attempt_id=AttemptId("a-1")))


def five_days(company: Company, allowance: AllowanceId, unit: Unit) -> None:
    for day in range(5, 0, -1):
        charge(company, allowance, unit, Instant(MIDNIGHT - day * MS_PER_DAY + MS_PER_HOUR), A_DAY)
    company.now = NOON


def of(found: tuple[UnitBurn, ...], unit: Unit) -> UnitBurn:
    (burn,) = (each for each in found if each.unit == unit_label(unit))
    return burn


@in_each
def test_balance_and_burn_say_what_goes_a_day_and_until_when(company: Company, unit: Unit) -> None:
    allowance = grant(company, unit)
    five_days(company, allowance, unit)
    balance = Views(company.store, company.world).balance(company.caller("ada"), NOON)
    found = of(balance.units, unit)
    assert (found.left_quantity, found.charged_quantity, found.held_quantity) == (7 * A_DAY, 5 * A_DAY, 0)
    assert (found.a_day_quantity, found.a_day) == (A_DAY, quantity_text(A_DAY, unit))
    assert found.run_out is not None
    assert found.run_out.earliest == found.run_out.latest == NOON + 7 * MS_PER_DAY
    money = MoneyViews(company.store, company.world)
    assert money.burn(company.caller("ada"), NOON).units == balance.units
    assert of(money.burn(FINANCE, NOON, "team:research").units, unit).left_quantity == 7 * A_DAY
    assert balance.available == 0, "it is not summed with standard hours"


@in_each
def test_what_is_not_spent_does_not_run_out_and_what_is_frozen_is_not_left(company: Company, unit: Unit) -> None:
    grant(company, unit)
    assert of(Views(company.store, company.world).balance(company.caller("ada"), NOON).units, unit).run_out is None


@in_each
def test_a_jump_and_the_running_out_are_told_in_the_unit(company: Company, unit: Unit) -> None:
    allowance = grant(company, unit)
    five_days(company, allowance, unit)
    (notice,) = BurnAlerts(company.store, company.world).due(NOON)
    assert (notice.kind, notice.to) == (RUNS_OUT, "ada")
    assert notice.sentence.startswith(f"{quantity_text(7 * A_DAY, unit)} are left; at this pace they last until")
    charge(company, allowance, unit, NOON, 4 * A_DAY)
    told = BurnAlerts(company.store, company.world).due(NOON)
    (jump,) = (each for each in told if each.kind == JUMPED)
    day = "2026-11-20"
    used, usual = quantity_text(4 * A_DAY, unit), quantity_text(A_DAY, unit)
    assert jump.sentence == f"Your use jumped on {day}: {used}, {usual} are usual."
    found = of(Views(company.store, company.world).balance(company.caller("ada"), NOON).units, unit)
    assert [(each.used, each.usual) for each in found.jumps] == [(used, usual)]


def test_the_first_tokens_after_days_without_any_are_no_jump(company: Company) -> None:
    allowance = grant(company, TOKENS)
    charge(company, allowance, TOKENS, Instant(MIDNIGHT - 9 * MS_PER_DAY), 1)
    charge(company, allowance, TOKENS, NOON, A_DAY)
    assert [each.kind for each in BurnAlerts(company.store, company.world).due(NOON)] == []


def test_use_of_a_tiers_hours_is_told_of_too(company: Company) -> None:
    with company.changing() as batch:
        grant_period(batch, month(NOON))
    own = AllowanceId(f"tier/{company.engineer('ada').id}/2026-11")
    for day in range(4, 0, -1):
        charge(company, own, STANDARD_GPU, Instant(MIDNIGHT - day * MS_PER_DAY), MS_PER_HOUR)
    charge(company, own, STANDARD_GPU, NOON, 90 * MS_PER_HOUR)
    assert [each.kind for each in BurnAlerts(company.store, company.world).due(NOON)][:1] == [JUMPED]
