"""The agent end to end: a real process on the fake library, posting to a real HTTP server on loopback."""

import time
from collections.abc import AsyncIterator
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from scheduler.metering.devices import Health
from scheduler.metering.samples import PodRef
from scheduler.metering.windows import Flag, Window
from tests.adapters.kubelet.fake_kubelet import FakeKubelet
from tests.nvml.agent_process import WINDOW_MS, AgentProcess
from tests.nvml.api_server import ApiServer
from tests.nvml.machine import HANG, EnergyReset, Fault, Gpu, Job, Machine

GPUS = (Gpu("GPU-a"), Gpu("GPU-b", bus="00000000:2a:00.0", minor=1))
GPU_IS_LOST = 15
NOT_SUPPORTED = 3


def machine(*script: Job | Fault | EnergyReset) -> Machine:
    return Machine(gpus=GPUS, script=script, booted_ms=now_ms() - 60_000)


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def assert_without_gap_or_duplicate(windows: list[Window]) -> None:
    for before, after in pairwise(windows):
        assert after.sequence == before.sequence + 1
        assert after.start == before.end


def is_whole(window: Window) -> bool:
    length_ms = window.end - window.start
    return WINDOW_MS <= length_ms < 2 * WINDOW_MS and window.covered_ms == length_ms


def health_told(api: ApiServer) -> dict[str, str]:
    """Of every GPU, as the node's latest inventory says."""
    return {device["gpu_uuid"]: device["health"] for device in api.inventories[-1]["devices"]}


@pytest.fixture
async def running(api: ApiServer, agent_process: AgentProcess) -> AsyncIterator[ApiServer]:
    agent_process.fake.describe(machine(Job(0, pid=1, duty_permille=500, period_ms=100)))
    await api.start()
    await agent_process.start(api)
    yield api
    await agent_process.end()
    await api.stop()


async def test_an_agent_tells_its_inventory_and_posts_what_its_gpus_do(running: ApiServer) -> None:
    # On a busy machine some windows are late and longer: the one that is looked at was read throughout.
    await running.until(lambda: any(map(is_whole, running.of("GPU-a"))) and any(map(is_whole, running.of("GPU-b"))))
    inventory = running.inventories[0]
    assert [(d["gpu_uuid"], d["model"], d["health"]) for d in inventory["devices"]] == [
        ("GPU-a", "NVIDIA H100 80GB HBM3", "ok"),
        ("GPU-b", "NVIDIA H100 80GB HBM3", "ok"),
    ]
    assert (inventory["node"], inventory["sensor_state"]) == ("node-1", "ok")
    busy, idle = (next(filter(is_whole, running.of(gpu.uuid))) for gpu in GPUS)
    assert busy.utilization is not None
    assert busy.utilization.percent_ms > 0
    assert idle.utilization is not None
    assert (idle.utilization.percent_ms, idle.utilization.max_percent) == (0, 0)
    assert busy.energy is not None
    assert idle.energy is not None
    assert busy.energy.millijoules > idle.energy.millijoules > 0
    assert_without_gap_or_duplicate(running.of("GPU-a"))


async def test_windows_tell_which_pod_the_kubelet_gave_each_gpu_to(
    api: ApiServer, agent_process: AgentProcess
) -> None:
    kubelet = FakeKubelet()
    kubelet.pods = {("research", "train-0"): {"nvidia.com/gpu": ["GPU-b"], "nvidia.com/gpu.shared": ["GPU-zz::1"]}}
    agent_process.fake.describe(machine())
    with TemporaryDirectory(prefix="kubelet-") as folder:
        socket = Path(folder) / "kubelet.sock"
        await api.start()
        await agent_process.start(api, "--pod-resources", str(socket), "--allocations-ms", "50")
        await api.until(lambda: len(api.of("GPU-a")) >= 2)
        assert {window.granted for window in api.of("GPU-a")} == {None}
        with kubelet.serving(socket):
            await api.until(lambda: api.of("GPU-a")[-1].granted is not None)
            await api.until(lambda: api.of("GPU-b")[-1].granted is not None)
            assert api.of("GPU-a")[-1].granted == ()
            assert api.of("GPU-b")[-1].granted == (PodRef("research", "train-0"),)
            told = len(api.inventories)
            await api.until(lambda: len(api.inventories) > told + 1)
            assert (api.inventories[-1]["has_pod_resources"], api.inventories[-1]["unresolved_allocations"]) == (
                True,
                1,
            )
    await agent_process.end()
    await api.stop()


