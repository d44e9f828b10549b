"""Places where tasks of several GPUs can go are dear as far as more of those are expected than places are left."""

import numpy as np
import pytest

from scheduler.decision.placing.packing import PRESSURE_WEIGHT
from scheduler.simulation.packing.experiment import Workload
from scheduler.simulation.packing.fleet import Fleet
from scheduler.simulation.packing.gangs import Gangs
from scheduler.simulation.packing.outlook import Outlook
from scheduler.simulation.traces.openb import OpenbNode, OpenbPod
from tests.simulation.packing.worlds import node, pod

NODES = [node(f"n-{number:02}", 8, 96_000) for number in range(20)]
PODS = [pod("all", 8, cpu_milli=88_000), *(pod(f"one-{number}") for number in range(8))]


def gangs(nodes: list[OpenbNode] = NODES, pods: list[OpenbPod] = PODS) -> tuple[Fleet, Workload, Gangs]:
    fleet, workload = Fleet(nodes), Workload.of(pods)
    outlook = Outlook.of(fleet, workload)
    return fleet, workload, Gangs(fleet, outlook.gang_kinds, outlook.mean)


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
    heavy = int(priced.places(everywhere, fleet.cpu, fleet.gpus).sum(axis=1).argmin())
    assert taken[heavy].tolist() == [1, 0, 0, 0, 0, 0, 0], "m, the first by name"
    assert prices[heavy] > prices[1 - heavy]


def test_shares_of_several_gpus_have_places_on_gpus_that_are_begun() -> None:
    fleet, _, priced = gangs(pods=[pod("halves", 4, 500), *(pod(f"one-{number}") for number in range(8))])
    halves = [500, 500, 500, 500, 0, 0, 0, 0]
    places = [
        int(priced.places(np.array([0]), fleet.cpu[:1], np.array([left]))[0, 0])
        for left in (halves, [1000] * 8, [1000, 1000, 1000, 499, 0, 0, 0, 0])
    ]
    assert places == [1, 4, 0], "each GPU of one task is another"


@pytest.mark.parametrize("pods", [[pod("one")], [pod("none", 0)], [pod("16", 16)]])
def test_without_tasks_of_several_gpus_that_fit_somewhere_nothing_is_kept(pods: list[OpenbPod]) -> None:
    assert len(gangs(pods=pods)[2]) == 0
