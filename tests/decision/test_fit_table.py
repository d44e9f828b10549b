"""The table of what fits: kept up to date booking by booking, it says what one laid out anew says."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler.decision.placing import fit_table
from scheduler.decision.placing.fit_table import FitTable
from scheduler.decision.placing.node_use import CLAIMED, OCCUPIED, STOPPING, NodeUse, empty_use, left_on
from scheduler.decision.placing.shape import Shape
from scheduler.domain.cluster import Node, PodRequest
from scheduler.domain.units import GpuClassName, NodeName

SHAPES = [
    Shape(PodRequest(1, 4_000, 16_384)),
    Shape(PodRequest(2, 16_000, 65_536)),
    Shape(PodRequest(0, 8_000, 1_024)),
    Shape(PodRequest(4, 1_000, 1_024), nodes_with=(("rack", "a"),)),
]
NAMES = [NodeName(f"n{number}") for number in range(6)]

amounts = st.tuples(st.integers(0, 4), st.integers(0, 64_000), st.integers(0, 262_144))
bookings = st.tuples(st.sampled_from(range(6)), st.sampled_from([OCCUPIED, STOPPING, CLAIMED]), amounts)
changes = st.tuples(st.sampled_from(range(6)), st.booleans(), st.sampled_from([4, 8]))


def a_node(name: NodeName) -> Node:
    return Node(name, GpuClassName("H100"), 4, 64_000, 262_144, labels={"rack": "a" if name < "n3" else "b"})


def a_table(nodes: Sequence[Node], uses: dict[NodeName, NodeUse]) -> FitTable:
    table = FitTable()
    table.replace_nodes(nodes, uses)
    for shape in SHAPES:
        table.row(shape)
    return table


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(bookings | changes, max_size=5), max_size=8))
def test_a_table_kept_up_to_date_says_what_one_laid_out_anew_says(
    rounds: list[list[tuple[int, int, tuple[int, int, int]] | tuple[int, bool, int]]],
) -> None:
    nodes = [a_node(name) for name in NAMES]
    uses: dict[NodeName, NodeUse] = {name: empty_use() for name in NAMES}
    kept = a_table(nodes, uses)
    for each in rounds:
        for position, what, amount in each:
            name = NAMES[position]
            if isinstance(amount, tuple):
                uses[name][what] = list(amount)
                kept.set_use(name, uses[name])
            else:
                nodes[position] = replace(nodes[position], gpus=amount, accepts_work=bool(what))
                kept.set_node(nodes[position])
        _assert_alike(kept, a_table(nodes, uses))


def _assert_alike(kept: FitTable, fresh: FitTable) -> None:
    for shape in SHAPES:
        row, same = kept.row(shape), fresh.row(shape)
        assert kept.counts(row).tolist() == fresh.counts(same).tolist()
        assert kept.total(shape) == fresh.total(shape)
        for pods in (1, 2, 5):
            assert kept.placement(row, kept.counts(row), pods) == fresh.placement(same, fresh.counts(same), pods)
    assert np.array_equal(kept.coming(), fresh.coming())
    assert np.array_equal(kept.available, fresh.available)


def test_columns_that_are_forgotten_are_reckoned_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fit_table, "_COLUMNS_MAX", 2)
    nodes = [a_node(name) for name in NAMES]
    uses: dict[NodeName, NodeUse] = {name: empty_use() for name in NAMES}
    kept = a_table(nodes, uses)
    for name, gpus in zip(NAMES, (1, 2, 3, 4, 1, 2), strict=True):
        uses[name][OCCUPIED] = [gpus, 0, 0]
        kept.set_use(name, uses[name])
        _assert_alike(kept, a_table(nodes, uses))


def test_what_is_coming_is_the_readers_own() -> None:
    table = a_table([a_node(NAMES[0])], {})
    table.coming()[0] = 99
    assert table.coming()[0].tolist() == [4]


def test_a_gang_takes_the_roomiest_nodes_and_ends_where_the_rest_is_worth_most() -> None:
    uses: dict[NodeName, NodeUse] = {NAMES[1]: [[3, 0, 0], [0, 0, 0], [0, 0, 0]]}
    table = a_table([a_node(name) for name in NAMES[:4]], uses)
    row = table.row(SHAPES[0])
    placement = table.placement(row, table.counts(row), 9)
    assert placement is not None
    assert dict(placement.pods_by_node) == {NAMES[0]: 4, NAMES[2]: 4, NAMES[1]: 1}


@pytest.mark.parametrize(
    ("stopping", "claimed", "available", "coming"),
    [
        ((0, 0, 0), (0, 0, 0), (2, 48_000, 200_000), (2, 48_000, 200_000)),
        ((2, 16_000, 62_144), (0, 0, 0), (2, 48_000, 200_000), (4, 64_000, 262_144)),
        ((2, 16_000, 62_144), (1, 16_000, 1_000), (2, 48_000, 200_000), (3, 48_000, 261_144)),
        ((0, 0, 0), (1, 8_000, 50_000), (1, 40_000, 150_000), (1, 40_000, 150_000)),
        ((1, 16_000, 0), (2, 8_000, 50_000), (1, 48_000, 150_000), (1, 56_000, 150_000)),
    ],
)
def test_what_still_ends_is_not_free_yet_and_serves_what_is_claimed_first(
    stopping: tuple[int, ...], claimed: tuple[int, ...], available: tuple[int, ...], coming: tuple[int, ...]
) -> None:
    use = [[2, 16_000, 62_144], list(stopping), list(claimed)]
    assert left_on(a_node(NAMES[0]), use) == (available, coming)
