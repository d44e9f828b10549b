"""Bands: between when and when something starts that waits, from replaying what is known, and how much more nobody knows.

The end comes from replaying what is ahead with every time limit used to the full; the begin from replaying it with the
share of them that is usual, or from whenever there is first room for it alone where an eighth of that is used: some end
soon, and what is ahead may wait for something else and be passed.
"""

from dataclasses import replace

from scheduler.decision.foreseeing.emptying import Emptying, Others, leaving, waiter
from scheduler.decision.foreseeing.foreseen import Assumed, Band, Bands, Forecast
from scheduler.decision.foreseeing.rivals import always_borrows, rivals
from scheduler.decision.index import Index
from scheduler.decision.ordering.queue import LaneKey, Line
from scheduler.domain.brakes import Brake
from scheduler.domain.units import MS_PER_DAY, GpuClassName, Instant, PerMille
from scheduler.domain.workloads import Workload

MORE_MAX_MS = MS_PER_DAY
"""By how much at most a band ends later because of those who are still to come."""


def bands(index: Index, key: LaneKey, line: Line, assumed: Assumed) -> Bands:
    """On each of the GPU classes that it may use, as far as what is known goes."""
    if index.pause(Brake.LAUNCH) is not None:
        return ()
    found = ((gpu_class, _band(index, key, line, gpu_class, assumed)) for gpu_class in key.gpu_classes)
    return tuple((gpu_class, band) for gpu_class, band in found if band is not None)


def _band(index: Index, key: LaneKey, line: Line, gpu_class: GpuClassName, assumed: Assumed) -> Band | None:
    at_once = line.spec.array.at_once if line.spec.array is not None else None
    limits = index.concurrency.left(line.owner, line.team, line.array, at_once)
    others = rivals(index, (line, key), gpu_class, limits, assumed.gone)
    if others is None:
        return None
    mine, running = waiter(index, line, key, gpu_class, limits), list(leaving(index, gpu_class, limits))
    first, last = assumed.since or (None, None)
    late, early, alone = (
        Emptying(index, gpu_class, share, running, since).start_of(before, mine)
        for share, before, since in (
            (PerMille(1000), others, last),
            (assumed.usual, others, first),
            (assumed.least, Others(), first),
        )
    )
    if early is None or late is None:
        return None
    return min(at for at in (early, late, alone) if at is not None), max(early, late)


def widened(index: Index, workload: Workload, found: Forecast) -> Forecast:
    """Who is still to come may go before it, and nobody knows of them: it waits half as long again. What asks for more than
    its pool has of its own is passed by whatever comes in the others: it waits three times as long."""
    if found.starts_now or found.victims:
        return found
    pool, spec = index.policy.pool_of_team.get(workload.team), workload.spec
    gpus = spec.pods_at_least * spec.pod.gpus
    wider = []
    for gpu_class, (first, last) in found.bands:
        assert pool is not None, "it has quota of the class"
        wait = last - index.now
        more = 2 * wait if always_borrows(index, pool.name, gpu_class, gpus) else wait // 2
        wider.append((gpu_class, (first, Instant(last + min(more, MORE_MAX_MS)))))
    return replace(found, bands=tuple(wider))
