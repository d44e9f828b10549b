"""The conservation report of a node's single GPUs: whose each one was, hour by hour, with nothing unexplained."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from scheduler.domain.errors import NotFound, RefusalCode
from scheduler.domain.periods import Period
from scheduler.domain.units import MS_PER_HOUR, GpuUuid, Instant, NodeName
from scheduler.finance.reconciling.conservation import BUCKETS
from scheduler.finance.reconciling.gpu_conservation import GpuAccount, seen_in, share_out
from scheduler.lifecycle.views.conservation import HOURLY_MS_MAX, end_so_far, node_accounts
from scheduler.ports import Books


@dataclass(frozen=True, slots=True)
class GpuAccountView:
    """GPU-milliseconds of a GPU from `starts_at` to `ends_at`; under an empty `gpu_uuid` stand those that no reading
    names, together. Sensors saw `witnessed_ms` of it on this very GPU; the rest was shared out."""

    gpu_uuid: str
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
    witnessed_ms: int


@dataclass(frozen=True, slots=True)
class GpuConservationView:
    """`gpus` are each GPU's over the period up to now, `hours` each one's hour by hour."""

    node: str
    period: str
    gpus: tuple[GpuAccountView, ...]
    hours: tuple[GpuAccountView, ...]


def gpu_conservation_view(books: Books, node: NodeName, period: Period, now: Instant) -> GpuConservationView:
    """Raises InvalidInput for a period that has not begun or is longer than eight days, NotFound for an unknown node."""
    ends_at = end_so_far(period, now, HOURLY_MS_MAX)
    nodes = [each for each in node_accounts(books, period.starts_at, ends_at) if each.node == node]
    if not nodes:
        raise NotFound(f"there was no node {node!r} in {period.name}", code=RefusalCode.UNKNOWN_NODE, where="node")
    seen = _seen(books, node, period.starts_at, ends_at)
    accounts = [
        account
        for each in nodes
        for account in share_out(each, seen.get(Instant(each.starts_at - each.starts_at % MS_PER_HOUR), {}))
    ]
    hours = [_sum(same) for same in _grouped(accounts, by_hour=True)]
    gpus = [_sum(same) for same in _grouped(accounts, by_hour=False)]
    return GpuConservationView(node, period.name, tuple(gpus), tuple(hours))


def _seen(
    books: Books, node: NodeName, starts_at: Instant, ends_at: Instant
) -> Mapping[Instant, Mapping[GpuUuid, Mapping[str, int]]]:
    """By hour, GPU and bucket: for how long each was seen in it."""
    first = Instant(starts_at - starts_at % MS_PER_HOUR)
    hours = books.samples.hours(starts_at=first, ends_at=ends_at, node=node)
    attempts = books.attempts.many(sorted({hour.attempt_id for hour in hours if hour.attempt_id is not None}))
    return seen_in(hours, {attempt.id: attempt.is_funded for attempt in attempts.values()})


def _grouped(accounts: Iterable[GpuAccount], *, by_hour: bool) -> list[list[GpuAccount]]:
    groups: dict[tuple[str, Instant], list[GpuAccount]] = {}
    for each in accounts:
        groups.setdefault((each.gpu_uuid, each.starts_at if by_hour else Instant(0)), []).append(each)
    return [groups[key] for key in sorted(groups)]


def _sum(same: list[GpuAccount]) -> GpuAccountView:
    names = (*BUCKETS, "capacity", "unexplained")
    return GpuAccountView(
        gpu_uuid=same[0].gpu_uuid,
        starts_at=min(each.starts_at for each in same),
        ends_at=max(each.ends_at for each in same),
        **{f"{name}_ms": sum(getattr(each.account, name) for each in same) for name in names},
        witnessed_ms=sum(each.witnessed_ms for each in same),
    )
