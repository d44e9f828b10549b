"""The inflation experiment: what arrives, and what holds whichever strategy places it."""

from dataclasses import replace
from pathlib import Path
from random import Random
from statistics import mean

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler.decision.placing.packing import NodeSort
from scheduler.domain.errors import InvalidInput
from scheduler.simulation.packing.baselines import BestFit, Fgd, RandomPlacement
from scheduler.simulation.packing.best import Best
from scheduler.simulation.packing.by_worth import Attitude, ByWorth
from scheduler.simulation.packing.experiment import Strategy, StrategyOf, Workload, draw_arrivals, run
from scheduler.simulation.packing.fleet import Fleet, Gpus
from scheduler.simulation.packing.outlook import KINDS_MAX, Outlook
from scheduler.simulation.traces.openb import OpenbNode, OpenbPod, read_nodes, read_pods
from tests.simulation.packing.worlds import clusters, node, pod, workloads

TRACE = Path(__file__).parents[4] / "shared" / "data" / "openb"
STRATEGIES: dict[str, StrategyOf] = {"random": RandomPlacement, "best-fit": BestFit, "fgd": Fgd, "best": Best}

on_every_strategy = pytest.mark.parametrize("name", STRATEGIES)


class Witness:
    """Places as the strategy does, and looks at every node by itself to see whether a task it drops would have fit."""

    def __init__(self, strategy: Strategy, fleet: Fleet, workload: Workload) -> None:
        self._strategy, self._fleet, self._workload = strategy, fleet, workload

    def choose(self, kind: int) -> tuple[int, Gpus] | None:
        chosen = self._strategy.choose(kind)
        shape, fleet = self._workload.shapes[kind], self._fleet
        could = [
            number
            for number in range(len(fleet))
            if fleet.cpu[number] >= shape.cpu_milli
            and fleet.memory[number] >= shape.memory_mib
            and (not shape.gpus or not shape.models or fleet.models[fleet.model[number]] in shape.models)
            and sum(left >= shape.gpu_milli for left in fleet.gpus[number] if shape.gpus) >= shape.gpus
        ]
        if chosen is None:
            assert could == [], "what fits somewhere is placed"
        else:
            assert chosen[0] in could, "what is placed fits where it is placed"
        return chosen


@on_every_strategy
@settings(max_examples=40, deadline=None)
@given(nodes=clusters(), pods=workloads(), seed=st.integers(0, 5))
def test_whatever_fits_somewhere_is_placed_and_nothing_is_overbooked(
    name: str, nodes: tuple[OpenbNode, ...], pods: tuple[OpenbPod, ...], seed: int
) -> None:
    fleets: list[Fleet] = []

    def watched(fleet: Fleet, workload: Workload, random: Random) -> Strategy:
        fleets.append(fleet)
        return Witness(STRATEGIES[name](fleet, workload, random), fleet, workload)

    outcome = run(nodes, pods, watched, 1.3, seed)
    (fleet,) = fleets
    assert fleet.cpu.min() >= 0
    assert fleet.memory.min() >= 0
    assert fleet.gpus.min() >= 0
    assert fleet.capacity_milli - int(fleet.gpus.sum()) == fleet.allocated_milli
    assert outcome.arrived - outcome.failed == len(fleet.changes)


@on_every_strategy
@settings(max_examples=20, deadline=None)
@given(nodes=clusters(), pods=workloads(), seed=st.integers(0, 5), shuffler=st.randoms(use_true_random=False))
def test_the_same_seed_brings_the_same_whatever_the_order_of_the_nodes(
    name: str, nodes: tuple[OpenbNode, ...], pods: tuple[OpenbPod, ...], seed: int, shuffler: Random
) -> None:
    shuffled = list(nodes)
    shuffler.shuffle(shuffled)
    assert run(nodes, pods, STRATEGIES[name], 1.3, seed) == run(shuffled, pods, STRATEGIES[name], 1.3, seed)


