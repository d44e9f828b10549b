"""Conservation: where every GPU-millisecond of capacity went, node by node and hour by hour.

    charged + unfunded + overhead + idle + drained + outside + unattributed = capacity × time

What was allocated decides, pod by pod, as it does for charges; readings only tell which of the free time somebody took
without having been given it. The device plugin picks the GPUs in a node, so the account is a node's; which GPU was
whose is the sensors' word (docs/gpu.md). Nothing is made to fit: what pods were given beyond a node's capacity is
*unexplained*, and shows.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import pairwise
from typing import Final

from scheduler.domain.cluster import NodeSpan
from scheduler.domain.units import MS_PER_HOUR, Instant, NodeName


@dataclass(frozen=True, slots=True)
class Tenure:
    """An attempt's pod on a node, with so many GPUs, from `held_from` to `ended_at` (None: it still has them).

    It is its owner's from `started_at` to `billed_until`; before (binding, image pull) and after (termination beyond
    the grace) the platform pays. None for `started_at`: it never started; for `billed_until`: to the end.
    """

    node: NodeName
    gpus: int
    held_from: Instant
    started_at: Instant | None
    billed_until: Instant | None
    ended_at: Instant | None
    is_funded: bool


@dataclass(frozen=True, slots=True)
class Account:
    """GPU-milliseconds. `unexplained` is what the buckets come to beyond the capacity: 0 in sound books."""

    charged: int = 0
    unfunded: int = 0
    overhead: int = 0
    idle: int = 0
    drained: int = 0
    outside: int = 0
    unattributed: int = 0
    capacity: int = 0

    @property
    def unexplained(self) -> int:
        return int(sum(getattr(self, name) for name in BUCKETS)) - self.capacity


BUCKETS: Final = tuple(field.name for field in fields(Account) if field.name != "capacity")
"""In the order of the sentence above."""


@dataclass(frozen=True, slots=True)
class NodeAccount:
    """A node's account from `starts_at` to `ends_at`."""

    node: NodeName
    starts_at: Instant
    ends_at: Instant
    account: Account


def conserve(
    spans: Iterable[NodeSpan],
    tenures: Iterable[Tenure],
    taken_ms: Mapping[tuple[NodeName, Instant], int],
    cuts: Sequence[Instant],
) -> tuple[NodeAccount, ...]:
    """Every node's account between each two neighbours of `cuts`, which rise; by node, then by time.

    `taken_ms` are GPU-milliseconds by (node, start of hour) in which sensors saw GPUs at work for nobody of ours. Pods
    that are not ours and were granted GPUs explain them first; what is left was taken from idle or drained time.
    """
    spans_of: dict[NodeName, list[NodeSpan]] = defaultdict(list)
    tenures_of: dict[NodeName, list[Tenure]] = defaultdict(list)
    taken_of: dict[NodeName, dict[Instant, int]] = defaultdict(dict)
    for span in spans:
        spans_of[span.node].append(span)
    for tenure in tenures:
        tenures_of[tenure.node].append(tenure)
    for (node, hour), ms in taken_ms.items():
        taken_of[node][hour] = ms
    return tuple(
        NodeAccount(node, start, end, _account(spans_of[node], tenures_of[node], taken_of[node], (start, end)))
        for node in sorted({*spans_of, *tenures_of})
        for start, end in pairwise(cuts)
    )


def total(accounts: Iterable[NodeAccount]) -> Account:
    sums = dict.fromkeys((*BUCKETS, "capacity"), 0)
    for each in accounts:
        for name in sums:
            sums[name] += getattr(each.account, name)
    return Account(**sums)


def hours_between(starts_at: Instant, ends_at: Instant) -> tuple[Instant, ...]:
    """Cuts at full hours of UTC, with the ends themselves."""
    first = starts_at - starts_at % MS_PER_HOUR + MS_PER_HOUR
    return (starts_at, *(Instant(at) for at in range(first, ends_at, MS_PER_HOUR)), ends_at)


def _account(
    spans: Sequence[NodeSpan],
    tenures: Sequence[Tenure],
    taken: Mapping[Instant, int],
    within: tuple[Instant, Instant],
) -> Account:
    start, end = within
    spans = [span for span in spans if span.starts_at < end and (span.ends_at is None or span.ends_at > start)]
    tenures = [t for t in tenures if t.held_from < end and (t.ended_at is None or t.ended_at > start)]
    sums: dict[str, int] = defaultdict(int)
    for begin, until in pairwise(_instants(spans, tenures, within)):
        for name, gpus in _at(spans, tenures, begin).items():
            sums[name] += gpus * (until - begin)
    in_hours = sum(ms for hour, ms in taken.items() if start - start % MS_PER_HOUR <= hour < end)
    left = max(0, in_hours - sums["outside"])
    for name in ("idle", "drained"):
        moved = min(left, sums[name])
        sums[name] -= moved
        sums["unattributed"] += moved
        left -= moved
    return Account(**sums)


def _instants(spans: Sequence[NodeSpan], tenures: Sequence[Tenure], within: tuple[Instant, Instant]) -> list[Instant]:
    """Every instant at which anything changes, and both ends."""
    start, end = within
    told: set[Instant | None] = {at for span in spans for at in (span.starts_at, span.ends_at)}
    told |= {at for t in tenures for at in (t.held_from, t.started_at, t.billed_until, t.ended_at)}
    return [start, *sorted(at for at in told if at is not None and start < at < end), end]


def _at(spans: Sequence[NodeSpan], tenures: Sequence[Tenure], at: Instant) -> dict[str, int]:
    """GPUs by bucket at an instant. Our pods go first, for their time is exact; what is told of outside pods is as
    old as the last look at the node, and never counts a GPU twice."""
    gpus: dict[str, int] = defaultdict(int)
    for tenure in tenures:
        if tenure.held_from <= at and (tenure.ended_at is None or at < tenure.ended_at):
            gpus[_bucket(tenure, at)] += tenure.gpus
    ours = sum(gpus.values())
    span = next((s for s in spans if s.starts_at <= at and (s.ends_at is None or at < s.ends_at)), None)
    if span is None:
        return gpus
    free = max(0, span.gpus - ours)
    outside = min(span.outside_gpus, free)
    return {
        **gpus,
        "outside": outside,
        "idle" if span.accepts_work else "drained": free - outside,
        "capacity": span.gpus,
    }


def _bucket(tenure: Tenure, at: Instant) -> str:
    is_started = tenure.started_at is not None and tenure.started_at <= at
    is_over = tenure.billed_until is not None and tenure.billed_until <= at
    if not is_started or is_over:
        return "overhead"
    return "charged" if tenure.is_funded else "unfunded"
