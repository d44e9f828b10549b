"""What a period cost the company beside what it recovered, and what guarantees cost that nobody used."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from scheduler.domain.money import Currency, Micro
from scheduler.domain.periods import Period
from scheduler.domain.policy import Policy
from scheduler.domain.units import MS_PER_HOUR, Instant
from scheduler.finance.general_ledger import UnknownCost
from scheduler.finance.guarantees import Guarantee, Share, guarantees
from scheduler.finance.prices.price_book import PriceBook
from scheduler.finance.prices.rating import Rating
from scheduler.lifecycle.memory.world import World
from scheduler.lifecycle.views.general_ledger import gl_view
from scheduler.ports import Books

ReadPolicy = Callable[[str, str], Policy]
_VERSIONS_MAX = 500
_Span = tuple[Instant, Instant, Policy]


@dataclass(frozen=True, slots=True)
class GuaranteeView:
    """`cost_micro`: its idle hours at the mean effective price of the pool's hours in that time; None without one."""

    pool: str
    gpu_class: str
    guaranteed_ms: int
    used_ms: int
    lent_ms: int
    idle_ms: int
    cost_micro: int | None


@dataclass(frozen=True, slots=True)
class ActualCost:
    """One sort of it, by its account of the general ledger: electricity or depreciation."""

    account: str
    cost_micro: Micro


@dataclass(frozen=True, slots=True)
class CostView:
    """`actual_micro` are electricity as measured and hardware, as far as the price book has them; `unknown` says where it
    has not. `unrecovered_micro` is that less what was recovered. `until` is where the period is not over: now."""

    period: str
    starts_at: Instant
    until: Instant
    currency: Currency
    recovered_micro: Micro
    costs: tuple[ActualCost, ...]
    actual_micro: Micro
    unrecovered_micro: Micro
    guarantees: tuple[GuaranteeView, ...]
    idle_guarantees_micro: Micro
    unknown: tuple[UnknownCost, ...] = ()


def cost_view(
    books: Books, world: World, book: PriceBook, period: Period, now: Instant, read_policy: ReadPolicy | None = None
) -> CostView:
    """Raises NotFound (`price-missing`). Without `read_policy` the quotas in force count for the whole period."""
    until = max(period.starts_at, min(period.ends_at, now))
    ledger = gl_view(books, world, book, period, now)
    spans = list(_spans(books, world, period.starts_at, until, read_policy))
    views = tuple(_priced(each, Rating(book), spans) for each in _guarantees(books, period, spans))
    return CostView(
        period=period.name,
        starts_at=period.starts_at,
        until=Instant(until),
        currency=book.currency,
        recovered_micro=ledger.recovered_micro,
        costs=tuple(
            ActualCost(line.account, line.debit_micro)
            for line in ledger.lines
            if line.entry == "actual cost" and line.debit_micro
        ),
        actual_micro=ledger.actual_micro,
        unrecovered_micro=ledger.unrecovered_micro,
        guarantees=views,
        idle_guarantees_micro=Micro(sum(view.cost_micro or 0 for view in views)),
        unknown=ledger.unknown,
    )


def _spans(
    books: Books, world: World, starts_at: Instant, until: int, read_policy: ReadPolicy | None
) -> Sequence[_Span]:
    """The policies that were in force, each with its time within the period."""
    if read_policy is None:
        return [(starts_at, Instant(until), world.require_policy())]
    versions = sorted(books.control.policies(_VERSIONS_MAX), key=lambda version: version.seq)
    bounds = [*(max(starts_at, version.applied_at) for version in versions), until]
    return [
        (Instant(begins), Instant(ends), read_policy(version.text, version.name))
        for (begins, ends), version in zip(pairwise(bounds), versions, strict=True)
        if begins < min(ends, until)
    ]


def _guarantees(books: Books, period: Period, spans: Sequence[_Span]) -> list[Guarantee]:
    guaranteed, own, borrowed = (defaultdict[Share, int](int) for _ in range(3))
    cohorts = {}
    for begins, ends, policy in spans:
        for pool in policy.pools.values():
            cohorts[pool.name] = pool.cohort
            for quota in pool.quotas.values():
                guaranteed[pool.name, quota.gpu_class] += quota.nominal * (ends - begins)
    for use in books.journal.used_of_pools(starts_at=period.starts_at, ends_at=period.ends_at):
        (borrowed if use.is_borrowed else own)[use.pool, use.gpu_class] += use.gpu_ms
    return guarantees(guaranteed, own, borrowed, cohorts)


def _priced(found: Guarantee, rating: Rating, spans: Sequence[_Span]) -> GuaranteeView:
    """At the mean price over the time in which it was guaranteed, weighed by how much was."""
    weighed = exact = 0
    is_priced = True
    for begins, ends, policy in spans:
        pool = policy.pools.get(found.pool)
        quota = pool.quotas.get(found.gpu_class) if pool is not None else None
        if quota is None or not quota.nominal:
            continue
        if rating.price_at(found.gpu_class, found.pool, begins) is None:
            is_priced = False
            continue
        parts = rating.parts(found.gpu_class, found.pool, 1, ends - begins, Instant(ends - 1))
        exact += quota.nominal * sum(part.gpu_ms * part.priced.unit.effective for part in parts)
        weighed += quota.nominal * (ends - begins)
    cost = found.idle_ms * exact // (weighed * MS_PER_HOUR) if weighed and is_priced else None
    return GuaranteeView(
        found.pool, found.gpu_class, found.guaranteed_ms, found.used_ms, found.lent_ms, found.idle_ms, cost
    )
