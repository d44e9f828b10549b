"""Whole numbers in text that others wrote: digits and nothing else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.domain.digits import DIGITS_MAX, whole_number_in


@given(st.integers(0, 10**DIGITS_MAX - 1))
def test_what_digits_write_is_read(number: int) -> None:
    assert whole_number_in(str(number)) == number


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1_0",
        " 1",
        "1 ",
        "1\n",
        "+1",
        "-1",
        "1.0",
        "1e3",
        "0x1",
        "\u0661",
        "\uff11",
        "²",
        "one",
        "1" * (DIGITS_MAX + 1),
    ],
)
def test_what_else_is_written_is_no_number(text: str) -> None:
    assert whole_number_in(text) is None


def test_fewer_digits_may_be_asked_for() -> None:
    assert (whole_number_in("999", digits_max=3), whole_number_in("1000", digits_max=3)) == (999, None)
