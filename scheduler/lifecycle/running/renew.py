"""Renew: the slices of rolling holds, each as of the instant at which it was due, however late the service comes to it.

Whatever is charged is renewed first: a service that was down for hours leaves the books as if it had never been away, and
nobody owes for time that their hours would have paid.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from heapq import heapify, heappop, heappush

from scheduler.domain.allowances import Allowance, AllowanceBalance, holders_for
from scheduler.domain.funding import Shortfall, fund, payers
from scheduler.domain.policy import AtExhaustion
from scheduler.domain.terms import Need
from scheduler.domain.units import MS_PER_MINUTE, AttemptId, HoldId, Instant, standard_total
from scheduler.domain.workloads import Attempt, HoldMode, Workload
from scheduler.ledger.holding import hold, holds_for
from scheduler.lifecycle.memory.prices_ahead import terms_of
from scheduler.lifecycle.running.charge import charge_from_holds, gpu_ms_of
from scheduler.lifecycle.writing.batch import Batch

RENEW_BEFORE_MS = 2 * MS_PER_MINUTE
"""A rolling hold is renewed while so much of it is left, so that a late loop stops nobody."""

SLICES_MAX = 20_000
"""Bound on the slices that one round makes: the next goes on. Those of a month of 15 minutes are 2,900."""


@dataclass(slots=True)
class Renewed:
    """Attempts whose holds were renewed, those whose next slice nothing could pay for, and all of them as they are now."""

    attempts: dict[AttemptId, Attempt]
    renewed: set[AttemptId] = field(default_factory=set)
    short: set[AttemptId] = field(default_factory=set)


def charge_until(batch: Batch, attempt: Attempt, until: Instant) -> Attempt:
    """Renew what was due by then, and charge the attempt for what its pods used before `until`. Returns it with its new
    totals. Where its class goes on without hours, what they did not cover is charged as unfunded."""
    found = renew_in_turn(batch, [attempt], until, until)
    attempt = found.attempts.get(attempt.id, attempt)
    if found.short and _goes_on(batch, attempt):
        attempt = replace(attempt, is_funded=False)
    return charge_from_holds(batch, attempt, until)


def renew_in_turn(batch: Batch, attempts: Iterable[Attempt], soon: Instant, settled: Instant) -> Renewed:
    """Renew the rolling holds of these attempts until they last to `soon`, in the order in which slices were due: the hours
    that are left go to whoever needed them first. What they used before `settled` will not change."""
    rolling = {attempt.id: attempt for attempt in attempts if attempt.hold_mode is HoldMode.ROLLING}
    found = Renewed(rolling)
    queue = [(at, each.id) for each in rolling.values() if (at := _due_at(batch, each, soon)) is not None]
    heapify(queue)
    for _ in range(SLICES_MAX):
        if not queue:
            break
        at, attempt_id = heappop(queue)
        if _renew(batch, rolling[attempt_id], at):
            found.renewed.add(attempt_id)
            following = _due_at(batch, rolling[attempt_id], soon)
        else:
            following = _hours_open_at(batch, rolling[attempt_id], at, soon)
            if following is None:
                found.short.add(attempt_id)
            else:  # the hours of a later day do not pay for what ran before it
                rolling[attempt_id] = charge_from_holds(batch, rolling[attempt_id], min(following, settled))
        if following is not None:
            heappush(queue, (following, attempt_id))
    return found


def left_of_holds(batch: Batch, attempt: Attempt, at: Instant) -> int:
    """Standard GPU-milliseconds that its holds cover beyond what it has used by then; below 0 where they do not."""
    return _paid_in_all(batch, attempt) - _used(batch, attempt, at)


def _paid_in_all(batch: Batch, attempt: Attempt) -> int:
    """What its holds cover, and what was charged beyond them before they were made: that is not theirs to pay."""
    paid = (
        each.charged if each.draw is None else standard_total(each.draw.gpu_ms, attempt.weight, attempt.class_factor)
        for each in batch.holds_of(attempt.id)
    )
    return batch.covered(attempt.id) + attempt.charged - sum(paid)


def _used(batch: Batch, attempt: Attempt, at: Instant) -> int:
    return standard_total(gpu_ms_of(batch.pod_runs(attempt.id), at), attempt.weight, attempt.class_factor)


def _due_at(batch: Batch, attempt: Attempt, soon: Instant) -> Instant | None:
    """When its next slice was due; None where it needs none to last to `soon`, or was told to stop before."""
    if not attempt.is_funded or attempt.started_at is None:
        return None
    used = _used(batch, attempt, soon)
    if used <= batch.covered(attempt.id) or used <= (paid := _paid_in_all(batch, attempt)):
        return None
    span = range(attempt.started_at, soon)
    over = bisect_right(span, paid, key=lambda at: _used(batch, attempt, Instant(at)))
    due = max(attempt.started_at, Instant(attempt.started_at + over - RENEW_BEFORE_MS))
    return due if due <= _last(batch, attempt) else None


def _last(batch: Batch, attempt: Attempt) -> Instant:
    """The last instant at which it may have been renewed: what is being stopped is no more."""
    return batch.now if attempt.stopping_since is None else attempt.stopping_since


def _renew(batch: Batch, attempt: Attempt, at: Instant) -> bool:
    """Hold its next slice as of then, of what was open then. Returns whether all of it could be."""
    workload = batch.workload(attempt.workload_id)
    terms = batch.world.require_policy().priority_classes.get(attempt.priority_class)
    if workload is None or terms is None:
        return False
    shares = fund(payers_of(batch, workload, attempt, at), need_of(batch, attempt, terms.slice_ms))
    if isinstance(shares, Shortfall):
        return False
    made = len(batch.holds_of(attempt.id))
    ids = [HoldId(f"{attempt.id}-{number:05}") for number in range(made, made + len(shares))]
    holds = holds_for(shares, ids, workload.id, attempt.id, at)
    batch.open_holds(holds)
    batch.post(*hold(holds))
    return True


def _hours_open_at(batch: Batch, attempt: Attempt, after: Instant, soon: Instant) -> Instant | None:
    """When the next of the allowances that may pay for it begins, or a part of one vests; None where that is too late for
    it."""
    workload = batch.workload(attempt.workload_id)
    if workload is None:
        return None
    last = min(soon, _last(batch, attempt))
    found = min((at for at in _opens(batch, workload) if after < at <= last), default=None)
    if found is None or (left_of_holds(batch, attempt, found) < 0 and _goes_on(batch, attempt)):
        return None
    return found


def _goes_on(batch: Batch, attempt: Attempt) -> bool:
    """Whether it goes on unfunded once its hours are used up."""
    terms = batch.world.require_policy().priority_classes.get(attempt.priority_class)
    return terms is not None and terms.at_exhaustion is AtExhaustion.UNFUNDED


def need_of(batch: Batch, attempt: Attempt, length_ms: int) -> Need:
    """What so long a stretch of the attempt needs."""
    return Need(attempt.gpus * length_ms, terms_of(attempt, batch.world.prices_at(batch.now)))


def payers_of(batch: Batch, workload: Workload, attempt: Attempt, at: Instant) -> list[AllowanceBalance]:
    """The allowances that may pay for the attempt as of then, in funding order, with what this batch leaves of them."""
    return payers(_balances_of(batch, workload, at), workload.spec, attempt.gpu_class, at)


def _balances_of(batch: Batch, workload: Workload, at: Instant) -> list[AllowanceBalance]:
    """Without what of them vested after that."""
    known = _known_of(batch, workload)
    return [replace(each, available=each.available + _moved(batch, each.allowance, at)) for each in known]


def _moved(batch: Batch, allowance: Allowance, at: Instant) -> int:
    """What this batch adds to an allowance, less what vested of it after that."""
    moved = batch.moved(allowance.id)
    if allowance.vesting is None or not allowance.vesting.has_part_within(at, batch.now):
        return moved
    return moved - sum(amount for vested_at, amount in batch.vested(allowance.id) if vested_at > at)


def _opens(batch: Batch, workload: Workload) -> Iterator[Instant]:
    """When hours of theirs came, or come, that may pay for it."""
    for each in _known_of(batch, workload):
        yield each.allowance.starts_at
        if each.allowance.vesting is not None:
            yield from (at for at, _ in batch.vested(each.allowance.id))


def _known_of(batch: Batch, workload: Workload) -> list[AllowanceBalance]:
    holders = set(holders_for(workload.owner, workload.team, workload.spec.project))
    return [each for each in batch.world.balances.values() if each.allowance.holder in holders]
