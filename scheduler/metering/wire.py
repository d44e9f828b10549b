"""Windows and inventories as JSON: what an agent sends and the API takes, one definition for both sides.

Absent values are null. Reading is strict: anything else than the right type and range is an InvalidInput
(`invalid-sample`) that names the key, since a wrong figure here would stand in somebody's efficiency.
"""

from typing import Any

from scheduler.domain.units import MS_PER_HOUR, GpuUuid, Instant, NodeName, PodUid
from scheduler.metering.devices import AgentCounts, Device, Health, Inventory, ProcessView, SensorState
from scheduler.metering.fields import Fields, integer, invalid, one_of, text
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

DEVICES_MAX = 1_024
"""Sixteen GPUs of seven MIG instances each, many times over."""
WATTS_MAX = 20_000
"""Mean power of a device, many times what any draws: a misread counter would stand in somebody's cost of electricity."""
PROCESSES_MAX = 1_024
"""The driver lists at most 950 processes per GPU."""
INSTANT_MAX = 253_402_300_799_999
"""The end of the year 9999: no calendar of ours writes a later one."""
READ_BACK_MS_MAX = MS_PER_HOUR
"""How much longer than its window a reading may cover: what compares two samples reaches back to the first of them."""
MILLICORES_MAX = 1_000_000_000
"""A million cores: a sum of as many pods as a node has still fits its column."""


def window_json(window: Window) -> dict[str, Any]:
    """One element of `windows`; the node and the boot id stand once, in the body around them."""
    utilization, activity, energy = window.utilization, window.activity, window.energy
    return {
        "gpu_uuid": window.gpu_uuid,
        "sequence": window.sequence,
        "start": window.start,
        "end": window.end,
        "covered_ms": window.covered_ms,
        "sample_count": window.sample_count,
        "health": window.health.value,
        "utilization": None
        if utilization is None
        else {
            "covered_ms": utilization.covered_ms,
            "percent_ms": utilization.percent_ms,
            "max_percent": utilization.max_percent,
            "source": utilization.source.value,
        },
        "activity": None
        if activity is None
        else {
            "covered_ms": activity.covered_ms,
            "sm_permille_ms": activity.sm_permille_ms,
            "occupancy_permille_ms": activity.occupancy_permille_ms,
            "tensor_permille_ms": activity.tensor_permille_ms,
            "dram_permille_ms": activity.dram_permille_ms,
        },
        "energy": None if energy is None else {"covered_ms": energy.covered_ms, "millijoules": energy.millijoules},
        "power_milliwatts_max": window.power_milliwatts_max,
        "memory_used_bytes_max": window.memory_used_bytes_max,
        "memory_total_bytes": window.memory_total_bytes,
        "process_count_max": window.process_count_max,
        "processes": None
        if window.processes is None
        else [
            {
                "pid": process.pid,
                "started_ticks": process.started_ticks,
                "memory_bytes_max": process.memory_bytes_max,
                "sm_percent_max": process.sm_percent_max,
                "pod_uid": process.pod_uid,
                "container_id": process.container_id,
                "name": process.name,
                "seen_until": process.seen_until,
            }
            for process in window.processes
        ],
        "is_clocked_idle": window.is_clocked_idle,
        "ecc_uncorrected": window.ecc_uncorrected,
        "xids": list(window.xids),
        "flags": [flag.value for flag in window.flags],
        "granted": None
        if window.granted is None
        else [{"namespace": pod.namespace, "name": pod.name} for pod in window.granted],
        "cpu": None
        if window.cpu is None
        else [{"pod_uid": pod.pod_uid, "millicores": pod.millicores} for pod in window.cpu],
        "served": None if window.served is None else list(window.served),
    }


def window_from_json(node: NodeName, boot_id: str, body: object) -> Window:
    """Raises InvalidInput where the body is no window. Whether it fits the others is the reader's to judge."""
    fields = Fields(body, "window")
    start, end = fields.integer("start", most=INSTANT_MAX), fields.integer("end", most=INSTANT_MAX)
    if end <= start:
        raise invalid("window.end", f"{end} is not after start {start}", "end > start")
    window = Window(
        node=node,
        boot_id=boot_id,
        gpu_uuid=GpuUuid(fields.text("gpu_uuid")),
        sequence=fields.integer("sequence"),
        start=Instant(start),
        end=Instant(end),
        covered_ms=fields.integer("covered_ms", most=end - start),
        sample_count=fields.integer("sample_count"),
        health=Health(fields.one_of("health", [health.value for health in Health])),
        utilization=_utilization(fields.part("utilization"), end - start),
        activity=_activity(fields.part("activity"), end - start),
        energy=_energy(fields.part("energy"), end - start),
        power_milliwatts_max=fields.maybe_integer("power_milliwatts_max"),
        memory_used_bytes_max=fields.maybe_integer("memory_used_bytes_max"),
        memory_total_bytes=fields.maybe_integer("memory_total_bytes"),
        process_count_max=fields.maybe_integer("process_count_max"),
        processes=_processes(fields.values("processes"), end),
        is_clocked_idle=fields.maybe_flag("is_clocked_idle"),
        ecc_uncorrected=fields.maybe_integer("ecc_uncorrected"),
        xids=tuple(integer("window.xids", xid) for xid in fields.values("xids") or []),
        flags=tuple(Flag(one_of("window.flags", f, list(Flag))) for f in fields.values("flags") or []),
        # Agents from before it was told of do not: then it is as unknown as to those that cannot ask.
        granted=_granted(fields.values("granted")) if fields.has("granted") else None,
        cpu=_cpu(fields.values("cpu")) if fields.has("cpu") else None,
        served=_served(fields.values("served")) if fields.has("served") else None,
    )
    fields.refuse_others()
    return window


