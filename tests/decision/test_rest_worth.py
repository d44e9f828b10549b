"""Which node the service chooses: where the worth of the rest falls least, GPUs without CPU being worth nothing."""

from random import Random

import numpy as np
import pytest

from scheduler.decision.placing.capacity import Capacity
from scheduler.decision.placing.rest_worth import GPUS_MAX, HALVES, WORTH
from scheduler.decision.placing.shape import Shape
from scheduler.domain.cluster import Node, Placement, PodRequest
from scheduler.domain.units import GpuClassName, NodeName

G2 = GpuClassName("g2")
LIGHT, EVEN, HEAVY = PodRequest(1, 6_000, 24_576), PodRequest(1, 12_000, 49_152), PodRequest(1, 24_000, 49_152)


def cluster(count: int) -> Capacity:
    """Nodes of 8 GPUs with 12 CPUs and 48 GiB for each."""
    capacity = Capacity()
    names = [NodeName(f"n-{number:02}") for number in range(count)]
    capacity.set_nodes({name: Node(name, G2, 8, 96_000, 393_216) for name in names})
    return capacity


def taken(capacity: Capacity, node: str, *pods: PodRequest) -> None:
    for pod in pods:
        capacity.occupy(Placement(((NodeName(node), 1),)), pod)


def chosen(capacity: Capacity, pod: PodRequest, pods: int = 1) -> Placement | None:
    table, shape = capacity.table(G2), Shape(pod)
    row = table.row(shape)
    return table.placement(row, table.counts(row), pods)


def on(node: str, pods: int = 1) -> Placement:
    return Placement(((NodeName(node), pods),))


def test_worth_never_falls_with_more_gpus_or_more_cpu_and_never_exceeds_the_gpus() -> None:
    assert (np.diff(WORTH, axis=0) >= 0).all()
    assert (np.diff(WORTH, axis=1) >= 0).all()
    assert (np.arange(GPUS_MAX + 1)[:, None] * 1_000 >= WORTH).all()


def test_idle_gpus_with_their_share_of_cpu_are_worth_nearly_all_and_without_any_nothing() -> None:
    assert WORTH[8, 8 * HALVES] == pytest.approx(8_000, rel=0.01)
    assert WORTH[8, 0] == 0


def test_what_asks_for_little_cpu_goes_where_little_is_left() -> None:
    capacity = cluster(2)
    taken(capacity, "n-00", EVEN, EVEN, EVEN, EVEN)
    taken(capacity, "n-01", HEAVY, HEAVY, HEAVY)
    # n-01 has five GPUs and CPU for four at half a share each; n-00, the tighter, has its even share for four.
    assert chosen(capacity, LIGHT) == on("n-01")


def test_what_asks_for_much_cpu_goes_where_it_leaves_no_gpu_behind() -> None:
    capacity = cluster(2)
    taken(capacity, "n-00", EVEN, EVEN, EVEN, EVEN, EVEN, EVEN)
    taken(capacity, "n-01", LIGHT, LIGHT, LIGHT, LIGHT)
    assert chosen(capacity, HEAVY) == on("n-01"), "on n-00, the tighter, the last GPU would be left without CPU"


def test_among_equals_the_first_node_by_name_is_chosen() -> None:
    assert chosen(cluster(3), EVEN) == on("n-00")


def test_nodes_are_filled_before_empty_ones_are_begun() -> None:
    capacity = cluster(3)
    taken(capacity, "n-02", EVEN)
    assert chosen(capacity, EVEN) == on("n-02")
    assert chosen(capacity, EVEN, pods=7) == on("n-02", 7)
    assert chosen(capacity, EVEN, pods=8) == on("n-00", 8)


def test_a_booking_changes_the_choice_as_a_fresh_table_would_make_it() -> None:
    capacity, fresh = cluster(4), cluster(4)
    for pod, node in ((EVEN, "n-01"), (HEAVY, "n-02"), (LIGHT, "n-03"), (EVEN, "n-03")):
        chosen(capacity, LIGHT)
        taken(capacity, node, pod)
        taken(fresh, node, pod)
    for pod in (LIGHT, EVEN, HEAVY):
        assert chosen(capacity, pod) == chosen(fresh, pod)


def test_mixed_work_fills_more_gpus_than_the_tightest_fit_does() -> None:
    def filled(is_by_worth: bool) -> int:
        capacity, random = cluster(20), Random(1)
        table = capacity.table(G2)
        shapes = {pod: Shape(pod) for pod in (LIGHT, EVEN, HEAVY)}
        gpus = 0
        for _ in range(400):
            shape = shapes[random.choices([LIGHT, EVEN, HEAVY], [5, 3, 2])[0]]
            row = table.row(shape)
            counts = table.counts(row)
            if not counts.any():
                continue
            tightest = int(np.where(counts >= 1, table.available[0] * 10**6 + table.available[1], 2**60).argmin())
            placement = table.placement(row, counts, 1) if is_by_worth else on(table.names[tightest])
            assert placement is not None
            capacity.occupy(placement, shape.pod)
            gpus += 1
        return gpus

    assert filled(is_by_worth=True) > filled(is_by_worth=False)


def test_two_pods_go_where_both_together_leave_the_best_rest() -> None:
    """They take one node's last two GPUs, though one pod alone would leave the rest of the other worth more."""
    capacity = cluster(2)
    taken(capacity, "n-00", *[EVEN] * 6)
    taken(capacity, "n-01", *[EVEN] * 5)
    assert chosen(capacity, EVEN) == on("n-01")
    assert chosen(capacity, EVEN, pods=2) == on("n-00", pods=2)
