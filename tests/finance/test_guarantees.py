"""Guarantees that a pool neither used nor lent."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.domain.units import CohortName, GpuClassName, PoolName
from scheduler.finance.guarantees import Guarantee, Share, Tree, guarantees

H = 3_600_000
A, B, C = (PoolName(name) for name in "abc")
H100 = GpuClassName("H100")
X, Y, TOP = (CohortName(name) for name in ("x", "y", "top"))
COHORT = Tree({A: X, B: X, C: None})


def shares(**amounts: int) -> dict[Share, int]:
    return {(PoolName(pool), H100): hours * H for pool, hours in amounts.items()}


def test_what_nobody_used_or_borrowed_is_idle() -> None:
    (found,) = guarantees(shares(a=100), shares(a=30), {}, COHORT)
    assert (found, found.idle_ms) == (Guarantee(A, H100, 100 * H, 30 * H, 0), 70 * H)


def test_what_others_of_the_cohort_borrowed_was_lent_by_who_had_something_left() -> None:
    found = guarantees(shares(a=100, b=50, c=40), shares(a=40, b=50), shares(b=25), COHORT)
    assert [(each.pool, each.lent_ms // H, each.idle_ms // H) for each in found] == [
        ("a", 25, 35),
        ("b", 0, 0),
        ("c", 0, 40),
    ]


def test_of_two_lenders_each_lent_by_what_it_had_left() -> None:
    found = guarantees(shares(a=90, b=30), {}, {(A, H100): 4 * H}, COHORT)
    assert [each.lent_ms for each in found] == [3 * H, H]


def test_a_pool_without_a_cohort_borrows_from_nobody() -> None:
    (found,) = guarantees(shares(a=10), {}, shares(c=5), COHORT)
    assert found.lent_ms == 0


def lent_and_idle(found: list[Guarantee]) -> list[tuple[str, int, int]]:
    return [(each.pool or f"cohort {each.cohort}", each.lent_ms // H, each.idle_ms // H) for each in found]


NEAR_AND_FAR = {
    "what is near is lent first": (
        Tree({A: X, B: X, C: Y}, {X: TOP, Y: TOP}),
        [("a", 30, 0), ("b", 0, 0), ("c", 20, 40)],
    ),
    "what a cohort has is lent beside what its members left": (
        Tree({A: X, B: X, C: Y}, {X: TOP, Y: TOP}, shared={(X, H100): 10 * H}),
        [("a", 30, 0), ("b", 0, 0), ("c", 10, 50), ("cohort x", 10, 0)],
    ),
    "no more than a lending limit leaves a pool": (
        Tree({A: X, B: X, C: Y}, {X: TOP, Y: TOP}, lends={(A, H100): 5 * H}),
        [("a", 5, 25), ("b", 0, 0), ("c", 45, 15)],
    ),
    "nor a cohort": (
        Tree({A: X, B: X, C: Y}, {X: TOP, Y: TOP}, cohort_lends={(Y, H100): 5 * H}),
        [("a", 30, 0), ("b", 0, 0), ("c", 5, 55)],
    ),
    "who lies in another tree lends nothing": (Tree({A: X, B: X, C: Y}), [("a", 30, 0), ("b", 0, 0), ("c", 0, 60)]),
}


@pytest.mark.parametrize(("tree", "expected"), NEAR_AND_FAR.values(), ids=NEAR_AND_FAR)
def test_in_a_tree_of_cohorts(tree: Tree, expected: list[tuple[str, int, int]]) -> None:
    found = guarantees(shares(a=50, b=50, c=60), shares(a=20, b=50), shares(b=50), tree)
    assert lent_and_idle(found) == expected


def test_what_is_left_of_a_lending_cohort_is_of_all_who_had_something_left() -> None:
    tree = Tree({A: X, B: X, C: Y}, {X: TOP, Y: TOP}, cohort_lends={(X, H100): 8 * H})
    found = guarantees(shares(a=30, b=10), {}, shares(c=20), tree)
    assert lent_and_idle(found) == [("a", 6, 24), ("b", 2, 8)]


@given(
    st.lists(st.integers(0, 10**12), min_size=3, max_size=3),
    st.lists(st.integers(0, 10**12), min_size=3, max_size=3),
    st.lists(st.integers(0, 10**12), min_size=3, max_size=3),
)
def test_nothing_is_lent_that_was_not_there_and_nothing_borrowed_twice(
    nominal: list[int], own: list[int], beyond: list[int]
) -> None:
    def of(amounts: list[int]) -> dict[Share, int]:
        return {(pool, H100): amount for pool, amount in zip((A, B, C), amounts, strict=True)}

    found = guarantees(of(nominal), of(own), of(beyond), COHORT)
    assert all(each.used_ms >= 0 and each.lent_ms >= 0 and each.idle_ms >= 0 for each in found)
    left = sum(each.guaranteed_ms - each.used_ms for each in found if each.pool != C)
    assert sum(each.lent_ms for each in found) == min(beyond[0] + beyond[1], left)
