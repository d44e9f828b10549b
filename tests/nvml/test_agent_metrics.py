"""What a node's own agent tells Prometheus."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from tests.adapters.kubelet.fake_kubelet import FakeKubelet
from tests.nvml.agent_process import AgentProcess
from tests.nvml.api_server import ApiServer
from tests.nvml.machine import Fault, Job
from tests.nvml.test_agent import NOT_SUPPORTED, machine


def metrics_port(agent: AgentProcess) -> str:
    return agent.log().partition("metrics at port ")[2].split()[0]


async def scraped(agent: AgentProcess) -> dict[str, list[Any]]:
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://127.0.0.1:{metrics_port(agent)}/metrics") as answer,
    ):
        assert answer.status == 200
        return {each.name: each.samples for each in text_string_to_metric_families(await answer.text())}


def used_by(told: dict[str, list[Any]], uuid: str) -> list[Any]:
    return [each for each in told.get("DCGM_FI_DEV_GPU_UTIL", []) if each.labels["UUID"] == uuid]


async def scraped_at_work(agent: AgentProcess, api: ApiServer, uuid: str) -> dict[str, list[Any]]:
    """The metrics once they tell how much a GPU is used: on a busy machine a window may have no sample of that."""
    while not used_by(told := await scraped(agent), uuid):
        await one_more(api, uuid)
    return told


async def one_more(api: ApiServer, uuid: str) -> None:
    taken = len(api.of(uuid))
    await api.until(lambda: len(api.of(uuid)) > taken)


async def test_an_agent_answers_prometheus_for_its_own_node(api: ApiServer, agent_process: AgentProcess) -> None:
    kubelet = FakeKubelet()
    kubelet.pods = {
        ("research", "train-0"): {"nvidia.com/gpu": ["GPU-b"]},
        ("research", "one"): {"nvidia.com/gpu.shared": ["GPU-a::0"]},
        ("research", "two"): {"nvidia.com/gpu.shared": ["GPU-a::1"]},
    }
    agent_process.fake.describe(
        machine(
            Job(1, pid=1, duty_permille=500, period_ms=100), Fault(NOT_SUPPORTED, "nvmlDeviceGetMemoryInfo_v2", 0)
        )
    )
    with TemporaryDirectory(prefix="kubelet-") as folder:
        socket = Path(folder) / "kubelet.sock"
        await api.start()
        with kubelet.serving(socket):
            await agent_process.start(api, "--pod-resources", str(socket), "--metrics", "127.0.0.1:0")
            await api.until(lambda: bool(api.of("GPU-b")) and api.of("GPU-b")[-1].granted is not None)
            told = await scraped_at_work(agent_process, api, "GPU-b")
    await agent_process.end()
    await api.stop()
    busy = {"simulated": "true", "gpu": "1", "UUID": "GPU-b", "Hostname": "node-1", "device": "nvidia1"}
    busy |= {"namespace": "research", "pod": "train-0", "container": "main"}
    (used,) = used_by(told, "GPU-b")
    assert 0 < used.value <= 100
    assert busy.items() <= used.labels.items()
    energy = {each.labels["UUID"]: each for each in told["DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION"]}
    assert energy["GPU-b"].value > energy["GPU-a"].value > 0
    assert (energy["GPU-a"].labels["namespace"], energy["GPU-a"].labels["pod"]) == ("", "")
    absent = {
        (each.labels["UUID"], each.labels["field"], each.labels["code"]) for each in told["allot_gpu_absent_value"]
    }
    assert ("GPU-a", "memory", "NOT_SUPPORTED") in absent
    state = {each.labels["state"]: each.value for each in told["allot_agent_sensor_state"]}
    assert state == {"ok": 1, "no-driver": 0, "restarting": 0, "stuck": 0}
    alone = {name: samples[0].value for name, samples in told.items() if name.startswith("allot_agent") and samples}
    assert (alone["allot_agent_has_pod_resources"], alone["allot_agent_windows_lost"]) == (1, 0)
    assert alone["allot_agent_spool_windows_max"] == 200_000
    assert alone["allot_agent_last_sent_timestamp_seconds"] > 0


async def test_an_agent_whose_port_is_taken_meters_all_the_same(api: ApiServer, agent_process: AgentProcess) -> None:
    agent_process.fake.describe(machine())
    await api.start()
    taken = api.address.removeprefix("http://")
    await agent_process.start(api, "--metrics", taken)
    await api.until(lambda: len(api.of("GPU-a")) > 0)
    assert f"metrics cannot be served at {taken}" in agent_process.log()
    await agent_process.end()
    await api.stop()
