"""Conservation: where every GPU-millisecond of capacity went, node by node and hour by hour.

    charged + unfunded + overhead + idle + drained + outside + unattributed = capacity × time

What was allocated decides, pod by pod, as it does for charges; readings only tell which of the free time somebody took
without having been given it. The device plugin picks the GPUs in a node, so the account is a node's; which GPU was
whose is the sensors' word (docs/gpu.md). Nothing is made to fit: what pods were given beyond a node's capacity is
*unexplained*, and shows.
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import pairwise
from typing import Final, NamedTuple

from scheduler.domain.cluster import NodeSpan
from scheduler.domain.units import MS_PER_HOUR, Instant, NodeName


class Tenure(NamedTuple):
    """An attempt's pod on a node, with so many GPUs, from `held_from` to `ended_at` (None: it still has them). A tuple, for
    a month has many.

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
    that are not ours and were granted GPUs in that hour explain them first; what is left was taken from its idle or
    drained time. So a long account is the sum of its hours'.
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
    sums, changes = _of_pods(tenures, within)
    hours = sorted(hour for hour in taken if start - start % MS_PER_HOUR <= hour < end)
    rooms: dict[Instant, dict[str, int]] = {hour: dict.fromkeys(("outside", "idle", "drained"), 0) for hour in hours}
    for begin, until, ours, span in _stretches(spans, changes, within):
        if span is None:
            continue
        free = max(0, span.gpus - ours)
        outside = min(span.outside_gpus, free)
        state = "idle" if span.accepts_work else "drained"
        sums["outside"] += outside * (until - begin)
        sums[state] += (free - outside) * (until - begin)
        sums["capacity"] += span.gpus * (until - begin)
        for hour, ms in _in_hours(hours, begin, until):
            rooms[hour]["outside"] += outside * ms
            rooms[hour][state] += (free - outside) * ms
    for hour in hours:
        left = max(0, taken[hour] - rooms[hour]["outside"])
        for name in ("idle", "drained"):
            moved = min(left, rooms[hour][name])
            sums[name] -= moved
            sums["unattributed"] += moved
            left -= moved
    return Account(**sums)


def _in_hours(hours: Sequence[Instant], begin: Instant, until: Instant) -> Iterator[tuple[Instant, int]]:
    """Those of `hours`, which rise, that [begin, until) reaches into, and for how long. What outside pods explain in
    one hour they explain in no other, however long the account."""
    for place in range(bisect_right(hours, begin - MS_PER_HOUR), len(hours)):
        hour = hours[place]
        if hour >= until:
            return
        yield hour, min(until, hour + MS_PER_HOUR) - max(begin, hour)


def _of_pods(
    tenures: Iterable[Tenure], within: tuple[Instant, Instant]
) -> tuple[dict[str, int], Mapping[Instant, int]]:
    """What our pods had, each by its own instants; and by how many GPUs all of theirs changed at which instant."""
    start, end = within
    sums: dict[str, int] = defaultdict(int)
    changes: dict[Instant, int] = defaultdict(int)
    for _, gpus, held_from, started_at, billed_until, ended_at, is_funded in tenures:
        since = held_from if held_from > start else start
        until = end if ended_at is None or ended_at > end else ended_at
        if since < until:
            owned = 0
            if started_at is not None:
                last = until if billed_until is None or billed_until > until else billed_until
                first = started_at if started_at > since else since
                owned = last - first if last > first else 0
            sums["charged" if is_funded else "unfunded"] += gpus * owned
            sums["overhead"] += gpus * (until - since - owned)
            changes[since] += gpus
            changes[until] -= gpus
    return sums, changes


def _stretches(
    spans: Sequence[NodeSpan], changes: Mapping[Instant, int], within: tuple[Instant, Instant]
) -> Iterator[tuple[Instant, Instant, int, NodeSpan | None]]:
    """[begin, until) with the GPUs that our pods had in it and what the node was: one walk over the instants at which
    either changes, for a node of a busy month has thousands.

    Our pods go first, for their time is exact; what is told of outside pods is as old as the last look at the node, and
    never counts a GPU twice.
    """
    start, end = within
    of_node = {at for span in spans for at in (span.starts_at, span.ends_at) if at is not None and start < at < end}
    ours, span = 0, None
    for begin, until in pairwise(sorted({start, *changes, *of_node, end})):
        ours += changes.get(begin, 0)
        if begin == start or begin in of_node:
            span = next((s for s in spans if s.starts_at <= begin and (s.ends_at is None or begin < s.ends_at)), None)
        yield begin, until, ours, span