async def test_windows_tell_which_pods_used_the_cpus(
    api: ApiServer, agent_process: AgentProcess, tmp_path: Path
) -> None:
    pod = "0f3c1e52-8a4b-4c1d-9e77-5a6b7c8d9e0f"
    group = tmp_path / "cgroup" / "cpuacct" / "kubepods" / f"pod{pod}"
    group.mkdir(parents=True)
    (group / "cpuacct.usage").write_text("5000000000\n")
    agent_process.fake.describe(machine())
    await api.start()
    await agent_process.start(api, "--cgroups", str(tmp_path / "cgroup"))
    await api.until(lambda: bool(api.of("GPU-a")) and api.of("GPU-a")[-1].cpu == ())
    used = tmp_path / "used"
    used.write_text("3605000000000\n")
    used.replace(group / "cpuacct.usage")
    await api.until(lambda: any(window.cpu for window in api.of("GPU-a")))
    (seen,) = next(window.cpu for window in api.of("GPU-a") if window.cpu)
    assert seen.pod_uid == pod
    assert seen.millicores > 1_000
    await agent_process.end()
    await api.stop()


async def test_windows_wait_on_disk_while_the_api_is_away_and_none_is_missing_after(running: ApiServer) -> None:
    await running.until(lambda: len(running.of("GPU-a")) >= 2)
    await running.stop()
    stopped_at = now_ms()
    await running.start()
    running.status = 503
    before = running.requests
    await running.until(lambda: running.requests >= before + 4)
    running.status = 200
    await running.until(lambda: running.of("GPU-a")[-1].start > stopped_at + 4 * WINDOW_MS)
    assert_without_gap_or_duplicate(running.of("GPU-a"))
    assert_without_gap_or_duplicate(running.of("GPU-b"))


async def test_windows_whose_answer_was_lost_are_sent_again_under_the_same_identity(running: ApiServer) -> None:
    running.forget_answers = True
    await running.until(lambda: running.duplicates >= 2)
    running.forget_answers = False
    taken = len(running.of("GPU-a"))
    await running.until(lambda: len(running.of("GPU-a")) >= taken + 2)
    assert_without_gap_or_duplicate(running.of("GPU-a"))


@pytest.mark.parametrize("is_killed", [False, True], ids=["stopped", "killed"])
async def test_an_agent_that_starts_again_goes_on_where_it_was(
    running: ApiServer, agent_process: AgentProcess, is_killed: bool
) -> None:
    await running.until(lambda: len(running.of("GPU-a")) >= 3)
    if is_killed:
        await agent_process.kill()
    else:
        assert await agent_process.stop() == 0
    ended_at = now_ms()
    await agent_process.start(running)
    await running.until(lambda: running.of("GPU-a")[-1].start > ended_at)
    windows = running.of("GPU-a")
    assert_without_gap_or_duplicate(windows)
    # A busy machine may keep the agent from sampling at other times too: those gaps are not this test's.
    away = [window for window in windows if window.start <= ended_at < window.end]
    assert [(window.covered_ms, Flag.GAP in window.flags) for window in away] == [(0, True)]
    assert away[0].utilization is None
    assert away[0].energy is not None
    assert away[0].energy.covered_ms == away[0].end - away[0].start


