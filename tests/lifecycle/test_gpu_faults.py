"""What fails with its GPU gets back the work that it lost: once, in whatever order its windows and its end come."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from scheduler.domain.cluster import Placement
from scheduler.domain.errors import NotPermitted
from scheduler.domain.people import Caller, Role
from scheduler.domain.periods import period_named
from scheduler.domain.policy import Policy
from scheduler.domain.reasons import Reason, sentence
from scheduler.domain.records import PodRun
from scheduler.domain.retries import RetryRule
from scheduler.domain.units import MS_PER_MINUTE, GpuUuid, Instant, NodeName, PerMille, PodUid
from scheduler.domain.workloads import WorkloadState
from scheduler.finance.reconciling.reconciliation import SettlementKind
from scheduler.lifecycle.accounting.close_period import Decision, Periods
from scheduler.lifecycle.running.gpu_faults import FaultsJudged
from scheduler.lifecycle.running.record import stop_attempt
from scheduler.lifecycle.views.gpu_faults import FaultOutcome, FaultViews
from scheduler.lifecycle.views.misuses import WorkView
from scheduler.metering.devices import Health
from scheduler.metering.samples import PodRef
from scheduler.metering.wire import inventory_json
from tests.lifecycle.agents import WINDOW_MS, agent_of, inventory, window
from tests.lifecycle.broken import CHECKPOINTED_MS, LOST, RAN_MS, Broken, broken, refunds
from tests.lifecycle.build import Company, later, policy

FINANCE = Caller("fin", frozenset({Role.FINANCE}))
GPUS = 2
LOST_MS = GPUS * (RAN_MS - CHECKPOINTED_MS)
STRETCH_MS = 15 * MS_PER_MINUTE


def windows_first(work: Broken) -> None:
    work.agents.post(*work.windows(LOST))
    work.fail()


def end_first(work: Broken) -> None:
    work.fail()
    work.agents.post(*work.windows(LOST))


def judged_at_each_step(work: Broken) -> None:
    work.agents.post(*work.windows(LOST))
    work.judge()
    work.fail()
    work.judge()


def windows_twice(work: Broken) -> None:
    end_first(work)
    work.judge()
    assert work.agents.post(*work.windows(LOST)).duplicates == 2


ORDERS: dict[str, Callable[[Broken], None]] = {
    "the windows first": windows_first,
    "the end first": end_first,
    "judged at each step": judged_at_each_step,
    "the windows twice": windows_twice,
}


def books_of(work: Broken) -> list[tuple[object, ...]]:
    """What stands in the journal, but for when it was recorded."""
    with work.company.store.reading() as books:
        return sorted(
            (e.transaction_id, e.at, e.account, e.amount, e.gpu_ms, e.memo) for e in books.journal.entries()
        )


@pytest.mark.parametrize("order", ORDERS)
def test_in_either_order_the_books_are_the_same_and_the_work_is_refunded_once(order: str, company: Company) -> None:
    known = broken(first := Company())
    windows_first(known)
    known.judge()
    work = broken(company)

    ORDERS[order](work)
    work.judge()
    assert work.judge() == FaultsJudged()

    assert work.refunded_ms == LOST_MS
    assert work.attempt.stop_reason is Reason.GPU_FAULT
    assert work.verdicts()[-2:] == [Reason.FAILED, Reason.GPU_FAULT]
    assert books_of(work) == books_of(known)
    first.close()


def test_the_refund_and_the_verdict_name_the_xid_the_gpu_and_the_time(company: Company) -> None:
    work = broken(company)
    work.agents.post(*work.windows(LOST))
    work.fail()
    assert work.judge() == FaultsJudged(1, (work.attempt_id,))

    memos = {entry.memo for entry in refunds(company)}
    assert memos == {"work lost: GpuFault, Xid 79 on GPU-n0-0 of n0 by 2026-11-20T12:40:00Z"}
    known = company.workload(work.workload.id)
    assert (known.state, known.state_reason) == (WorkloadState.FAILED, Reason.GPU_FAULT)
    verdict = company.world.verdicts[work.workload.id]
    assert sentence(verdict.reason, verdict.evidence) == (
        "Failed with its GPU: GPU-n0-0 of n0 reported Xid 79 (fallen off the bus) by 2026-11-20T12:40:00Z; "
        "1.0 h came back."
    )


@pytest.mark.parametrize("xid", [13, 31, 43, 45, 63, 68, 92, 109, 999])
def test_an_xid_that_a_program_can_bring_about_or_that_ends_no_work_refunds_nothing(
    xid: int, company: Company
) -> None:
    work = broken(company)
    work.agents.post(*work.windows(xid))
    work.fail()
    assert work.judge() == FaultsJudged()
    assert (work.refunded_ms, work.attempt.stop_reason) == (0, Reason.FAILED)


def test_without_a_checkpoint_nothing_comes_back_and_that_is_said(company: Company) -> None:
    work = broken(company)
    with company.changing() as batch:
        batch.put_attempt(replace(work.attempt, checkpointed_at=None))
    company.world.jobs.clear()
    work.agents.post(*work.windows(LOST))
    work.fail()
    work.judge()
    assert (work.refunded_ms, work.attempt.stop_reason) == (0, Reason.GPU_FAULT)
    said = company.world.verdicts[work.workload.id].evidence["refunded"]
    assert said == "nothing came back, since it had written no checkpoint"


@pytest.mark.parametrize(
    ("at_ms", "is_refunded"),
    [(RAN_MS - STRETCH_MS + 1, True), (RAN_MS - STRETCH_MS, False), (RAN_MS + 2 * WINDOW_MS, False)],
    ids=["within the last stretch", "before it", "after its end"],
)
def test_only_an_xid_shortly_before_the_failure_counts(at_ms: int, is_refunded: bool, company: Company) -> None:
    work = broken(company)
    work.fail()
    company.now = later(work.ended_at, 60)
    work.agents.post(*work.windows(LOST, at_ms=at_ms))
    work.judge()
    assert work.refunded_ms == (LOST_MS if is_refunded else 0)
    assert work.attempt.stop_reason is (Reason.GPU_FAULT if is_refunded else Reason.FAILED)


def test_what_ended_otherwise_than_by_failing_is_not_touched(company: Company) -> None:
    work = broken(company)
    work.agents.post(*work.windows(LOST))
    with company.changing() as batch:
        stop_attempt(batch, work.attempt, Reason.STOPPED, {"by": "ada"})
    work.fail(exit_code=143)
    assert work.judge().ended == ()
    assert (work.refunded_ms, work.attempt.stop_reason) == (0, Reason.STOPPED)


def test_a_gpu_that_is_lost_before_its_window_began_shows_nobody_and_is_still_known_to_be_theirs(
    company: Company,
) -> None:
    work = broken(company)
    before, last = work.windows(LOST)
    work.fail()
    work.agents.post(before)
    blind = replace(
        replace(last, covered_ms=0, sample_count=0, health=Health.UNHEALTHY, process_count_max=None),
        utilization=None,
        energy=None,
        processes=None,
    )
    work.agents.post(blind)
    work.judge()
    assert work.refunded_ms == LOST_MS


def test_of_a_gang_one_gpu_is_enough_and_the_refund_is_of_all_of_them(company: Company) -> None:
    work = broken(company)
    work.agents.post(*work.windows(LOST, gpu=1), *work.windows(LOST, gpu=0))
    work.fail()
    work.judge()
    assert work.refunded_ms == LOST_MS
    assert len({entry.transaction_id for entry in refunds(company)}) == 1


def test_a_gang_that_waited_ten_minutes_for_the_pod_on_the_broken_gpu_died_of_it(company: Company) -> None:
    """Its two pods are on two nodes: the one on n0 gave up waiting, and the other was told to end."""
    work = broken(company)
    work.agents.register("n1")
    both = Placement(((NodeName("n0"), 1), (NodeName("n1"), 1)))
    other = PodRun(PodUid("pod-other"), work.attempt_id, "other", NodeName("n1"), GPUS, work.start)
    with company.changing() as batch:
        batch.put_attempt(replace(work.attempt, placement=both))
        batch.put_pod(other)
    started = later(work.ended_at, -11 * 60)
    told = window("n1", 0, 1, Instant(started - WINDOW_MS), pods=("pod-other",))
    work.agents.post(replace(told, xids=(LOST,)), node="n1")
    with company.changing() as batch:
        batch.put_pod(replace(other, ended_at=later(work.ended_at, 30), exit_code=143))
    work.fail()
    assert work.judge().ended == (work.attempt_id,)
    assert {entry.memo for entry in refunds(company)} == {
        "work lost: GpuFault, Xid 79 on GPU-n1-0 of n1 by 2026-11-20T12:29:00Z"
    }
    assert work.refunded_ms == 2 * (LOST_MS + GPUS * 30_000)  # all of its GPUs, up to its end


def test_a_neighbour_on_the_same_gpu_that_did_not_fail_gets_nothing(company: Company) -> None:
    work = broken(company)
    company.now = work.start
    neighbour, neighbours = work.agents.start()
    company.now = work.ended_at
    both = (*work.agents.pod_of(work.workload), *work.agents.pod_of(neighbour))
    shared = [
        replace(
            each,
            granted=tuple(PodRef(of.namespace, f"{of.job_name}-0") for of in (work.workload, neighbour)),
            processes=window("n0", 0, 1, each.start, pods=both).processes,
        )
        for each in work.windows(LOST)
    ]
    work.fail()
    work.agents.post(*shared)
    assert work.judge().ended == (work.attempt_id,)
    assert {entry.attempt_id for entry in refunds(company)} == {work.attempt_id}
    work.agents.end(neighbour, work.ended_at, later(work.ended_at, 60))
    assert work.judge() == FaultsJudged(1, ())
    with company.store.reading() as books:
        (known,) = books.attempts.of_workload(neighbour.id)
    assert (known.id, known.stop_reason) == (neighbours, Reason.COMPLETED)


def test_an_xid_is_the_whole_gpus_and_ends_what_has_an_instance_of_it(company: Company) -> None:
    work = broken(company)
    told = inventory("n0", company.now)
    whole, *others = told.devices
    part = replace(whole, gpu_uuid=GpuUuid("MIG-n0-0"), parent_uuid=whole.gpu_uuid, index=4)
    cut = replace(told, devices=(replace(whole, is_partitioned=True), part, *others))
    work.agents.meter.accept_inventory(agent_of("n0"), NodeName("n0"), inventory_json(cut), now=company.now)
    before, last = work.windows(LOST)
    instance = [replace(each, gpu_uuid=part.gpu_uuid, xids=()) for each in (before, last)]
    bare = [replace(each, processes=()) for each in (before, last)]
    work.fail()
    work.agents.post(*instance, *bare)
    work.judge()
    assert work.refunded_ms == LOST_MS
    assert "on GPU-n0-0 of n0" in refunds(company)[0].memo


def retrying() -> Policy:
    return replace(policy(), retry_rules=(RetryRule("any", retries_max=1, jitter=PerMille(0)),))


def test_it_is_tried_again_as_any_failure_is_keeps_its_verdict_and_has_used_up_a_retry() -> None:
    work = broken(company := Company(retrying()))
    work.fail()
    work.agents.post(*work.windows(LOST))
    work.judge()
    assert work.refunded_ms == LOST_MS
    again = company.workload(work.workload.id)
    assert (again.state, again.state_reason) == (WorkloadState.QUEUED, Reason.FAILED)
    assert work.verdicts()[-1] is Reason.BACKOFF
    assert work.attempt.stop_reason is Reason.GPU_FAULT
    company.close()


def test_after_its_month_was_closed_the_refund_is_a_correction_in_the_open_one(company: Company) -> None:
    work = broken(company)
    work.fail()
    company.now = Instant(period_named("2026-11", "UTC").ends_at + 60 * MS_PER_MINUTE)
    periods = Periods(company.store, company.world)
    left = periods.reconciliation(FINANCE, "2026-11", company.now).unresolved
    periods.settle(FINANCE, [each.id for each in left], Decision(SettlementKind.WRITE_OFF, "known"), now=company.now)
    periods.close(FINANCE, "2026-11", now=company.now)

    assert work.agents.post(*work.windows(LOST)).taken == 2
    work.judge()
    assert work.refunded_ms == LOST_MS
    assert {(entry.at, entry.corrects_at) for entry in refunds(company)} == {
        (company.now, Instant(work.ended_at - 1))
    }


def test_a_stranger_on_a_gpu_that_broke_is_no_holder_of_it(company: Company) -> None:
    work = broken(company)
    stranger, attempt_id = work.agents.start()
    told = [
        replace(each, granted=(PodRef(work.workload.namespace, f"{work.workload.job_name}-0"),))
        for each in work.windows(LOST)
    ]
    seen = [
        replace(each, processes=window("n0", 0, 1, each.start, pods=(f"pod-{stranger.id}-0",)).processes)
        for each in told
    ]
    work.agents.post(*seen)
    with company.store.reading() as books:
        assert {fault.attempt_id for fault in books.gpu_faults.since(Instant(0))} == {work.attempt_id}
    assert attempt_id != work.attempt_id
    assert PodUid(f"pod-{stranger.id}-0") in company.world.attempt_of_pod


def test_operators_see_each_fault_with_its_work_and_what_became_of_it(company: Company) -> None:
    work = broken(company)
    views, operator = FaultViews(company.store, company.world), Caller("olga", frozenset({Role.OPERATOR}))
    work.agents.post(*work.windows(LOST))
    (running,) = views.latest(operator, company.now)
    assert (running.means, running.outcome) == ("fallen off the bus", FaultOutcome.PENDING)
    assert running.work == WorkView(work.workload.id, "train", "Ada")
    work.fail()
    work.judge()
    (ended,) = views.latest(operator, company.now)
    assert ended.outcome is FaultOutcome.ENDED
    with pytest.raises(NotPermitted):
        views.latest(company.caller("ada"), company.now)


def test_a_fault_of_what_ended_well_is_told_as_survived(company: Company) -> None:
    work = broken(company)
    work.agents.post(*work.windows(LOST))
    work.agents.end(work.workload, work.start, work.ended_at)
    work.judge()
    (told,) = FaultViews(company.store, company.world).latest(Caller("olga", frozenset({Role.OPERATOR})), company.now)
    assert told.outcome is FaultOutcome.SURVIVED


def test_a_window_that_is_refused_tells_of_no_fault(company: Company) -> None:
    work = broken(company)
    ahead = replace(work.windows(LOST)[1], start=later(company.now, 600), end=later(company.now, 615))
    assert work.agents.post(ahead).refused
    work.fail()
    assert work.judge() == FaultsJudged()
