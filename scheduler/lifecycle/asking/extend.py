"""Extend: a longer time limit is a decision like another: it needs its hold and keeps to the maxima."""

from collections.abc import Callable
from dataclasses import replace

from scheduler.domain.errors import Conflict, Exhausted, InvalidInput, RefusalCode
from scheduler.domain.funding import Shortfall, fund
from scheduler.domain.periods import iso
from scheduler.domain.terms import Need
from scheduler.domain.units import MS_PER_DAY, HoldId
from scheduler.domain.wording import lasting
from scheduler.domain.workloads import Attempt, AttemptState, HoldMode, Workload, WorkloadKind
from scheduler.ledger.holding import hold, holds_for
from scheduler.lifecycle.asking.guarded import require_within_guards
from scheduler.lifecycle.asking.nobody_ahead import require_nobody_ahead
from scheduler.lifecycle.asking.short_of_hours import short_of_hours
from scheduler.lifecycle.asking.wanted import keep_alive_by
from scheduler.lifecycle.running.outcome import ran_ms, runtime_max, what_becomes
from scheduler.lifecycle.running.renew import need_of, payers_of
from scheduler.lifecycle.writing.batch import Batch

NewId = Callable[[str], str]

EXTENSION_MAX_MS = 366 * MS_PER_DAY


def extend_attempt(batch: Batch, workload: Workload, extra_ms: int, new_id: NewId, *, sees_pay: bool) -> None:
    """Add `extra_ms` to the limit of the workload and of its live attempt. Raises Exhausted where hours are short, or a
    spend guard lets its owner use no more."""
    if not 0 < extra_ms <= EXTENSION_MAX_MS:
        raise InvalidInput(
            f"an extension by {extra_ms} ms cannot be made",
            where="extra",
            code=RefusalCode.INVALID_TIME_LIMIT,
            expected="a positive duration",
        )
    if workload.spec.kind is WorkloadKind.BOOKING:
        raise Conflict(
            f"{workload.id} is a booking",
            code=RefusalCode.WRONG_STATE,
            remedy="book the time after it, or cancel it and book anew",
        )
    if workload.state.is_final:
        raise Conflict(f"{workload.id} is {workload.state.value}", code=RefusalCode.WRONG_STATE)
    if workload.id in batch.world.reservations:
        raise Conflict(
            f"{workload.id} is about to start: its GPUs are kept and its hours held for the time limit that it has",
            code=RefusalCode.WRONG_STATE,
            remedy="extend it when it runs",
        )
    longer = workload.spec.time_limit_ms + extra_ms
    _require_maximum(batch, workload, longer)
    attempt = batch.world.live_attempt(workload.id)
    if attempt is not None and attempt.state is AttemptState.STOPPING:
        _require_another(workload, attempt)
        attempt = None
    if attempt is None:
        _require_in_time(batch, workload, longer)
    else:
        _require_runtime(batch, workload, attempt.time_limit_ms + extra_ms)
    _count_extension(batch, workload)
    if attempt is not None:
        require_nobody_ahead(batch, attempt, extra_ms)
        require_within_guards(batch, attempt, extra_ms)
        if attempt.hold_mode is HoldMode.FULL and attempt.is_funded and not attempt.is_inside:
            _hold_more(batch, workload, attempt, need_of(batch, attempt, extra_ms), new_id, sees_pay=sees_pay)
        batch.put_attempt(replace(attempt, time_limit_ms=attempt.time_limit_ms + extra_ms))
        keep_alive_by(batch, workload, attempt)
    batch.change_workload(workload, spec=replace(workload.spec, time_limit_ms=longer))


def _require_another(workload: Workload, stopping: Attempt) -> None:
    """The limit of an attempt that is being stopped is past changing: a longer one is for the next."""
    reason = stopping.stop_reason
    if reason is not None and what_becomes(workload, reason).is_final:
        raise Conflict(
            f"{workload.id} is being stopped ({reason.value})",
            code=RefusalCode.WRONG_STATE,
            remedy="submit it again; where a rule tries it again, extend it then",
        )


def _require_maximum(batch: Batch, workload: Workload, longer: int) -> None:
    policy = batch.world.require_policy()
    longest = policy.limits.time_limit_max_ms
    owner = batch.world.people.get(workload.owner)
    tier = policy.tiers.get(owner.tier) if owner is not None else None
    if tier is not None and tier.time_limit_max_ms is not None:
        longest = min(longest, tier.time_limit_max_ms)
    if longer > longest:
        raise InvalidInput(
            f"it would then run for {lasting(longer)}",
            where="extra",
            code=RefusalCode.TIME_LIMIT_TOO_LONG,
            expected=f"at most {lasting(longest)} in all",
        )


def _require_runtime(batch: Batch, workload: Workload, longer: int) -> None:
    """Of what all attempts together may run, those that have ended have used some. A launch is cut to what is left of it;
    so is what is made of it afterwards."""
    longest = runtime_max(batch, workload)
    if longest is None:
        return
    left = longest - ran_ms(batch, workload)
    if longer > left:
        raise InvalidInput(
            f"this attempt would then run for {lasting(longer)}",
            where="extra",
            code=RefusalCode.TIME_LIMIT_TOO_LONG,
            expected=f"at most {lasting(max(0, left))}: all its attempts together may run for {lasting(longest)}",
            remedy="extend it by less, or submit it again from its last checkpoint",
        )


def _require_in_time(batch: Batch, workload: Workload, longer: int) -> None:
    """What still waits would be given up at once where it could no longer use the longer limit before its deadline."""
    by = workload.spec.finish_by
    if by is not None and max(batch.now, workload.not_before) + longer > by:
        raise InvalidInput(
            f"it could not use {lasting(longer)} before {iso(by)}, when it is to have ended",
            where="extra",
            code=RefusalCode.INVALID_TIME_LIMIT,
            expected="a time limit that ends before then",
            remedy="extend it by less, or submit it again with a later deadline",
        )


def _count_extension(batch: Batch, workload: Workload) -> None:
    """Keep-alive counts, a limited number of times."""
    if workload.spec.kind is not WorkloadKind.SANDBOX:
        return
    sandbox = batch.books.control.sandbox(workload.id)
    most = batch.world.require_policy().sandbox.extensions_max
    if sandbox is None:
        return
    if sandbox.extensions >= most:
        raise Exhausted(
            f"it was extended {sandbox.extensions} times already",
            code=RefusalCode.TIME_LIMIT_TOO_LONG,
            expected=f"at most {most}",
            remedy="stop it and start a new one, or run the work as a job",
        )
    batch.books.control.put_sandbox(replace(sandbox, extensions=sandbox.extensions + 1))


def _hold_more(
    batch: Batch, workload: Workload, attempt: Attempt, need: Need, new_id: NewId, *, sees_pay: bool
) -> None:
    shares = fund(payers_of(batch, workload, attempt, batch.now), need)
    if isinstance(shares, Shortfall):
        remedy = "extend it by less, or ask for hours"
        raise short_of_hours("an extension", shares, remedy=remedy, sees_pay=sees_pay)
    holds = holds_for(shares, [HoldId(new_id("h")) for _ in shares], workload.id, attempt.id, batch.now)
    batch.open_holds(holds)
    batch.post(*hold(holds))
