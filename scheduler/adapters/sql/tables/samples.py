"""What agents send: inventories, devices, their windows, the hours these add up to, and what was refused.

Devices are numbered, so that a window costs no UUID. A device's windows lie together, in their order.
"""

from sqlalchemy import Index

from scheduler.adapters.sql import columns
from scheduler.adapters.sql.columns import STRICT, Row, table_of

CLUSTERED = {**STRICT, "sqlite_with_rowid": False}
"""The rows lie in the order of the primary key: one tree instead of two."""


class InventoryRow(Row, table=True):
    """The latest of each node. `devices` and `agent` are JSON."""

    __tablename__ = "inventories"
    __table_args__ = STRICT
    node: str = columns.text(primary_key=True)
    boot_id: str = columns.text()
    taken_at: int = columns.integer()
    sensor_state: str = columns.text()
    process_view: str = columns.text()
    driver_version: str | None = columns.text()
    nvml_version: str | None = columns.text()
    devices: str = columns.text()
    unidentified_devices: int = columns.integer()
    driver_error: str | None = columns.text()
    agent: str = columns.text()


class GpuRow(Row, table=True):
    """A device, and where its windows ended."""

    __tablename__ = "gpus"
    __table_args__ = (Index(None, "node"), STRICT)
    id: int = columns.sequence()
    gpu_uuid: str = columns.text(unique=True)
    node: str | None = columns.text()
    model: str | None = columns.text()
    boot_id: str | None = columns.text()
    sequence: int | None = columns.integer()
    end: int | None = columns.integer()
    attempt_id: str | None = columns.text()
    idle_milliwatts: int | None = columns.integer()
    has_power: int = columns.integer()


class WindowRow(Row, table=True):
    """`state` is what it was judged to be when it came."""

    __tablename__ = "gpu_windows"
    __table_args__ = CLUSTERED
    gpu_id: int = columns.sequence()
    start: int = columns.sequence()
    end: int = columns.integer()
    sequence: int = columns.integer()
    state: str = columns.text()
    attempt_id: str | None = columns.text()
    process_count: int | None = columns.integer()
    covered_ms: int = columns.integer()
    utilization_ms: int = columns.integer()
    percent_ms: int = columns.integer()
    percent_max: int | None = columns.integer()
    sm_ms: int = columns.integer()
    sm_permille_ms: int = columns.integer()
    energy_ms: int = columns.integer()
    millijoules: int = columns.integer()
    milliwatts_max: int | None = columns.integer()
    memory_bytes_max: int | None = columns.integer()
    cpu_millicores_max: int | None = columns.integer()


class HourRow(Row, table=True):
    """`attempt_id` is empty where the time is nobody's: a key has no NULL."""

    __tablename__ = "gpu_hours"
    __table_args__ = (Index(None, "attempt_id"), Index(None, "hour"), CLUSTERED)
    gpu_id: int = columns.sequence()
    hour: int = columns.sequence()
    attempt_id: str = columns.text(primary_key=True)
    node: str = columns.text()
    windows: int = columns.integer()
    covered_ms: int = columns.integer()
    active_ms: int = columns.integer()
    idle_held_ms: int = columns.integer()
    hung_ms: int = columns.integer()
    unknown_ms: int = columns.integer()
    utilization_ms: int = columns.integer()
    percent_ms: int = columns.integer()
    percent_max: int | None = columns.integer()
    sm_ms: int = columns.integer()
    sm_permille_ms: int = columns.integer()
    energy_ms: int = columns.integer()
    millijoules: int = columns.integer()
    milliwatts_max: int | None = columns.integer()
    memory_bytes_max: int | None = columns.integer()
    cpu_millicores_max: int | None = columns.integer()


class RefusalRow(Row, table=True):
    """Counted by who sent it, of which device, and why. `detail` is of the last."""

    __tablename__ = "sample_refusals"
    __table_args__ = STRICT
    node: str = columns.text(primary_key=True)
    gpu_uuid: str = columns.text(primary_key=True)
    code: str = columns.text(primary_key=True)
    count: int = columns.integer()
    first_at: int = columns.integer()
    last_at: int = columns.integer()
    detail: str = columns.text()


class MisuseRow(Row, table=True):
    """A process where it had no business: one row for its whole life there. `started_ticks` tells it from another of
    its number."""

    __tablename__ = "misuses"
    __table_args__ = (Index(None, "last_at"), STRICT)
    gpu_uuid: str = columns.text(primary_key=True)
    pid: int = columns.sequence()
    started_ticks: int = columns.sequence()
    kind: str = columns.text(primary_key=True)
    node: str = columns.text()
    name: str | None = columns.text()
    pod_uid: str | None = columns.text()
    attempt_id: str | None = columns.text()
    holder: str | None = columns.text()
    first_at: int = columns.integer()
    last_at: int = columns.integer()
    windows: int = columns.integer()
    memory_bytes_max: int | None = columns.integer()
    sm_percent_max: int | None = columns.integer()


class GpuFaultRow(Row, table=True):
    """A hardware Xid of a GPU in the window from `start` on. `attempt_id` had the GPU; empty where nobody is known to: a
    key has no NULL."""

    __tablename__ = "gpu_faults"
    __table_args__ = (Index(None, "is_judged", "attempt_id"), Index(None, "end"), STRICT)
    gpu_uuid: str = columns.text(primary_key=True)
    start: int = columns.sequence()
    xid: int = columns.sequence()
    attempt_id: str = columns.text(primary_key=True)
    node: str = columns.text()
    end: int = columns.integer()
    is_judged: int = columns.integer()


class IdleWatchRow(Row, table=True):
    """The idle clock of an attempt that rests. `clock` is JSON."""

    __tablename__ = "idle_watches"
    __table_args__ = STRICT
    attempt_id: str = columns.text(primary_key=True)
    judged_until: int = columns.integer()
    clock: str = columns.text()


class ExemptionRow(Row, table=True):
    __tablename__ = "idle_exemptions"
    __table_args__ = STRICT
    workload_id: str = columns.text(primary_key=True, references="workloads.id")
    why: str = columns.text()
    by: str = columns.text()
    since: int = columns.integer()
    expires_at: int = columns.integer()


class IdleDecisionRow(Row, table=True):
    """Append-only. `curve` is JSON: the readings that the decision rests on."""

    __tablename__ = "idle_decisions"
    __table_args__ = (Index(None, "attempt_id"), Index(None, "workload_id"), STRICT)
    seq: int = columns.sequence()
    attempt_id: str = columns.text(references="attempts.id")
    workload_id: str = columns.text(references="workloads.id")
    at: int = columns.integer()
    since: int = columns.integer()
    rested_ms: int = columns.integer()
    action: str = columns.text()
    is_taken: int = columns.integer()
    hindrance: str = columns.text()
    hours_back: int = columns.integer()
    curve: str = columns.text()


inventories = table_of(InventoryRow)
gpus = table_of(GpuRow)
gpu_windows = table_of(WindowRow)
gpu_hours = table_of(HourRow)
sample_refusals = table_of(RefusalRow)
misuses = table_of(MisuseRow)
gpu_faults = table_of(GpuFaultRow)
idle_watches = table_of(IdleWatchRow)
idle_exemptions = table_of(ExemptionRow)
idle_decisions = table_of(IdleDecisionRow)