def device_json(device: Device) -> dict[str, Any]:
    return {
        "gpu_uuid": device.gpu_uuid,
        "index": device.index,
        "model": device.model,
        "memory_bytes": device.memory_bytes,
        "health": device.health.value,
        "pci_bus_id": device.pci_bus_id,
        "minor": device.minor,
        "has_profiling": device.has_profiling,
        "is_partitioned": device.is_partitioned,
        "parent_uuid": device.parent_uuid,
        "mig_profile": device.mig_profile,
        "mig_gpu_instance": device.mig_gpu_instance,
        "mig_compute_instance": device.mig_compute_instance,
    }


def device_from_json(body: object) -> Device:
    fields = Fields(body, "device")
    parent = fields.maybe_text("parent_uuid")
    device = Device(
        gpu_uuid=GpuUuid(fields.text("gpu_uuid")),
        index=fields.integer("index"),
        model=fields.maybe_text("model"),
        memory_bytes=fields.maybe_integer("memory_bytes"),
        health=Health(fields.one_of("health", [health.value for health in Health])),
        pci_bus_id=fields.maybe_text("pci_bus_id"),
        minor=fields.maybe_integer("minor"),
        has_profiling=fields.maybe_flag("has_profiling") is True,
        is_partitioned=fields.maybe_flag("is_partitioned") is True,
        parent_uuid=None if parent is None else GpuUuid(parent),
        mig_profile=fields.maybe_text("mig_profile"),
        mig_gpu_instance=fields.maybe_integer("mig_gpu_instance"),
        mig_compute_instance=fields.maybe_integer("mig_compute_instance"),
    )
    fields.refuse_others()
    return device


def inventory_json(inventory: Inventory) -> dict[str, Any]:
    return {
        "node": inventory.node,
        "boot_id": inventory.boot_id,
        "taken_at": inventory.taken_at,
        "sensor_state": inventory.sensor_state.value,
        "process_view": inventory.process_view.value,
        "driver_version": inventory.driver_version,
        "nvml_version": inventory.nvml_version,
        "driver_error": inventory.driver_error,
        "unidentified_devices": inventory.unidentified_devices,
        "devices": [device_json(device) for device in inventory.devices],
    }


def inventory_from_json(node: NodeName, body: object) -> Inventory:
    """Raises InvalidInput where the body is no inventory of this node, or names a device twice."""
    fields = Fields(body, "inventory")
    named = fields.text("node")
    if named != node:
        raise invalid("inventory.node", repr(named), f"{node!r}, which the address names")
    devices = fields.values("devices") or []
    if len(devices) > DEVICES_MAX:
        raise invalid("inventory.devices", f"{len(devices)} devices", f"at most {DEVICES_MAX}")
    inventory = Inventory(
        node=node,
        boot_id=fields.text("boot_id"),
        taken_at=Instant(fields.integer("taken_at")),
        sensor_state=SensorState(fields.one_of("sensor_state", list(SensorState))),
        process_view=ProcessView(fields.one_of("process_view", list(ProcessView))),
        driver_version=fields.maybe_text("driver_version"),
        nvml_version=fields.maybe_text("nvml_version"),
        devices=tuple(device_from_json(device) for device in devices),
        unidentified_devices=fields.integer("unidentified_devices"),
        driver_error=fields.maybe_text("driver_error"),
        agent=_agent_counts(fields),
    )
    fields.refuse_others()
    if len({device.gpu_uuid for device in inventory.devices}) < len(inventory.devices):
        raise invalid("inventory.devices", "a device that is named twice", "each device once")
    return inventory


