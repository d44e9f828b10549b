"""A period of everybody, for finance: what was charged and what it cost, by team, tier and GPU class, and whether the
books hold."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from scheduler.domain.errors import NotFound
from scheduler.domain.periods import Period
from scheduler.domain.units import STANDARD_GPU, AttemptId, EngineerId, Instant
from scheduler.domain.workloads import Attempt
from scheduler.finance.prices.rating import Rating
from scheduler.ledger.journal import AccountKind, PostedSum
from scheduler.lifecycle.accounting.valued import valued
from scheduler.lifecycle.memory.world import World
from scheduler.lifecycle.views.conservation import PERIOD_MS_MAX, buckets_of, node_accounts
from scheduler.lifecycle.views.shapes import MonthView, ShareView
from scheduler.metering.efficiency import efficiency_of
from scheduler.metering.use import Use, total
from scheduler.ports import Books


def month_view(books: Books, world: World, period: Period, now: Instant) -> MonthView:
    """Everybody's period, as far as it has come."""
    sums = _Sums()
    kinds = [AccountKind.CHARGED, AccountKind.REFUNDS, AccountKind.ISSUED, *_NOT_YET_OWNED]
    for posted in books.journal.sums(kinds=kinds, starts_at=period.starts_at, ends_at=period.ends_at):
        sums.add(posted)
    attempts = books.attempts.many(sorted(sums.attempts))
    use = books.samples.use_between(period.starts_at, period.ends_at)
    costs = _costs(books, world, period)
    told = _Told(attempts, sums.attempts, costs.of_attempt if costs.is_known else None, use)
    open_ones = books.allowances.balances(unsettled_at=Instant(period.ends_at - 1))
    everything = total(each for attempt_id, each in use.items() if attempt_id is not None)
    buckets, capacity = _where_it_went(books, period, now)
    book = world.price_book
    return MonthView(
        period=period.name,
        starts_at=period.starts_at,
        ends_at=period.ends_at,
        charged=sums.charged,
        gpu_ms=sums.gpu_ms,
        unfunded=sums.unfunded,
        refunded=sums.refunded,
        granted=sums.granted,
        outstanding=sum(b.available + b.held for b in open_ones if b.allowance.unit == STANDARD_GPU),
        by_team=told.by({a.id: _of(world, a.owner, "team") for a in attempts.values()}),
        by_tier=told.by({a.id: _of(world, a.owner, "tier") for a in attempts.values()}),
        by_gpu_class=told.by({a.id: a.gpu_class for a in attempts.values()}),
        buckets=buckets,
        capacity=capacity,
        checks=_checks(books),
        currency=book.currency if book is not None else None,
        price_book=book.name if book is not None else "",
        cost_micro=costs.total if costs.is_known else None,
        no_cost_because=costs.missing,
        energy_joules=everything.millijoules // 1_000 if everything.energy_ms else None,
    )


_NOT_YET_OWNED = (AccountKind.PROMISED, AccountKind.FORFEITED)


def _where_it_went(books: Books, period: Period, now: Instant) -> tuple[tuple[tuple[str, int], ...], int]:
    """Nothing where the period has not begun, is too long, or no capacity was kept."""
    ends_at = min(period.ends_at, now)
    if not period.starts_at < ends_at <= period.starts_at + PERIOD_MS_MAX:
        return (), 0
    buckets, capacity = buckets_of(node_accounts(books, period.starts_at, Instant(ends_at)))
    return (buckets, capacity) if capacity else ((), 0)


@dataclass(slots=True)
class _Costs:
    """Micro-units; `missing` says why there are none."""

    of_attempt: dict[AttemptId, int] = field(default_factory=lambda: defaultdict(int))
    total: int = 0
    missing: str = ""

    @property
    def is_known(self) -> bool:
        return not self.missing


def _costs(books: Books, world: World, period: Period) -> _Costs:
    """Charged less given back, and what was corrected."""
    costs = _Costs()
    if world.price_book is None:
        return _Costs(missing="there is no price book")
    try:
        for item in valued(books, Rating(world.price_book), period):
            costs.total += item.worth.micro
            if item.attempt is not None:
                costs.of_attempt[item.attempt.id] += item.worth.micro
    except NotFound as unpriced:
        return _Costs(missing=unpriced.message)
    return costs


