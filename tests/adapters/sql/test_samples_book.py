"""The books of samples and idleness, alike on both databases."""

from dataclasses import replace

from scheduler.adapters.sql.store import SqlStore
from scheduler.domain.idleness import CurvePoint, Exemption, IdleAction, IdleDecision
from scheduler.domain.units import MS_PER_HOUR, AttemptId, GpuUuid, Instant, NodeName, WorkloadId
from scheduler.metering.devices import Device, Health, Inventory, KnownGpu, ProcessView, SensorState
from scheduler.metering.idle import IdleState
from scheduler.metering.idle_clock import IdleClock, IdleWatch
from scheduler.metering.misuse import Misuse, MisuseKind
from scheduler.metering.refusals import RefusedSample
from scheduler.metering.samples import UtilizationSource
from scheduler.metering.use import Metered, use_of
from scheduler.metering.windows import EnergyIntegral, UtilizationIntegral, Window
from tests.adapters.sql.values import ATTEMPT, WORKLOAD

N = NodeName("n")
GPUS = [GpuUuid(f"GPU-{letter}") for letter in "ab"]
A = AttemptId("a-1")


def window(number: int, gpu: GpuUuid = GPUS[0], start: int | None = None) -> Window:
    at = number * 15_000 if start is None else start
    return Window(
        *(N, "boot", gpu, number, Instant(at), Instant(at + 15_000), 15_000, 3),
        utilization=UtilizationIntegral(15_000, number * 15_000, number, UtilizationSource.SAMPLES),
        energy=EnergyIntegral(15_000, 1_000),
        memory_used_bytes_max=None if number == 1 else 100 - number,
    )


def register(store: SqlStore) -> None:
    with store.writing() as books:
        books.samples.put_gpus([KnownGpu(gpu, N) for gpu in GPUS])


def test_an_inventory_replaces_its_nodes_last_one(store: SqlStore) -> None:
    first = Inventory(
        N, "boot", Instant(5), SensorState.OK, ProcessView.HOST, "575", "12", (Device(GPUS[0], 0, "H100", 80),)
    )
    sick = replace(first, taken_at=Instant(6), devices=(replace(first.devices[0], health=Health.UNHEALTHY),))
    with store.writing() as books:
        books.samples.put_inventory(first)
        books.samples.put_inventory(sick)
    with store.reading() as books:
        assert books.samples.inventories() == [sick]


def test_a_device_is_added_and_then_overwritten(store: SqlStore) -> None:
    register(store)
    moved = KnownGpu(GPUS[0], None, "H100", "boot", 3, Instant(45_000), A, 70_000, has_power=True)
    with store.writing() as books:
        books.samples.put_gpus([moved, KnownGpu(GpuUuid("GPU-c"), N)])
    with store.reading() as books:
        assert books.samples.gpus([GPUS[0], GpuUuid("GPU-z")]) == {GPUS[0]: moved}
        assert len(books.samples.all_gpus()) == 3


def test_windows_come_back_as_they_were_judged(store: SqlStore) -> None:
    register(store)
    told = [Metered(window(2), IdleState.ACTIVE, A), Metered(window(3), IdleState.IDLE_HELD)]
    with store.writing() as books:
        books.samples.add(told)
    with store.reading() as books:
        found = books.samples.windows(GPUS, Instant(0), Instant(60_000))
        later_ones = books.samples.windows(GPUS, Instant(30_001), Instant(60_000))
    assert [(s.start, s.sequence, s.attempt_id, s.state) for s in found] == [
        (30_000, 2, A, IdleState.ACTIVE),
        (45_000, 3, None, IdleState.IDLE_HELD),
    ]
    assert found[0].use == use_of(told[0].window, IdleState.ACTIVE)
    assert [s.sequence for s in later_ones] == [3]


def test_an_hour_grows_by_each_window_and_keeps_its_marks(store: SqlStore) -> None:
    register(store)
    for number in (1, 2, 3):
        with store.writing() as books:
            books.samples.add([Metered(window(number), IdleState.ACTIVE, A)])
    with store.writing() as books:
        books.samples.add([Metered(window(9, start=MS_PER_HOUR), IdleState.ACTIVE, A)])
        books.samples.add([Metered(window(9, GPUS[1]), IdleState.ACTIVE, None)])
    with store.reading() as books:
        first, second = books.samples.hours(attempts=[A])
        total = books.samples.use_of([A, AttemptId("a-2")])
        assert len(books.samples.hours()) == 3
        assert [hour.hour for hour in books.samples.hours(starts_at=Instant(1))] == [MS_PER_HOUR]
    assert (first.use.windows, first.use.percent_max, first.use.memory_bytes_max) == (3, 3, 98)
    assert (first.use.percent_ms, first.use.active_ms, first.node) == (6 * 15_000, 45_000, N)
    assert second.hour == MS_PER_HOUR
    assert {key: use.windows for key, use in total.items()} == {A: 4}