def test_tasks_are_drawn_until_the_next_would_ask_for_too_much() -> None:
    workload = Workload.of([pod("a", 2), pod("b", 1, 500), pod("c", 0)])
    arrivals = draw_arrivals(workload, 10_000, Random(1))
    asked = sum(workload.shapes[kind].asked_milli for kind in arrivals)
    assert 8_000 < asked <= 10_000
    assert {0, 1, 2} <= set(arrivals)
    assert draw_arrivals(workload, 10_000, Random(1)) == arrivals
    assert draw_arrivals(workload, 10_000, Random(2)) != arrivals


def test_a_file_that_asks_for_more_by_itself_arrives_up_to_the_bound() -> None:
    arrivals = draw_arrivals(Workload.of([pod(f"p-{number}", 2) for number in range(10)]), 7_000, Random(1))
    assert arrivals == [0, 0, 0]


def test_tasks_without_gpus_alone_arrive_once() -> None:
    assert len(draw_arrivals(Workload.of([pod("a", 0), pod("b", 0)]), 7_000, Random(1))) == 2


def test_nodes_of_one_sort_share_model_gpus_and_cpu() -> None:
    nodes = [node("a", 2), node("b", 4), node("c", 2, 32_000), node("d", 2), node("e", 2, model="T4"), node("f", 0)]
    sorts, sort_of = Fleet(nodes).sorts()
    assert [sorts[sort] for sort in sort_of] == [
        NodeSort("G2", 2, 16_000, 4_000),
        NodeSort("G2", 4, 16_000, 4_000),
        NodeSort("G2", 2, 32_000, 2_000),
        NodeSort("G2", 2, 16_000, 4_000),
        NodeSort("T4", 2, 16_000, 2_000),
        NodeSort("", 0, 16_000, 0),
    ]


def test_nodes_without_gpus_cannot_be_measured() -> None:
    with pytest.raises(InvalidInput, match="no GPU"):
        run([node("n", 0)], [pod("a")], RandomPlacement, 1.3, 0)


def test_what_had_been_allocated_at_capacity_is_told_beside_the_end() -> None:
    outcome = run([node("n", 4)], [pod("a", 1, 470)], BestFit, 1.3, 0)
    # Eight shares of 470 ask for 94 %, eleven for 129 %; four GPUs take eight.
    assert outcome.allocated_percent == {"100": 94.0, "130": 94.0}
    assert (outcome.arrived, outcome.failed) == (11, 3)


def test_the_marks_are_told_of_longer_experiments_and_where_nothing_asks_for_a_gpu() -> None:
    longer = run([node("n", 4)], [pod("a", 1, 470)], BestFit, 2.0, 0)
    assert longer.allocated_percent == {"100": 94.0, "130": 94.0, "200": 94.0}
    assert run([node("n", 4)], [pod("a", 1, 470)], BestFit, 1.0, 0).allocated_percent == {"100": 94.0}
    assert run([node("n", 4)], [pod("a", 0)], BestFit, 1.3, 0).allocated_percent == {"100": 0.0, "130": 0.0}


PUBLISHED = {"random": 87.47, "best-fit": 93.08, "fgd": 95.39}


@pytest.mark.skipif(not TRACE.is_dir(), reason="the trace is not part of the project")
@pytest.mark.parametrize("name", PUBLISHED)
def test_two_seeds_come_near_the_published_figure(name: str) -> None:
    """Within 0.5 points in the mean of two; `make bench-pack` shows 0.3 in the mean of ten."""
    nodes, pods = read_nodes(TRACE / "nodes.csv"), read_pods(TRACE / "pods_default.csv")
    reached = mean(run(nodes, pods, STRATEGIES[name], 1.3, seed).allocated_percent["130"] for seed in (0, 1))
    assert reached == pytest.approx(PUBLISHED[name], abs=0.5)


@pytest.mark.skipif(not TRACE.is_dir(), reason="the trace is not part of the project")
def test_ours_fills_half_a_point_more_than_fgd_is_published_to() -> None:
    """With one seed; `make bench-pack` shows it in the mean of ten, and on variants of the trace."""
    nodes, pods = read_nodes(TRACE / "nodes.csv"), read_pods(TRACE / "pods_default.csv")
    assert run(nodes, pods, Best, 1.3, 1).allocated_percent["130"] > PUBLISHED["fgd"] + 0.5


