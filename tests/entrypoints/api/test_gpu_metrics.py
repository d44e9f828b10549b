"""Metrics of single GPUs: dcgm-exporter's names, whose the GPU is, and a dashboard that asks for nothing else."""

import json
import re
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from scheduler.adapters.window_spool import WindowSpool
from scheduler.decision.plan import Launch, Plan
from scheduler.domain.cluster import Placement, PodRequest
from scheduler.domain.funding import FundingShare
from scheduler.domain.people import Caller, Role
from scheduler.domain.units import GpuClassName, GpuUuid, Instant, NodeName, PoolName, PriorityClassName
from scheduler.domain.workloads import Attempt, WorkloadKind, WorkloadSpec
from scheduler.entrypoints.agent.metrics import AgentCollector, AgentState
from scheduler.entrypoints.agent.recorder import Recorder
from scheduler.entrypoints.api.gpu_metrics import LABELS, STALE_MS
from scheduler.entrypoints.running import Service
from scheduler.entrypoints.settings import SensorsKind
from scheduler.lifecycle.running.record import record
from scheduler.lifecycle.writing.batch import changing
from scheduler.metering.devices import AgentCounts, Device, Inventory, ProcessView, SensorState
from scheduler.metering.idle import IdleState
from scheduler.metering.integration import Integration
from scheduler.metering.samples import Reading, UtilizationSource
from scheduler.metering.use import Metered
from scheduler.metering.windows import ActivityIntegral, EnergyIntegral, UtilizationIntegral, Window
from tests.entrypoints.api.conftest import Client
from tests.entrypoints.company import engineer_id

DASHBOARD = Path(__file__).parents[3] / "manifests" / "grafana" / "allot-gpus.json"
ALERTS = Path(__file__).parents[3] / "docs" / "operators.md"
N, GPU = NodeName("n0"), GpuUuid("GPU-a")


def read_now(service: Service) -> Window:
    """One GPU that was read throughout the last window, and one of which nothing was."""
    now = service.clock.now()
    window = Window(
        *(N, "boot", GPU, 1, Instant(now - 15_000), now, 15_000, 3),
        utilization=UtilizationIntegral(15_000, 50 * 15_000, 100, UtilizationSource.SAMPLES),
        activity=ActivityIntegral(15_000, 400 * 15_000, 250 * 15_000, 100 * 15_000, 300 * 15_000),
        energy=EnergyIntegral(15_000, 300 * 15_000),
        memory_used_bytes_max=20 << 30,
        memory_total_bytes=80 << 30,
        process_count_max=2,
        xids=(13, 79),
    )
    devices = (Device(GPU, 3, "NVIDIA H100", 80 << 30, pci_bus_id="0:18", minor=5),)
    service.world.readings.put_inventory(Inventory(N, "boot", now, SensorState.OK, ProcessView.HOST, devices=devices))
    empty = Window(N, "boot", GpuUuid("GPU-b"), 1, Instant(now - 15_000), now, 0, 0)
    service.world.put_metered([Metered(window, IdleState.ACTIVE), Metered(empty, IdleState.UNKNOWN)])
    return window


async def scraped(as_: Client) -> dict[str, list[Any]]:
    answer = await as_("olga").get("/v1/gpu-metrics")
    assert answer.status_code == 200
    return {family.name: family.samples for family in text_string_to_metric_families(answer.text)}