async def test_a_full_spool_loses_its_oldest_and_says_how_many(api: ApiServer, agent_process: AgentProcess) -> None:
    agent_process.fake.describe(machine())
    await api.start()
    api.status = 503
    await agent_process.start(api, "--spool-windows-max", "4")
    try:
        await api.until(lambda: api.requests >= 8)
        api.status = 200
        await api.until(lambda: len(api.inventories) > 0 and len(api.of("GPU-a")) > 0)
        taken_up_to = api.of("GPU-a")[-1].sequence
        await api.until(lambda: api.of("GPU-a")[-1].sequence > taken_up_to)
        assert api.inventories[0]["spool"]["waiting"] == 4
        assert api.inventories[0]["spool"]["lost"] > 0
        # While the first of them are taken others may be the oldest: what is missing has been counted as lost.
        taken = [api.of(gpu.uuid) for gpu in GPUS]
        told = len(api.inventories)
        await api.until(lambda: len(api.inventories) > told)
        missing = sum(each[-1].sequence - each[0].sequence + 1 - len(each) for each in taken)
        assert 0 <= missing < api.inventories[-1]["spool"]["lost"]
    finally:
        await agent_process.end()
        await api.stop()


async def test_a_window_that_the_api_refuses_is_counted_and_does_not_block_the_next(running: ApiServer) -> None:
    await running.until(lambda: len(running.of("GPU-a")) >= 1)
    bad = running.of("GPU-a")[-1].sequence + 2
    running.refuse = lambda window: window.gpu_uuid == "GPU-a" and window.sequence == bad
    await running.until(lambda: running.of("GPU-a")[-1].sequence > bad + 1)
    await running.until(lambda: running.inventories[-1]["spool"]["refused"] == 1)
    assert bad not in [window.sequence for window in running.of("GPU-a")]


async def test_a_batch_that_is_too_large_is_halved_until_it_fits(running: ApiServer) -> None:
    running.status = 503
    before = running.requests
    await running.until(lambda: running.requests >= before + 6)
    running.windows_max = 1
    running.status = 200
    taken = len(running.of("GPU-a"))
    await running.until(lambda: len(running.of("GPU-a")) >= taken + 4)
    assert_without_gap_or_duplicate(running.of("GPU-a"))
    assert running.inventories[-1]["spool"]["refused"] == 0


async def test_an_api_that_forgot_the_node_is_told_the_inventory_again(running: ApiServer) -> None:
    await running.until(lambda: len(running.of("GPU-a")) >= 1)
    running.wants_inventory = True
    told = len(running.inventories)
    await running.until(lambda: len(running.inventories) > told)
    taken = len(running.of("GPU-a"))
    await running.until(lambda: len(running.of("GPU-a")) >= taken + 2)
    assert_without_gap_or_duplicate(running.of("GPU-a"))


async def test_a_token_that_was_replaced_is_read_again(running: ApiServer, agent_process: AgentProcess) -> None:
    await running.until(lambda: len(running.of("GPU-a")) >= 1)
    running.token = "the-next-token"
    before = running.requests
    await running.until(lambda: running.requests > before)
    (agent_process.directory / "token").write_text("the-next-token")
    taken = len(running.of("GPU-a"))
    await running.until(lambda: len(running.of("GPU-a")) >= taken + 2)
    assert_without_gap_or_duplicate(running.of("GPU-a"))


async def test_an_agent_told_nonsense_says_what_and_does_not_start(
    api: ApiServer, agent_process: AgentProcess
) -> None:
    agent_process.fake.describe(machine())
    await agent_process.start(api, "--sample-ms", "0")
    assert agent_process.process is not None
    assert await agent_process.process.wait() == 2
    assert "sample_ms is 0; expected more than 0 [invalid-value]" in agent_process.log()


async def test_an_agent_that_cannot_open_its_spool_says_so(api: ApiServer, agent_process: AgentProcess) -> None:
    agent_process.fake.describe(machine())
    (agent_process.directory / "spool").write_text("a file where the folder ought to be")
    await agent_process.start(api)
    assert agent_process.process is not None
    assert await agent_process.process.wait() == 2
    assert "spool.db cannot be opened:" in agent_process.log()
    assert "Traceback" not in agent_process.log()


