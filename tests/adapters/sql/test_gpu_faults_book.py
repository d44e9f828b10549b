"""The book of GPU faults, and what it refunds, alike on both databases."""

from dataclasses import replace

from scheduler.adapters.sql.store import SqlStore
from scheduler.domain.reasons import Reason
from scheduler.domain.units import AttemptId, GpuUuid, Instant, NodeName
from scheduler.lifecycle.running.gpu_faults import FaultsJudged
from scheduler.metering.gpu_faults import GpuFault
from tests.lifecycle.broken import CHECKPOINTED_MS, LOST, RAN_MS, broken, refunds
from tests.lifecycle.build import Company, policy

N = NodeName("n0")
GPUS = [GpuUuid(f"GPU-{letter}") for letter in "ab"]


def fault(end: int, attempt_id: str | None = None, gpu: GpuUuid = GPUS[0], xid: int = 79) -> GpuFault:
    holder = None if attempt_id is None else AttemptId(attempt_id)
    return GpuFault(gpu, N, xid, Instant(end - 15_000), Instant(end), holder, is_judged=holder is None)


def test_faults_are_kept_once_and_told_the_latest_first(store: SqlStore) -> None:
    nobodys, theirs, late = fault(20_000), fault(20_000, "a-1", GPUS[1]), fault(90_000, "a-1")
    with store.writing() as books:
        books.gpu_faults.note([nobodys, theirs, late])
        books.gpu_faults.note([late, replace(theirs, is_judged=True)])
        books.gpu_faults.note([])
    with store.reading() as books:
        assert books.gpu_faults.since(Instant(0)) == [late, nobodys, theirs]
        assert books.gpu_faults.since(Instant(20_001)) == [late]
        assert books.gpu_faults.since(Instant(0), limit=2) == [late, nobodys]


def test_old_ones_are_dropped(store: SqlStore) -> None:
    with store.writing() as books:
        books.gpu_faults.note([fault(20_000), fault(90_000)])
        assert books.gpu_faults.prune(Instant(90_000)) == 1
    with store.reading() as books:
        assert books.gpu_faults.since(Instant(0)) == [fault(90_000)]


def test_one_is_due_from_the_end_of_its_attempt_until_it_is_judged(store: SqlStore) -> None:
    work = broken(company := Company(policy(), store))
    with store.writing() as books:
        ours = fault(company.now, work.attempt_id)
        books.gpu_faults.note([ours, fault(company.now, "a-unknown"), fault(company.now)])
        assert books.gpu_faults.due(10) == []
    work.fail()
    with store.writing() as books:
        assert books.gpu_faults.due(10) == [ours]
        assert books.gpu_faults.due(0) == []
        books.gpu_faults.judge([])
        books.gpu_faults.judge([ours])
        assert books.gpu_faults.due(10) == []
        assert [each.is_judged for each in books.gpu_faults.since(Instant(0)) if each.attempt_id] == [True, False]


def test_what_failed_with_its_gpu_is_refunded_once(store: SqlStore) -> None:
    work = broken(Company(policy(), store))
    work.fail()
    work.agents.post(*work.windows(LOST))
    assert work.judge() == FaultsJudged(1, (work.attempt_id,))
    assert work.judge() == FaultsJudged()
    assert work.refunded_ms == 2 * (RAN_MS - CHECKPOINTED_MS)
    assert work.attempt.stop_reason is Reason.GPU_FAULT
    assert {entry.recorded_at for entry in refunds(work.company)} == {work.company.now}