async def test_readings_bear_the_names_and_labels_of_dcgm_exporter(service: Service, as_: Client) -> None:
    read_now(service)
    told = await scraped(as_)
    values = {name: samples[0].value for name, samples in told.items() if samples}
    assert values == {
        "DCGM_FI_DEV_GPU_UTIL": 50,
        "DCGM_FI_DEV_POWER_USAGE": 300,
        "DCGM_FI_DEV_FB_USED": 20 * 1024,
        "DCGM_FI_DEV_FB_FREE": 60 * 1024,
        "DCGM_FI_DEV_XID_ERRORS": 79,
        "DCGM_FI_PROF_SM_ACTIVE": 0.4,
        "DCGM_FI_PROF_SM_OCCUPANCY": 0.25,
        "DCGM_FI_PROF_PIPE_TENSOR_ACTIVE": 0.1,
        "DCGM_FI_PROF_DRAM_ACTIVE": 0.3,
        "allot_gpu_processes": 2,
    }
    (sample,) = told["DCGM_FI_DEV_GPU_UTIL"]
    assert {name: value for name, value in sample.labels.items() if value} == {
        "simulated": "false",
        "gpu": "3",
        "UUID": GPU,
        "pci_bus_id": "0:18",
        "device": "nvidia5",
        "modelName": "NVIDIA H100",
        "Hostname": N,
    }


async def test_an_xid_of_a_window_before_is_still_shown(service: Service, as_: Client) -> None:
    window = read_now(service)
    service.world.readings.sightings.note(
        replace(window, start=Instant(window.start - 60_000), end=Instant(window.end - 60_000))
    )
    service.world.readings.windows[GPU] = replace(window, xids=())
    assert [sample.value for sample in (await scraped(as_))["DCGM_FI_DEV_XID_ERRORS"]] == [79]


async def test_what_was_not_read_or_not_of_late_has_no_series(service: Service, as_: Client) -> None:
    window = read_now(service)
    stale = replace(window, sequence=2, gpu_uuid=GpuUuid("GPU-c"), end=Instant(window.end - STALE_MS - 1))
    service.world.put_metered([Metered(stale, IdleState.ACTIVE)])
    told = await scraped(as_)
    assert {sample.labels["UUID"] for samples in told.values() for sample in samples} == {GPU}


async def test_where_prometheus_is_read_a_series_stays_until_the_next_window_can_be_there(
    service: Service, as_: Client
) -> None:
    service.settings = service.settings.model_copy(
        update={"sensors": SensorsKind.PROMETHEUS, "prometheus_scrape_seconds": 60}
    )
    window = read_now(service)
    service.world.readings.windows[GPU] = replace(window, end=Instant(window.end - 350_000))
    assert (await scraped(as_))["DCGM_FI_DEV_GPU_UTIL"]
    service.world.readings.windows[GPU] = replace(window, end=Instant(window.end - 365_000))
    assert not (await scraped(as_))["DCGM_FI_DEV_GPU_UTIL"]


async def test_a_gpu_that_nobody_reads_any_more_is_not_alerted_of(service: Service, as_: Client) -> None:
    window = read_now(service)
    service.world.readings.windows[GPU] = replace(window, end=Instant(window.end - STALE_MS - 1_000))
    sums = {f.name: f for f in text_string_to_metric_families((await as_(None).get("/metrics")).text)}
    assert [sample.value for sample in sums["allot_unattributed_gpus"].samples] == [0]


async def test_they_name_people_and_so_are_not_for_everybody(as_: Client) -> None:
    assert (await as_("ada").get("/v1/gpu-metrics")).status_code == 403
    assert (await as_(None).get("/v1/gpu-metrics")).status_code == 401


def metrics_of_agents(spool: Path) -> set[str]:
    with closing(WindowSpool(spool, 100)) as kept:
        recorder = Recorder(kept, Integration(N, "boot", window_ms=15_000, gap_ms=12_500))
        recorder.record(Reading(Instant(0), has_driver=True))
        state = AgentState(N, Instant(0), 60_000, 100, AgentCounts(), SensorState.OK, sent_at=Instant(1))
        families = AgentCollector(recorder, lambda: state).collect()
        return {f"{each.name}_total" if each.type == "counter" else each.name for each in families}


