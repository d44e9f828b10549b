"""How many windows of GPUs are taken a second: 1,000 nodes × 8 GPUs, one window each every 15 s, is 533.

python -m benchmarks.samples [--url sqlite:///FILE] [--rounds 3] [--nodes 1000] prints one JSON object. Each node posts its
eight windows alone, as an agent does, through `accept_windows`, from as many threads as the API has: read, judged,
attributed, kept with its hour and its cursor; posts that wait for the same turn share a transaction. HTTP is not in it:
that is `benchmarks.samples_http`. The database must be a new one; without --url it is a SQLite file of its own. The bytes
of a window, and of a GPU's year, are those of its tables with their indexes.
"""

import argparse
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import orjson

from benchmarks.measured import keep
from scheduler.adapters.sql.store import SqlStore, open_store
from scheduler.domain.people import Caller, Role
from scheduler.domain.units import GpuUuid, Instant, NodeName, PodUid
from scheduler.lifecycle.memory.world import World
from scheduler.lifecycle.sensing.meter import Meter
from scheduler.metering.devices import Device, Inventory, ProcessView, SensorState
from scheduler.metering.samples import UtilizationSource
from scheduler.metering.windows import EnergyIntegral, ProcessSeen, UtilizationIntegral, Window
from scheduler.metering.wire import inventory_json, window_json

GPUS = 8
THREADS = 40
WINDOW_MS = 15_000
STARTS_AT = Instant(1_795_176_000_000)
GOAL_PER_SECOND = 533
WINDOWS_A_YEAR = 365 * 86_400_000 // WINDOW_MS
HOURS_A_YEAR = 365 * 24
_BYTES_OF = {
    "sqlite": "SELECT sum(pgsize) FROM dbstat WHERE name IN (SELECT name FROM sqlite_schema WHERE tbl_name = '{name}')",
    "postgresql": "SELECT pg_total_relation_size('{name}')",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", default="", help="of an empty database")
    parser.add_argument("--rounds", type=int, default=3, help="windows of each GPU")
    parser.add_argument("--nodes", type=int, default=1_000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as scratch:
        store = open_store(arguments.url or f"sqlite:///{Path(scratch) / 'samples.db'}")
        result = measure(store, arguments.nodes, arguments.rounds)
        result |= disk(store)
        store.close()
    name = "samples-postgresql" if arguments.url.startswith("postgres") else "samples"
    print(orjson.dumps(keep(name, result), option=orjson.OPT_INDENT_2).decode())


def measure(store: SqlStore, nodes: int, rounds: int) -> dict[str, Any]:
    meter = Meter(store, World())
    names = [NodeName(f"node-{number}") for number in range(nodes)]
    for name in names:
        meter.accept_inventory(agent_of(name), name, inventory_of(name), now=STARTS_AT)
    taken: list[float] = []
    seconds = 0.0
    processor_before = time.process_time()
    for number in range(1, rounds + 1):
        now = Instant(STARTS_AT + number * WINDOW_MS)
        bodies = [(name, body_of(name, number)) for name in names]
        began = time.perf_counter()
        with ThreadPoolExecutor(THREADS) as threads:
            taken += threads.map(partial(timed, meter, now), bodies)
        seconds += time.perf_counter() - began
    processor = time.process_time() - processor_before
    rate = GPUS * len(taken) / seconds
    ordered = sorted(taken)
    return {
        "nodes": nodes,
        "windows": GPUS * len(taken),
        "windows_per_second": round(rate),
        "per_second_of_processor": round(GPUS * len(taken) / processor),
        "goal_per_second": GOAL_PER_SECOND,
        "is_met": rate >= GOAL_PER_SECOND,
        "post_p50_ms": round(ordered[len(ordered) // 2] * 1_000, 2),
        "post_p99_ms": round(ordered[len(ordered) * 99 // 100] * 1_000, 2),
    }


def timed(meter: Meter, now: Instant, post: tuple[NodeName, dict[str, Any]]) -> float:
    node, body = post
    began = time.perf_counter()
    accepted = meter.accept_windows(agent_of(node), node, body, now=now)
    assert accepted.taken == GPUS, accepted
    return time.perf_counter() - began


def disk(store: SqlStore) -> dict[str, Any]:
    """Bytes of one row, from all that its table and the table's indexes take."""
    with store._write() as connection:
        of = _BYTES_OF[connection.dialect.name]
        sizes = {
            name: connection.exec_driver_sql(of.format(name=name)).scalar_one()
            / connection.exec_driver_sql(f"SELECT count(*) FROM {name}").scalar_one()  # noqa: S608  # our own names
            for name in ("gpu_windows", "gpu_hours")
        }
    return {
        "bytes_per_window": round(sizes["gpu_windows"]),
        "megabytes_per_gpu_year_of_windows": round(sizes["gpu_windows"] * WINDOWS_A_YEAR / 1e6),
        "megabytes_per_gpu_year_of_hours": round(sizes["gpu_hours"] * HOURS_A_YEAR / 1e6, 1),
    }


def agent_of(node: NodeName) -> Caller:
    return Caller(f"node:{node}", frozenset({Role.AGENT}), node=node)


def gpu_of(node: NodeName, index: int) -> GpuUuid:
    return GpuUuid(f"GPU-00000000-0000-0000-0000-{node}-{index}")


def inventory_of(node: NodeName) -> dict[str, Any]:
    devices = tuple(Device(gpu_of(node, index), index, "NVIDIA H100 80GB HBM3", 80 << 30) for index in range(GPUS))
    return inventory_json(Inventory(node, "boot", STARTS_AT, SensorState.OK, ProcessView.HOST, devices=devices))


def body_of(node: NodeName, number: int, starts_at: Instant = STARTS_AT) -> dict[str, Any]:
    windows = [window_of(node, index, number, starts_at) for index in range(GPUS)]
    return {"node": node, "boot_id": "boot", "windows": windows}


def window_of(node: NodeName, index: int, number: int, starts_at: Instant) -> dict[str, Any]:
    percent = (7 * number + 13 * index) % 101
    start = Instant(starts_at + (number - 1) * WINDOW_MS)
    return window_json(
        Window(
            *(node, "boot", gpu_of(node, index), number, start, Instant(start + WINDOW_MS), WINDOW_MS, 3),
            utilization=UtilizationIntegral(WINDOW_MS, percent * WINDOW_MS, percent, UtilizationSource.SAMPLES),
            energy=EnergyIntegral(WINDOW_MS, (70 + 6 * percent) * WINDOW_MS),
            power_milliwatts_max=(80 + 6 * percent) * 1_000,
            memory_used_bytes_max=40 << 30,
            memory_total_bytes=80 << 30,
            process_count_max=1,
            processes=(ProcessSeen(4_242, 987_654, 39 << 30, percent, PodUid(f"pod-of-{node}"), None),),
        )
    )


if __name__ == "__main__":
    main()
