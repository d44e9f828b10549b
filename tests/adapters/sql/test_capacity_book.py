"""The book of capacity, alike on both databases."""

from dataclasses import replace

from scheduler.adapters.sql.store import SqlStore
from scheduler.domain.cluster import NodeSpan
from scheduler.domain.units import MS_PER_HOUR, GpuClassName, GpuUuid, Instant, NodeName, PodUid
from scheduler.domain.workloads import PastSize
from scheduler.finance.reconciling.conservation import Tenure
from scheduler.metering.devices import KnownGpu
from scheduler.metering.idle import IdleState
from scheduler.metering.use import Metered
from tests.adapters.sql.test_samples_book import GPUS, A, N, register, window
from tests.adapters.sql.values import ATTEMPT, POD, WORKLOAD

SPAN = NodeSpan(NodeName("n1"), GpuClassName("h100"), Instant(5), None, 8, 1, accepts_work=True)


def test_a_span_is_open_until_its_end_is_written(store: SqlStore) -> None:
    other = replace(SPAN, node=NodeName("n2"), gpu_class=None)
    with store.writing() as books:
        books.capacity.change(ended=[], begun=[other, SPAN])
    closed, after = replace(SPAN, ends_at=Instant(9)), replace(SPAN, starts_at=Instant(9), gpus=4)
    with store.writing() as books:
        books.capacity.change(ended=[closed], begun=[after])
    with store.reading() as books:
        assert books.capacity.open_spans() == [after, other]
        assert books.capacity.spans(Instant(0), Instant(9)) == [closed, other]
        assert books.capacity.spans(Instant(9), Instant(10)) == [after, other]


def test_tenures_are_the_pods_that_had_gpus_then(store: SqlStore) -> None:
    launched = replace(ATTEMPT, launched_at=Instant(1_500))
    run = replace(POD, started_at=Instant(1_000), ended_at=Instant(4_000), billable_until=Instant(3_000))
    with store.writing() as books:
        books.workloads.add([WORKLOAD])
        books.attempts.add([launched])
        books.attempts.save_pods([run, replace(run, pod_uid=PodUid("p-2"), node=None)])
    told = Tenure(
        NodeName("n1"), 4, Instant(1_000), Instant(1_000), Instant(3_000), Instant(4_000), launched.is_funded
    )
    with store.reading() as books:
        assert books.capacity.tenures(Instant(0), Instant(2_000)) == [told]
        assert books.capacity.tenures(Instant(4_000), Instant(9_000)) == []
        assert books.capacity.tenures(Instant(0), Instant(1_500)) == []


def test_a_pod_by_which_an_attempt_grew_had_no_gpu_before_that(store: SqlStore) -> None:
    """Somebody else had it. One that began with the attempt, or waits still, has it from its launch, or from then."""
    launched = replace(ATTEMPT, launched_at=Instant(1_500), ended_at=None, leaving=None)
    shrunk = replace(launched, past_sizes=(PastSize(Instant(4_200), 2), PastSize(Instant(8_300), 1)))
    began, grew, waits = (
        replace(POD, pod_uid=PodUid(f"p-{number}"), started_at=at, ended_at=None, billable_until=None)
        for number, at in enumerate((Instant(2_000), Instant(8_000), None))
    )
    with store.writing() as books:
        books.workloads.add([WORKLOAD])
        books.attempts.add([shrunk])
        books.attempts.save_pods([began, grew, waits])
    with store.reading() as books:
        told = books.capacity.tenures(Instant(0), Instant(20_000))
    assert [(each.held_from, each.started_at) for each in told] == [(1_500, 2_000), (8_000, 8_000), (8_300, None)]


def test_what_was_taken_is_the_work_of_nobody_by_node_and_hour(store: SqlStore) -> None:
    register(store)
    with store.writing() as books:
        books.samples.put_gpus([KnownGpu(GpuUuid("GPU-b"), N)])
        books.samples.add(
            [
                Metered(window(1), IdleState.ACTIVE),
                Metered(window(2), IdleState.SUSPECTED_HUNG),
                Metered(window(3), IdleState.IDLE_HELD),
                Metered(window(4), IdleState.ACTIVE, A),
                Metered(window(1, GPUS[1]), IdleState.ACTIVE),
                Metered(window(5, GPUS[1], MS_PER_HOUR), IdleState.ACTIVE),
            ]
        )
    with store.reading() as books:
        assert books.capacity.taken_ms(Instant(1), Instant(MS_PER_HOUR)) == {(N, 0): 45_000}
        assert len(books.capacity.taken_ms(Instant(1), Instant(2 * MS_PER_HOUR))) == 2