def _agent_counts(fields: Fields) -> AgentCounts:
    """Beside the inventory proper; an agent may leave them out."""
    spool = fields.part("spool") if fields.has("spool") else None
    counts = AgentCounts(
        sampler_restarts=fields.count("sampler_restarts"),
        samples_from_the_past=fields.count("samples_from_the_past"),
        waiting=0 if spool is None else spool.integer("waiting"),
        lost=0 if spool is None else spool.integer("lost"),
        refused=0 if spool is None else spool.integer("refused"),
        has_pod_resources=fields.maybe_flag("has_pod_resources") if fields.has("has_pod_resources") else None,
        unresolved_allocations=fields.count("unresolved_allocations", "unresolved_grants"),
    )
    if spool is not None:
        spool.refuse_others()
    return counts


def _utilization(fields: Fields | None, length_ms: int) -> UtilizationIntegral | None:
    if fields is None:
        return None
    covered_ms = fields.integer("covered_ms", most=length_ms + READ_BACK_MS_MAX)
    integral = UtilizationIntegral(
        covered_ms=covered_ms,
        percent_ms=fields.integer("percent_ms", most=100 * covered_ms + 100),
        max_percent=fields.integer("max_percent", most=100),
        source=UtilizationSource(fields.one_of("source", [source.value for source in UtilizationSource])),
    )
    fields.refuse_others()
    return integral


def _activity(fields: Fields | None, length_ms: int) -> ActivityIntegral | None:
    if fields is None:
        return None
    covered_ms = fields.integer("covered_ms", most=length_ms + READ_BACK_MS_MAX)
    most = 1_000 * covered_ms + 1_000
    integral = ActivityIntegral(
        covered_ms=covered_ms,
        sm_permille_ms=fields.maybe_integer("sm_permille_ms", most=most),
        occupancy_permille_ms=fields.maybe_integer("occupancy_permille_ms", most=most),
        tensor_permille_ms=fields.maybe_integer("tensor_permille_ms", most=most),
        dram_permille_ms=fields.maybe_integer("dram_permille_ms", most=most),
    )
    fields.refuse_others()
    return integral


def _energy(fields: Fields | None, length_ms: int) -> EnergyIntegral | None:
    if fields is None:
        return None
    covered_ms = fields.integer("covered_ms", most=length_ms)
    integral = EnergyIntegral(covered_ms, fields.integer("millijoules", most=max(1, covered_ms) * WATTS_MAX))
    fields.refuse_others()
    return integral


def _processes(values: list[object] | None, end: int) -> tuple[ProcessSeen, ...] | None:
    if values is None:
        return None
    if len(values) > PROCESSES_MAX:
        raise invalid("window.processes", f"{len(values)} processes", f"at most {PROCESSES_MAX}")
    return tuple(_process(Fields(value, "process"), end) for value in values)


def _process(fields: Fields, end: int) -> ProcessSeen:
    pod_uid = fields.maybe_text("pod_uid")
    until = fields.maybe_integer("seen_until", most=end) if fields.has("seen_until") else None
    process = ProcessSeen(
        pid=fields.integer("pid"),
        started_ticks=fields.maybe_integer("started_ticks"),
        memory_bytes_max=fields.maybe_integer("memory_bytes_max"),
        sm_percent_max=fields.maybe_integer("sm_percent_max", most=100),
        pod_uid=None if pod_uid is None else PodUid(pod_uid),
        container_id=fields.maybe_text("container_id"),
        name=fields.maybe_text("name") if fields.has("name") else None,
        seen_until=None if until is None else Instant(until),
    )
    fields.refuse_others()
    return process


def _granted(values: list[object] | None) -> tuple[PodRef, ...] | None:
    if values is None:
        return None
    if len(values) > PROCESSES_MAX:
        raise invalid("window.granted", f"{len(values)} pods", f"at most {PROCESSES_MAX}")
    pods = []
    for value in values:
        fields = Fields(value, "granted")
        pods.append(PodRef(fields.text("namespace"), fields.text("name")))
        fields.refuse_others()
    return tuple(pods)


def _cpu(values: list[object] | None) -> tuple[PodCpu, ...] | None:
    if values is None:
        return None
    if len(values) > PROCESSES_MAX:
        raise invalid("window.cpu", f"{len(values)} pods", f"at most {PROCESSES_MAX}")
    pods = []
    for value in values:
        fields = Fields(value, "cpu")
        pods.append(PodCpu(PodUid(fields.text("pod_uid")), fields.integer("millicores", most=MILLICORES_MAX)))
        fields.refuse_others()
    return tuple(pods)


def _served(values: list[object] | None) -> tuple[PodUid, ...] | None:
    if values is None:
        return None
    if len(values) > PROCESSES_MAX:
        raise invalid("window.served", f"{len(values)} pods", f"at most {PROCESSES_MAX}")
    return tuple(PodUid(text("window.served", value)) for value in values)
