"""What a node's rest is worth: more to many, nothing to nobody, and never more than there is."""

from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.decision.placing.packing import DRAWS, MEAN_WEIGHT, Demand, Kind, NodeSort, expected_best, pressure

ANY = frozenset({"G2", "T4"})
MODELS = ["G2", "T4"]
SORTS = [NodeSort("G2", 8, 96_000, 6_000), NodeSort("T4", 2, 96_000, 2_000)]


def worth(demand: Demand, cpu: int, *left: int, model: int = 0, memory: int = 65_536) -> float:
    return float(demand.worth(np.array([cpu]), np.array([memory]), np.array([left]), np.array([model]))[0])


def test_a_rest_that_every_arrival_can_use_whole_is_worth_all_of_itself() -> None:
    demand = Demand([Kind(1_000, 1, 1_000, ANY, 1.0)], MODELS)
    assert worth(demand, 8_000, 1_000, 1_000) == pytest.approx(2_000)


def test_a_rest_that_one_arrival_in_ten_can_use_is_worth_nearly_as_much() -> None:
    demand = Demand([Kind(1_000, 1, 190, ANY, 0.1), Kind(1_000, 1, 810, ANY, 0.9)], MODELS)
    chance = MEAN_WEIGHT * 0.1 + (1 - MEAN_WEIGHT) * (1 - 0.9**DRAWS)
    assert worth(demand, 8_000, 190) == pytest.approx(190 * chance)
    assert chance > 0.7


def test_what_nobody_can_use_is_worth_nothing() -> None:
    demand = Demand([Kind(4_000, 2, 1_000, ANY, 0.5), Kind(1_000, 1, 470, frozenset({"T4"}), 0.5)], MODELS)
    assert worth(demand, 8_000, 460, 460) == 0, "no GPU has enough left"
    assert worth(demand, 3_999, 1_000, 1_000) == 0, "a node without CPU takes none"
    assert worth(demand, 8_000, 1_000, 460) == 0, "it needs two GPUs, or another model"
    assert worth(demand, 8_000, 1_000, 460, model=1) > 0


def test_idle_gpus_count_as_far_as_the_node_has_cpu_for_them() -> None:
    demand = Demand([Kind(4_000, 1, 1_000, ANY, 1.0)], MODELS)
    assert worth(demand, 9_000, 1_000, 1_000, 1_000, 1_000) == pytest.approx(2_000)


def test_idle_gpus_count_as_far_as_the_node_has_memory_for_them() -> None:
    demand = Demand([Kind(4_000, 1, 1_000, ANY, 1.0, memory_mib=16_384)], MODELS)
    assert worth(demand, 96_000, 1_000, 1_000, 1_000, memory=40_000) == pytest.approx(2_000)
    assert worth(demand, 96_000, 1_000, memory=16_383) == 0


def test_a_model_that_much_work_cannot_do_without_is_dear() -> None:
    kinds = [Kind(1, 1, 1_000, ANY, 0.5), Kind(1, 1, 1_000, frozenset({"T4"}), 0.5)]
    # Half of all demand spreads over 8 GPUs, the other half presses on the 2 T4 alone.
    assert pressure(kinds, SORTS).tolist() == pytest.approx([0.5, 2.5])


def test_nodes_large_enough_for_what_no_other_can_hold_are_dear() -> None:
    pairs = [Kind(1, 1, 1_000, ANY, 0.6), Kind(1, 4, 1_000, ANY, 0.1)]
    # Six tenths of all demand spread over 8 GPUs, four press on the 6 of nodes with four GPUs or more.
    assert pressure(pairs, SORTS).tolist() == pytest.approx([0.6 + 0.4 * 8 / 6, 0.6])
    heavy = [Kind(1, 1, 1_000, ANY, 0.6), Kind(64_000, 1, 1_000, ANY, 0.4)]
    poor = [NodeSort("G2", 8, 32_000, 6_000), NodeSort("T4", 2, 96_000, 2_000)]
    assert pressure(heavy, poor).tolist() == pytest.approx([0.6, 0.6 + 0.4 * 8 / 2])


def test_no_demand_at_all_gives_worth_to_nothing() -> None:
    kinds = [Kind(1_000, 0, 0, ANY, 1.0)]
    assert worth(Demand(kinds, MODELS), 8_000, 1_000) == 0
    assert pressure(kinds, SORTS).tolist() == [0.0, 0.0]
    assert pressure([], SORTS).tolist() == [0.0, 0.0]


def test_a_kind_that_no_node_takes_presses_on_none() -> None:
    assert pressure([Kind(1, 1, 500, frozenset({"H100"}), 1.0)], SORTS).tolist() == [0.0, 0.0]


usables = st.lists(
    st.tuples(st.integers(0, 8_000), st.floats(0.01, 1.0, allow_nan=False)), min_size=1, max_size=8
).map(lambda kinds: (np.array([[use for use, _ in kinds]]), np.array([share for _, share in kinds])))


def test_of_fewer_arrivals_the_best_is_worth_less() -> None:
    usable, frequency = np.array([[1_000, 0]]), np.array([0.1, 0.9])
    one, six, many = (float(expected_best(usable, frequency, draws)[0]) for draws in (1, 6, DRAWS))
    assert one == pytest.approx(100)
    assert six == pytest.approx(1_000 * (MEAN_WEIGHT * 0.1 + (1 - MEAN_WEIGHT) * (1 - 0.9**6)))
    assert one < six < many


@given(usables)
def test_the_best_of_several_is_between_the_mean_and_the_most(kinds: tuple[np.ndarray, np.ndarray]) -> None:
    usable, frequency = kinds
    frequency = frequency / frequency.sum()
    found = float(expected_best(usable, frequency)[0])
    assert float(usable[0] @ frequency) - 1e-6 <= found <= float(usable.max()) + 1e-6


@given(usables, st.randoms(use_true_random=False))
def test_the_order_of_the_kinds_does_not_matter(kinds: tuple[np.ndarray, np.ndarray], shuffler: Random) -> None:
    usable, frequency = kinds
    order = list(range(len(frequency)))
    shuffler.shuffle(order)
    frequency = frequency / frequency.sum()
    assert expected_best(usable[:, order], frequency[order]) == pytest.approx(expected_best(usable, frequency))


def test_many_states_are_valued_as_each_alone() -> None:
    demand = Demand([Kind(2_000, 1, 470, ANY, 0.6), Kind(8_000, 2, 1_000, ANY, 0.3)], MODELS)
    cpu, left = np.tile([1_000, 4_000, 16_000], 100), np.tile([[470, 1_000], [1_000, 1_000], [90, 530]], (100, 1))
    memory = np.full(300, 65_536)
    many = demand.worth(cpu, memory, left, np.zeros(300, dtype=np.int64))
    alone = [worth(demand, int(c), *map(int, row)) for c, row in zip(cpu[:3], left[:3], strict=True)]
    assert many.tolist() == pytest.approx(alone * 100)


def test_more_cpu_than_32_bits_count_is_as_good_as_endless() -> None:
    demand = Demand([Kind(4_000, 1, 1_000, ANY, 0.5), Kind(2**40, 1, 1_000, ANY, 0.5)], MODELS)
    assert worth(demand, 2**41, 1_000) == pytest.approx(1_000)
    assert worth(demand, 8_000, 1_000) == pytest.approx(1_000 * (0.2 * 0.5 + 0.8 * (1 - 0.5**DRAWS)))
