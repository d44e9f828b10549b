"""What the sensors make of a described machine, in its own time: an hour passes in a second."""

from pathlib import Path

import pytest

from scheduler.domain.units import PodUid
from scheduler.metering.devices import Health, ProcessView
from scheduler.metering.samples import Activity, ProcessUse, Reading, UtilizationSource
from tests.nvml.machine import GIB, Ecc, EnergyReset, FakeMachine, Fault, Gpu, Job, Latch, Machine, Mig, Xid
from tests.nvml.scenario import of, outcomes, readings, write_proc, write_process

T = 1_800_000_000_000
POD = "0f3c1e52-8a4b-4c1d-9e77-5a6b7c8d9e0f"
OTHER_POD = "1a4d2f63-9b5c-4d2e-8f88-6b7c8d9e0f1a"
CONTAINER = "ab" * 32
A, B = Gpu("GPU-a"), Gpu("GPU-b", bus="00000000:2a:00.0", minor=1)


def every(step_ms: int, until_ms: int) -> list[int]:
    return list(range(T, T + until_ms + 1, step_ms))


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    """A /proc with one process in a pod, one of the host's, and nobody else."""
    root = write_proc(tmp_path / "proc")
    write_process(root, 100, f"0::/kubepods/burstable/pod{POD}/{CONTAINER}", started_ticks=7)
    write_process(root, 200, "0::/system.slice/dcgm.service")
    return root


def test_an_hour_of_utilisation_is_read_without_missing_a_burst(fake: FakeMachine, proc: Path) -> None:
    burst = Job(0, pid=100, start_ms=T - 60_000, period_ms=60_000, duty_permille=20)
    fake.describe(Machine((A,), (burst,), booted_ms=T - 3_600_000))
    hour = [sample.utilization for sample in of(readings(fake, every(5_000, 3_600_000), proc), "GPU-a")]
    seen = [utilization for utilization in hour if utilization is not None]
    assert {utilization.source for utilization in seen} == {UtilizationSource.SAMPLES}
    covered_us = sum(utilization.covered_us for utilization in seen)
    assert covered_us == pytest.approx(3_600_000_000, abs=200_000)
    assert sum(utilization.percent_us for utilization in seen) / covered_us == pytest.approx(2.0, abs=0.05)
    assert sum(utilization.max_percent == 100 for utilization in seen) == 60


def test_energy_is_the_integral_of_power_between_any_two_readings(fake: FakeMachine, proc: Path) -> None:
    job = Job(0, pid=100, start_ms=T, end_ms=T + 1_800_000, duty_permille=500, context_mw=20_000, active_mw=400_000)
    fake.describe(Machine((A,), (job,), booted_ms=T - 1_000))
    first, *_, last = of(readings(fake, every(5_000, 3_600_000), proc), "GPU-a")
    assert first.energy_millijoules is not None
    assert last.energy_millijoules is not None
    joules = (last.energy_millijoules - first.energy_millijoules) / 1_000
    assert joules == pytest.approx(70 * 3_600 + (20 + 200) * 1_800, rel=0.01)


def test_a_counter_that_is_reset_is_handed_on_as_it_is(fake: FakeMachine, proc: Path) -> None:
    fake.describe(Machine((A,), (EnergyReset(0, at_ms=T + 7_000),), booted_ms=T - 100_000))
    counters = [sample.energy_millijoules for sample in of(readings(fake, every(5_000, 10_000), proc), "GPU-a")]
    assert counters == [7_000_000, 7_350_000, 210_000]


def test_a_counter_that_no_machine_can_have_counted_is_absent(fake: FakeMachine, proc: Path) -> None:
    """The fake's millijoules since 1970 do not fit into 63 bits: as little as a driver's that was never written."""
    fake.describe(Machine((A,), booted_ms=0))
    (sample,) = of(readings(fake, [T], proc), "GPU-a")
    assert sample.energy_millijoules is None
    assert ("energy", "IMPLAUSIBLE") in [(each.field, each.code) for each in sample.absences]


def test_a_process_is_told_with_its_pod_its_memory_and_its_share(fake: FakeMachine, proc: Path) -> None:
    worker = Job(0, pid=100, start_ms=T - 60_000, memory_bytes=3 * GIB, duty_permille=1_000)
    fake.describe(Machine((A,), (worker,), booted_ms=T - 60_000))
    _, sample = of(readings(fake, every(5_000, 5_000), proc), "GPU-a")
    assert sample.processes == (ProcessUse(100, 7, 3 * GIB, 100, PodUid(POD), CONTAINER),)
    assert sample.memory_used_bytes == 3 * GIB


