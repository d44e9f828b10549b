"""Our own history as a stream that can be replayed: who there was, what they were granted by hand, what they submitted.

Names and subjects are left out: engineers are the opaque ids that the books know. What of it a replay takes for what,
and what it is not told of: docs/simulate.md.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from scheduler.domain.allowances import Allowance, AllowanceSource
from scheduler.domain.periods import iso
from scheduler.domain.quantities import UnitKind, measure
from scheduler.domain.reasons import Reason
from scheduler.domain.sizes import gpu_ms_within
from scheduler.domain.units import MS_PER_MINUTE, STANDARD_GPU, AllowanceId, Instant
from scheduler.domain.workloads import Attempt, Workload, WorkloadKind, WorkloadState
from scheduler.ports import Books

FORMAT, VERSION = "allot-history", 1
PAGE = 500
CHECKPOINT_EVERY_MS = 30 * MS_PER_MINUTE
"""Only the last checkpoint of an attempt is on record: work that wrote one is taken to write one so often."""

BY_HAND = (AllowanceSource.COMPENSATION, AllowanceSource.AD_HOC)
"""What a policy does not grant of itself."""

_OWN_FAILURES = frozenset({Reason.FAILED, Reason.GPU_FAULT})
"""Replayed, both are failures: no simulated GPU breaks."""
STINT_ENDS = frozenset({Reason.STOPPED, Reason.TIME_LIMIT, Reason.BOOKING_ENDED, Reason.IDLE})
"""What ends a sandbox until its owner resumes it."""

Line = dict[str, Any]


def history(books: Books, since: Instant, until: Instant) -> Iterator[Line]:
    """A header, then people, grants by hand, and workloads submitted in [since, until), newest first."""
    yield {"format": FORMAT, "version": VERSION, "since": iso(since), "until": iso(until)}
    for engineer in sorted(books.people.all(), key=lambda each: each.id):
        yield {"engineer": engineer.id, "team": engineer.team, "tier": engineer.tier}
    for balance in sorted(books.allowances.balances(), key=lambda each: each.allowance.id):
        for grant in _parts(balance.allowance):
            if grant.source in BY_HAND and grant.starts_at < until:
                yield _grant(grant)
    before = f"{until}|"
    while True:
        page = books.workloads.page(before=before, limit=PAGE)
        for workload in page:
            if workload.submitted_at < since:
                return
            for line in _lines(workload, books.attempts.of_workload(workload.id), until):
                yield line | {"exit_code": _exit_code(books, workload)} if line["has_failed"] else line
        if len(page) < PAGE:
            return
        before = f"{page[-1].submitted_at}|{page[-1].id}"


def _exit_code(books: Books, workload: Workload) -> int:
    """With which it failed at last, as retry rules look at it; 1 where none is known."""
    told = (each.evidence for each in books.verdicts.of_workload(workload.id) if each.reason is Reason.FAILED)
    return min(255, int(next(told, {}).get("exit_code", 0))) or 1


def _parts(allowance: Allowance) -> Iterator[Allowance]:
    """What vests comes as a grant a part. Tokens pay for no GPU, and are left out."""
    if measure(allowance.unit).kind is UnitKind.TOKENS:
        return
    if allowance.vesting is None:
        yield allowance
        return
    for number, part in enumerate(allowance.vesting.parts, start=1):
        part_id = AllowanceId(f"{allowance.id}/{number}")
        yield replace(allowance, id=part_id, amount=part.amount, starts_at=part.at)


def _grant(allowance: Allowance) -> Line:
    counted = (
        {"standard_gpu_ms": allowance.amount}
        if allowance.unit == STANDARD_GPU
        else {"unit": allowance.unit, "amount": allowance.amount}
    )
    return {
        "grant": allowance.id,
        "holder_kind": allowance.holder.kind.value,
        "holder": allowance.holder.id,
        "source": allowance.source.value,
        **counted,
        "starts_at_ms": allowance.starts_at,
        "expires_at_ms": allowance.expires_at,
        "gpu_classes": None if allowance.gpu_classes is None else sorted(allowance.gpu_classes),
        **({"kinds": sorted(kind.value for kind in allowance.kinds)} if allowance.kinds is not None else {}),
        "purposes": sorted(purpose.value for purpose in allowance.purposes),
    }


def _lines(workload: Workload, attempts: Sequence[Attempt], until: Instant) -> Iterator[Line]:
    """One for each stint of a sandbox that was stopped and resumed; of other work one."""
    stints = list(_stints(attempts)) if workload.spec.kind is WorkloadKind.SANDBOX else [attempts]
    if len(stints) < 2:
        yield _workload(workload, attempts, until)
        return
    for number, stint in enumerate(stints, start=1):
        is_last = number == len(stints)
        line = _workload(workload, stint, until)
        if number > 1:  # how long it waited when it was asked for again is left out
            line |= {"workload": f"{workload.id}/{number}", "submitted_at_ms": stint[0].launched_at}
        yield line if is_last else line | {"has_failed": False, "still_waits": False}


def _stints(attempts: Sequence[Attempt]) -> Iterator[Sequence[Attempt]]:
    """Attempts up to one that was stopped until its owner resumes it, and those after it."""
    stint: list[Attempt] = []
    for attempt in attempts:
        if stint and stint[-1].stop_reason in STINT_ENDS:
            yield stint
            stint = []
        stint.append(attempt)
    if stint:
        yield stint


def _workload(workload: Workload, attempts: Sequence[Attempt], until: Instant) -> Line:
    spec = workload.spec
    started = [attempt for attempt in attempts if attempt.started_at is not None]
    writes_checkpoints = any(attempt.checkpointed_at is not None for attempt in started)
    begins_at = workload.submitted_at
    if len(attempts) < 2 and not workload.retries:  # later, what holds it back is no longer its owner's wish
        begins_at = max(begins_at, workload.not_before)
    return {
        "workload": workload.id,
        "submitted_at_ms": min(begins_at, until),  # what is to begin after that comes as work that never ran
        "owner": workload.owner,
        "kind": spec.kind.value,
        "project": spec.project,
        "gpu_classes": list(spec.gpu_classes),
        "priority_class": spec.priority_class,
        "time_limit_ms": spec.time_limit_ms,
        "pods": spec.pods,
        **({"min_pods": spec.min_pods} if spec.min_pods is not None else {}),
        "gpus_per_pod": spec.pod.gpus,
        "cpu_milli": spec.pod.cpu_milli,
        "memory_mib": spec.pod.memory_mib,
        "grace_seconds": spec.grace_seconds,
        "uses_compensation": spec.uses_compensation,
        "run_ms": sum(_useful_ms(attempt, spec.gpus, attempt is attempts[-1], until) for attempt in started),
        "still_waits": workload.state is WorkloadState.QUEUED and begins_at < until,
        "has_failed": workload.state is WorkloadState.FAILED and workload.state_reason in _OWN_FAILURES,
        "checkpoint_every_ms": CHECKPOINT_EVERY_MS if writes_checkpoints else 0,
        "start_ms": _start_ms(started[0]) if started else 0,
    }


def _useful_ms(attempt: Attempt, gpus: int, is_last: bool, until: Instant) -> int:
    """The work that an attempt got done, in time on all of its GPUs: what still runs counts for as long as it has.

    Of one that was preempted, or that another followed, it is what its last checkpoint kept.
    """
    assert attempt.started_at is not None, "only those that started are looked at"
    ended_at = attempt.ended_at if attempt.ended_at is not None else until
    if attempt.stop_reason is Reason.PREEMPTED or not is_last:
        ended_at = attempt.checkpointed_at or attempt.started_at
    return gpu_ms_within(attempt, attempt.started_at, ended_at) // max(1, gpus)


def _start_ms(attempt: Attempt) -> int:
    return max(0, (attempt.started_at or attempt.launched_at) - attempt.launched_at)
