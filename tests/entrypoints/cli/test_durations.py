"""Durations and hours as people type them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.domain.errors import InvalidInput, RefusalCode
from scheduler.entrypoints.cli.durations import parse_duration, parse_hours


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [
        ("8h", 28_800_000),
        ("30m", 1_800_000),
        ("1h30m", 5_400_000),
        ("24h", 86_400_000),
        ("2d", 172_800_000),
        ("45s", 45_000),
        ("1d2h3m4s", 93_784_000),
        (" 8H ", 28_800_000),
        ("1-12", 129_600_000),
        ("1-12:30", 131_400_000),
        ("2-00:00:00", 172_800_000),
        ("12:00:00", 43_200_000),
        ("0:00:45", 45_000),
    ],
)
def test_a_duration_is_milliseconds(text: str, milliseconds: int) -> None:
    assert parse_duration(text) == milliseconds


@pytest.mark.parametrize(
    "text",
    [
        "",
        "8",
        "h",
        "0h",
        "0",
        "-1h",
        "1.5h",
        "0.1h",
        "NaN",
        "1e400",
        "8h8h",
        "30m1h",
        "9223372036854775807h",
        "８h",
        "8 h",
        "12:00",
        "1-",
        "-12",
        "0-0",
        "00:00:00",
        "1:60:00",
        "1-2h",
        "1-12:00:00:00",
    ],
)
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_duration(text)
    assert caught.value.code is RefusalCode.INVALID_TIME_LIMIT
    assert caught.value.where == "--time"


@pytest.mark.parametrize(("text", "milliseconds"), [("40h", 144_000_000), ("250", 900_000_000), ("90m", 5_400_000)])
def test_hours_are_milliseconds_of_gpu_time(text: str, milliseconds: int) -> None:
    assert parse_hours(text) == milliseconds


@pytest.mark.parametrize("text", ["0", "-1", "0.1", "9223372036854775807", "", "many", "1e3", "٣"])
def test_what_is_no_amount_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_hours(text)
    assert caught.value.code is RefusalCode.INVALID_AMOUNT


@given(st.integers(1, 876_000), st.integers(0, 59), st.integers(0, 59))
def test_parts_add_up(hours: int, minutes: int, seconds: int) -> None:
    assert parse_duration(f"{hours}h{minutes}m{seconds}s") == ((hours * 60 + minutes) * 60 + seconds) * 1000
