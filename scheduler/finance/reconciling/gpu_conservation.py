"""Conservation of single GPUs: a node's account of an hour, shared out among its GPUs so that each comes to its own time.

Pods decide how much there is of each bucket; which GPU it was is the sensors' word, as far as they have one. What they
could not tell goes to the GPUs that have time left, in order. So every GPU's buckets add up to its capacity, and all of
them to the node's: nothing is made up, nothing is lost, and `witnessed_ms` says how much of it was seen.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from scheduler.domain.units import AttemptId, GpuUuid, Instant, NodeName
from scheduler.finance.reconciling.conservation import BUCKETS, Account, NodeAccount
from scheduler.metering.use import HourOfUse, Use

SEEN: Final = ("charged", "unfunded", "unattributed")
"""Buckets of which sensors can say on which GPU they were. Overhead has no process yet, or none any more."""

_BORNE_OUT: Final = (
    ("charged", "charged"),
    ("unfunded", "unfunded"),
    ("outside", "unattributed"),
    ("unattributed", "unattributed"),
)
"""A bucket, and as what it was seen, in this order: pods that are not ours explain first what was at work for nobody."""

UNREAD = GpuUuid("")
"""A GPU of the node that no reading names."""


@dataclass(frozen=True, slots=True)
class GpuAccount:
    """A GPU's account from `starts_at` to `ends_at`; of `witnessed_ms` of it sensors said that it was this one's."""

    node: NodeName
    gpu_uuid: GpuUuid
    starts_at: Instant
    ends_at: Instant
    account: Account
    witnessed_ms: int


def seen_in(
    hours: Iterable[HourOfUse], is_funded: Mapping[AttemptId, bool]
) -> Mapping[Instant, Mapping[GpuUuid, Mapping[str, int]]]:
    """By hour, GPU and bucket of SEEN: for how many milliseconds readings saw each GPU in it. Attempts that
    `is_funded` does not have are none of ours."""
    found: dict[Instant, dict[GpuUuid, dict[str, int]]] = {}
    for hour in hours:
        told = found.setdefault(hour.hour, {}).setdefault(hour.gpu_uuid, {})
        funded = is_funded.get(hour.attempt_id) if hour.attempt_id is not None else None
        bucket = "unattributed" if funded is None else "charged" if funded else "unfunded"
        told[bucket] = told.get(bucket, 0) + _seen_ms(hour.use, is_somebodys=funded is not None)
    return found


def share_out(node: NodeAccount, seen: Mapping[GpuUuid, Mapping[str, int]]) -> tuple[GpuAccount, ...]:
    """`seen` has the node's GPUs that readings name, each with the milliseconds for which it was seen in a bucket.

    What a node has beyond its capacity, which sound books do not know, stays with the last GPU and shows there.
    """
    left = {name: getattr(node.account, name) for name in BUCKETS}
    slots = _slots(node, sorted(seen))
    rooms = [capacity for _, capacity in slots]
    found: list[dict[str, int]] = [dict.fromkeys(BUCKETS, 0) for _ in slots]
    told = {uuid: dict(by) for uuid, by in seen.items()}
    for name, as_seen in _BORNE_OUT:
        for place, (uuid, _) in enumerate(slots):
            of = told.get(uuid, {})
            most_ms = of.get(as_seen, 0)
            of[as_seen] = most_ms - _move(left, rooms, found, (name, place), most_ms)
    witnessed = [sum(each.values()) for each in found]
    for name in BUCKETS:
        for place in range(len(slots)):
            _move(left, rooms, found, (name, place), left[name])
    if found:
        for name, ms in left.items():
            found[-1][name] += ms
    return tuple(
        GpuAccount(node.node, uuid, node.starts_at, node.ends_at, Account(**sums, capacity=capacity), seen_ms)
        for (uuid, capacity), sums, seen_ms in zip(slots, found, witnessed, strict=True)
    )


def _seen_ms(use: Use, *, is_somebodys: bool) -> int:
    """An attempt has its GPU whether it uses it or not; of nobody's only the use counts."""
    return use.told_ms if is_somebodys else use.active_ms + use.hung_ms


def _slots(node: NodeAccount, uuids: Sequence[GpuUuid]) -> list[tuple[GpuUuid, int]]:
    """The node's GPUs with the time that each had: the whole of it, or, where GPUs came or went meanwhile, an equal
    part. GPUs that no reading names follow those that have one."""
    account, length_ms = node.account, node.ends_at - node.starts_at
    if account.capacity == 0 and account.unexplained == 0:
        return []
    count = max(len(uuids), -(-account.capacity // length_ms), 1)
    each, more = divmod(account.capacity, count)
    named = [*uuids, *(UNREAD,) * (count - len(uuids))]
    return [(uuid, each + (place < more)) for place, uuid in enumerate(named)]


def _move(
    left: dict[str, int], rooms: list[int], found: list[dict[str, int]], to: tuple[str, int], most_ms: int
) -> int:
    name, place = to
    moved = min(left[name], rooms[place], most_ms)
    left[name] -= moved
    rooms[place] -= moved
    found[place][name] += moved
    return moved