def test_a_process_that_is_only_sampled_is_seen_and_one_that_ended_is_not(fake: FakeMachine, proc: Path) -> None:
    hidden = Job(0, pid=200, start_ms=T - 60_000, listed=False)
    ended = Job(0, pid=999, start_ms=T - 60_000)
    fake.describe(Machine((A,), (hidden, ended), booted_ms=T - 60_000))
    _, sample = of(readings(fake, every(5_000, 5_000), proc), "GPU-a")
    assert sample.processes is not None
    assert [(use.pid, use.memory_bytes, use.pod_uid) for use in sample.processes] == [(200, None, None)]


def test_graphics_and_clients_of_mps_are_on_the_gpu_with_their_pods(fake: FakeMachine, proc: Path) -> None:
    """MPS lists its clients apart from other processes, and the server, which is the host's, among these."""
    write_process(proc, 300, f"0::/kubepods/burstable/pod{OTHER_POD}/{'cd' * 32}")
    graphics, mps = 1, 2
    client = Job(0, pid=100, start_ms=T - 60_000, kind=mps, memory_bytes=2 * GIB)
    other = Job(0, pid=300, start_ms=T - 60_000, kind=mps, memory_bytes=GIB)
    server = Job(0, pid=200, start_ms=T - 60_000, kind=graphics, memory_bytes=GIB // 4, duty_permille=0)
    fake.describe(Machine((A,), (client, other, server), booted_ms=T - 60_000))
    _, sample = of(readings(fake, every(5_000, 5_000), proc), "GPU-a")
    assert sample.processes is not None
    assert [(use.pid, use.pod_uid, use.memory_bytes) for use in sample.processes] == [
        (100, POD, 2 * GIB),
        (200, None, GIB // 4),
        (300, OTHER_POD, GIB),
    ]


def test_uncorrected_errors_of_memory_are_counted_from_when_they_happen(fake: FakeMachine, proc: Path) -> None:
    fake.describe(Machine((A, B), (Ecc(0, at_ms=T + 3_000, count=2), Ecc(0, at_ms=T + 8_000)), booted_ms=T - 60_000))
    read = readings(fake, every(5_000, 10_000), proc)
    assert [sample.ecc_uncorrected for sample in of(read, "GPU-a")] == [0, 2, 3]
    assert [sample.ecc_uncorrected for sample in of(read, "GPU-b")] == [0, 0, 0]


def test_users_from_before_the_agent_looked_are_not_reported(fake: FakeMachine, proc: Path) -> None:
    earlier = Job(0, pid=100, start_ms=T - 9_000, end_ms=T - 3_000)
    fake.describe(Machine((A,), (earlier,), booted_ms=T - 60_000))
    samples = of(readings(fake, every(5_000, 10_000), proc), "GPU-a")
    assert [sample.processes for sample in samples] == [(), (), ()]


def test_an_idle_gpu_has_no_processes_and_lacks_nothing(fake: FakeMachine, proc: Path) -> None:
    fake.describe(Machine((A,), booted_ms=T - 60_000))
    _, sample = of(readings(fake, every(5_000, 5_000), proc), "GPU-a")
    assert (sample.processes, sample.absences, sample.is_clocked_idle) == ((), (), True)


def test_without_the_hosts_pids_nobody_is_reported_rather_than_no_one(fake: FakeMachine, tmp_path: Path) -> None:
    contained = write_proc(tmp_path / "contained", namespace="pid:[4026532836]")
    fake.describe(Machine((A,), (Job(0, pid=100, start_ms=T),), booted_ms=T - 60_000))
    reading = readings(fake, every(5_000, 0), contained)[0]
    assert reading.process_view is ProcessView.UNAVAILABLE
    assert reading.samples[0].processes is None
    assert [(each.field, each.code) for each in reading.samples[0].absences] == [("processes", "PID_NAMESPACE")]


def test_longer_process_structs_of_an_old_driver_accuse_nobody(fake: FakeMachine, proc: Path) -> None:
    old = Gpu("GPU-a", process_struct_bytes=32)
    jobs = (Job(0, pid=100, start_ms=T - 1_000), Job(0, pid=200, start_ms=T - 1_000))
    fake.describe(Machine((old,), jobs, booted_ms=T - 60_000))
    sample = of(readings(fake, every(5_000, 0), proc), "GPU-a")[0]
    assert sample.processes is None
    assert ("processes", "STRUCT_SKEW") in [(each.field, each.code) for each in sample.absences]


def test_a_driver_without_the_second_memory_struct_is_asked_the_first(fake: FakeMachine, proc: Path) -> None:
    old = Gpu("GPU-a", memory_v2=False, reserved_bytes=GIB)
    fake.describe(Machine((old,), (Job(0, pid=100, start_ms=T, memory_bytes=2 * GIB),), booted_ms=T - 60_000))
    sample = of(readings(fake, every(5_000, 0), proc), "GPU-a")[0]
    assert (sample.memory_used_bytes, sample.memory_total_bytes) == (3 * GIB, 80 * GIB)


ABSENT = {
    "not supported": (3, "NOT_SUPPORTED"),
    "not permitted": (4, "NO_PERMISSION"),
    "no such symbol": (13, "FUNCTION_NOT_FOUND"),
    "another version": (25, "ARGUMENT_VERSION_MISMATCH"),
    "a code of a later driver": (777, "CODE_777"),
}


@pytest.mark.parametrize(("result", "code"), ABSENT.values(), ids=ABSENT.keys())
def test_a_value_that_cannot_be_had_is_absent_with_its_reason(
    fake: FakeMachine, proc: Path, result: int, code: str
) -> None:
    broken = ("nvmlDeviceGetPowerUsage", "nvmlDeviceGetTotalEnergyConsumption", "nvmlDeviceGetMemoryInfo_v2")
    faults = [Fault(result, call=call) for call in (*broken, "nvmlDeviceGetMemoryInfo", "nvmlDeviceGetSamples")]
    faults += [Fault(result, call="nvmlDeviceGetUtilizationRates"), Fault(result, call="nvmlDeviceGetTotalEccErrors")]
    faults += [Fault(result, call="nvmlDeviceGetComputeRunningProcesses_v3"), Fault(result, call="nvmlGpmSampleGet")]
    fake.describe(Machine((A,), tuple(faults), booted_ms=T - 60_000))
    _, sample = of(readings(fake, every(5_000, 5_000), proc), "GPU-a")
    assert sample.health is Health.OK
    assert (sample.power_milliwatts, sample.energy_millijoules, sample.memory_used_bytes) == (None, None, None)
    assert (sample.utilization, sample.ecc_uncorrected, sample.processes, sample.activity) == (None,) * 4
    assert {each.code for each in sample.absences} == {code}


def test_a_gauge_stands_in_for_samples_that_the_driver_does_not_keep(fake: FakeMachine, proc: Path) -> None:
    fake.describe(
        Machine(
            (A,), (Job(0, pid=100, start_ms=T - 60_000), Fault(3, call="nvmlDeviceGetSamples")), booted_ms=T - 90_000
        )
    )
    first, second = of(readings(fake, every(5_000, 5_000), proc), "GPU-a")
    assert first.utilization is None
    assert second.utilization is not None
    assert (second.utilization.source, second.utilization.percent_us) == (UtilizationSource.GAUGE, 500_000_000)


@pytest.mark.parametrize("result", [15, 16], ids=["lost", "reset required"])
def test_a_lost_gpu_is_unhealthy_and_absent_while_the_other_is_read(
    fake: FakeMachine, proc: Path, result: int
) -> None:
    fake.describe(
        Machine((A, B), (Fault(result, gpu=0, from_ms=T + 4_000), Xid(0, T + 3_000, 79)), booted_ms=T - 60_000)
    )
    found = readings(fake, every(5_000, 70_000), proc)
    lost, other = of(found, "GPU-a"), of(found, "GPU-b")
    assert [sample.health for sample in lost[:2]] == [Health.OK, Health.UNHEALTHY]
    assert (lost[1].xids, lost[1].utilization, lost[1].memory_used_bytes, lost[1].processes) == (
        (79,),
        None,
        None,
        None,
    )
    assert [device.health for device in found[-1].devices] == [Health.UNHEALTHY, Health.OK]
    assert len(other) == len(found)
    assert all(sample.utilization is not None for sample in other[1:])


def test_a_gpu_lost_before_anyone_read_its_name_is_counted(fake: FakeMachine, proc: Path) -> None:
    fake.describe(Machine((A, B), (Fault(15, gpu=0),), booted_ms=T - 60_000))
    reading = readings(fake, every(5_000, 0), proc)[0]
    assert ([device.gpu_uuid for device in reading.devices], reading.unidentified_devices) == (["GPU-b"], 1)


@pytest.mark.parametrize(("result", "code"), [(9, "DRIVER_NOT_LOADED"), (12, "LIBRARY_NOT_FOUND")])
def test_a_node_without_a_driver_is_not_a_node_with_idle_gpus(
    fake: FakeMachine, proc: Path, result: int, code: str
) -> None:
    fake.describe(Machine((A,), (Fault(result, until_ms=T + 4_000),), booted_ms=T - 60_000))
    without, with_driver = readings(fake, every(5_000, 5_000), proc)
    assert (without.has_driver, without.driver_error, without.samples) == (False, code, ())
    assert with_driver.has_driver
    assert len(with_driver.samples) == 1


def test_a_library_that_wants_initialising_after_a_second_try_is_left_to_a_fresh_process(
    fake: FakeMachine, proc: Path
) -> None:
    uninitialized = 1
    forgotten = Fault(uninitialized, call="nvmlDeviceGetMemoryInfo_v2", from_ms=T + 4_000)
    fake.describe(Machine((A,), (forgotten,), booted_ms=T - 60_000))
    first, second = outcomes(fake, every(5_000, 10_000), proc)
    assert isinstance(first, Reading)
    assert second == "MustRestart: NVML says that it is not initialised right after nvmlInit"


def test_an_unknown_error_asks_for_a_fresh_process(fake: FakeMachine, proc: Path) -> None:
    revoked = Fault(999, call="nvmlDeviceGetMemoryInfo_v2", from_ms=T + 4_000)
    fake.describe(Machine((A,), (revoked,), booted_ms=T - 60_000))
    assert outcomes(fake, every(5_000, 10_000), proc)[1] == "MustRestart: UNKNOWN"


def test_a_mig_instance_is_read_by_profiling_alone_and_has_no_power(fake: FakeMachine, proc: Path) -> None:
    migs = (Mig(0, "MIG-x", index=1, gi=7), Mig(0, "MIG-y", index=4, gi=9))
    job = Job(0, pid=100, gi=7, ci=0, start_ms=T - 60_000, duty_permille=500, memory_bytes=GIB)
    fake.describe(Machine((A,), (*migs, job), booted_ms=T - 60_000))
    found = readings(fake, every(5_000, 5_000), proc)
    assert [(d.gpu_uuid, d.index, d.parent_uuid, d.mig_profile) for d in found[0].devices] == [
        ("GPU-a", 0, None, None),
        ("MIG-x", 0, "GPU-a", "1g.10gb"),
        ("MIG-y", 0, "GPU-a", "1g.10gb"),
    ]
    busy, idle, whole = (of(found, uuid)[1] for uuid in ("MIG-x", "MIG-y", "GPU-a"))
    assert busy.activity == Activity(5_000_000, 400, 200, 150, 100)
    assert idle.activity == Activity(5_000_000, 0, 0, 0, 0)
    assert (busy.utilization, busy.power_milliwatts, busy.energy_millijoules) == (None, None, None)
    assert (busy.memory_used_bytes, busy.memory_total_bytes) == (GIB, 10 * GIB)
    assert [len(sample.processes or ()) for sample in (busy, idle, whole)] == [1, 0, 0]
    assert whole.energy_millijoules is not None


def test_a_process_is_on_its_own_compute_instance_of_several_that_share_slices(fake: FakeMachine, proc: Path) -> None:
    migs = (
        Mig(0, "MIG-x", index=0, gi=1, ci=0),
        Mig(0, "MIG-y", index=1, gi=1, ci=1),
        Mig(0, "MIG-z", index=2, gi=2),
    )
    job = Job(0, pid=100, gi=1, ci=1, start_ms=T - 60_000, memory_bytes=GIB)
    fake.describe(Machine((A,), (*migs, job), booted_ms=T - 60_000))
    (reading,) = readings(fake, [T], proc)
    assert {sample.gpu_uuid: [use.pid for use in sample.processes or ()] for sample in reading.samples} == {
        "GPU-a": [],
        "MIG-x": [],
        "MIG-y": [100],
        "MIG-z": [],
    }


def test_an_a100_has_no_utilisation_for_its_instances_at_all(fake: FakeMachine, proc: Path) -> None:
    a100 = Gpu("GPU-a", name="NVIDIA A100-SXM4-80GB", architecture=7, gpm=False)
    fake.describe(Machine((a100,), (Mig(0, "MIG-x", index=0, gi=1),), booted_ms=T - 60_000))
    _, sample = of(readings(fake, every(5_000, 5_000), proc), "MIG-x")
    assert (sample.utilization, sample.activity) == (None, None)


def test_samples_come_through_a_latched_gauge_as_the_driver_tells_them(fake: FakeMachine, proc: Path) -> None:
    fake.describe(Machine((A,), (Latch(0, from_ms=T, until_ms=T + 20_000),), booted_ms=T - 60_000))
    sample = of(readings(fake, every(5_000, 10_000), proc), "GPU-a")[2]
    assert sample.utilization is not None
    assert (sample.utilization.max_percent, sample.processes, sample.power_milliwatts) == (100, (), 70_000)


def test_a_clock_that_goes_back_costs_no_more_than_the_readings_until_it_is_set(
    fake: FakeMachine, proc: Path
) -> None:
    fake.describe(Machine((A,), (Job(0, pid=100, start_ms=T - 9_000_000),), booted_ms=T - 9_000_000))
    hour = 3_600_000
    samples = of(readings(fake, [T, T + 5_000, T - hour, T - hour + 5_000, T - hour + 10_000], proc), "GPU-a")
    assert samples[-1].utilization is not None
    assert samples[-1].utilization.source is UtilizationSource.SAMPLES
    assert samples[-1].utilization.percent_us == 100 * samples[-1].utilization.covered_us
