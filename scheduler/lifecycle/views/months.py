"""A period of everybody, for finance: what was charged and what it cost, by team, tier and GPU class, and whether the
books hold."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from scheduler.domain.allowances import Allowance
from scheduler.domain.people import Role
from scheduler.domain.periods import Period
from scheduler.domain.units import STANDARD_GPU, AttemptId, EngineerId, GpuClassName, Instant
from scheduler.domain.workloads import Attempt
from scheduler.finance.prices.postings import Posting, paid_posting, plainly_priced, worth_of
from scheduler.finance.prices.price_book import PriceBook, Unpriced, first_unpriced
from scheduler.finance.prices.rating import Rating
from scheduler.ledger.books import UsedBy
from scheduler.ledger.journal import AccountKind
from scheduler.lifecycle.accounting.valued import with_attempts
from scheduler.lifecycle.memory.world import World
from scheduler.lifecycle.views.conservation import PERIOD_MS_MAX, buckets_of, node_accounts
from scheduler.lifecycle.views.statement_shapes import MonthView, ShareView
from scheduler.metering.efficiency import efficiency_of
from scheduler.metering.use import Use, total
from scheduler.ports import Books

SEES_MONTH = (Role.FINANCE, Role.AUDITOR, Role.OPERATOR)


def month_view(books: Books, world: World, period: Period, now: Instant) -> MonthView:
    """Everybody's period, as far as it has come."""
    kinds = [AccountKind.CHARGED, AccountKind.REFUNDS, AccountKind.ISSUED, *_NOT_YET_OWNED]
    sums = _Sums(books.journal.used_by(kinds=kinds, starts_at=period.starts_at, ends_at=period.ends_at))
    use = books.samples.use_between(period.starts_at, period.ends_at)
    book = world.price_book
    costs = _costs(books, book, period) if book is not None else None
    known = costs if costs is not None and costs.unpriced is None else None
    told = _Told(sums.of_group, known.of_group if known is not None else None, _use_of_groups(books, use))
    open_ones = books.allowances.balances(unsettled_at=Instant(period.ends_at - 1))
    everything = total(each for attempt_id, each in use.items() if attempt_id is not None)
    buckets, capacity = _where_it_went(books, period, now)
    return MonthView(
        period=period.name,
        starts_at=period.starts_at,
        ends_at=period.ends_at,
        charged=sums.charged,
        gpu_ms=sums.gpu_ms,
        unfunded=sums.unfunded,
        refunded=sums.refunded,
        granted=sums.granted,
        outstanding=sum(b.available + b.held for b in open_ones if _counts(b.allowance, period)),
        by_team=told.by(lambda group: _of(world, group.engineer, "team")),
        by_tier=told.by(lambda group: _of(world, group.engineer, "tier")),
        by_gpu_class=told.by(lambda group: group.gpu_class),
        buckets=buckets,
        capacity=capacity,
        checks=_checks(books),
        currency=book.currency if book is not None else None,
        price_book=book.name if book is not None else "",
        cost_micro=known.total if known is not None else None,
        no_cost_because=_why_no_cost(costs),
        tokens_micro=known.tokens if known is not None else 0,
        energy_joules=everything.millijoules // 1_000 if everything.energy_ms else None,
    )


def _counts(allowance: Allowance, period: Period) -> bool:
    """Standard hours that could be spent by the period's end: what begins later was not outstanding in it."""
    return allowance.unit == STANDARD_GPU and allowance.starts_at < period.ends_at


_NOT_YET_OWNED = (AccountKind.PROMISED, AccountKind.FORFEITED)


class _Group(NamedTuple):
    """Attempts that count together: those of one engineer on one GPU class."""

    engineer: EngineerId
    gpu_class: GpuClassName


def _group_of(attempt: Attempt) -> _Group:
    return _Group(attempt.owner, attempt.gpu_class)


def _where_it_went(books: Books, period: Period, now: Instant) -> tuple[tuple[tuple[str, int], ...], int]:
    """Nothing where the period has not begun, is too long, or no capacity was kept."""
    ends_at = min(period.ends_at, now)
    if not period.starts_at < ends_at <= period.starts_at + PERIOD_MS_MAX:
        return (), 0
    buckets, capacity = buckets_of(node_accounts(books, period.starts_at, Instant(ends_at)))
    return (buckets, capacity) if capacity else ((), 0)


@dataclass(slots=True)
class _Costs:
    """Micro-units. Where a price is missing there are none, and `unpriced` names the first hour."""

    rating: Rating
    of_group: dict[_Group, int] = field(default_factory=lambda: defaultdict(int))
    total: int = 0
    tokens: int = 0
    unpriced: Unpriced | None = None

    def add(self, group: _Group | None, micro: int) -> None:
        self.total += micro
        if group is not None:
            self.of_group[group] += micro

    def value(self, posting: Posting, attempt: Attempt | None) -> None:
        try:
            micro = worth_of(self.rating, posting, attempt).micro
        except Unpriced as missing:
            self.unpriced = first_unpriced((self.unpriced, missing))
            return
        self.add(None if attempt is None else _group_of(attempt), micro)
        self.tokens += micro if posting.model is not None else 0