def test_refusals_add_up_by_who_sent_what_and_why(store: SqlStore) -> None:
    one = RefusedSample("n", "GPU-a", "overlaps", 1, Instant(1), Instant(1), "first")
    with store.writing() as books:
        books.samples.refuse([one, replace(one, first_at=Instant(2), last_at=Instant(2), detail="second")])
        books.samples.refuse([replace(one, first_at=Instant(3), last_at=Instant(3), detail="third")])
        books.samples.refuse([replace(one, code="unknown-gpu", last_at=Instant(9))])
    with store.reading() as books:
        assert [(r.code, r.count, r.first_at, r.last_at, r.detail) for r in books.samples.refusals()] == [
            ("unknown-gpu", 1, 1, 9, "first"),
            ("overlaps", 3, 1, 3, "third"),
        ]


def test_what_is_old_is_dropped_and_the_rest_stays(store: SqlStore) -> None:
    register(store)
    with store.writing() as books:
        books.samples.add([Metered(window(n, gpu), IdleState.ACTIVE, A) for gpu in GPUS for n in (1, 2, 3)])
        books.samples.add([Metered(window(9, start=2 * MS_PER_HOUR), IdleState.ACTIVE, A)])
    with store.writing() as books:
        assert books.samples.prune(Instant(30_000), Instant(0), devices=1) == 1
        assert books.samples.prune(Instant(30_000), Instant(MS_PER_HOUR)) == 3
        assert books.samples.prune(Instant(30_000), Instant(MS_PER_HOUR)) == 0
    with store.reading() as books:
        assert [s.sequence for s in books.samples.windows(GPUS, Instant(0), Instant(10**9))] == [2, 2, 3, 3, 9]
        assert [hour.hour for hour in books.samples.hours()] == [2 * MS_PER_HOUR]


def test_a_watch_is_kept_until_its_attempt_ends(store: SqlStore) -> None:
    clock = IdleClock(Instant(1), Instant(5), 30, ((Instant(5), Instant(35)),), (Instant(20),), keep_alives=1)
    with store.writing() as books:
        books.idleness.save_watches(
            [IdleWatch(A, Instant(35), clock), IdleWatch(AttemptId("a-2"), Instant(1), clock)]
        )
        books.idleness.save_watches([IdleWatch(A, Instant(50), clock)], ended=[AttemptId("a-2")])
    with store.reading() as books:
        assert books.idleness.watches() == [IdleWatch(A, Instant(50), clock)]
        assert books.idleness.watch(A) == IdleWatch(A, Instant(50), clock)
        assert books.idleness.watch(AttemptId("a-2")) is None


def test_an_exemption_ends_when_it_expires_or_is_withdrawn(store: SqlStore) -> None:
    w = WORKLOAD
    exemption = Exemption(w.id, "a demo tomorrow", "ada", Instant(1), Instant(100))
    with store.writing() as books:
        books.workloads.add([w])
        books.idleness.exempt(exemption)
        books.idleness.exempt(replace(exemption, why="a demo today"))
    with store.writing() as books:
        assert books.idleness.exemptions(Instant(99)) == {w.id: replace(exemption, why="a demo today")}
        assert books.idleness.exemptions(Instant(100)) == {}
        books.idleness.withdraw(w.id)
        assert books.idleness.exemptions(Instant(1)) == {}


def test_a_decision_keeps_the_readings_it_rests_on(store: SqlStore) -> None:
    w, a = WORKLOAD, ATTEMPT
    point = CurvePoint(Instant(1), Instant(2), "idle-held", 0, 0, 70_000)
    decision = IdleDecision(a.id, w.id, Instant(9), Instant(1), 8, IdleAction.SUSPEND, True, "", 500, (point,))
    with store.writing() as books:
        books.workloads.add([w])
        books.attempts.add([a])
        books.idleness.decide([decision, replace(decision, is_taken=False, hindrance="dry-run")])
    with store.reading() as books:
        found = books.idleness.decisions(workload_id=w.id)
        assert found == [replace(decision, is_taken=False, hindrance="dry-run", seq=2), replace(decision, seq=1)]
        assert books.idleness.decisions(attempts=[a.id], limit=1) == found[:1]
        assert books.idleness.decisions(workload_id=WorkloadId("w-none")) == []


def test_a_misuse_is_one_row_that_grows(store: SqlStore) -> None:
    first = Misuse(
        *(MisuseKind.HOST_PROCESS, N, GPUS[0], 4242, 7, "miner", None, None, None, Instant(5), Instant(9)), windows=2
    )
    later = replace(first, last_at=Instant(20), windows=3, memory_bytes_max=8)
    other = replace(first, kind=MisuseKind.OTHER_POD, last_at=Instant(1))
    with store.writing() as books:
        books.samples.note_misuses([first, other])
        books.samples.note_misuses([later])
    with store.reading() as books:
        assert books.samples.misuses(Instant(0)) == [later, other]
        assert books.samples.misuses(Instant(2)) == [later]
