"""Quantities, and what a pod occupies of a node."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.adapters.kubernetes.quantities import NANO, nanos
from scheduler.adapters.kubernetes.resources import Amounts, allocatable, pod_request, total
from tests.adapters.kubernetes.objects import Json, container


@pytest.mark.parametrize(
    ("quantity", "value"),
    [
        ("1", Fraction(1)),
        ("0.5", Fraction(1, 2)),
        (".5", Fraction(1, 2)),
        ("500m", Fraction(1, 2)),
        ("100n", Fraction(1, 10**7)),
        ("2k", Fraction(2000)),
        ("1Ki", Fraction(1024)),
        ("1.5Gi", Fraction(3 * 2**29)),
        ("2e3", Fraction(2000)),
        ("2E3", Fraction(2000)),
        ("1E", Fraction(10**18)),
        ("9223372036854775807", Fraction(2**63 - 1)),
    ],
)
def test_a_quantity_is_read_exactly(quantity: str, value: Fraction) -> None:
    assert nanos(quantity) == value * NANO


@pytest.mark.parametrize("quantity", ["", "one", "1 Gi", "1e400", "NaN", "1mm", "--1"])
def test_what_is_no_quantity_is_refused(quantity: str) -> None:
    with pytest.raises(ValueError, match="no quantity"):
        nanos(quantity)


@given(st.integers(0, 10**12), st.sampled_from(["Ki", "Mi", "Gi", "Ti"]))
def test_a_binary_quantity_survives_being_written(count: int, suffix: str) -> None:
    power = ("Ki", "Mi", "Gi", "Ti").index(suffix) + 1

    assert nanos(f"{count}{suffix}") == count * 1024**power * NANO


def init(cpu: str, gpus: str = "0", **more: str) -> Json:
    return {**container({"cpu": cpu, "nvidia.com/gpu": gpus}), **more}


def test_containers_that_run_together_are_summed() -> None:
    spec = {"containers": [container({"cpu": "1", "nvidia.com/gpu": "2"}), container({"cpu": "500m"})]}

    assert pod_request(spec) == Amounts(1500, 0, (("nvidia.com/gpu", 2),))


def test_an_init_container_counts_where_it_asks_for_more_than_all_that_run_later() -> None:
    spec = {"initContainers": [init("4", "1"), init("1")], "containers": [container({"cpu": "2"})]}

    assert pod_request(spec) == Amounts(4000, 0, (("nvidia.com/gpu", 1),))


def test_a_sidecar_runs_beside_the_containers_and_beside_the_init_containers_after_it() -> None:
    spec = {
        "initContainers": [init("3"), init("1", restartPolicy="Always"), init("4")],
        "containers": [container({"cpu": "2"})],
    }

    assert pod_request(spec).cpu_milli == 5000


def test_a_sidecar_does_not_count_beside_init_containers_before_it() -> None:
    spec = {"initContainers": [init("4"), init("1", restartPolicy="Always")], "containers": []}

    assert pod_request(spec).cpu_milli == 4000


def test_a_limit_without_a_request_is_a_request() -> None:
    spec = {"containers": [container({"nvidia.com/gpu": "3", "cpu": "2"}, {"cpu": "1"})]}

    assert pod_request(spec) == Amounts(1000, 0, (("nvidia.com/gpu", 3),))


def test_resources_of_the_whole_pod_stand_in_for_its_containers() -> None:
    spec = {
        "containers": [container({"cpu": "1", "memory": "1Gi", "nvidia.com/gpu": "1"})],
        "resources": {"requests": {"cpu": "8"}},
        "overhead": {"memory": "100Mi"},
    }

    assert pod_request(spec) == Amounts(8000, 1124, (("nvidia.com/gpu", 1),))


def test_requests_round_up_and_allocatable_rounds_down() -> None:
    quantities = {"cpu": "100500u", "memory": "1048577"}

    assert pod_request({"containers": [container(quantities)]}) == Amounts(101, 2)
    assert allocatable(quantities) == Amounts(100, 1)


def test_volumes_and_huge_pages_are_no_devices() -> None:
    quantities = {"attachable-volumes-csi/x": "39", "hugepages-2Mi": "0", "rdma/hca": "1", "nvidia.com/gpu": "8"}

    assert allocatable(quantities).devices == (("nvidia.com/gpu", 8), ("rdma/hca", 1))


def test_amounts_add_up_resource_by_resource() -> None:
    one = Amounts(1, 2, (("a/x", 1),))
    other = Amounts(10, 20, (("a/x", 2), ("a/y", 5)))

    assert total([one, other]) == Amounts(11, 22, (("a/x", 3), ("a/y", 5)))
    assert total([one, other]).count_any({"a/x", "a/y"}) == 8
