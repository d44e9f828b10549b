"""What a period cost the company beside what it recovered, and what guarantees cost that nobody used."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from scheduler.domain.money import Currency, Micro
from scheduler.domain.periods import Period
from scheduler.domain.policy import Policy, Quota
from scheduler.domain.units import MS_PER_HOUR, CohortName, GpuClassName, Instant, PoolName
from scheduler.finance.general_ledger import UnknownCost
from scheduler.finance.guarantees import CohortShare, Guarantee, Share, Tree, guarantees
from scheduler.finance.prices.price_book import PriceBook
from scheduler.finance.prices.rating import Rating
from scheduler.lifecycle.memory.world import World
from scheduler.lifecycle.views.general_ledger import gl_view
from scheduler.ports import Books

ReadPolicy = Callable[[str, str], Policy]
_VERSIONS_MAX = 500
_NO_POOL = PoolName("")
"""Has no rate of its own: what is a cohort's costs what the class does."""
_Span = tuple[Instant, Instant, Policy]


@dataclass(frozen=True, slots=True)
class GuaranteeView:
    """Of a pool, or of what a cohort has of its own. `cost_micro`: its idle hours at the mean effective price of the pool's
    hours in that time, of the class's hours where it is a cohort's; None without one."""

    pool: str | None
    cohort: str | None
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
    """Who lies in which cohort is taken from the last of the policies that name it."""
    guaranteed, own, borrowed, lends = (defaultdict[Share, int](int) for _ in range(4))
    shared, cohort_lends = (defaultdict[CohortShare, int](int) for _ in range(2))
    cohort_of: dict[PoolName, CohortName | None] = {}
    parent_of: dict[CohortName, CohortName | None] = {}
    for begins, ends, policy in spans:
        lasts_ms = ends - begins
        for pool in policy.pools.values():
            cohort_of[pool.name] = pool.cohort
            for quota in pool.quotas.values():
                guaranteed[pool.name, quota.gpu_class] += quota.nominal * lasts_ms
                most = quota.nominal if quota.lending_limit is None else quota.lending_limit
                lends[pool.name, quota.gpu_class] += most * lasts_ms
        for cohort in policy.cohorts.values():
            parent_of[cohort.name] = cohort.parent
            for gpu_class in policy.gpu_classes:
                quota = cohort.quotas.get(gpu_class, Quota(gpu_class, 0))
                shared[cohort.name, gpu_class] += quota.nominal * lasts_ms
                most = _all_of(policy, gpu_class) if quota.lending_limit is None else quota.lending_limit
                cohort_lends[cohort.name, gpu_class] += most * lasts_ms
    for use in books.journal.used_of_pools(starts_at=period.starts_at, ends_at=period.ends_at):
        (borrowed if use.is_borrowed else own)[use.pool, use.gpu_class] += use.gpu_ms
    return guarantees(guaranteed, own, borrowed, Tree(cohort_of, parent_of, shared, lends, cohort_lends))


def _all_of(policy: Policy, gpu_class: GpuClassName) -> int:
    """GPUs of the class that anybody has a quota of."""
    quotas = [pool.quotas for pool in policy.pools.values()] + [each.quotas for each in policy.cohorts.values()]
    return sum(known[gpu_class].nominal for known in quotas if gpu_class in known)


def _priced(found: Guarantee, rating: Rating, spans: Sequence[_Span]) -> GuaranteeView:
    """At the mean price over the time in which it was guaranteed, weighed by how much was."""
    weighed = exact = 0
    is_priced = True
    pool = found.pool if found.pool is not None else _NO_POOL
    for begins, ends, policy in spans:
        nominal = _nominal(policy, found)
        if not nominal:
            continue
        if rating.price_at(found.gpu_class, pool, begins) is None:
            is_priced = False
            continue
        parts = rating.parts(found.gpu_class, pool, 1, ends - begins, Instant(ends - 1))
        exact += nominal * sum(part.gpu_ms * part.priced.unit.effective for part in parts)
        weighed += nominal * (ends - begins)
    cost = found.idle_ms * exact // (weighed * MS_PER_HOUR) if weighed and is_priced else None
    return GuaranteeView(
        pool=found.pool,
        cohort=found.cohort,
        gpu_class=found.gpu_class,
        guaranteed_ms=found.guaranteed_ms,
        used_ms=found.used_ms,
        lent_ms=found.lent_ms,
        idle_ms=found.idle_ms,
        cost_micro=cost,
    )


def _nominal(policy: Policy, found: Guarantee) -> int:
    pool = policy.pools.get(found.pool) if found.pool is not None else None
    cohort = policy.cohorts.get(found.cohort) if found.cohort is not None else None
    quotas = pool.quotas if pool is not None else cohort.quotas if cohort is not None else {}
    return quotas[found.gpu_class].nominal if found.gpu_class in quotas else 0
