"""What tiers and projects give per period, in every unit: granted once, spent by its terms, carried on or expired."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from scheduler.adapters.policy_files import check_policy, read_policy
from scheduler.domain.awards import PeriodGrant
from scheduler.domain.errors import InvalidInput, RefusalCode
from scheduler.domain.periods import to_instant
from scheduler.domain.policy import Policy, Project
from scheduler.domain.quantities import TOKENS, class_unit, money_unit, unit_label
from scheduler.domain.raising import raises
from scheduler.domain.rollover import Rollover, RolloverRule
from scheduler.domain.units import (
    MS_PER_HOUR,
    STANDARD_GPU,
    AllowanceId,
    GpuClassName,
    Instant,
    PerMille,
    ProjectName,
    TeamName,
    Unit,
)
from scheduler.lifecycle.awarding.expire import expire_due
from scheduler.lifecycle.awarding.periodic import grant_period
from scheduler.lifecycle.views.reader import Views
from tests.entrypoints.company import POLICY
from tests.lifecycle.build import H100, NOON, OPERATOR, Company, month, policy
from tests.lifecycle.priced import EUR, euros

LLAMA = Unit("tokens/llama")
OTHERS = {"class hours": class_unit(H100), "tokens of a model": LLAMA, "tokens of any": TOKENS, "money": EUR}
AMOUNT = 1_000
DECEMBER = to_instant(datetime(2026, 12, 1, tzinfo=UTC))
TEXT = POLICY.read_text(encoding="utf-8")
in_each = pytest.mark.parametrize("unit", OTHERS.values(), ids=OTHERS.keys())


def rules(rollover: Rollover | None = None, cap: int | None = None, time_zone: str = "UTC") -> Policy:
    """Everybody gets 1,000 of the smallest part of each unit beside their hours, and the project as much."""
    base = policy()
    granted = tuple(PeriodGrant(unit, AMOUNT, cap) for unit in OTHERS.values())
    tiers = {name: replace(tier, beside=granted, rollover=rollover) for name, tier in base.tiers.items()}
    projects = {name: replace(project, beside=granted) for name, project in base.projects.items()}
    return replace(base, tiers=tiers, projects=projects, time_zone=time_zone)


@pytest.fixture
def company(request: pytest.FixtureRequest) -> Iterator[Company]:
    made = Company(getattr(request, "param", None) or rules())
    made.world.price_book = euros()
    yield made
    made.close_in_balance()


def grant(company: Company, at: Instant = NOON) -> int:
    with company.changing() as batch:
        return grant_period(batch, month(at, company.world.require_policy().time_zone))


def expire(company: Company, now: Instant) -> None:
    company.now = now
    with company.changing() as batch:
        expire_due(batch)


def left(company: Company, source: str, unit: Unit, name: str = "2026-11") -> int | None:
    balance = company.world.balances.get(AllowanceId(f"{source}/{name}/{unit_label(unit)}"))
    return None if balance is None else balance.available


@in_each
def test_every_engineer_and_project_is_granted_it_once_a_period(company: Company, unit: Unit) -> None:
    assert grant(company) == 2 * 5 + 4, "two people with hours and four units, and a project without hours"
    assert grant(company) == 0
    ada = company.engineer("ada").id
    assert (left(company, f"tier/{ada}", unit), left(company, "project/aurora", unit)) == (AMOUNT, AMOUNT)
    balance = company.world.balances[AllowanceId(f"tier/{ada}/2026-11/{unit_label(unit)}")]
    assert (balance.allowance.unit, balance.allowance.overdraft) == (unit, 0)
    (view,) = (
        each
        for each in Views(company.store, company.world).statement(OPERATOR, "2026-11", NOON, "ada").others
        if each.unit == unit_label(unit)
    )
    assert view.quantities["granted"] == view.quantities["closing"] == AMOUNT


@in_each
def test_it_expires_at_the_end_of_its_period(company: Company, unit: Unit) -> None:
    grant(company)
    expire(company, DECEMBER)
    assert not left(company, f"tier/{company.engineer('ada').id}", unit)
    (view,) = (
        each
        for each in Views(company.store, company.world).statement(OPERATOR, "2026-11", DECEMBER, "ada").others
        if each.unit == unit_label(unit)
    )
    assert (view.quantities["expired"], view.quantities["closing"]) == (AMOUNT, 0)


@pytest.mark.parametrize(
    ("company", "carried"),
    [
        (rules(Rollover(RolloverRule.CAPPED, cap=1), cap=300), 300),
        (rules(Rollover(RolloverRule.CAPPED, cap=1)), None),
        (rules(Rollover(RolloverRule.DECAYING, keep=PerMille(250))), 250),
        (rules(Rollover(RolloverRule.DECAYING, keep=PerMille(250)), cap=100), 100),
    ],
    ids=["capped", "capped without a cap of the unit", "decaying", "decaying and capped"],
    indirect=["company"],
)
def test_what_is_left_goes_on_by_the_rule_unit_by_unit(company: Company, carried: int | None) -> None:
    grant(company)
    for _ in range(2):
        expire(company, DECEMBER)
    ada = company.engineer("ada").id
    for unit in OTHERS.values():
        assert left(company, f"rollover/{ada}", unit, "2026-12") == carried, unit
        assert left(company, "rollover/aurora", unit, "2026-12") is None, "projects have no rollover"


@pytest.mark.parametrize(
    ("company", "starts", "ends"),
    [
        (
            rules(time_zone="Europe/Berlin"),
            datetime(2026, 9, 30, 22, tzinfo=UTC),
            datetime(2026, 10, 31, 23, tzinfo=UTC),
        ),
        (
            rules(time_zone="America/New_York"),
            datetime(2026, 10, 1, 4, tzinfo=UTC),
            datetime(2026, 11, 1, 4, tzinfo=UTC),
        ),
    ],
    ids=["summer time ends within", "it ends on the next day"],
    indirect=["company"],
)
def test_periods_are_of_the_policys_time_zone_over_a_clock_change(
    company: Company, starts: datetime, ends: datetime
) -> None:
    grant(company, to_instant(datetime(2026, 10, 20, tzinfo=UTC)))
    found = [b.allowance for b in company.world.balances.values() if b.allowance.unit == LLAMA]
    assert {(each.starts_at, each.expires_at) for each in found} == {(to_instant(starts), to_instant(ends))}
    expire(company, Instant(to_instant(ends) - 1))
    assert left(company, "project/aurora", LLAMA, "2026-10") == AMOUNT
    expire(company, to_instant(ends))
    assert not left(company, "project/aurora", LLAMA, "2026-10")


def test_money_waits_for_prices(company: Company) -> None:
    company.world.price_book = None
    assert grant(company) == 2 * 4 + 3
    company.world.price_book = euros()
    assert grant(company) == 3


def test_a_policy_in_another_currency_is_refused_and_nothing_is_written(company: Company) -> None:
    before = company.world.require_policy()
    base = rules()
    dollars = (PeriodGrant(money_unit("USD"), AMOUNT),)
    tiers = {name: replace(tier, beside=dollars) for name, tier in base.tiers.items()}
    with pytest.raises(InvalidInput) as refused:
        company.administration.apply_policy(OPERATOR, "text", replace(base, tiers=tiers, hash="2" * 64), now=NOON)
    assert refused.value.code is RefusalCode.UNKNOWN_CURRENCY
    assert company.world.require_policy() is before
    with company.store.reading() as books:
        current = books.control.current_policy()
    assert current is not None
    assert current.hash == before.hash


def test_projects_share_hours_by_importance(company: Company) -> None:
    base = company.world.require_policy()
    own = Project(ProjectName("own"), TeamName("research"), PerMille(9_000), allowance=7 * MS_PER_HOUR)
    vital = Project(ProjectName("vital"), TeamName("research"), PerMille(3_000))
    projects = {**base.projects, own.name: own, vital.name: vital}
    company.world.policy = replace(base, projects=projects, project_hours=100 * MS_PER_HOUR)
    grant(company)
    hours = {
        name: company.world.balances[AllowanceId(f"project/{name}/2026-11")].available // MS_PER_HOUR
        for name in ("aurora", "vital", "own")
    }
    assert hours == {"aurora": 25, "vital": 75, "own": 7}


# --- as a file says it -------------------------------------------------------------------------------------------------

SENIOR = "  senior:\n    allowance_gpu_hours: 2500\n"


def with_senior(keys: str) -> str:
    assert SENIOR in TEXT
    return TEXT.replace(SENIOR, f"{SENIOR}{keys}", 1)


def test_a_policy_file_grants_in_units() -> None:
    text = with_senior(
        "    allowances:\n      gpu/H100: {amount: 40}\n"
        "      tokens/llama-3.1: {amount: 5000000}\n      EUR: {amount: 250}\n"
    )
    tier = next(tier for name, tier in read_policy(text, "policy.yaml").tiers.items() if name == "senior")
    assert {unit_label(item.unit): item.amount for item in tier.beside} == {
        "gpu/H100": 40 * MS_PER_HOUR,
        "tokens/llama-3.1": 5_000_000,
        "EUR": 250_000_000,
    }
    assert class_unit(GpuClassName("H100")) in {item.unit for item in tier.beside}


@pytest.mark.parametrize(
    "keys",
    [
        "    allowances: {standard: {amount: 1}}\n",
        "    allowances: {gpu/B200: {amount: 1}}\n",
        "    allowances: {XYZ: {amount: 1}}\n",
        "    allowances: {tokens: {amount: 0}}\n",
        "    allowances: {tokens: {amount: -1}}\n",
        "    allowances: {tokens: {amount: 0.1}}\n",
        "    allowances: {tokens: {amount: 9223372036854775808}}\n",
        "    allowances: {tokens: {}}\n",
        "    allowances: {tokens: 5}\n",
        "    rollover: capped\n    rollover_cap_gpu_hours: 1\n    allowances: {tokens: {amount: 5}}\n",
    ],
)
def test_a_policy_file_that_grants_what_is_none_is_refused(keys: str) -> None:
    found, problems = check_policy(with_senior(keys), "policy.yaml")
    assert (found, len(problems)) == (None, 1)


def test_more_of_any_unit_takes_a_second_person() -> None:
    one, two = (
        read_policy(with_senior(f"    allowances: {{tokens/a.b: {{amount: {n}}}}}\n"), "p.yaml") for n in (1, 2)
    )
    assert [change.path for change in raises(one, two)] == ["tiers.senior.allowances.tokens/a.b.amount"]
    assert raises(two, one) == ()
    assert [change.path for change in raises(read_policy(TEXT, "p.yaml"), one)]
    assert STANDARD_GPU not in {item.unit for tier in one.tiers.values() for item in tier.beside}
