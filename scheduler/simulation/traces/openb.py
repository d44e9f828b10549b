"""openb: Alibaba's cluster-trace-gpu-v2023, two CSV files of nodes and of tasks. Reads strictly; decides nothing.

Only what a task asks is required: some published variants have no GPU models, others no times. Times are seconds from
the trace's start.
"""

from dataclasses import dataclass
from pathlib import Path

from scheduler.simulation.traces.rows import LeaveOut, Row, invalid, name_of, quoted, read_csv, refuse_all, whole

NODE_COLUMNS = ("sn", "cpu_milli", "memory_mib", "gpu", "model")
POD_COLUMNS = ("name", "cpu_milli", "memory_mib", "num_gpu", "gpu_milli")
WHOLE_GPU_MILLI = 1000
GPUS_PER_NODE_MAX = 64
SECONDS_MAX = 2**31 - 1
"""Of a time since the trace's start: one in milliseconds would have a replay go through thousands of years."""


@dataclass(frozen=True, slots=True)
class OpenbNode:
    """`model` is empty where the node has no GPU."""

    name: str
    cpu_milli: int
    memory_mib: int
    gpus: int
    model: str


@dataclass(frozen=True, slots=True)
class OpenbPod:
    """A task: `gpus` GPUs with `gpu_milli` of each (0 where it asks for none), of one of `models` (empty: of any)."""

    name: str
    cpu_milli: int
    memory_mib: int
    gpus: int
    gpu_milli: int
    models: tuple[str, ...]
    qos: str = ""
    phase: str = ""
    created_seconds: int | None = None
    deleted_seconds: int | None = None
    scheduled_seconds: int | None = None


def read_nodes(file: Path, leave_out: LeaveOut = refuse_all) -> tuple[OpenbNode, ...]:
    """Every node. Raises InvalidInput where a row is none, or a name comes twice, unless those are left out."""
    return tuple(read_csv(file, NODE_COLUMNS, _node, leave_out))


def read_pods(file: Path, leave_out: LeaveOut = refuse_all) -> tuple[OpenbPod, ...]:
    """Every task, in the file's order. Raises InvalidInput where a row is none, or a name comes twice, unless those
    are left out."""
    return tuple(read_csv(file, POD_COLUMNS, _pod, leave_out))


def _node(row: Row, where: str) -> OpenbNode:
    return OpenbNode(
        name=name_of(row, "sn", where),
        cpu_milli=whole(row, "cpu_milli", where),
        memory_mib=whole(row, "memory_mib", where),
        gpus=whole(row, "gpu", where, at_most=GPUS_PER_NODE_MAX),
        model=row["model"],
    )


def _pod(row: Row, where: str) -> OpenbPod:
    gpus = whole(row, "num_gpu", where, at_most=GPUS_PER_NODE_MAX)
    milli = whole(row, "gpu_milli", where, at_least=1, at_most=WHOLE_GPU_MILLI) if gpus else 0
    created, scheduled, deleted = (
        _moment(row, column, where) for column in ("creation_time", "scheduled_time", "deletion_time")
    )
    _require_order(row, where, created, scheduled, deleted)
    return OpenbPod(
        name=name_of(row, "name", where),
        cpu_milli=whole(row, "cpu_milli", where),
        memory_mib=whole(row, "memory_mib", where),
        gpus=gpus,
        gpu_milli=milli,
        models=tuple(sorted({model.strip() for model in row.get("gpu_spec", "").split("|")} - {""})),
        qos=row.get("qos", ""),
        phase=row.get("pod_phase", ""),
        created_seconds=created,
        deleted_seconds=deleted,
        scheduled_seconds=scheduled,
    )


def _require_order(row: Row, where: str, created: int | None, scheduled: int | None, deleted: int | None) -> None:
    """Nothing is scheduled before it was created, nor gone before either."""
    if created is not None and scheduled is not None and scheduled < created:
        raise invalid(
            f"{where}: scheduled_time", quoted(row["scheduled_time"]), f"no sooner than its creation, {created}"
        )
    begun = scheduled if scheduled is not None else created
    if begun is not None and deleted is not None and deleted < begun:
        raise invalid(f"{where}: deletion_time", quoted(row["deletion_time"]), f"no sooner than its begin, {begun}")


def _moment(row: Row, column: str, where: str) -> int | None:
    return whole(row, column, where, at_most=SECONDS_MAX) if row.get(column) else None
