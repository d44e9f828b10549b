"""What any libnvidia-ml.so.1 must do for us: the same assertions on the fake, and with ALLOT_REAL_NVML=1
(`make test-gpu`) on the driver's own. What differs on hardware belongs in docs/nvml.md, and the fake in line with it.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from scheduler.metering.devices import ProcessView
from scheduler.metering.samples import Reading, Sample
from tests.nvml.machine import FakeMachine, Gpu, Job, Machine
from tests.nvml.scenario import REPOSITORY, run, write_proc, write_process

IS_REAL = os.environ.get("ALLOT_REAL_NVML") == "1"
T = 1_800_000_000_000
STEP_MS = 2_000
WATTS_MAX = 2_000
"""No GPU sold draws more: a power that is in another unit would show."""

PROBE = """
import json, time, pynvml as n
def code(call, *arguments):
    try:
        call(*arguments)
        return 0
    except n.NVMLError as error:
        return int(error.value)
before_init = code(n.nvmlDeviceGetCount)
n.nvmlInit()
gpu = n.nvmlDeviceGetHandleByIndex(0)
one = n.nvmlDeviceGetMemoryInfo(gpu)
two = n.nvmlDeviceGetMemoryInfo(gpu, version=n.nvmlMemory_v2)
kind, samples = n.nvmlDeviceGetSamples(gpu, n.NVML_GPU_UTILIZATION_SAMPLES, 0)
stamps = [s.timeStamp for s in samples]
newer = n.nvmlDeviceGetSamples(gpu, n.NVML_GPU_UTILIZATION_SAMPLES, stamps[-3])[1] if len(stamps) > 3 else []
events = n.nvmlEventSetCreate()
n.nvmlDeviceRegisterEvents(gpu, n.nvmlEventTypeXidCriticalError, events)
print(json.dumps({
    "before_init": before_init,
    "same_by_uuid": n.nvmlDeviceGetUUID(n.nvmlDeviceGetHandleByUUID(n.nvmlDeviceGetUUID(gpu))) == n.nvmlDeviceGetUUID(gpu),
    "unknown_uuid": code(n.nvmlDeviceGetHandleByUUID, "GPU-00000000-0000-0000-0000-000000000000"),
    "index_too_high": code(n.nvmlDeviceGetHandleByIndex, n.nvmlDeviceGetCount()),
    "v1": [one.total, one.free, one.used],
    "v2": [two.total, two.free, two.used, two.reserved],
    "sample_kind": kind,
    "stamps": stamps,
    "percents": [s.sampleValue.uiVal for s in samples],
    "newer": [s.timeStamp for s in newer],
    "future": code(n.nvmlDeviceGetSamples, gpu, n.NVML_GPU_UTILIZATION_SAMPLES, 2**62),
    "future_processes": code(n.nvmlDeviceGetProcessUtilization, gpu, 2**62),
    "no_event": code(n.nvmlEventSetWait_v2, events, 0),
    "power": n.nvmlDeviceGetPowerUsage(gpu),
}))
"""


def machine() -> Machine:
    jobs = (Job(0, pid=100, start_ms=T - 60_000, duty_permille=400), Job(1, pid=200, start_ms=T - 60_000))
    gpus = (Gpu("GPU-11111111-2222-3333-4444-555555555555"), Gpu("GPU-21111111-2222-3333-4444-555555555555"))
    return Machine(gpus, jobs, booted_ms=T - 3_600_000)


@pytest.fixture
def fake_machine(request: pytest.FixtureRequest) -> FakeMachine | None:
    """None on a real library."""
    if IS_REAL:
        return None
    fake: FakeMachine = request.getfixturevalue("fake")
    fake.describe(machine())
    fake.set_time(T)
    return fake


@pytest.fixture
def found(fake_machine: FakeMachine | None, tmp_path: Path) -> list[Reading]:
    if fake_machine is None:
        outcomes = run(["0", *[str(STEP_MS)] * 3], Path("/proc"), dict(os.environ))
    else:
        proc = write_proc(tmp_path / "proc")
        write_process(proc, 100)
        write_process(proc, 200)
        steps = [str(T + n * STEP_MS) for n in range(4)]
        outcomes = run(steps, proc, dict(fake_machine.environment()))
    readings = [each for each in outcomes if isinstance(each, Reading)]
    assert len(readings) == 4, outcomes
    return readings


@pytest.fixture
def probe(fake_machine: FakeMachine | None) -> dict[str, Any]:
    environment = os.environ if fake_machine is None else fake_machine.environment()
    child = subprocess.run(
        [sys.executable, "-c", PROBE], env=dict(environment), cwd=REPOSITORY, stdout=subprocess.PIPE, check=True
    )
    answers: dict[str, Any] = json.loads(child.stdout)
    return answers


def whole_gpu_samples(found: list[Reading]) -> list[list[Sample]]:
    """Per whole GPU, its samples in time."""
    whole = [device.gpu_uuid for device in found[0].devices if device.parent_uuid is None]
    return [[sample for reading in found for sample in reading.samples if sample.gpu_uuid == uuid] for uuid in whole]


def test_every_device_has_an_identity_and_a_sample_in_every_reading(found: list[Reading]) -> None:
    for reading in found:
        assert reading.has_driver
        assert reading.driver_version
        assert len(reading.devices) > 0
        uuids = [device.gpu_uuid for device in reading.devices]
        assert len(set(uuids)) == len(uuids)
        assert all(uuid.startswith(("GPU-", "MIG-")) for uuid in uuids)
        assert [sample.gpu_uuid for sample in reading.samples] == uuids
        assert all(device.model and device.memory_bytes for device in reading.devices)


def test_utilisation_covers_the_time_between_readings_and_no_more(found: list[Reading]) -> None:
    for samples in whole_gpu_samples(found):
        for sample in samples[1:]:
            if sample.utilization is None:
                assert any(each.field.startswith("utilization") for each in sample.absences)
                continue
            assert 0 < sample.utilization.covered_us <= STEP_MS * 1_000 + 1_500_000
            assert 0 <= sample.utilization.percent_us <= 100 * sample.utilization.covered_us
            assert 0 <= sample.utilization.max_percent <= 100


def test_memory_is_within_what_there_is(found: list[Reading]) -> None:
    for sample in (sample for reading in found for sample in reading.samples):
        assert sample.memory_total_bytes is not None
        assert sample.memory_used_bytes is not None
        assert 0 <= sample.memory_used_bytes <= sample.memory_total_bytes


def test_energy_rises_by_a_power_that_a_gpu_can_draw(found: list[Reading]) -> None:
    for samples in whole_gpu_samples(found):
        first, last = samples[0], samples[-1]
        if first.energy_millijoules is None or last.energy_millijoules is None:
            assert any(each.field == "energy" for each in first.absences)
            continue
        seconds = (last.at - first.at) / 1_000
        assert 0 < (last.energy_millijoules - first.energy_millijoules) / 1_000 / seconds < WATTS_MAX


def test_processes_are_ones_that_this_host_has(found: list[Reading]) -> None:
    for reading in found:
        for sample in reading.samples:
            if reading.process_view is ProcessView.UNAVAILABLE:
                assert sample.processes is None
            for use in sample.processes or ():
                assert use.pid > 0
                assert use.started_ticks is not None
                assert use.memory_bytes is None or use.memory_bytes <= (sample.memory_total_bytes or 0)


def test_profiling_metrics_are_shares(found: list[Reading]) -> None:
    for reading in found[1:]:
        for device, sample in zip(reading.devices, reading.samples, strict=True):
            assert (sample.activity is not None) == device.has_profiling or sample.absences
            if sample.activity is not None:
                assert 0 <= (sample.activity.sm_permille or 0) <= 1_000


def test_the_library_wants_initialising_first(probe: dict[str, Any]) -> None:
    assert probe["before_init"] == 1


def test_a_device_is_found_by_its_uuid_and_nothing_else_is(probe: dict[str, Any]) -> None:
    assert probe["same_by_uuid"]
    assert probe["unknown_uuid"] in {2, 6}
    assert probe["index_too_high"] == 2


def test_memory_adds_up_in_both_structs(probe: dict[str, Any]) -> None:
    total, free, used = probe["v1"]
    assert total == free + used
    total, free, used, reserved = probe["v2"]
    assert total == free + used + reserved


def test_samples_are_stamped_in_order_and_a_cursor_leaves_out_what_was_seen(probe: dict[str, Any]) -> None:
    stamps = probe["stamps"]
    assert probe["sample_kind"] == 1
    assert stamps == sorted(stamps)
    assert all(percent <= 100 for percent in probe["percents"])
    if len(stamps) > 3:
        assert probe["newer"][: len(stamps[-2:])] == stamps[-2:]


def test_nothing_newer_is_not_found_and_no_event_is_a_timeout(probe: dict[str, Any]) -> None:
    assert probe["future"] == 6
    assert probe["future_processes"] in {0, 6}
    assert probe["no_event"] == 10


def test_power_is_in_milliwatts(probe: dict[str, Any]) -> None:
    assert 1_000 < probe["power"] < WATTS_MAX * 1_000
