from typing import Any

import orjson
import pytest

from scheduler.domain.errors import InvalidInput, RefusalCode
from scheduler.domain.units import MS_PER_HOUR, GpuUuid, Instant, NodeName, PodUid
from scheduler.metering.devices import Device, Health, Inventory, ProcessView, SensorState
from scheduler.metering.samples import PodRef, UtilizationSource
from scheduler.metering.windows import (
    ActivityIntegral,
    EnergyIntegral,
    Flag,
    PodCpu,
    ProcessSeen,
    UtilizationIntegral,
    Window,
)
from scheduler.metering.wire import (
    INSTANT_MAX,
    WATTS_MAX,
    device_from_json,
    device_json,
    inventory_from_json,
    inventory_json,
    window_from_json,
    window_json,
)

NODE = NodeName("node-1")
WINDOW = Window(
    node=NODE,
    boot_id="boot-1",
    gpu_uuid=GpuUuid("GPU-a"),
    sequence=4,
    start=Instant(1_000),
    end=Instant(16_000),
    covered_ms=15_000,
    sample_count=3,
    utilization=UtilizationIntegral(15_000, 300_000, 60, UtilizationSource.GAUGE),
    activity=ActivityIntegral(15_000, 12_000_000, 1, 0, None),
    energy=EnergyIntegral(15_000, 3_000_000),
    power_milliwatts_max=400_000,
    memory_used_bytes_max=5,
    memory_total_bytes=10,
    process_count_max=1,
    processes=(ProcessSeen(7, 99, 5, 40, PodUid("pod-1"), "ab" * 32, "python", Instant(15_500)),),
    is_clocked_idle=False,
    ecc_uncorrected=2,
    xids=(79,),
    flags=(Flag.GAUGE, Flag.XID),
    granted=(PodRef("research", "train-0"),),
    cpu=(PodCpu(PodUid("pod-1"), 3_200),),
    served=(PodUid("pod-1"),),
)
EMPTY = Window(NODE, "boot-1", GpuUuid("MIG-a"), 1, Instant(1), Instant(2), covered_ms=0, sample_count=0)


@pytest.mark.parametrize("window", [WINDOW, EMPTY], ids=["everything there", "everything absent"])
def test_a_window_survives_the_wire(window: Window) -> None:
    body = orjson.loads(orjson.dumps(window_json(window)))
    assert window_from_json(NODE, "boot-1", body) == window


def test_an_absent_value_is_null_on_the_wire() -> None:
    body = window_json(EMPTY)
    assert {key for key, value in body.items() if value is None} == {
        *("utilization", "activity", "energy", "power_milliwatts_max", "memory_used_bytes_max"),
        *("memory_total_bytes", "process_count_max", "processes", "is_clocked_idle", "ecc_uncorrected", "granted"),
        *("cpu", "served"),
    }


