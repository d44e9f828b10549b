"""What agents of the small company's nodes send."""

from dataclasses import replace
from typing import Any

from scheduler.domain.funding import FundingShare
from scheduler.domain.observations import PodPhase
from scheduler.domain.people import Caller, Role
from scheduler.domain.units import AttemptId, GpuUuid, Instant, NodeName, PerMille, PodUid, standard_needed
from scheduler.domain.workloads import Workload
from scheduler.lifecycle.sensing.meter import Accepted, Meter
from scheduler.metering.devices import Device, Inventory, ProcessView, SensorState
from scheduler.metering.samples import UtilizationSource
from scheduler.metering.windows import EnergyIntegral, ProcessSeen, UtilizationIntegral, Window
from scheduler.metering.wire import inventory_json, window_json
from tests.lifecycle.build import Company, changes, job_seen, job_spec, pod_seen

BOOT = "boot-1"
WINDOW_MS = 15_000


def agent_of(node: str) -> Caller:
    return Caller(f"node:{node}", frozenset({Role.AGENT}), node=node)


def gpu(node: str, index: int) -> GpuUuid:
    return GpuUuid(f"GPU-{node}-{index}")


def inventory(node: str, taken_at: Instant, gpus: int = 4) -> Inventory:
    return Inventory(
        NodeName(node),
        BOOT,
        taken_at,
        SensorState.OK,
        ProcessView.HOST,
        devices=tuple(Device(gpu(node, index), index, "H100", 80 << 30) for index in range(gpus)),
    )


def window(
    node: str,
    index: int,
    number: int,
    start: Instant,
    *,
    percent: int = 80,
    watts: int = 400,
    pods: tuple[str, ...] = (),
    length_ms: int = WINDOW_MS,
) -> Window:
    return Window(
        NodeName(node),
        BOOT,
        gpu(node, index),
        number,
        start,
        Instant(start + length_ms),
        covered_ms=length_ms,
        sample_count=3,
        utilization=UtilizationIntegral(length_ms, percent * length_ms, percent, UtilizationSource.SAMPLES),
        energy=EnergyIntegral(length_ms, watts * length_ms),
        power_milliwatts_max=watts * 1_000,
        memory_used_bytes_max=10 << 30,
        memory_total_bytes=80 << 30,
        process_count_max=len(pods),
        processes=tuple(ProcessSeen(100 + n, 1, None, percent, PodUid(pod), None) for n, pod in enumerate(pods)),
    )


def body_of(*windows: Window | dict[str, Any], node: str = "n0", boot_id: str = BOOT) -> dict[str, Any]:
    told = [window_json(each) if isinstance(each, Window) else each for each in windows]
    return {"node": node, "boot_id": boot_id, "windows": told}


class Agents:
    """The agents of a company, and what the meter made of them."""

    def __init__(self, company: Company) -> None:
        self.company = company
        self.meter = Meter(company.store, company.world)

    def register(self, node: str = "n0", gpus: int = 4) -> Inventory:
        told = inventory_json(inventory(node, self.company.now, gpus))
        return self.meter.accept_inventory(agent_of(node), NodeName(node), told, now=self.company.now)

    def post(self, *windows: Window | dict[str, Any], node: str = "n0", boot_id: str = BOOT) -> Accepted:
        body = body_of(*windows, node=node, boot_id=boot_id)
        return self.meter.accept_windows(agent_of(node), NodeName(node), body, now=self.company.now)

    def latest(self, index: int, number: int = 1, **fields: Any) -> Window:
        """The window of GPU `index` of n0 that has just ended."""
        return window("n0", index, number, Instant(self.company.now - WINDOW_MS), **fields)

    def pod_of(self, workload: Workload) -> tuple[str, ...]:
        return (f"pod-{workload.id}-0",)

    def start(self, gpus: int = 2, **fields: Any) -> tuple[Workload, AttemptId]:
        """Work on n0 that runs since now, its whole time limit held."""
        company = self.company
        paid_by = company.grant("ada", 100)
        workload = company.submit(pod=replace(job_spec().pod, gpus=gpus), **fields)
        terms = company.world.require_policy().priority_classes[workload.spec.priority_class]
        held = standard_needed(gpus * workload.spec.time_limit_ms, PerMille(1000), terms.class_factor)
        assert company.launch(workload, FundingShare(paid_by, held)) == []
        company.give_job(workload)
        pod = pod_seen(workload, started_at=company.now, gpus=gpus)
        company.see(changes(job_seen(workload, is_suspended=False, active=1), pod))
        return workload, company.world.attempt_of[workload.id]

    def end(self, workload: Workload, started_at: Instant, ended_at: Instant) -> None:
        """It ran to its end, and the cluster says so."""
        pod = pod_seen(workload, started_at=started_at, phase=PodPhase.SUCCEEDED, finished_at=ended_at)
        self.company.see(changes(job_seen(workload, is_complete=True), pod))
