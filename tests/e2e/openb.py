"""A production trace as work for the control plane: its nodes, its first GPU pods, and how each is to end.

The trace is read from ALLOT_TRACE_DIR, or from shared/data/openb beside the checkout; it is no part of the project.
"""

import csv
import os
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from scheduler.entrypoints.devcluster.nodes import GpuModel, GpuNode

PODS = 1500
ENGINEERS = 40
TEAMS = 4
ARRIVALS_SECONDS = 300
RUN_SECONDS_MIN, RUN_SECONDS_MAX = 1, 30
TIME_LIMIT_SECONDS = 90
_MIB = 1024 * 1024
LEFT_OUT = (
    "the replay of the openb trace was left out; to get it, set ALLOT_TRACE_DIR to a folder with its nodes.csv and "
    "pods_default.csv (Alibaba cluster-trace-gpu-v2023)"
)


class Ending(StrEnum):
    COMPLETES = "completes"
    FAILS = "fails"
    CANCELLED = "cancelled"
    """It never ran there."""


@dataclass(frozen=True, slots=True)
class TracePod:
    """A GPU pod of the trace; one that shares a GPU asks for a whole one. `run_seconds` is a hundredth of its run."""

    number: int
    name: str
    gpus: int
    cpu_milli: int
    memory_mib: int
    qos: str
    run_seconds: int
    ending: Ending

    @property
    def engineer(self) -> str:
        return f"engineer-{self.number % ENGINEERS:02}"

    @property
    def project(self) -> str:
        return project_of(self.number % ENGINEERS % TEAMS)

    @property
    def priority_class(self) -> str:
        return {"BE": "best-effort", "Burstable": "standard"}.get(self.qos, "latency-sensitive")

    @property
    def arrives_after_seconds(self) -> float:
        return self.number * ARRIVALS_SECONDS / PODS


def trace_folder() -> Path | None:
    named = os.environ.get("ALLOT_TRACE_DIR")
    folder = Path(named) if named else Path(__file__).resolve().parents[3] / "shared" / "data" / "openb"
    return folder if (folder / "nodes.csv").exists() and (folder / "pods_default.csv").exists() else None


def read_nodes(folder: Path) -> tuple[GpuNode, ...]:
    with (folder / "nodes.csv").open() as file:
        return tuple(
            GpuNode(
                row["sn"],
                # What the trace does not say of its models is left at nothing.
                GpuModel(row["model"], 0, "unknown", 0, 0, is_mig_capable=False),
                gpus=int(row["gpu"]),
                cpu_millicores=int(row["cpu_milli"]),
                memory_bytes=int(row["memory_mib"]) * _MIB,
            )
            for row in csv.DictReader(file)
        )


def read_pods(folder: Path) -> tuple[TracePod, ...]:
    """The first that ask for a GPU, in the order of their creation."""
    with (folder / "pods_default.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if int(row["num_gpu"]) > 0][:PODS]
    return tuple(
        TracePod(
            number=number,
            name=row["name"],
            gpus=int(row["num_gpu"]),
            cpu_milli=int(row["cpu_milli"]),
            memory_mib=int(row["memory_mib"]),
            qos=row["qos"],
            run_seconds=_run_seconds(row),
            ending=_ending(row),
        )
        for number, row in enumerate(rows)
    )


def _run_seconds(row: dict[str, str]) -> int:
    if not row["scheduled_time"]:
        return RUN_SECONDS_MAX
    ran_seconds = int(row["deletion_time"]) - int(row["scheduled_time"])
    return min(RUN_SECONDS_MAX, max(RUN_SECONDS_MIN, ran_seconds // 100))


def _ending(row: dict[str, str]) -> Ending:
    """One that still ran when the trace ended is taken to complete."""
    if not row["scheduled_time"]:
        return Ending.CANCELLED
    return Ending.FAILS if row["pod_phase"] == "Failed" else Ending.COMPLETES


G2_PER_POOL, T4_PER_POOL = 6, 4
G2_BORROWED_MAX = 10
GPUS = TEAMS * (G2_PER_POOL + T4_PER_POOL)
"""What the pools sum to."""
WEIGHTS = {"G2": 1000, "T4": 375}
FACTORS = {"latency-sensitive": 1250, "standard": 1000, "best-effort": 333}


def project_of(team: int) -> str:
    return f"openb-{team}"


MINIMUM_RUNTIME_SECONDS = 2
"""Of every class, as the example policies have one."""

POLICY = (
    f"""
version: 1
approvals: {{grants: one-person, policy: one-person, prices: one-person, access: one-person}}
period: year
images: ["registry.example/*"]
gpu_classes:
  G2: {{weight_per_mille: {WEIGHTS["G2"]}, node_selector: {{nvidia.com/gpu.product: G2}}}}
  T4: {{weight_per_mille: {WEIGHTS["T4"]}, node_selector: {{nvidia.com/gpu.product: T4}}}}
priority_classes:
  latency-sensitive:
    value: 900
    class_factor_per_mille: {FACTORS["latency-sensitive"]}
    minimum_runtime_seconds: {MINIMUM_RUNTIME_SECONDS}
  standard:
    value: 500
    class_factor_per_mille: {FACTORS["standard"]}
    minimum_runtime_seconds: {MINIMUM_RUNTIME_SECONDS}
  best-effort:
    value: 100
    class_factor_per_mille: {FACTORS["best-effort"]}
    minimum_runtime_seconds: {MINIMUM_RUNTIME_SECONDS}
    hold: rolling
    slice_minutes: 1
tiers:
  engineer: {{allowance_gpu_hours: 1}}
  intern: {{allowance_gpu_hours: 0}}
cohorts: {{company: {{}}}}
projects:
"""
    + "".join(f"  {project_of(number)}: {{team: team-{number}}}\n" for number in range(TEAMS))
    + "pools:\n"
    + "".join(
        f"""
  pool-{number}:
    teams: [team-{number}]
    cohort: company
    quotas:
      G2: {{nominal_gpus: {G2_PER_POOL}, borrowing_limit_gpus: {G2_BORROWED_MAX}}}
      T4: {{nominal_gpus: {T4_PER_POOL}}}
"""
        for number in range(TEAMS)
    )
)


def is_intern(engineer: int) -> bool:
    """Interns live on grants by hand, which run low."""
    return engineer % 5 == 2


PEOPLE = "version: 1\nengineers:\n" + "".join(
    f"  - {{subject: engineer-{number:02}, team: team-{number % TEAMS}, "
    f"tier: {'intern' if is_intern(number) else 'engineer'}}}\n"
    for number in range(ENGINEERS)
)
