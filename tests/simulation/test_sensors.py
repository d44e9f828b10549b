"""Simulated sensors: what their windows say follows from who has the GPU, and adds up."""

from dataclasses import replace

import pytest

from scheduler.domain.cluster import Placement
from scheduler.domain.units import MS_PER_MINUTE, AttemptId, Instant, PodUid
from scheduler.metering.windows import Flag, Window
from scheduler.simulation.agents import SimulatedAgents
from scheduler.simulation.fates import Fate, Pattern
from scheduler.simulation.machines import H100
from scheduler.simulation.model import ClusterModel
from scheduler.simulation.sensors import Occupant, SimulatedSensors, busy_percent, gpu_uuid
from tests.simulation.test_cluster_model import T0, A, launch, machine, workload


def sensed(pattern: Pattern, minutes: int, *, lost_after: int | None = None) -> list[Window]:
    """The windows of one node on which a job has the first of eight GPUs."""
    model = ClusterModel((machine(A),), lambda _: Fate(run_ms=None, start_ms=0, pattern=pattern))
    model.advance(T0)
    job = model.create(workload("one"))
    launch(model, job, (A, 1))
    model.advance(Instant(T0 + MS_PER_MINUTE))
    agents = SimulatedAgents(SimulatedSensors(lambda: model), "boot")
    windows: list[Window] = []
    for minute in range(minutes):
        if minute == lost_after:
            model.lose(A)
        model.advance(Instant(T0 + (minute + 1) * MS_PER_MINUTE))
        windows += agents.observe(model.now)
    return windows + agents.close()


def of_gpu(windows: list[Window], index: int) -> list[Window]:
    return [window for window in windows if window.gpu_uuid == gpu_uuid(A, index)]


def mean_permille(windows: list[Window]) -> int:
    integrals = [window.utilization for window in windows if window.utilization is not None]
    return sum(i.percent_ms for i in integrals) * 10 // sum(i.covered_ms for i in integrals)


def mean_watts(windows: list[Window]) -> int:
    energies = [window.energy for window in windows if window.energy is not None]
    return sum(e.millijoules for e in energies) // sum(e.covered_ms for e in energies)


def test_windows_follow_each_other_without_hole_or_overlap_and_are_labelled() -> None:
    windows = sensed(Pattern.BUSY, 31)
    assert len(windows) == 8 * 6
    first = of_gpu(windows, 0)
    assert [(w.start, w.end) for w in first] == [
        (T0 + (5 * n + 1) * MS_PER_MINUTE, T0 + (5 * n + 6) * MS_PER_MINUTE) for n in range(6)
    ]
    assert {w.boot_id for w in windows} == {"simulated-boot"}
    assert all(w.covered_ms == w.end - w.start and w.flags == () for w in windows)


def test_a_gpu_in_use_names_its_pod_and_a_free_one_nobody() -> None:
    windows = sensed(Pattern.BUSY, 31)
    (process,) = of_gpu(windows, 0)[-1].processes or ()
    assert process.pod_uid is not None
    free = of_gpu(windows, 1)[-1]
    assert free.processes == ()
    assert (mean_permille([free]), mean_watts([free])) == (0, H100.idle_watts)


@pytest.mark.parametrize(
    ("pattern", "percent", "watts"),
    [
        (Pattern.BUSY, (80, 100), (500, 700)),
        (Pattern.BURSTY, (25, 70), (200, 500)),
        (Pattern.INTERACTIVE, (2, 30), (80, 300)),
        (Pattern.HANG, (97, 100), (80, 160)),
    ],
)
def test_each_pattern_shows_its_utilisation_and_power(
    pattern: Pattern, percent: tuple[int, int], watts: tuple[int, int]
) -> None:
    windows = of_gpu(sensed(pattern, 241), 0)
    assert percent[0] * 10 <= mean_permille(windows) <= percent[1] * 10
    assert watts[0] <= mean_watts(windows) <= watts[1]


def test_an_idle_sandbox_holds_memory_and_does_nothing_after_its_first_minutes() -> None:
    later = of_gpu(sensed(Pattern.IDLE, 61), 0)[2:]
    assert mean_permille(later) == 0
    assert mean_watts(later) < H100.idle_watts + 15
    assert all((window.memory_used_bytes_max or 0) > 10**10 for window in later)


