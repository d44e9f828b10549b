"""The general ledger, the burn rate and the spread of use, over the same books as statements and exports."""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import replace

import pytest

from scheduler.adapters.sql.store import SqlStore
from scheduler.domain.errors import Conflict, NotPermitted, RefusalCode
from scheduler.domain.people import Caller, Role
from scheduler.domain.policy import Cohort, Quota
from scheduler.domain.records import PolicyVersion
from scheduler.domain.units import MS_PER_HOUR, AttemptId, CohortName, GpuClassName, Instant, PoolName
from scheduler.ledger.journal import AccountKind
from scheduler.lifecycle.views.money import MoneyViews
from scheduler.ports import Books
from tests.finance.build import at, hardware, tariff
from tests.lifecycle.booked import Booked
from tests.lifecycle.october import ADA, BOOK, FINANCE, LEAD, NOVEMBER, OCTOBER, a_month, ledger_micro, research_world
from tests.plugins.migrated import open_migrated

AUDITOR = Caller("aud", frozenset({Role.AUDITOR}))


@pytest.fixture
def store() -> Iterator[SqlStore]:
    opened = open_migrated()
    a_month(opened)
    yield opened
    opened.close()


@pytest.fixture
def money(store: SqlStore) -> MoneyViews:
    return MoneyViews(store, research_world())


def test_what_the_general_ledger_recovers_is_the_ledger_s_sum(money: MoneyViews, store: SqlStore) -> None:
    found = money.general_ledger(FINANCE, "2026-10", NOVEMBER)
    assert found.recovered_micro == sum(ledger_micro(store).values())
    assert sum(line.debit_micro - line.credit_micro for line in found.lines) == 0
    assert {line.cost_centre for line in found.lines} == {"research", "platform"}


def test_the_general_ledger_is_for_finance_and_auditors(money: MoneyViews) -> None:
    assert money.general_ledger(AUDITOR, "2026-10", NOVEMBER).lines
    with pytest.raises(NotPermitted):
        money.general_ledger(ADA, "2026-10", NOVEMBER)


def test_money_without_a_price_book_is_refused(money: MoneyViews) -> None:
    money._world.price_book = None
    with pytest.raises(Conflict) as refused:
        money.general_ledger(FINANCE, "2026-10", NOVEMBER)
    assert refused.value.code is RefusalCode.NO_PRICES


def test_days_of_burn_are_the_journal_s_charges(money: MoneyViews, store: SqlStore) -> None:
    found = money.burn(FINANCE, at("2026-10-08T12:00"), "company")
    with store.reading() as books:
        sums = list(
            books.journal.sums(kinds=[AccountKind.CHARGED], starts_at=OCTOBER.starts_at, ends_at=at("2026-10-08"))
        )
    assert sum(day.gpu_ms for day in found.days) == sum(item.gpu_ms for item in sums)
    assert [day.day for day in found.days if day.gpu_ms] == [at("2026-10-05"), at("2026-10-06"), at("2026-10-07")]
    assert found.days[-1].charged == 0  # what ran that day ran unfunded
    assert found.days[-3].energy_joules == 2 * 500 * 3600


def test_burn_is_of_the_owner_s_own_books(money: MoneyViews) -> None:
    now = at("2026-10-08T12:00")
    ada, research = money.burn(ADA, now), money.burn(LEAD, now, "research")
    assert 0 < sum(day.charged for day in ada.days) < sum(day.charged for day in research.days)
    assert ada.run_out is not None
    assert ada.run_out.earliest > now
    assert "whole days" in ada.basis
    with pytest.raises(NotPermitted):
        money.burn(ADA, now, "research")


def test_burn_says_on_the_first_day_of_use_that_it_is_not_over(money: MoneyViews) -> None:
    nothing = "nothing was used in the last 28 whole days"
    assert money.burn(ADA, at("2026-10-05T23:59")).basis == f"{nothing}; today counts when it is over"
    assert money.burn(ADA, at("2026-09-30T12:00")).basis == nothing


