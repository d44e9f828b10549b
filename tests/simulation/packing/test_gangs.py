"""Places where tasks of several GPUs can go are dear as far as more of those are expected than places are left."""

import numpy as np
import pytest

from scheduler.decision.placing.packing import PRESSURE_WEIGHT, Kind
from scheduler.simulation.packing.experiment import Workload
from scheduler.simulation.packing.fleet import Fleet
from scheduler.simulation.packing.gangs import Gangs
from scheduler.simulation.traces.openb import OpenbNode, OpenbPod
from tests.simulation.packing.worlds import node, pod

NODES = [node(f"n-{number:02}", 8, 96_000) for number in range(20)]
PODS = [pod("all", 8, cpu_milli=88_000), *(pod(f"one-{number}") for number in range(8))]


def gangs(
    nodes: list[OpenbNode] = NODES, pods: list[OpenbPod] = PODS, weight: float = 1.0
) -> tuple[Fleet, Workload, Gangs]:
    fleet, workload = Fleet(nodes), Workload.of(pods)
    kinds = [
        Kind(shape.cpu_milli, shape.gpus, shape.gpu_milli, frozenset(fleet.models), count / len(pods))
        for shape, count in zip(workload.shapes, workload.counts, strict=True)
    ]
    return fleet, workload, Gangs(fleet, workload, kinds, weight)


def test_the_fewer_places_are_left_the_dearer_they_are_up_to_what_work_without_a_choice_pays() -> None:
    fleet, workload, priced = gangs()
    prices = [float(priced.prices()[0])]
    for number in range(20):
        fleet.place(workload.shapes[1], number, (0,))
        prices.append(float(priced.prices()[0]))
    assert prices == sorted(prices)
    assert prices[-1] > 1.5 * prices[0]
    assert prices[-1] < PRESSURE_WEIGHT * 8_000


def test_a_place_is_taken_by_one_gpu_or_by_the_cpu() -> None:
    fleet, _, priced = gangs()
    node_0, all_left = np.array([0]), fleet.gpus[:1]
    one_gone = all_left - np.eye(8, dtype=np.int64)[:1] * 100
    assert priced.taken(node_0, np.array([88_000]), all_left).tolist() == [[0]]
    assert priced.taken(node_0, np.array([96_000]), one_gone).tolist() == [[1]]
    assert priced.taken(node_0, np.array([87_999]), all_left).tolist() == [[1]]


def test_a_begun_node_has_no_place_to_take() -> None:
    fleet, workload, priced = gangs()
    fleet.place(workload.shapes[1], 0, (0,))
    assert priced.taken(np.array([0]), np.array([8_000]), fleet.gpus[:1]).tolist() == [[0]]


def test_large_tasks_are_expected_on_the_places_of_smaller_ones_too() -> None:
    pairs = [pod("pair", 2), *(pod(f"one-{number}") for number in range(8))]
    _, _, alone = gangs(pods=pairs)
    _, _, beside = gangs(pods=[*pairs, *(pod(f"all-{number}", 8) for number in range(4))])
    assert beside.prices()[0] > alone.prices()[0]


def test_what_few_nodes_can_hold_is_dear_on_those_alone() -> None:
    nodes = [*NODES[:6], node("m", 8, 128_000)]
    fleet, _, priced = gangs(nodes, [pod("much", 8, cpu_milli=120_000), *PODS])
    everywhere = np.arange(7)
    taken = priced.taken(everywhere, fleet.cpu - 20_000, fleet.gpus)
    prices = priced.prices()
    heavy = int(priced.places(everywhere, fleet.cpu, fleet.gpus).sum(axis=0).argmin())
    assert taken[:, heavy].tolist() == [1, 0, 0, 0, 0, 0, 0], "m, the first by name"
    assert prices[heavy] > prices[1 - heavy]


@pytest.mark.parametrize(
    ("pods", "weight"), [(PODS, 0.0), ([pod("one")], 1.0), ([pod("none", 0)], 1.0), ([pod("16", 16)], 1.0)]
)
def test_without_weight_or_tasks_of_several_gpus_that_fit_somewhere_nothing_is_kept(
    pods: list[OpenbPod], weight: float
) -> None:
    assert len(gangs(pods=pods, weight=weight)[2]) == 0
