import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.domain.hours import hours_at_least, hours_at_most, hours_available, hours_text
from scheduler.domain.units import MS_PER_HOUR

TENTH = MS_PER_HOUR // 10


@pytest.mark.parametrize(
    ("gpu_ms", "text"),
    [(0, "0.0"), (180_000, "0.1"), (179_999, "0.0"), (-179_999, "0.0"), (-180_000, "-0.1"), (3_600_000, "1.0")],
)
def test_hours_are_the_nearest_tenth(gpu_ms: int, text: str) -> None:
    assert hours_text(gpu_ms) == text


@given(st.integers(min_value=-(2**62), max_value=2**62))
def test_hours_are_never_further_off_than_half_a_tenth(gpu_ms: int) -> None:
    whole, tenth = hours_text(gpu_ms).lstrip("-").split(".")
    shown = (int(whole) * 10 + int(tenth)) * 360_000
    assert abs(shown - abs(gpu_ms)) <= 180_000


def test_what_is_needed_is_rounded_up_and_what_there_is_is_cut() -> None:
    assert [hours_at_most(each) for each in (0, 1, TENTH, TENTH + 1)] == ["0.0", "0.1", "0.1", "0.2"]
    assert [hours_at_least(each) for each in (-1, TENTH - 1, TENTH)] == ["0.0", "0.0", "0.1"]


def test_what_is_available_is_told_as_the_balance_beside_it_shows_it() -> None:
    assert hours_available(274 * TENTH + TENTH // 2, 3840 * TENTH) == "27.5", "as the balance is rounded"
    assert hours_available(274 * TENTH + TENTH // 2 - 1, 3840 * TENTH) == "27.4"
    assert hours_available(10 * TENTH - 1, 10 * TENTH) == "0.9", "1.0 would look enough"
    assert hours_available(-TENTH, TENTH) == "0.0", "an overdraft is nothing that is available"
