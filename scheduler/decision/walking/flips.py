"""Which lanes a change of room, quota or victims concerns: those for which something flipped, and no others."""

from scheduler.decision.index import Index
from scheduler.decision.ordering.lanes import Cell
from scheduler.decision.preempting.rules import Preemptor
from scheduler.domain.units import GpuClassName


def touch_lanes(index: Index) -> None:
    """Have those lanes judged for which room or quota flipped, or that have somebody to preempt."""
    for gpu_class in sorted(index.touched_classes):
        table = index.capacity.table(gpu_class)
        for (shape, pods), cell in index.lanes.room_cells(gpu_class):
            _flip(index, cell, holds=table.total(shape) >= pods)
        lowest: dict[str, int | None] = {}
        for pool, ranks in index.lanes.ranks(gpu_class):
            if not ranks:
                continue
            root = index.quotas.root_of[pool]
            if (root, gpu_class) in index.touched_roots:
                # A start needs both: what is free now, and what is when all promises are kept.
                free, available = index.quotas.free(pool, gpu_class), index.quotas.available(pool, gpu_class)
                for gpus, cell in index.lanes.quota_cells(pool, gpu_class):
                    _flip(index, cell, holds=(free >= gpus) + (available >= gpus))
            # Whoever is judged in this cycle all the same, as most are who have just come, is not asked for.
            others = [each for each in ranks.items() if not each[1].keys() <= index.dirty_lanes.keys()]
            if not others:
                continue
            if root not in lowest:
                lowest[root] = _lowest_borrowed(index, root, gpu_class)
            may_reclaim = index.quotas.may_reclaim(pool, gpu_class, 1)
            for priority, lanes in others:
                preemptor = Preemptor(index.policy.pools[pool], gpu_class, priority)
                if preemptor.has_any(index.running, lowest[root], may_reclaim=may_reclaim):
                    index.dirty_lanes.update(lanes)
    index.touched_classes.clear()
    index.touched_roots.clear()


def _flip(index: Index, cell: Cell, *, holds: int) -> None:
    if cell.holds != holds:
        cell.holds = holds
        index.dirty_lanes.update(cell.lanes)


def _lowest_borrowed(index: Index, root: str, gpu_class: GpuClassName) -> int | None:
    """The lowest priority that runs in a pool of the tree that uses more than its nominal quota."""
    return min(
        (
            bucket.priority
            for pool in index.quotas.borrowers_of(root, gpu_class)
            for bucket in index.running.buckets(gpu_class, pool)
        ),
        default=None,
    )
