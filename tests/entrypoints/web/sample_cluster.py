"""A cluster of any size, the same for the same seed: from none to ten thousand GPUs."""

import random
from dataclasses import replace
from functools import cache

from scheduler.domain.brakes import Pause
from scheduler.lifecycle.views.shapes import BrakesView, ClusterView, GpuView, NodeView
from tests.entrypoints.web.sample_people import (
    MIN,
    NOW,
    H,
)

_RUNS = (
    ("ablation-sweep", "Mara Lind", "research"),
    ("llama-70b sandbox", "Mara Lind", "research"),
    ("pretrain-7b", "Léa Moreau", "research"),
    ("rag-eval", "Jun Sato", "evals"),
    ("prod-canary", "Otto Weiss", "platform"),
    ("notebook-81", "Sam Adeyemi", "apps"),
    ("reward-model", "Ada Park", "evals"),
    ("serve-mixtral", "Otto Weiss", "platform"),
    ("dpo-run-12", "Léa Moreau", "research"),
)


@cache
def cluster(nodes: int = 100, *, seed: int = 7, pauses: tuple[Pause, ...] = ()) -> ClusterView:
    dice = random.Random(seed)
    made = tuple(_node(index, nodes, dice) for index in range(nodes))
    gpus = [gpu for node in made for gpu in node.gpus]
    return ClusterView(
        now=NOW,
        is_simulated=True,
        gpus=len(gpus),
        in_use=sum(bool(gpu.workload_id) for gpu in gpus),
        busy=sum(gpu.state in {"busy", "light"} for gpu in gpus),
        idle=sum(gpu.state == "idle" for gpu in gpus),
        queued=27 if nodes else 0,
        running=94 if nodes else 0,
        oldest_wait_ms=2 * H + 10 * MIN if nodes else 0,
        nodes=made,
        brakes=BrakesView(pauses, (("preempt", 4, None), ("reclaim", 3, 34))),
    )


def _node(index: int, nodes: int, dice: random.Random) -> NodeView:
    gpu_class = ("h100", "a100", "l40s")[min(2, index * 5 // max(1, 2 * nodes))]
    name = f"g-{index:03d}"
    kind = dice.random()
    if kind < 0.08:
        cells = [_gpu(i, "free", 68) for i in range(8)]
        return NodeView(name, gpu_class, tuple(cells), accepts_work=True, free=8, outside=0)
    if kind < 0.1:
        return NodeView(
            name, gpu_class, tuple(_gpu(i, "drained", None) for i in range(8)), accepts_work=False, free=0, outside=0
        )
    cells, run, left = [], dice.randrange(len(_RUNS)), 0
    load = 0
    for i in range(8):
        if left == 0:
            run, left, load = (
                dice.randrange(len(_RUNS)),
                dice.choice([1, 2, 4, 8]),
                dice.choice([0, 30, 62, 80, 88, 94]),
            )
        left -= 1
        percent = max(0, min(100, load + dice.randrange(-6, 6))) if load else 0
        state = "idle" if percent < 5 else "light" if percent < 50 else "busy"
        title, owner, team = _RUNS[run]
        cells.append(
            replace(
                _gpu(i, state, 70 + percent * 6),
                utilization_percent=percent,
                workload_id=f"w-{title}-{run}",
                workload_name=title,
                owner=owner,
                team=team,
            )
        )
    if kind > 0.98:
        cells[6:] = [_gpu(6, "outside", None), _gpu(7, "outside", None)]
    if kind > 0.995 or (nodes > 20 and index == 17):
        cells[:2] = [replace(cell, state="unknown", utilization_percent=None, power_watts=None) for cell in cells[:2]]
    return NodeView(name, gpu_class, tuple(cells), accepts_work=True, free=0, outside=2 if kind > 0.98 else 0)


def _gpu(index: int, state: str, watts: int | None) -> GpuView:
    return GpuView(index, f"GPU-{index:08x}", state, None, watts, 40 * 2**30 if watts else None)
