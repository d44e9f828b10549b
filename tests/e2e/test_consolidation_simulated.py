"""A job that is moved on the simulated cluster: where it goes, what its owner is told, and what comes back to them."""

import asyncio
from pathlib import Path

from scheduler.domain.cluster import PodRequest
from scheduler.domain.people import Caller
from scheduler.domain.reasons import Reason
from scheduler.domain.units import GpuClassName, WorkloadId
from scheduler.domain.workloads import WorkloadState
from scheduler.ledger.journal import TransactionKind
from tests.e2e.test_elastic_simulated import Life

MOVING = "consolidation: {priority_classes: [standard], lost_max_gpu_minutes: 60}\n"
HALF, WHOLE = PodRequest(4, 1_000, 1_000), PodRequest(8, 1_000, 1_000)
H100 = (GpuClassName("H100"),)


def test_a_moved_job_goes_on_at_once_elsewhere_and_its_owner_reads_why_and_gets_lost_work_back(
    tmp_path: Path,
) -> None:
    life = Life(tmp_path, MOVING)
    asyncio.run(_assert_a_job_is_moved_and_paid_back(life))
    life.service.store.close()


async def _assert_a_job_is_moved_and_paid_back(life: Life) -> None:
    movable = await _one_half_on_each_node(life)
    before = life.attempt(movable)
    assert before is not None
    ada = _caller(life, "ada")
    life.service.commands.record_checkpoint(ada, movable, now=life.site.clock.now())
    life.site.move(5_000)

    whole = life.submit("bao", "whole", 10, pod=WHOLE, gpu_classes=H100, time_limit_ms=600_000)
    await life.until(lambda: life.workload(whole).state is WorkloadState.COMPLETED)
    await life.until(lambda: life.workload(movable).state is WorkloadState.COMPLETED, step_ms=3_000)

    with life.service.store.reading() as books:
        first, second = books.attempts.of_workload(movable)
        (of_whole,) = books.attempts.of_workload(whole)
        entries = list(books.journal.entries(attempt_id=first.id))
        assert books.journal.differences() == []
    assert of_whole.placement == first.placement == before.placement
    assert second.placement != first.placement
    assert (first.stop_reason, life.workload(movable).retries) == (Reason.PREEMPTED, 0)

    now = life.site.clock.now()
    told = next(each for each in life.service.views.explain(ada, movable, now).verdicts if each.reason == "Preempted")
    node = second.placement.pods_by_node[0][0]
    assert told.sentence == f"Preempted by whole (moved to {node}, so that 1 × 8 GPUs fit). Queued again."

    # What ran after the checkpoint is lost, and comes back: the five seconds, and what it took to stop.
    back = [each for each in entries if each.kind is TransactionKind.REFUND and each.amount > 0]
    assert first.checkpointed_at is not None
    assert first.ended_at is not None
    lost_ms = (first.ended_at - first.checkpointed_at) * 4
    assert lost_ms >= 20_000
    assert sum(each.amount for each in back) == lost_ms
    statement = life.service.views.statement(ada, None, now)
    assert statement.refunded == lost_ms
    assert [line.text for line in statement.lines if line.kind == "refund"] == [
        f"Refunded: {life.workload(movable).spec.name}, attempt 1 (work lost: Preempted, moved by consolidation)"
    ]
    assert life.site.truth.unbound == []


async def _one_half_on_each_node(life: Life) -> WorkloadId:
    """Six halves fill three nodes; one of each is cancelled. Returns one of those that go on."""
    halves = [
        life.submit("ada", f"half{number}", 60, pod=HALF, gpu_classes=H100, time_limit_ms=600_000)
        for number in range(6)
    ]
    await life.until(lambda: all(life.alive(each) == 1 for each in halves))
    stay: dict[str, WorkloadId] = {}
    for half in halves:
        attempt = life.attempt(half)
        assert attempt is not None
        stay.setdefault(attempt.placement.pods_by_node[0][0], half)
    assert len(stay) == 3
    for half in halves:
        if half not in stay.values():
            life.service.commands.cancel(_caller(life, "ada"), half, now=life.site.clock.now())
    gone = [half for half in halves if half not in stay.values()]
    await life.until(lambda: all(life.workload(each).state is WorkloadState.CANCELLED for each in gone))
    return next(iter(stay.values()))


def _caller(life: Life, subject: str) -> Caller:
    person = next(each for each in life.service.world.people.values() if each.subject == subject)
    return Caller(subject, person.roles, person.id, person.team)
