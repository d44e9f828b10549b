"""Move expiry: pay does not run out while its owner waits for GPUs that it would have bought.

An award never changes, so what is left at its end goes on into one that ends as much later as placeable, funded work of
its owner waited for capacity. The statement has that as a transfer whose memo says which work waited for how long.
"""

from collections import defaultdict
from dataclasses import replace
from itertools import groupby

from scheduler.domain.allowances import Allowance, AllowanceSource
from scheduler.domain.units import MS_PER_MINUTE, AllowanceId, EngineerId, Instant, WorkloadId
from scheduler.domain.waits import Wait, waited_ms, waits_of, within
from scheduler.domain.workloads import Workload, WorkloadState
from scheduler.ledger.transfers import extend_expiry
from scheduler.lifecycle.writing.batch import Batch

NAMED_MAX = 5
"""So many workloads are named in the memo, those that waited longest first."""


def is_moved(allowance: Allowance, *, is_frozen: bool) -> bool:
    """Pay alone, and nothing that is frozen: that expires as it was to."""
    return allowance.source is AllowanceSource.COMPENSATION and not is_frozen


def move_expiry(batch: Batch, allowance: Allowance, available: int, at: Instant, number: int = 0) -> int:
    """Let what is left of it at its end go on for as long as its owner's work waited. Returns how much went on.

    Done twice, it is done once; what comes back of it later goes on into the same award.
    """
    assert allowance.expires_at is not None, "it is over"
    waits = capacity_waits(batch, allowance, allowance.expires_at)
    longer = waited_ms(waits)
    if longer == 0:
        return 0
    target = replace(
        allowance,
        id=AllowanceId(f"extended/{allowance.id}"),
        amount=available,
        starts_at=allowance.expires_at,
        expires_at=Instant(allowance.expires_at + longer),
        overdraft=0,
        vesting=None,
    )
    if batch.books.allowances.get(target.id) is None:
        batch.add_allowance(target)
    memo = _memo(longer, waits)
    batch.post(extend_expiry(allowance, target, available, at, taken_at=batch.now, memo=memo, number=number))
    return available


def capacity_waits(batch: Batch, allowance: Allowance, until: Instant) -> list[Wait]:
    """When work that the allowance may pay for waited for capacity while it was open."""
    owner = EngineerId(allowance.holder.id)
    found = batch.books.verdicts.of_owner(owner, until=until)
    by_workload = {key: list(group) for key, group in groupby(found, key=lambda verdict: verdict.workload_id)}
    workloads = batch.books.workloads.many(sorted(by_workload))
    waits: list[Wait] = []
    for workload_id, verdicts in by_workload.items():
        workload = workloads.get(workload_id)
        if workload is not None and _is_paid_by(allowance, workload):
            waits += waits_of(verdicts, _ended(workload, until))
    return within(waits, allowance.starts_at, until)


def _is_paid_by(allowance: Allowance, workload: Workload) -> bool:
    return any(allowance.pays_for(workload.spec, gpu_class) for gpu_class in workload.spec.gpu_classes)


def _ended(workload: Workload, until: Instant) -> Instant:
    """The last verdict on what still waits holds on; that on anything else, until its state changed."""
    return until if workload.state is WorkloadState.QUEUED else min(until, workload.state_since)


def _memo(longer: int, waits: list[Wait]) -> str:
    of_each: dict[WorkloadId, int] = defaultdict(int)
    for wait in waits:
        of_each[wait.workload_id] += wait.end - wait.start
    longest = sorted(of_each.items(), key=lambda item: (-item[1], item[0]))
    named = [f"{workload_id} {_duration(ms)}" for workload_id, ms in longest[:NAMED_MAX]]
    if len(longest) > NAMED_MAX:
        named.append(f"and {len(longest) - NAMED_MAX} more")
    return f"expiry moved by {_duration(longer)}: funded work waited for capacity ({', '.join(named)})"


def _duration(ms: int) -> str:
    hours, minutes = divmod(ms // MS_PER_MINUTE, 60)
    return f"{hours} h {minutes:02} min"
