"""Numbers as people read them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.domain.units import MS_PER_HOUR
from scheduler.entrypoints.web import formatting

NARROW = "\u202f"


@pytest.mark.parametrize(
    ("amount_ms", "text"),
    [
        (0, "0.0"),
        (MS_PER_HOUR, "1.0"),
        (179_999, "0.0"),
        (180_000, "0.1"),
        (-180_000, "−0.1"),
        (-1, "0.0"),
        (round(214.7 * MS_PER_HOUR), "214.7"),
        (452_952 * MS_PER_HOUR, f"452{NARROW}952.0"),
        (-1_132_380 * MS_PER_HOUR, f"−1{NARROW}132{NARROW}380.0"),
    ],
)
def test_hours_have_one_decimal_and_thin_spaces(amount_ms: int, text: str) -> None:
    assert formatting.hours(amount_ms) == text


@given(st.integers(min_value=-(2**62), max_value=2**62))
def test_hours_are_never_off_by_more_than_half_a_tenth(amount_ms: int) -> None:
    shown = formatting.hours(amount_ms).replace(NARROW, "").replace("−", "-")
    whole, tenth = shown.lstrip("-").split(".")
    shown_tenths = int(whole) * 10 + int(tenth)
    assert abs(shown_tenths * MS_PER_HOUR - abs(amount_ms) * 10) * 2 <= MS_PER_HOUR


@pytest.mark.parametrize(
    ("length_ms", "text"),
    [
        (-5, "0 s"),
        (45_000, "45 s"),
        (22 * 60_000, "22 min"),
        (3 * MS_PER_HOUR + 12 * 60_000, "3 h 12 min"),
        (2 * MS_PER_HOUR, "2 h"),
        (52 * MS_PER_HOUR, "2 d 4 h"),
    ],
)
def test_a_duration_names_its_two_largest_units(length_ms: int, text: str) -> None:
    assert formatting.duration(length_ms) == text


def test_a_share_of_nothing_is_a_dash_and_not_zero() -> None:
    assert formatting.percent(0, 0) == "–"
    assert formatting.percent(699, 800) == "87.4"


def test_prices_multiply_weight_and_factor() -> None:
    assert formatting.multiplied_per_mille(550, 1500) == "0.825"
    assert formatting.multiplied_per_mille(1000, 1000) == "1"


def test_what_is_typed_is_marked_and_everything_else_escaped() -> None:
    assert formatting.prose("see `allot list` <b>") == "see <code>allot list</code> &lt;b&gt;"
    assert formatting.prose("a ` alone") == "a ` alone"


def test_a_code_reads_as_words() -> None:
    assert formatting.words_of("AwaitingPreemption") == "Awaiting preemption"
    assert formatting.words_of("EngineerGpuLimit") == "Engineer GPU limit"
    assert formatting.words_of("") == ""


def test_counts_agree_with_their_nouns() -> None:
    assert formatting.counted(1, "GPU") == "1 GPU"
    assert formatting.counted(1200, "GPU") == f"1{NARROW}200 GPUs"