async def test_the_dashboard_asks_for_metrics_and_labels_that_exist(
    service: Service, as_: Client, tmp_path: Path
) -> None:
    read_now(service)
    sums = {f.name: f for f in text_string_to_metric_families((await as_(None).get("/metrics")).text)}
    known = {*await scraped(as_), *sums, *metrics_of_agents(tmp_path / "spool.db")}
    labels = {*LABELS, "state", "kind", "gpu_class", "field", "code"}
    board = json.loads(DASHBOARD.read_text())
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])
    asked = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    asked += [each["query"]["query"] for each in board["templating"]["list"] if each["type"] == "query"]
    named = {name for expr in asked for name in re.findall(r"\b(?:DCGM_FI|allot)_\w+", expr)}
    assert named
    assert named <= known
    grouped = {label for expr in asked for part in re.findall(r"by \(([^)]*)\)", expr) for label in part.split(", ")}
    matched = {label for expr in asked for label in re.findall(r"[{,]\s*(\w+)=~", expr)}
    assert grouped | matched <= labels


def launch(service: Service) -> Attempt:
    """A job of Ada's with one GPU of node-0, paid for by what she has of her tier."""
    spec = WorkloadSpec(
        *("train", WorkloadKind.JOB, None, (GpuClassName("H100"),), PriorityClassName("off-peak"), 3_600_000),
        pod=PodRequest(1, 1000, 1024),
        image="registry.example.com/train:1",
    )
    now, ada = service.clock.now(), engineer_id(service, "ada")
    workload = service.commands.submit(Caller("ada", frozenset({Role.ENGINEER}), ada), spec, now=now)
    owned = (each.allowance for each in service.world.balances.values())
    paid_by = next(each.id for each in owned if each.holder.id == ada)
    launched = Launch(
        *(workload.id, spec.gpu_classes[0], Placement(((NodeName("node-0"), 1),)), PoolName("research")),
        (FundingShare(paid_by, 3_600_000),),
    )
    with changing(service.store, service.world, now) as batch:
        assert record(batch, Plan(now, launches=(launched,)), service.ids.new) == []
    return service.world.attempts[service.world.attempt_of[workload.id]]


async def test_a_gpu_tells_whose_it_is_and_for_how_long_it_has_rested(service: Service, as_: Client) -> None:
    window = read_now(service)
    attempt = launch(service)
    last = replace(window, sequence=2, end=Instant(window.end + 1))
    service.world.put_metered([Metered(last, IdleState.ACTIVE, attempt.id)])
    service.world.readings.note_rest(attempt.id, Instant(service.clock.now() - 90_000))
    (rest,) = (await scraped(as_))["allot_gpu_rest_seconds"]
    assert rest.value == 90
    with service.store.reading() as books:
        (hold,) = books.holds.of_attempt(attempt.id)
    workload = service.world.workloads[attempt.workload_id]
    assert {name: rest.labels[name] for name in LABELS[-5:]} == {
        "owner": "ada",
        "team": "research",
        "workload": "train",
        "attempt": attempt.id,
        "allowance": hold.allowance_id,
    }
    assert rest.labels["namespace"] == workload.namespace


async def test_what_nobody_has_is_alerted_of_and_each_alert_asks_for_metrics_that_exist(
    service: Service, as_: Client, tmp_path: Path
) -> None:
    read_now(service)
    sums = {f.name: f for f in text_string_to_metric_families((await as_(None).get("/metrics")).text)}
    assert [sample.value for sample in sums["allot_unattributed_gpus"].samples] == [1]
    families = [*sums.values(), *text_string_to_metric_families((await as_("olga").get("/v1/gpu-metrics")).text)]
    known = {f"{each.name}_total" if each.type == "counter" else each.name for each in families}
    asked = [row.split("|")[2] for row in ALERTS.read_text().splitlines() if row.startswith("|") and "allot_" in row]
    named = {name for cell in asked for name in re.findall(r"\b(?:DCGM_FI|allot)_\w+", cell)}
    assert {"allot_unattributed_gpus", "allot_misuses", "allot_misuse_unavailable_nodes"} <= named
    assert named <= known | metrics_of_agents(tmp_path / "spool.db")