def test_a_gpu_does_no_work_before_its_pod_starts() -> None:
    model = ClusterModel((machine(A),), lambda _: Fate(run_ms=None, start_ms=45_000, pattern=Pattern.BUSY))
    model.advance(T0)
    sensors = SimulatedSensors(lambda: model)
    sensors.read(T0)
    job = model.create(workload("one"))
    launch(model, job, (A, 1))
    model.advance(Instant(T0 + 5 * MS_PER_MINUTE))
    (pod,) = job.live_pods
    assert pod.started_at is not None
    assert pod.started_at > T0
    use = next(s for s in sensors.read(model.now).samples if s.gpu_uuid == gpu_uuid(A, 0)).utilization
    assert use is not None
    assert use.covered_us == 5 * MS_PER_MINUTE * 1_000
    assert use.percent_us == use.max_percent * (model.now - pod.started_at) * 1_000


def test_a_node_that_does_not_answer_is_a_gap_and_never_zero() -> None:
    windows = of_gpu(sensed(Pattern.BUSY, 10, lost_after=5), 0)
    assert windows[-1].end == T0 + 5 * MS_PER_MINUTE  # nothing is said of the time in which nobody read


def test_a_node_that_answers_again_shows_what_was_missed_as_a_gap() -> None:
    model = ClusterModel((machine(A),), lambda _: Fate(None, start_ms=0))
    model.advance(T0)
    agents = SimulatedAgents(SimulatedSensors(lambda: model), "boot")
    agents.observe(T0)
    model.advance(Instant(T0 + 20 * MS_PER_MINUTE))
    gap = agents.observe(model.now)[0]
    assert (gap.covered_ms, gap.utilization, gap.flags) == (0, None, (Flag.GAP,))


def test_inventories_name_every_gpu_as_simulated() -> None:
    model = ClusterModel((machine(A),), lambda _: Fate(None))
    agents = SimulatedAgents(SimulatedSensors(lambda: model), "boot")
    (inventory,) = agents.inventories(T0)
    assert SimulatedSensors(lambda: model).is_simulated
    assert (inventory.node, inventory.driver_version, len(inventory.devices)) == (A, "simulated", 8)
    assert inventory.devices[3].model == "NVIDIA H100 80GB HBM3 (simulated)"
    assert inventory.devices[3].gpu_uuid == gpu_uuid(A, 3)


@pytest.mark.parametrize("pattern", Pattern)
def test_utilisation_is_a_percentage_that_is_the_same_when_read_twice(pattern: Pattern) -> None:
    occupant = Occupant(PodUid("p"), pattern, T0)
    for minute in range(500):
        now = Instant(T0 + minute * MS_PER_MINUTE)
        percent = busy_percent(occupant, minute % 8, now)
        assert 0 <= percent <= 100
        assert percent == busy_percent(replace(occupant), minute % 8, now)


def test_gpus_of_a_gang_are_each_taken_once() -> None:
    model = ClusterModel((machine(A),), lambda _: Fate(None, start_ms=0))
    model.advance(T0)
    job = model.create(workload("gang", gpus=4, pods=2))
    model.launch(job, AttemptId("a"), Placement(((A, 2),)))
    model.advance(Instant(T0 + 2 * MS_PER_MINUTE))
    agents = SimulatedAgents(SimulatedSensors(lambda: model), "boot")
    windows: list[Window] = []
    for minute in range(2, 8):
        model.advance(Instant(T0 + minute * MS_PER_MINUTE))
        windows += agents.observe(model.now)
    pods = [str(process.pod_uid) for window in windows for process in window.processes or ()]
    assert sorted(pods) == sorted([uid for uid in job.pods for _ in range(4)])


def test_a_reading_that_is_made_up_for_shows_who_had_the_gpu_then() -> None:
    model = ClusterModel((machine(A),), lambda _: Fate(run_ms=10 * MS_PER_MINUTE, start_ms=0))
    model.advance(T0)
    pods = []
    for name in ("one", "next"):
        job = model.create(workload(name))
        launch(model, job, (A, 1))
        model.advance(Instant(model.now + MS_PER_MINUTE))
        pods += [pod.uid for pod in job.live_pods]
        model.advance(Instant(model.now + 19 * MS_PER_MINUTE))
    sensors = SimulatedSensors(lambda: model)
    look = sensors.look(T0)

    def of_first_gpu(minute: int) -> list[PodUid | None]:
        reading = sensors.read(Instant(T0 + minute * MS_PER_MINUTE), look)
        (sample,) = (each for each in reading.samples if each.gpu_uuid == gpu_uuid(A, 0))
        return [process.pod_uid for process in sample.processes or ()]

    assert [of_first_gpu(minute) for minute in (5, 15, 25, 35)] == [[pods[0]], [], [pods[1]], []]
    assert not sensors.look().occupants, "nobody has it now"
    assert not sensors.look(Instant(T0 + 31 * MS_PER_MINUTE)).occupants, "nor since then"
