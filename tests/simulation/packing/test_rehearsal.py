"""The attitude is found on a small copy of the cluster, and thousands of kinds of task are few to whoever rates them."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from random import Random

import pytest

from benchmarks.pack_variants import VARIANTS
from scheduler.simulation.packing.by_worth import Attitude
from scheduler.simulation.packing.experiment import Workload
from scheduler.simulation.packing.fleet import Fleet
from scheduler.simulation.packing.outlook import Outlook
from scheduler.simulation.packing.rehearsal import GPUS_MAX, Stage, rehearsed
from scheduler.simulation.traces.openb import OpenbNode, OpenbPod, read_nodes, read_pods
from tests.simulation.packing.worlds import node, pod

TRACE = Path(__file__).parents[4] / "shared" / "data" / "openb"


def staged(nodes: Sequence[OpenbNode], pods: Sequence[OpenbPod]) -> Stage:
    fleet, workload = Fleet(nodes), Workload.of(pods)
    return Stage.of(fleet, workload, Outlook.of(fleet, workload))


def attitude(nodes: Sequence[OpenbNode], pods: Sequence[OpenbPod]) -> Attitude:
    fleet, workload = Fleet(nodes), Workload.of(pods)
    return rehearsed(fleet, workload, Outlook.of(fleet, workload))


def test_the_copy_of_a_large_cluster_has_each_sort_of_node_and_of_task_as_often() -> None:
    nodes = [node(f"n-{number:03}", *((8, 96_000) if number % 3 else (2, 16_000))) for number in range(300)]
    stage = staged(nodes, [pod("one"), pod("one more"), pod("pair", 2), pod("share", 1, 500)])

    assert Counter((stage.fleet.gpus > 0).sum(axis=1).tolist()) == {8: 45, 2: 22}
    assert abs(stage.fleet.capacity_milli / 1_000 - GPUS_MAX) < 8
    (arrivals,) = stage.orders
    times = Counter(shape.asked_milli for shape in arrivals)
    assert times[1_000] == pytest.approx(2 * times[2_000], abs=2) == 2 * times[500]
    assert sum(shape.asked_milli for shape in arrivals) > 1.29 * stage.fleet.capacity_milli


def test_a_small_cluster_is_filled_several_times_in_other_orders() -> None:
    stage = staged([node("a", 8), node("b", 8)], [pod("one"), pod("pair", 2), pod("share", 1, 500)])

    assert len(set(stage.orders)) == 4
    assert len({tuple(sorted(order, key=str)) for order in stage.orders}) == 1


@pytest.mark.skipif(not TRACE.is_dir(), reason="the trace is not part of the project")
def test_cpu_has_a_price_where_that_fills_more_of_the_copy() -> None:
    nodes, pods = read_nodes(TRACE / "nodes.csv")[::3], read_pods(TRACE / "pods_default.csv")

    assert attitude(nodes, VARIANTS["CPU x3"](pods, nodes, Random(0))).is_spread
    assert attitude(nodes, pods) == Attitude(), "where nothing goes without, the places of gangs have one"


def test_where_no_task_with_gpus_fits_there_is_nothing_to_choose() -> None:
    assert not attitude([node("n")], [pod("much", cpu_milli=500_000)]).is_spread
    assert not attitude([node("n")], [pod("cpu", 0)]).is_spread


def test_tasks_that_differ_by_little_cpu_or_in_memory_are_rated_as_one_kind() -> None:
    fleet = Fleet([node("n", 8, 96_000)])
    workload = Workload.of([pod(f"p-{cpu}", cpu_milli=cpu) for cpu in range(10_000, 10_400)] + [pod("q", 2)])
    outlook = Outlook.of(fleet, workload)

    assert [(shape.cpu_milli, shape.gpus) for shape in outlook.shapes] == [(10_199, 1), (1_000, 2)]
    assert outlook.cpu_least_milli == (10_000, 1_000)
