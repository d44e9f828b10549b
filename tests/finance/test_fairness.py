"""Fairness: known cases, and bounds that hold for any use."""

from hypothesis import given
from hypothesis import strategies as st

from scheduler.finance.fairness import Fairness, fairness


def test_equal_use_is_fair_by_every_measure() -> None:
    assert fairness([7] * 20) == Fairness(20, 0, 1000, 100)


def test_one_who_has_all_is_as_unfair_as_it_gets() -> None:
    assert fairness([0] * 19 + [5]) == Fairness(20, 950, 50, 1000)


def test_half_and_nothing_is_between() -> None:
    assert fairness([0, 0, 1, 1]) == Fairness(4, 500, 500, 500)


def test_nothing_is_spread_where_nobody_used_anything() -> None:
    assert fairness([0, 0]) == Fairness(2, None, None, None)
    assert fairness([]) == Fairness(0, None, None, None)


@given(st.lists(st.integers(0, 10**15), min_size=1, max_size=60))
def test_the_measures_keep_to_their_bounds(uses: list[int]) -> None:
    found = fairness(uses)
    if found.gini_permille is not None and found.jain_permille is not None and found.top_decile_permille is not None:
        assert 0 <= found.gini_permille <= 1000
        assert 1000 // len(uses) <= found.jain_permille <= 1000
        assert 1000 // len(uses) <= found.top_decile_permille <= 1000