def _costs(books: Books, book: PriceBook, period: Period) -> _Costs:
    """Charged less given back, and what was corrected."""
    costs = _Costs(Rating(book))
    starts_at, ends_at = period.starts_at, period.ends_at
    left: list[int] = []
    plain: dict[tuple[EngineerId, GpuClassName], int] = defaultdict(int)  # a month of a company has a great many
    all_used = books.journal.used(starts_at=starts_at, ends_at=ends_at)
    for used, _, micro in plainly_priced(costs.rating, all_used, left):
        plain[used.engineer, used.gpu_class] += micro
    for (engineer, gpu_class), micro in plain.items():
        costs.add(_Group(engineer, gpu_class), micro)
    others = books.journal.worth_beside(starts_at=starts_at, ends_at=ends_at, left=left)
    postings = [posting for entry in others if (posting := paid_posting(entry)) is not None]
    for posting, attempt in with_attempts(books, postings):
        costs.value(posting, attempt)
    return costs


def _why_no_cost(costs: _Costs | None) -> str:
    if costs is None:
        return "there is no price book"
    return costs.unpriced.message if costs.unpriced is not None else ""


def _of(world: World, owner: EngineerId, what: str) -> str:
    engineer = world.people.get(owner)
    return str(getattr(engineer, what)) if engineer is not None else "–"


class _Sums:
    """What a period's postings add up to; of each group physical, charged and unfunded."""

    def __init__(self, used: Iterable[UsedBy]) -> None:
        self.charged = self.gpu_ms = self.unfunded = self.refunded = self.granted = 0
        self.of_group: dict[_Group, list[int]] = defaultdict(lambda: [0, 0, 0])
        for each in used:
            self._add(each)

    def _add(self, used: UsedBy) -> None:
        """What was promised and has not vested, or was clawed back, is not granted. Of what other units paid, the
        physical time counts alone."""
        group = None
        if used.engineer is not None and used.gpu_class is not None:
            group = _Group(used.engineer, used.gpu_class)
        if used.unit != STANDARD_GPU:
            if used.kind is AccountKind.CHARGED and group is not None:
                self.gpu_ms += used.gpu_ms
                self.of_group[group][0] += used.gpu_ms
        elif used.kind is AccountKind.ISSUED or used.kind in _NOT_YET_OWNED:
            self.granted -= used.amount
        elif used.kind is AccountKind.REFUNDS:
            self.refunded -= used.amount
        else:
            self.gpu_ms += used.gpu_ms
            self.unfunded += used.amount if used.is_unfunded else 0
            self.charged += 0 if used.is_unfunded else used.amount
            if group is not None:
                sums = self.of_group[group]
                sums[0] += used.gpu_ms
                sums[2 if used.is_unfunded else 1] += used.amount


def _use_of_groups(books: Books, use: Mapping[AttemptId | None, Use]) -> Mapping[_Group, list[Use]]:
    attempts = books.attempts.many(sorted(attempt_id for attempt_id in use if attempt_id is not None))
    found: dict[_Group, list[Use]] = defaultdict(list)
    for attempt in attempts.values():
        found[_group_of(attempt)].append(use[attempt.id])
    return found


class _Told:
    """What is known of each group of the period, to be added up by anything that its attempts have in common."""

    def __init__(
        self,
        sums: Mapping[_Group, list[int]],
        costs: Mapping[_Group, int] | None,
        use: Mapping[_Group, list[Use]],
    ) -> None:
        self._sums = sums
        self._costs = costs
        self._use = use

    def by(self, name_of: Callable[[_Group], str]) -> tuple[ShareView, ...]:
        """The largest first."""
        members: dict[str, list[_Group]] = defaultdict(list)
        for group in self._sums:
            members[name_of(group)].append(group)
        shares = [self._share(name, groups) for name, groups in members.items()]
        return tuple(sorted(shares, key=lambda share: (-share.charged, share.name)))

    def _share(self, name: str, groups: Sequence[_Group]) -> ShareView:
        gpu_ms, charged, unfunded = (sum(self._sums[group][place] for group in groups) for place in range(3))
        use = total(each for group in groups for each in self._use.get(group, ()))
        return ShareView(
            name,
            gpu_ms,
            charged,
            unfunded,
            engineers=len({group.engineer for group in groups}),
            cost_micro=None if self._costs is None else sum(self._costs.get(group, 0) for group in groups),
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
