"""Variants of the published trace, which others will try: ours fills no less than FGD, at capacity and at the end."""

from dataclasses import replace
from functools import cache
from pathlib import Path
from random import Random
from statistics import mean

import pytest

from benchmarks.pack_variants import VARIANTS, cpu_only, multi_gpu, together
from scheduler.simulation.packing.baselines import Fgd
from scheduler.simulation.packing.best import Best
from scheduler.simulation.packing.experiment import run
from scheduler.simulation.traces.openb import OpenbNode, OpenbPod, read_nodes, read_pods
from tests.simulation.packing.worlds import node, pod

TRACE = Path(__file__).parents[4] / "shared" / "data" / "openb"

NAMES = [
    "sharing 40 %",
    "multi-GPU 40 %",
    "models 33 %",
    "models 100 %",
    "one model each",
    "CPU-only x2.5",
    "CPU-only x4",
    "CPU x3",
    "memory x8",
    "multi-GPU 30 %",
    "multi-GPU, CPU-only",
    "all together",
    "multi-GPU, models",
    "CPU x0.5",
]


@pytest.mark.skipif(not TRACE.is_dir(), reason="the trace is not part of the project")
@pytest.mark.parametrize("name", NAMES)
def test_on_a_variant_ours_fills_no_less_than_fgd(name: str) -> None:
    """On every fourth of its nodes; `make bench-pack` shows it on all of them, with all the variants."""
    nodes = _nodes()[::4]
    pods = VARIANTS[name](_pods(), nodes, Random(99))
    fgd, best = (run(nodes, pods, strategy, 1.3, 11).allocated_percent for strategy in (Fgd, Best))
    assert best["130"] >= fgd["130"]
    assert best["100"] >= fgd["100"]


AS_SHORT = {
    "CPU by a little": cpu_only(2.15),
    "CPU by nearly as much as tasks of several GPUs ask for": cpu_only(2.2),
    "CPU, with a tenth for several GPUs": together(multi_gpu(0.1), cpu_only(3.0)),
}


@pytest.mark.skipif(not TRACE.is_dir(), reason="the trace is not part of the project")
@pytest.mark.parametrize("name", AS_SHORT)
def test_where_cpu_runs_out_about_when_the_gpus_do_ours_is_half_a_point_ahead_at_either_mark(name: str) -> None:
    nodes = _nodes()[::4]
    pods = AS_SHORT[name](_pods(), nodes, Random(99))
    fgd, best = (run(nodes, pods, strategy, 1.3, 11).allocated_percent for strategy in (Fgd, Best))
    assert best["130"] >= fgd["130"] + 0.5
    assert best["100"] >= fgd["100"] + 0.5


@pytest.mark.skipif(not TRACE.is_dir(), reason="the trace is not part of the project")
def test_on_small_nodes_that_are_short_of_cpu_ours_is_a_point_ahead_at_either_mark() -> None:
    """Of one or two GPUs, with 8 CPUs for each: most hold one task of eleven CPUs beside a small one."""
    nodes = [each for each in _nodes() if each.model == "P100"]
    pods = [each for each in _pods() if not each.models or "P100" in each.models]
    fgd, best = ([run(nodes, pods, strategy, 1.3, seed) for seed in range(4)] for strategy in (Fgd, Best))
    for mark in ("100", "130"):
        assert mean(each.allocated_percent[mark] for each in best) > 1 + mean(
            each.allocated_percent[mark] for each in fgd
        )


@pytest.mark.skipif(not TRACE.is_dir(), reason="the trace is not part of the project")
@pytest.mark.parametrize("memory_gib", [48, 64])
def test_on_nodes_of_one_gpu_ours_fills_no_less_than_fgd(memory_gib: int) -> None:
    """Little more than one task comes to each, so that a rest has not many to choose from."""
    nodes = [node(f"n-{number:03}", 1, 32_000, memory_mib=memory_gib * 1_024) for number in range(400)]
    pods = [replace(each, models=()) for each in _pods()]
    fgd, best = ([run(nodes, pods, strategy, 1.3, seed) for seed in range(4)] for strategy in (Fgd, Best))
    for mark in ("100", "130"):
        assert mean(each.allocated_percent[mark] for each in best) >= mean(
            each.allocated_percent[mark] for each in fgd
        )


def test_a_variant_varies_what_it_says_and_nothing_else() -> None:
    nodes = [node("n-1", 8), node("n-2", 2, model="T4")]
    pods = [pod("whole"), pod("share", 1, 470), pod("cpu", 0), pod("pair", 2)]
    random = Random(1)

    assert [(p.gpus, p.gpu_milli) for p in VARIANTS["sharing all"](pods, nodes, random)] == [
        (1, 470),
        (1, 470),
        (0, 0),
        (1, 470),
    ]
    assert len(VARIANTS["CPU-only x2"](pods, nodes, random)) == 5
    many = [pod(f"p-{number}") for number in range(200)]
    multiplied = [p for p in VARIANTS["multi-GPU 40 %"](many, nodes, random) if p.gpus > 1]
    assert 50 < len(multiplied) < 110
    assert all(p.cpu_milli == p.gpus * 1_000 for p in multiplied)
    bound = [p for p in VARIANTS["models 33 %"](many, nodes, random) if p.models]
    assert 40 < len(bound) < 95
    assert {model for p in bound for model in p.models} == {"G2", "T4"}
    (asking,) = VARIANTS["CPU x3"]([pod("pair", 2)], nodes, random)
    assert (asking.gpus, asking.cpu_milli, asking.memory_mib) == (2, 3_000, 1_024)
    assert VARIANTS["CPU x0.5"]([pod("pair", 2)], nodes, random)[0].cpu_milli == 500
    assert len(VARIANTS["multi-GPU, CPU-only"](pods, nodes, random)) == 5


def test_where_cpu_runs_out_first_what_asks_for_much_goes_where_much_is_left() -> None:
    """And no node's GPUs are left without: half of what comes asks per half a GPU for twelve of a node's 32 CPUs."""
    nodes = [node(f"n-{number:02}", 4, 32_000) for number in range(24)]
    pods = [pod(f"{cpus}-{number}", 1, 500, cpus * 1_000) for number in range(20) for cpus in (4, 12)]
    fgd, best = (
        mean(run(nodes, pods, strategy, 1.3, seed).allocated_percent["130"] for seed in range(4))
        for strategy in (Fgd, Best)
    )
    assert best > fgd + 2


@cache
def _nodes() -> tuple[OpenbNode, ...]:
    return read_nodes(TRACE / "nodes.csv")


@cache
def _pods() -> tuple[OpenbPod, ...]:
    """Read once: a fifth of what most of these tests took."""
    return read_pods(TRACE / "pods_default.csv")
