"""Our own history as a stream that can be replayed: who there was, what they were granted by hand, what they submitted.

Names and subjects are left out: engineers are the opaque ids that the books know. Format: docs/simulate.md.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from scheduler.domain.allowances import Allowance, AllowanceSource
from scheduler.domain.periods import iso
from scheduler.domain.reasons import Reason
from scheduler.domain.units import MS_PER_MINUTE, STANDARD_GPU, AllowanceId, Instant
from scheduler.domain.workloads import Attempt, Workload, WorkloadState
from scheduler.ports import Books

FORMAT, VERSION = "allot-history", 1
PAGE = 500
CHECKPOINT_EVERY_MS = 30 * MS_PER_MINUTE
"""Only the last checkpoint of an attempt is on record: work that wrote one is taken to write one so often."""

BY_HAND = (AllowanceSource.COMPENSATION, AllowanceSource.AD_HOC)
"""What a policy does not grant of itself."""

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
            yield _workload(workload, books.attempts.of_workload(workload.id))
        if len(page) < PAGE:
            return
        before = f"{page[-1].submitted_at}|{page[-1].id}"


def _parts(allowance: Allowance) -> Iterator[Allowance]:
    """What vests comes as a grant a part. Other units than hours pay for no GPU, and are left out."""
    if allowance.unit != STANDARD_GPU:
        return
    if allowance.vesting is None:
        yield allowance
        return
    for number, part in enumerate(allowance.vesting.parts, start=1):
        part_id = AllowanceId(f"{allowance.id}/{number}")
        yield replace(allowance, id=part_id, amount=part.amount, starts_at=part.at)


def _grant(allowance: Allowance) -> Line:
    return {
        "grant": allowance.id,
        "holder_kind": allowance.holder.kind.value,
        "holder": allowance.holder.id,
        "source": allowance.source.value,
        "standard_gpu_ms": allowance.amount,
        "starts_at_ms": allowance.starts_at,
        "expires_at_ms": allowance.expires_at,
        "gpu_classes": None if allowance.gpu_classes is None else sorted(allowance.gpu_classes),
        "purposes": sorted(purpose.value for purpose in allowance.purposes),
    }


def _workload(workload: Workload, attempts: list[Attempt]) -> Line:
    spec = workload.spec
    started = [attempt for attempt in attempts if attempt.started_at is not None]
    writes_checkpoints = any(attempt.checkpointed_at is not None for attempt in started)
    return {
        "workload": workload.id,
        "submitted_at_ms": workload.submitted_at,
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
        "run_ms": sum(_useful_ms(attempt) for attempt in started),
        "has_failed": workload.state is WorkloadState.FAILED and workload.state_reason is Reason.FAILED,
        "checkpoint_every_ms": CHECKPOINT_EVERY_MS if writes_checkpoints else 0,
        "start_ms": _start_ms(started[0]) if started else 0,
    }


def _useful_ms(attempt: Attempt) -> int:
    """What an attempt ran; of one that was preempted, what its last checkpoint kept."""
    assert attempt.started_at is not None, "only those that started are looked at"
    until = attempt.ended_at
    if attempt.stop_reason is Reason.PREEMPTED:
        until = attempt.checkpointed_at
    return max(0, until - attempt.started_at) if until is not None else 0


def _start_ms(attempt: Attempt) -> int:
    return max(0, (attempt.started_at or attempt.launched_at) - attempt.launched_at)
