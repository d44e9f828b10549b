"""The general ledger and what a period cost say what each posting is worth by itself, added up by team and by pool."""

import random
from collections import defaultdict
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler.adapters.sql.store import SqlStore
from scheduler.domain.units import AttemptId, EngineerId, PoolName, TeamName
from scheduler.domain.workloads import Attempt
from scheduler.finance.prices.postings import worth_of
from scheduler.finance.prices.price_book import PriceBook, Unpriced, first_unpriced
from scheduler.finance.prices.rating import Rating
from scheduler.ledger.journal import Account, AccountKind, Entry, Transaction, TransactionKind
from scheduler.lifecycle.views.money import MoneyViews
from tests.finance.build import at, book, rate
from tests.lifecycle.october import A100, FINANCE, NIGHT, NOVEMBER, OCTOBER, charged_in_october, research_world
from tests.lifecycle.test_sums_in_money import a_busy_month

TEAMS = ("research", "vision", "speech")
PAYERS_TEAM = "research"
"""Of everybody whose money is corrected: no work stands behind that, and the team is the payer's."""
POOLS = ("research", "shared")


@dataclass
class Simply:
    """By team what was charged, and what was given back or corrected; the GPU-milliseconds charged, by pool and class."""

    charged: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    corrected: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    used_ms: dict[tuple[str, str, bool], int] = field(default_factory=lambda: defaultdict(int))
    missing: Unpriced | None = None


def simply(store: SqlStore, prices: PriceBook) -> Simply:
    sums, rating = Simply(), Rating(prices)
    for posting, attempt in charged_in_october(store):
        is_charge = posting.kind is TransactionKind.CHARGE and posting.corrects_at is None
        if is_charge and attempt is not None:
            sums.used_ms[attempt.pool, attempt.gpu_class, attempt.is_borrowed] += posting.gpu_ms
        try:
            micro = worth_of(rating, posting, attempt).micro
        except Unpriced as missing:
            sums.missing = first_unpriced((sums.missing, missing))
            continue
        team = attempt.team if attempt is not None else PAYERS_TEAM
        (sums.charged if is_charge else sums.corrected)[team] += micro
    return sums


def scatter(store: SqlStore, chance: random.Random) -> None:
    """The attempts over teams and pools, some beyond their pool's quota; and a charge that belongs to a closed period."""
    with store.writing() as books:
        attempts = list(books.attempts.many([AttemptId(f"w-t{number}.1") for number in range(7)]).values())
        books.attempts.save([_elsewhere(each, chance) for each in attempts])
        owner = EngineerId("e-ada")
        late = Transaction(
            "late",
            TransactionKind.CHARGE,
            at("2026-10-21"),
            (
                Entry(Account(AccountKind.OVERRUN, owner), -77_777, gpu_ms=-77_777),
                Entry(Account(AccountKind.CHARGED, f"overrun/{owner}"), 77_777, gpu_ms=77_777),
            ),
            attempt_id=attempts[0].id,
            corrects_at=at("2026-10-13T05:00"),
        )
        books.journal.post([late], at("2026-10-21"))


def _elsewhere(attempt: Attempt, chance: random.Random) -> Attempt:
    return replace(
        attempt,
        team=TeamName(chance.choice(TEAMS)),
        pool=PoolName(chance.choice(POOLS)),
        is_borrowed=chance.random() < 0.3,
    )


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    prices=st.lists(st.integers(1, 9_999_999), min_size=4, max_size=4),
    since=st.sampled_from(["2026-01-01", "2026-01-01", "2026-10-11"]),
)
def test_teams_are_recharged_and_pools_have_used_what_each_posting_says(
    seed: int, prices: list[int], since: str
) -> None:
    told = [f"{price / 1e6:.6f}" for price in prices]
    rates = (
        rate(since, "2026-10-12", told[0], off_peak=told[1]),
        rate("2026-10-12", None, told[2]),
        replace(rate("2026-01-01", None, told[3]), gpu_class=A100),
    )
    by = book(*rates, off_peak=NIGHT, time_zone="Europe/Berlin")
    world = research_world()
    world.price_book = by
    chance = random.Random(seed)
    with a_busy_month(chance) as store:
        scatter(store, chance)
        known, money = simply(store, by), MoneyViews(store, world)
        with store.reading() as books:
            used = books.journal.used_of_pools(starts_at=OCTOBER.starts_at, ends_at=OCTOBER.ends_at)
        assert {(each.pool, each.gpu_class, each.is_borrowed): each.gpu_ms for each in used} == known.used_ms
        if known.missing is not None:
            for look in (money.general_ledger, money.cost):
                with pytest.raises(Unpriced) as refused:
                    look(FINANCE, "2026-10", NOVEMBER)
                assert refused.value.message == known.missing.message
            return
        found = money.general_ledger(FINANCE, "2026-10", NOVEMBER)
        cost = money.cost(FINANCE, "2026-10", NOVEMBER)
    for entry, sums in (("recharge", known.charged), ("given back and corrected", known.corrected)):
        debits = {
            line.cost_centre: line.debit_micro - line.credit_micro
            for line in found.lines
            if line.entry == entry and line.account == "compute-expense"
        }
        assert debits == {team: micro for team, micro in sums.items() if micro}
    assert (
        found.recovered_micro == sum(known.charged.values()) + sum(known.corrected.values()) == cost.recovered_micro
    )
    for view in cost.guarantees:
        assert view.pool is not None
        own = known.used_ms.get((view.pool, view.gpu_class, False), 0)
        assert view.used_ms == min(view.guaranteed_ms, own)
