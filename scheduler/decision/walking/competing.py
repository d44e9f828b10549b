"""How pools compete, as in Kueue: by the heads of their queues. Those within their nominal quota go before those that would
borrow, and those that borrow in a lower part of the tree of cohorts before others; then priority, then age, then id."""

from functools import partial

from scheduler.decision.index import Index
from scheduler.decision.ordering.cursor import Cursor
from scheduler.decision.ordering.queue import AGED, LaneKey, OrderKey
from scheduler.decision.ordering.turns import Held
from scheduler.decision.walking.triage import is_open
from scheduler.domain.units import GpuClassName, Instant, PoolName, WorkloadId

CrossKey = tuple[int, int, Instant, WorkloadId]
"""The height of the part of the tree of cohorts in which it would borrow, and its place: the smaller the earlier."""


def cross_key(index: Index, place: OrderKey, key: LaneKey, gpus: int) -> CrossKey:
    """Of work of such a lane that asks for so many GPUs and stands at that place of its pool."""
    priority, _, waits_since, workload_id = place
    gpu_classes = key.gpu_classes
    if len(gpu_classes) > 1:  # it would start on the first that is open; where none is, it may get any
        is_open_now = partial(is_open, index, key, gpus)
        gpu_classes = next(((name,) for name in gpu_classes if is_open_now(name)), gpu_classes)
    height = min([_height_borrowed(index, key.pool, name, gpus, priority) for name in gpu_classes])
    return (height, priority, waits_since, workload_id)


def key_of_turn(index: Index, place: OrderKey, turn: Cursor | Held) -> CrossKey:
    """Of who is next of those that have a turn in their pool."""
    if isinstance(turn, Cursor):
        return cross_key(index, place, turn.lane.key, turn.lane.gpus)
    line, key = turn.peek()
    return cross_key(index, place, key, line.gpus)


def _height_borrowed(index: Index, pool: PoolName, gpu_class: GpuClassName, gpus: int, priority: int) -> int:
    quotas = index.quotas
    if quotas.over_nominal(pool, gpu_class, gpus) <= 0:
        return 0
    if priority == AGED and gpus <= quotas.nominal(pool, gpu_class):
        return 0  # what others of its pool have taken of its quota sends it back no more
    return max(1, quotas.height_borrowed(pool, gpu_class, gpus))
