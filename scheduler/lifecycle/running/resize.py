"""Resize: an elastic attempt gives back pods, or has more. Its row is the intent; `act` brings its Job to that size.

What it gives back stays on the books (`leaving`) until the cluster shows that those pods have ended: until then their
GPUs are taken, and charged.
"""

from collections import Counter
from dataclasses import replace

from scheduler.domain.observations import ObservedJob
from scheduler.domain.reasons import Reason
from scheduler.domain.sizes import resized
from scheduler.domain.units import HoldId, standard_total
from scheduler.domain.workloads import Attempt
from scheduler.ledger.holding import hold, release
from scheduler.ledger.holds import Hold, HoldState
from scheduler.lifecycle.writing.batch import Batch


def size_of(attempt: Attempt) -> dict[str, int | str]:
    """The evidence for how many pods it runs with, of how many."""
    most = attempt.elastic.pods_max if attempt.elastic is not None else attempt.placement.pods
    return {"pods": attempt.placement.pods, "pods_max": most}


def give_back(batch: Batch, attempt: Attempt, pods_left: int, evidence: dict[str, int | str]) -> None:
    """Ask for the end of its last pods. `evidence` says for whom, and by which rule."""
    shrunk = attempt.shrunk_to(pods_left)
    batch.put_attempt(shrunk)
    batch.say(attempt.workload_id, Reason.SHRUNK, {**evidence, **size_of(shrunk)})


def take_more(batch: Batch, attempt: Attempt, grown: Attempt) -> None:
    """More pods start where `grown` has them; its holds are made."""
    grown = replace(grown, past_sizes=resized(attempt, batch.now))
    batch.put_attempt(grown)
    more = grown.placement.pods - attempt.placement.pods
    batch.say(attempt.workload_id, Reason.GROWN, {**size_of(grown), "more": more})


def note_given_back(batch: Batch, attempt: Attempt, job: ObservedJob | None) -> Attempt:
    """Once those pods have ended their GPUs are free, and what was held for them comes back."""
    if attempt.leaving is None or job is None or not _have_left(batch, attempt, job):
        return attempt
    _release_rest(batch, attempt, attempt.leaving.pods)
    # Dated now and not at the last end: what was posted meanwhile stays worth what it was.
    settled = replace(attempt, leaving=None, past_sizes=resized(attempt, batch.now))
    batch.put_attempt(settled)
    return settled


def _have_left(batch: Batch, attempt: Attempt, job: ObservedJob) -> bool:
    """Its Job is seen in the new size, and no node has more of its pods than it is to have.

    A pod that was never reported can hold nothing: each waits at a gate, which is opened for the new size alone.
    """
    if job.attempt_id != attempt.id or job.pods != attempt.placement.pods or batch.world.is_stale(job):
        return False
    alive = [run.node for run in batch.pod_runs(attempt.id) if run.ended_at is None]
    expected = dict(attempt.placement.pods_by_node)
    bound = Counter(node for node in alive if node is not None)
    return len(alive) <= attempt.placement.pods and all(n <= expected.get(node, 0) for node, n in bound.items())


def _release_rest(batch: Batch, attempt: Attempt, gone: int) -> None:
    """What is held lasts as long as before, for fewer pods: the part of those that are gone is released.

    The holds that would be charged last are released first; one that is released in part is made anew for the rest.
    """
    if not attempt.is_funded or attempt.is_inside:
        return
    holds = [each for each in batch.holds_of(attempt.id) if each.state is HoldState.OPEN and each.remaining > 0]
    gpu_ms = sum(run.gpu_ms_until(batch.now) for run in batch.pod_runs(attempt.id))
    used = standard_total(gpu_ms, attempt.weight, attempt.class_factor)
    worth = {each.id: each.in_standard(each.remaining, attempt) for each in holds}
    unused = max(0, sum(worth.values()) - max(0, used - attempt.charged))
    left = attempt.placement.pods
    to_release = unused - -(-unused * left // (left + gone))
    kept: list[Hold] = []
    released: list[Hold] = []
    for each in reversed(holds):
        if to_release <= 0:
            break
        released.append(each)
        rest = worth[each.id] - to_release
        to_release -= worth[each.id]
        if rest > 0:
            amount = -(-each.remaining * rest // worth[each.id])
            draw = replace(each.draw, gpu_ms=0, rest=0) if each.draw is not None else None
            kept.append(replace(each, id=HoldId(f"{each.id}.{left}"), amount=amount, charged=0, draw=draw))
    batch.post(*release(released, batch.now))
    batch.resolve_holds(each.id for each in released)
    batch.open_holds(kept)
    batch.post(*(replace(each, at=batch.now) for each in hold(kept)))
    batch.forget_covered(attempt.id)