async def test_a_gpu_that_is_lost_leaves_the_others_running(running: ApiServer, agent_process: AgentProcess) -> None:
    await running.until(lambda: len(running.of("GPU-a")) >= 2)
    agent_process.fake.describe(machine(Fault(GPU_IS_LOST, gpu=0)))
    await running.until(
        lambda: running.of("GPU-a")[-1].health is Health.UNHEALTHY and running.of("GPU-a")[-1].covered_ms == 0
    )
    lost = running.of("GPU-a")[-1]
    assert (lost.utilization, lost.memory_used_bytes_max, lost.processes, lost.energy) == (None,) * 4
    # Devices are told in posts of their own, of which one may still be on its way.
    await running.until(lambda: health_told(running) == {"GPU-a": "unhealthy", "GPU-b": "ok"})
    others = len(running.of("GPU-b"))
    await running.until(lambda: len(running.of("GPU-b")) >= others + 2)
    assert running.of("GPU-b")[-1].covered_ms > 0


async def test_a_call_that_hangs_costs_a_gap_and_a_new_sampler(
    running: ApiServer, agent_process: AgentProcess
) -> None:
    await running.until(lambda: len(running.of("GPU-a")) >= 2)
    agent_process.fake.describe(machine(Fault(HANG, call="nvmlDeviceGetPowerUsage", until_ms=now_ms() + 1_500)))
    await running.until(lambda: any(Flag.GAP in window.flags for window in running.of("GPU-b")))
    agent_process.fake.describe(machine())
    recovered = running.of("GPU-b")[-1].sequence
    await running.until(lambda: running.of("GPU-b")[-1].sequence > recovered)
    await running.until(lambda: running.inventories[-1]["sampler_restarts"] >= 1)
    assert "restarting" in [each["sensor_state"] for each in running.inventories]
    assert_without_gap_or_duplicate(running.of("GPU-b"))


async def test_an_energy_counter_that_goes_back_begins_anew(running: ApiServer, agent_process: AgentProcess) -> None:
    await running.until(lambda: len(running.of("GPU-b")) >= 2)
    agent_process.fake.describe(machine(EnergyReset(1, at_ms=now_ms())))
    await running.until(lambda: any(Flag.COUNTER_RESET in window.flags for window in running.of("GPU-b")))
    reset = next(window for window in running.of("GPU-b") if Flag.COUNTER_RESET in window.flags)
    await running.until(lambda: running.of("GPU-b")[-1].sequence > reset.sequence)
    after = running.of("GPU-b")[-1]
    assert reset.energy is None or reset.energy.covered_ms < reset.end - reset.start
    assert after.energy is not None
    assert after.energy.covered_ms == after.end - after.start


async def test_what_a_gpu_cannot_tell_stays_absent(running: ApiServer, agent_process: AgentProcess) -> None:
    agent_process.fake.describe(
        machine(
            Fault(NOT_SUPPORTED, call="nvmlDeviceGetTotalEnergyConsumption"),
            Fault(NOT_SUPPORTED, call="nvmlDeviceGetPowerUsage"),
            Fault(NOT_SUPPORTED, call="nvmlDeviceGetSamples"),
            Fault(NOT_SUPPORTED, call="nvmlDeviceGetUtilizationRates"),
        )
    )
    described_at = now_ms()
    await running.until(lambda: len(running.of("GPU-a")) > 0 and running.of("GPU-a")[-1].start > described_at)
    window = running.of("GPU-a")[-1]
    assert (window.utilization, window.energy, window.power_milliwatts_max) == (None, None, None)
    assert window.memory_used_bytes_max == 0
    assert window.covered_ms > 0


async def test_a_node_without_a_driver_says_so_until_it_has_one(api: ApiServer, agent_process: AgentProcess) -> None:
    driver_not_loaded = 9
    agent_process.fake.describe(machine(Fault(driver_not_loaded)))
    await api.start()
    await agent_process.start(api)
    try:
        await api.until(lambda: len(api.inventories) > 0)
        assert api.inventories[0]["sensor_state"] == "no-driver"
        assert api.inventories[0]["driver_error"] == "DRIVER_NOT_LOADED"
        assert api.windows == {}
        agent_process.fake.describe(machine())
        await api.until(lambda: len(api.of("GPU-a")) > 0)
        await api.until(lambda: api.inventories[-1]["sensor_state"] == "ok")
    finally:
        await agent_process.end()
        await api.stop()