def test_burn_of_a_project_is_what_it_paid_for_in_hours_money_and_energy(money: MoneyViews, store: SqlStore) -> None:
    """Three GPUs ran for 3,599 s; the project paid one of these hours, Ada's overrun the rest."""
    booked, over = Booked(store), AttemptId("w-over.1")
    for gpu in ("GPU-c", "GPU-d", "GPU-e"):
        booked.read(over, at("2026-10-06T10:00"), gpu)
    now = at("2026-10-07T12:00")
    found, ada = money.burn(FINANCE, now, "project:aurora"), money.burn(ADA, now)
    day = found.days[-1]
    assert day.day == at("2026-10-06")
    assert (day.gpu_ms, day.charged, day.cost_micro) == (MS_PER_HOUR, MS_PER_HOUR, 2_333_333)
    drawn, used = 3 * 500 * 3600, 3 * 3_599_000
    assert day.energy_joules == drawn * MS_PER_HOUR // used
    assert ada.days[-1].energy_joules == drawn * (used - MS_PER_HOUR) // used
    company = money.burn(FINANCE, now, "company")
    assert company.days[-1].energy_joules == drawn
    assert found.available == 99 * MS_PER_HOUR
    assert found.run_out is not None
    assert money.burn(LEAD, now, "aurora").days == found.days
    with pytest.raises(NotPermitted):
        money.burn(ADA, now, "aurora")


def test_an_hour_s_electricity_is_what_was_measured_in_it_at_the_tariff_of_that_hour(
    money: MoneyViews, store: SqlStore
) -> None:
    """Two GPUs drew 500 W each, all hour: 0.5 kWh a GPU-hour, at 0.20 and a PUE of 1.5."""
    hours = tuple(200_000 if hour == 21 else 900_000 for hour in range(24))
    money._world.price_book = replace(BOOK, tariffs=(tariff(hours, pue=1500),), hardware=(hardware("30000", 40_000),))
    found = money.hour_cost(FINANCE, "h100", "research", at("2026-10-05T21:59"))
    assert (found.at, found.milliwatts, found.kwh_price_micro) == (at("2026-10-05T21:00"), 500_000, 300_000)
    assert (found.electricity_micro, found.hardware_micro) == (150_000, 750_000)
    assert found.rest_micro == 2_333_333 - 150_000 - 750_000
    unread = money.hour_cost(FINANCE, "h100", "research", at("2026-10-05T22:00"))
    assert (unread.electricity_micro, unread.is_off_peak) == (None, True)
    with pytest.raises(NotPermitted):
        money.hour_cost(ADA, "h100", "research", at("2026-10-05T21:00"))


def test_the_spread_counts_people_who_used_nothing(money: MoneyViews) -> None:
    now = at("2026-10-20")
    (first, *_) = money.spread(FINANCE, now, 1)
    assert (first.by, first.group, first.used.people) == ("company", "company", 2)
    assert first.used.top_decile_permille is not None
    assert first.used.top_decile_permille > 500
    with pytest.raises(NotPermitted):
        money.spread(ADA, now, 1)


def test_cost_ties_to_the_general_ledger_and_names_what_idle_guarantees_cost(money: MoneyViews) -> None:
    ledger, found = money.general_ledger(FINANCE, "2026-10", NOVEMBER), money.cost(FINANCE, "2026-10", NOVEMBER)
    assert (found.recovered_micro, found.unrecovered_micro) == (ledger.recovered_micro, ledger.unrecovered_micro)
    assert found.unrecovered_micro == found.actual_micro - found.recovered_micro
    assert sum(each.cost_micro for each in found.costs) == found.actual_micro
    (each,) = [view for view in found.guarantees if view.gpu_class == "h100"]
    assert each.pool is not None
    nominal = money._world.require_policy().pools[PoolName(each.pool)].quotas[GpuClassName("h100")].nominal
    assert each.guaranteed_ms == nominal * (OCTOBER.ends_at - OCTOBER.starts_at)
    assert 0 < each.used_ms < each.guaranteed_ms
    assert each.idle_ms == each.guaranteed_ms - each.used_ms - each.lent_ms
    assert each.cost_micro is not None
    priced = each.cost_micro * 3_600_000 / each.idle_ms
    assert 0 < priced <= max(rate.peak.effective for rate in BOOK.rates)
    assert found.idle_guarantees_micro == sum(view.cost_micro or 0 for view in found.guarantees)