def _of(world: World, owner: EngineerId, what: str) -> str:
    engineer = world.people.get(owner)
    return str(getattr(engineer, what)) if engineer is not None else "–"


class _Sums:
    """What a period's postings add up to; of each attempt physical, charged and unfunded."""

    def __init__(self) -> None:
        self.charged = self.gpu_ms = self.unfunded = self.refunded = self.granted = 0
        self.attempts: dict[AttemptId, list[int]] = defaultdict(lambda: [0, 0, 0])

    def add(self, posted: PostedSum) -> None:
        """What was promised and has not vested, or was clawed back, is not granted. Of what other units paid, the
        physical time counts alone."""
        account = posted.account
        if posted.unit != STANDARD_GPU:
            if account.kind is AccountKind.CHARGED and posted.attempt_id is not None:
                self.gpu_ms += posted.gpu_ms
                self.attempts[posted.attempt_id][0] += posted.gpu_ms
        elif account.kind is AccountKind.ISSUED or account.kind in _NOT_YET_OWNED:
            self.granted -= posted.amount
        elif account.kind is AccountKind.REFUNDS:
            self.refunded -= posted.amount
        else:
            is_unfunded = account.owner.startswith("unfunded/")
            self.gpu_ms += posted.gpu_ms
            self.unfunded += posted.amount if is_unfunded else 0
            self.charged += 0 if is_unfunded else posted.amount
            if posted.attempt_id is not None:
                sums = self.attempts[posted.attempt_id]
                sums[0] += posted.gpu_ms
                sums[2 if is_unfunded else 1] += posted.amount


class _Told:
    """What is known of each attempt of the period, to be added up by anything."""

    def __init__(
        self,
        attempts: Mapping[AttemptId, Attempt],
        sums: Mapping[AttemptId, list[int]],
        costs: Mapping[AttemptId, int] | None,
        use: Mapping[AttemptId | None, Use],
    ) -> None:
        self._attempts = attempts
        self._sums = sums
        self._costs = costs
        self._use = use

    def by(self, group: Mapping[AttemptId, str]) -> tuple[ShareView, ...]:
        """The largest first."""
        members: dict[str, list[AttemptId]] = defaultdict(list)
        for attempt_id in self._sums:
            if attempt_id in self._attempts:
                members[group[attempt_id]].append(attempt_id)
        shares = [self._share(name, ids) for name, ids in members.items()]
        return tuple(sorted(shares, key=lambda share: (-share.charged, share.name)))

    def _share(self, name: str, ids: Iterable[AttemptId]) -> ShareView:
        mine = list(ids)
        gpu_ms, charged, unfunded = (sum(self._sums[id_][place] for id_ in mine) for place in range(3))
        use = total(self._use[id_] for id_ in mine if id_ in self._use)
        return ShareView(
            name,
            gpu_ms,
            charged,
            unfunded,
            engineers=len({self._attempts[id_].owner for id_ in mine}),
            cost_micro=None if self._costs is None else sum(self._costs.get(id_, 0) for id_ in mine),
            energy_joules=use.millijoules // 1_000 if use.energy_ms else None,
            watts=None if use.mean_milliwatts is None else use.mean_milliwatts // 1_000,
            efficiency_permille=efficiency_of(use).mean_permille,
        )


def _checks(books: Books) -> tuple[tuple[str, bool, str], ...]:
    """What finance looks at before closing: (check, holds, detail)."""
    differences = books.journal.differences()
    open_holds = books.holds.open_ones()
    live = {attempt.id for attempt in books.attempts.live()}
    orphans = [hold for hold in open_holds if hold.attempt_id is not None and hold.attempt_id not in live]
    return (
        ("Balances equal the journal", not differences, f"{len(differences)} differ"),
        (
            "Every hold is open or resolved once",
            not orphans,
            f"{len(open_holds)} open, {len(orphans)} of ended attempts",
        ),
    )
