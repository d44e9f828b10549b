"""Preemption: the smallest set of victims that lets one workload start.

Here stands where it is looked for and which of several sets is taken; how one is put together, in `search.py`. Why no
two workloads can go on preempting each other: docs/adr/0011-no-preemption-cycles.md.
"""

from collections.abc import Iterable, Iterator

from scheduler.decision.keeping.backfill import Backfill
from scheduler.decision.ordering.queue import Lane, Line
from scheduler.decision.placing.ends import kept_until
from scheduler.decision.placing.planned import Planned
from scheduler.decision.placing.running import Bucket
from scheduler.decision.preempting.candidates import Candidates
from scheduler.decision.preempting.found import Found
from scheduler.decision.preempting.outlook import Outlook, preemptor_of
from scheduler.decision.preempting.rules import Rule, Way
from scheduler.decision.preempting.search import Search
from scheduler.domain.units import GpuClassName, Instant


def find_victims(
    outlook: Outlook, backfill: Backfill, planned: Planned, lane: Lane, line: Line, waits_since: Instant
) -> Found | None:
    """Whom to preempt for one workload of the line, or None where nobody may be or nobody needs to be.

    It looks in each GPU class that the workload may use: nobody who is funded is stopped on the class that its owner
    likes best where somebody unfunded would make room on the next. Bookings ahead have their room left free, though it
    starts only once its victims have ended. What is stopping already counts as coming free, so that slow victims never
    lead to a second set.
    """
    index = outlook.index
    best: Found | None = None
    passing_over: list[Search] = []
    for gpu_class in lane.key.gpu_classes:
        for way, candidates in _ways(outlook, planned, lane, line, waits_since, gpu_class):
            search = Search(candidates, backfill, lane, way)
            with search.quotas_restored():
                # Mostly enough is stopping already, and nobody has to be chosen.
                if search.fits():
                    return best
                if index.bookings.of_class(gpu_class):
                    search.look_ahead(kept_until((each.attempt for each in candidates.everybody()), index.now))
                found = search.run()
            if found is not None:
                best = min(best or found, found, key=lambda each: each.turn)
            elif search.may_others_help:
                passing_over.append(search)
            if best is not None and best.gpu_class == gpu_class:
                break
    return best or _first_by_node(passing_over)


def _ways(
    outlook: Outlook, planned: Planned, lane: Lane, line: Line, waits_since: Instant, gpu_class: GpuClassName
) -> Iterator[tuple[Way, Candidates]]:
    """How it may look for victims on a class, and who they would be; without the ways that certainly come to nothing."""
    index = outlook.index
    preemptor = preemptor_of(index, lane, line.priority, gpu_class)
    before: list[tuple[Rule, Bucket]] | None = None
    for way in outlook.ways(lane, line.priority, gpu_class):
        sources = [
            (rule, bucket)
            for rule, bucket in preemptor.sources(index.running, index.quotas, way, lane.gpus)
            if bucket.pool is None
            or not rule.is_across
            or outlook.had_borrowed(lane.key.pool, bucket.pool, gpu_class)
        ]
        if way is Way.MAY_BORROW and sources == before:
            continue  # borrowing takes nobody but those whom it tried to take back just before
        before = sources
        candidates = Candidates(outlook, planned, line, waits_since, gpu_class, sources)
        if _may_be_enough(outlook, lane, gpu_class, way, candidates):
            yield way, candidates


def _may_be_enough(outlook: Outlook, lane: Lane, gpu_class: GpuClassName, way: Way, candidates: Candidates) -> bool:
    """Whether there is anybody, and the quota that it lacks may come back of all of them and of what is stopping: nobody
    gives back more than the GPUs it has. Most searches that would find nobody end here."""
    quotas, own = outlook.index.quotas, lane.key.pool
    lacking = outlook.lacks_of_quota(lane, gpu_class)
    above = quotas.over_nominal(own, gpu_class, lane.gpus) - outlook.returning(own, gpu_class)
    above = above if way is Way.ENDS_WITHIN else 0
    for candidate in candidates.everybody():
        part = candidate.part
        lacking -= part.gpus if part.is_funded else 0
        above -= part.gpus if part.is_funded and part.pool == own else 0
        if lacking <= 0 and above <= 0:
            return True
    return False


def _first_by_node(searches: Iterable[Search]) -> Found | None:
    """The first set of victims that searches find which passed somebody over, as they look node by node."""
    for search in searches:
        with search.quotas_restored():
            search.look_ahead(search.starts_by)
            found = search.run_by_node()
        if found is not None:
            return found
    return None