def test_a_guarantee_counts_for_the_time_in_which_a_policy_gave_it(store: SqlStore) -> None:
    """Half of October at the quotas of one policy, the rest at half of them."""
    world = research_world()
    before = world.require_policy()
    half = Instant((OCTOBER.starts_at + OCTOBER.ends_at) // 2)
    pool = next(iter(before.pools.values()))
    quotas = {name: replace(quota, nominal=quota.nominal // 2) for name, quota in pool.quotas.items()}
    after = replace(before, pools={pool.name: replace(pool, quotas=quotas)})
    with store.writing() as books:
        for text, applied_at in (("before", Instant(0)), ("after", half)):
            books.control.add_policy(PolicyVersion(text, text, text, applied_at, "e-1"))
    found = MoneyViews(store, world, lambda text, _: {"before": before, "after": after}[text]).cost(
        FINANCE, "2026-10", NOVEMBER
    )
    whole = MoneyViews(store, world).cost(FINANCE, "2026-10", NOVEMBER)
    assert [each.guaranteed_ms * 4 for each in found.guarantees] == [
        each.guaranteed_ms * 3 for each in whole.guarantees
    ]


def test_what_a_cohort_has_of_its_own_is_a_guarantee_too_at_the_price_of_its_class(store: SqlStore) -> None:
    world = research_world()
    before = world.require_policy()
    (pool,) = before.pools.values()
    quotas = {name: Quota(name, 2) for name in pool.quotas}
    above = Cohort(CohortName("company"), None, quotas)
    world.policy = replace(
        before,
        pools={pool.name: replace(pool, cohort=CohortName("house"))},
        cohorts={above.name: above, CohortName("house"): Cohort(CohortName("house"), above.name)},
    )
    found = MoneyViews(store, world).cost(FINANCE, "2026-10", NOVEMBER)
    shared = {each.gpu_class: each for each in found.guarantees if each.cohort is not None}
    own = {each.gpu_class: each for each in found.guarantees if each.pool is not None}
    assert shared.keys() == quotas.keys()
    for gpu_class, each in shared.items():
        assert (each.pool, each.cohort, each.used_ms, each.lent_ms) == (None, "company", 0, 0)
        assert each.idle_ms == each.guaranteed_ms == 2 * (OCTOBER.ends_at - OCTOBER.starts_at)
        priced, known = each.cost_micro, own[gpu_class].cost_micro
        assert priced is not None
        assert known is not None
        assert priced // each.idle_ms == known // own[gpu_class].idle_ms


def test_cost_is_for_finance_and_auditors(money: MoneyViews) -> None:
    assert money.cost(AUDITOR, "2026-10", NOVEMBER).guarantees
    for caller in (ADA, LEAD):
        with pytest.raises(NotPermitted):
            money.cost(caller, "2026-10", NOVEMBER)


def test_a_month_and_what_it_cost_are_of_one_look_at_the_books(
    money: MoneyViews, store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page that shows both would else show two sums where a charge came in between."""
    looks: list[str] = []
    look = store.reading

    def counted() -> AbstractContextManager[Books]:
        looks.append("")
        return look()

    monkeypatch.setattr(store, "reading", counted)
    month, cost = money.month(FINANCE, "2026-10", NOVEMBER)
    assert len(looks) == 1
    assert cost is not None
    assert month.cost_micro == cost.recovered_micro
    assert cost == money.cost(FINANCE, "2026-10", NOVEMBER)


def test_what_a_month_cost_is_for_finance_and_auditors_where_everything_has_a_price(money: MoneyViews) -> None:
    operator = Caller("ops", frozenset({Role.OPERATOR}))
    assert money.month(AUDITOR, "2026-10", NOVEMBER)[1] is not None
    assert money.month(operator, "2026-10", NOVEMBER)[1] is None
    with pytest.raises(NotPermitted):
        money.month(ADA, "2026-10", NOVEMBER)
    money._world.price_book = None
    assert money.month(FINANCE, "2026-10", NOVEMBER)[1] is None