def test_a_device_survives_the_wire() -> None:
    device = Device(
        GpuUuid("MIG-a"),
        index=3,
        model="NVIDIA H100",
        memory_bytes=10,
        health=Health.UNHEALTHY,
        parent_uuid=GpuUuid("GPU-a"),
        mig_profile="1g.10gb",
        mig_gpu_instance=7,
        mig_compute_instance=0,
    )
    assert device_from_json(orjson.loads(orjson.dumps(device_json(device)))) == device


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "a negative sequence": ({"sequence": -1}, "window.sequence"),
    "a fraction": ({"covered_ms": 1.5}, "window.covered_ms"),
    "not a number": ({"covered_ms": float("nan")}, "window.covered_ms"),
    "a truth for a number": ({"sample_count": True}, "window.sample_count"),
    "2**63": ({"memory_total_bytes": 2**63}, "window.memory_total_bytes"),
    "more covered than there is": ({"covered_ms": 15_001}, "window.covered_ms"),
    "an end before its start": ({"end": 1_000}, "window.end"),
    "an end that no calendar has": ({"end": INSTANT_MAX + 1}, "window.end"),
    "a start that no calendar has": ({"start": 2**61, "end": 2**61 + 1}, "window.start"),
    "use of more time than anything compares": (
        {"utilization": {"covered_ms": 15_001 + MS_PER_HOUR, "percent_ms": 0, "max_percent": 0, "source": "samples"}},
        "window.utilization.covered_ms",
    ),
    "activity of as much": (
        {
            "activity": {
                "covered_ms": 2**62,
                "sm_permille_ms": 2**62,
                "occupancy_permille_ms": None,
                "tensor_permille_ms": None,
                "dram_permille_ms": None,
            }
        },
        "window.activity.covered_ms",
    ),
    "energy of more time than it is long": (
        {"energy": {"covered_ms": 15_001, "millijoules": 1}},
        "window.energy.covered_ms",
    ),
    "a process that was seen after its end": (
        {"processes": [{**window_json(WINDOW)["processes"][0], "seen_until": 16_001}]},
        "process.seen_until",
    ),
    "more CPUs than there are": ({"cpu": [{"pod_uid": "pod-1", "millicores": 10**9 + 1}]}, "cpu.millicores"),
    "an empty UUID": ({"gpu_uuid": ""}, "window.gpu_uuid"),
    "a UUID without end": ({"gpu_uuid": "G" * 300}, "window.gpu_uuid"),
    "an unknown flag": ({"flags": ["shiny"]}, "window.flags"),
    "an unknown health": ({"health": "fine"}, "window.health"),
    "an unknown key": ({"watts": 3}, "window"),
    "a maximum over 100 percent": (
        {"utilization": {"covered_ms": 1, "percent_ms": 1, "max_percent": 101, "source": "samples"}},
        "window.utilization.max_percent",
    ),
    "more use than time": (
        {"utilization": {"covered_ms": 1, "percent_ms": 301, "max_percent": 100, "source": "samples"}},
        "window.utilization.percent_ms",
    ),
    "energy that went back": ({"energy": {"covered_ms": 1, "millijoules": -1}}, "window.energy.millijoules"),
    "energy that no device draws": (
        {"energy": {"covered_ms": 15_000, "millijoules": 15_000 * WATTS_MAX + 1}},
        "window.energy.millijoules",
    ),
    "processes that are no list": ({"processes": "all"}, "window.processes"),
    "a list without end": ({"processes": [{}] * 1_025}, "window.processes"),
    "a pod that is no text": ({"served": ["pod-1", 7]}, "window.served"),
    "more pods granted than a node has": (
        {"granted": [{"namespace": "research", "name": "train-0"}] * 1_025},
        "window.granted",
    ),
    "more pods than a node has": ({"served": ["pod"] * 1_025}, "window.served"),
}


@pytest.mark.parametrize(("change", "where"), BAD.values(), ids=BAD.keys())
def test_a_malformed_window_is_refused_by_the_name_of_its_key(change: dict[str, Any], where: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        window_from_json(NODE, "boot-1", {**window_json(WINDOW), **change})
    assert refusal.value.code is RefusalCode.INVALID_SAMPLE
    assert refusal.value.where == where


def test_as_many_pods_as_a_node_may_have_are_heard_of() -> None:
    pods = [f"pod-{number}" for number in range(1_024)]
    told = {
        "granted": [{"namespace": "research", "name": pod} for pod in pods],
        "cpu": [{"pod_uid": pod, "millicores": 1} for pod in pods],
        "served": pods,
    }
    assert {
        key: window_json(window_from_json(NODE, "boot-1", {**window_json(WINDOW), **told}))[key] for key in told
    } == told


@pytest.mark.parametrize("key", sorted(window_json(WINDOW).keys() - {"granted", "cpu", "served"}))
def test_a_missing_key_is_refused_even_where_its_value_may_be_absent(key: str) -> None:
    body = window_json(WINDOW)
    del body[key]
    with pytest.raises(InvalidInput) as refusal:
        window_from_json(NODE, "boot-1", body)
    assert refusal.value.where == f"window.{key}"


def test_an_agent_from_before_grants_were_told_of_is_understood() -> None:
    body = window_json(WINDOW)
    del body["granted"], body["processes"][0]["name"]
    window = window_from_json(NODE, "boot-1", body)
    assert window.granted is None
    assert window.processes is not None
    assert window.processes[0].name is None


@pytest.mark.parametrize("name", ["unresolved_allocations", "unresolved_grants"])
def test_an_agent_of_the_version_before_is_understood_with_its_own_word_for_allocations(name: str) -> None:
    told = inventory_json(Inventory(NODE, "boot-1", Instant(1_000), SensorState.OK, ProcessView.HOST))
    assert inventory_from_json(NODE, {**told, name: 2}).agent.unresolved_allocations == 2
    assert inventory_from_json(NODE, told).agent.unresolved_allocations == 0


@pytest.mark.parametrize("body", [None, [], "window", 3])
def test_what_is_no_object_is_no_window(body: object) -> None:
    with pytest.raises(InvalidInput):
        window_from_json(NODE, "boot-1", body)
