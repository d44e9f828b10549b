"""The conservation report: where every GPU-hour of capacity went, and that nothing is unexplained."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

from scheduler.domain.errors import InvalidInput, RefusalCode
from scheduler.domain.periods import Period
from scheduler.domain.units import MS_PER_DAY, Instant
from scheduler.finance.reconciling.conservation import BUCKETS, Account, NodeAccount, conserve, hours_between, total
from scheduler.ports import Books

HOURLY_MS_MAX = 8 * MS_PER_DAY
"""A longer period is told as one sum: by node and hour it would be millions of rows."""

PERIOD_MS_MAX = 400 * MS_PER_DAY
UNEXPLAINED_SHOWN_MAX = 100


@dataclass(frozen=True, slots=True)
class AccountView:
    """GPU-milliseconds of a node or of the cluster, from `starts_at` to `ends_at`. `node` is empty for the cluster."""

    node: str
    starts_at: Instant
    ends_at: Instant
    charged_ms: int
    unfunded_ms: int
    overhead_ms: int
    idle_ms: int
    drained_ms: int
    outside_ms: int
    unattributed_ms: int
    capacity_ms: int
    unexplained_ms: int


@dataclass(frozen=True, slots=True)
class ConservationView:
    """`total` is of the period up to now. `hours` are the cluster's, empty where the period is longer than eight days;
    `nodes` are each node's over the period; `unexplained` the rows of a node and an hour (or the period) that do not
    come to its capacity: none in sound books, at most a hundred here."""

    period: str
    total: AccountView
    hours: tuple[AccountView, ...]
    nodes: tuple[AccountView, ...]
    unexplained: tuple[AccountView, ...]


def conservation_view(books: Books, period: Period, now: Instant) -> ConservationView:
    """Raises InvalidInput for a period that has not begun, or is longer than 400 days."""
    ends_at = end_so_far(period, now, PERIOD_MS_MAX)
    accounts = node_accounts(books, period.starts_at, ends_at)
    is_hourly = ends_at - period.starts_at <= HOURLY_MS_MAX
    by_hour = sorted(accounts, key=lambda each: each.starts_at) if is_hourly else []
    wrong = [each for each in accounts if each.account.unexplained != 0]
    return ConservationView(
        period=period.name,
        total=_view("", period.starts_at, ends_at, total(accounts)),
        hours=tuple(_sum("", list(same)) for _, same in groupby(by_hour, key=lambda each: each.starts_at)),
        nodes=tuple(_sum(node, list(same)) for node, same in groupby(accounts, key=lambda each: each.node)),
        unexplained=tuple(_sum(each.node, [each]) for each in wrong[:UNEXPLAINED_SHOWN_MAX]),
    )


def end_so_far(period: Period, now: Instant, longest_ms: int) -> Instant:
    """Up to when a period can be accounted for. Raises InvalidInput where it has not begun, or is longer than that."""
    ends_at = min(period.ends_at, now)
    if not period.starts_at < ends_at <= period.starts_at + longest_ms:
        raise InvalidInput(
            f"{period.name} has not begun, or is too long",
            code=RefusalCode.INVALID_VALUE,
            where="period",
            expected=f"a period that has begun, of {longest_ms // MS_PER_DAY} days at most",
        )
    return ends_at


def node_accounts(books: Books, starts_at: Instant, ends_at: Instant) -> tuple[NodeAccount, ...]:
    """By node and hour, or by node where it is long: what `finance.conservation` makes of the books. For any reader."""
    is_hourly = ends_at - starts_at <= HOURLY_MS_MAX
    cuts = hours_between(starts_at, ends_at) if is_hourly else (starts_at, ends_at)
    capacity = books.capacity
    return conserve(
        capacity.spans(starts_at, ends_at),
        capacity.tenures(starts_at, ends_at),
        capacity.taken_ms(starts_at, ends_at),
        cuts,
    )


def buckets_of(accounts: Iterable[NodeAccount]) -> tuple[tuple[tuple[str, int], ...], int]:
    """(bucket, GPU-milliseconds) in their order, and the capacity that they come to, as a month shows them."""
    sums = total(accounts)
    return tuple((name, getattr(sums, name)) for name in BUCKETS), sums.capacity


def _sum(node: str, same: Sequence[NodeAccount]) -> AccountView:
    return _view(node, same[0].starts_at, same[-1].ends_at, total(same))


def _view(node: str, starts_at: Instant, ends_at: Instant, account: Account) -> AccountView:
    return AccountView(
        node=node,
        starts_at=starts_at,
        ends_at=ends_at,
        **{f"{name}_ms": getattr(account, name) for name in (*BUCKETS, "capacity", "unexplained")},
    )
