"""Guarantees that a pool neither used nor lent."""

from hypothesis import given
from hypothesis import strategies as st

from scheduler.domain.units import CohortName, GpuClassName, PoolName
from scheduler.finance.guarantees import Guarantee, Share, guarantees

H = 3_600_000
A, B, C = (PoolName(name) for name in "abc")
H100 = GpuClassName("H100")
COHORT = {A: CohortName("x"), B: CohortName("x"), C: None}


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