def test_of_very_many_kinds_the_commonest_stand_for_all_and_whatever_fits_is_still_placed() -> None:
    pods = tuple(pod(f"p{number}", cpu_milli=1_000 + number, gpus=1, milli=500) for number in range(3 * KINDS_MAX))
    nodes = tuple(node(f"n{number}", gpus=8, cpu_milli=2_000_000) for number in range(18))
    outcome = run(nodes, pods, lambda *of: Witness(Best(*of), of[0], of[1]), 1.0, 0)
    assert outcome.allocated_percent["100"] == 100.0
    assert outcome.failed == 0


@given(nodes=clusters(), pods=workloads(), order=st.randoms(use_true_random=False))
def test_tasks_that_fit_on_no_node_change_nothing_about_where_the_others_go(
    nodes: tuple[OpenbNode, ...], pods: tuple[OpenbPod, ...], order: Random
) -> None:
    hopeless = [
        pod("model", 4, models=("H100",)),
        pod("gpus", 16),
        pod("cpu", 1, 470, cpu_milli=500_000),
        pod("cpu-only", 0, cpu_milli=500_000),
        *(replace(each, name=f"{each.name}-vast", memory_mib=2**20) for each in pods),
    ]
    alone, among = Fleet(nodes), Fleet(nodes)
    known, mixed = Workload.of(pods), Workload.of([*pods, *hopeless])
    ours, theirs = (
        ByWorth(fleet, Outlook.of(fleet, tasks), Attitude()) for fleet, tasks in ((alone, known), (among, mixed))
    )
    for shape in order.choices(known.shapes, k=40):
        assert theirs.choose(mixed.shapes[len(known.shapes)]) is None
        chosen = ours.choose(shape)
        assert theirs.choose(shape) == chosen
        if chosen:
            alone.place(shape, *chosen)
            among.place(shape, *chosen)


def test_what_only_rare_work_cannot_do_without_is_left_alone_by_the_rest() -> None:
    """However many commoner kinds there are: no T4 is begun while a G2 has room."""
    common = [pod(f"p{number}", cpu_milli=1_000 + number % 60, milli=500) for number in range(600)]
    rare = [pod(f"r{number}", models=("T4",), cpu_milli=900 + number) for number in range(12)]
    nodes = [node(f"a{number}", 8, 96_000, "T4") for number in range(2)]
    nodes += [node(f"b{number:02}", 8, 96_000) for number in range(60)]
    fleet, workload = Fleet(nodes), Workload.of([*common, *rare])
    best = Best(fleet, workload, Random(0))
    for kind in workload.kinds[:600]:
        chosen = best.choose(kind)
        assert chosen is not None
        fleet.place(workload.shapes[kind], *chosen)
    assert {fleet.models[model] for model in fleet.model[fleet.changes].tolist()} == {"G2"}


def test_the_rest_of_a_rare_model_is_valued_by_what_it_takes_however_many_kinds_others_take() -> None:
    """The half of a T4 that is left is as good as made for the next half; the whole one stays whole."""
    common = [pod(f"p{number}", cpu_milli=1_000 + number % 33, models=("G2",)) for number in range(330)]
    rare = [*[pod("half", milli=500, models=("T4",))] * 10, *[pod("whole", models=("T4",))] * 10]
    others = [pod(f"o{number}", 0, cpu_milli=100 + number) for number in range(12)]
    fleet = Fleet([node("a", 1, model="T4"), node("b", 1, model="T4"), node("c", 8, 96_000)])
    workload = Workload.of([*common, *rare, *others])
    half, whole = workload.kinds[330], workload.kinds[340]
    fleet.place(workload.shapes[half], 1, (0,))
    best = Best(fleet, workload, Random(0))

    assert best.choose(half) == (1, (0,))
    assert best.choose(whole) == (0, (0,))
