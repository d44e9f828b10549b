import pytest

from scheduler.domain.errors import InvalidInput, RefusalCode
from scheduler.domain.quantities import exact_text, measure, quantity_text, unit_label, unit_named
from scheduler.domain.units import Unit


@pytest.mark.parametrize(
    ("name", "unit", "amount", "text"),
    [
        ("standard", "standard-gpu-ms", 3_600_000 * 1500, "1 500.0 h"),
        ("gpu/H100", "gpu-ms/H100", 5_400_000, "1.5 h H100"),
        ("tokens", "tokens", 1_000_000, "1 000 000 tokens"),
        ("tokens/llama", "tokens/llama", 5, "5 tokens of llama"),
        ("EUR", "EUR-micro", 2_500_000, "2.50 EUR"),
    ],
)
def test_a_unit_is_read_written_and_shown(name: str, unit: str, amount: int, text: str) -> None:
    assert unit_named(name) == unit
    assert unit_label(Unit(unit)) == name
    assert quantity_text(amount, Unit(unit)) == text


def test_less_than_nothing_has_a_minus() -> None:
    assert quantity_text(-3_600_000, unit_named("standard")) == "-1.0 h"
    assert quantity_text(-1, unit_named("EUR")) == "-0.000001 EUR"


@pytest.mark.parametrize(
    ("name", "amount", "text"),
    [
        ("standard", 5 * 3_600_000, "5.0 h"),
        ("standard", 5 * 3_600_000 + 360_000, "5.1 h"),
        ("standard", 5 * 3_600_000 - 1, "4 h 59 min 59.999 s"),
        ("standard", -90_000, "-1 min 30 s"),
        ("standard", 1, "0.001 s"),
        ("standard", 0, "0.0 h"),
        ("gpu/H100", 3_600_000 * 1500 + 60_000, "1 500 h 1 min H100"),
        ("tokens", 1_234, "1 234 tokens"),
        ("EUR", 1, "0.000001 EUR"),
    ],
)
def test_what_has_to_agree_to_the_last_part_is_shown_with_nothing_rounded_off(
    name: str, amount: int, text: str
) -> None:
    assert exact_text(amount, unit_named(name)) == text


@pytest.mark.parametrize("name", ["", "hours", "gpu/", "gpu", "tokens/", "eur", "tokens/" + "m" * 121])
def test_what_is_no_unit_is_refused(name: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        unit_named(name)
    assert refused.value.code is RefusalCode.UNKNOWN_UNIT


def test_three_capitals_that_are_no_currency_are_told_so() -> None:
    with pytest.raises(InvalidInput) as refused:
        unit_named("XYZ")
    assert refused.value.code is RefusalCode.UNKNOWN_CURRENCY


@pytest.mark.parametrize("unit", ["", "gpu-ms/", "tokens/", "XYZ-micro", "seconds"])
def test_a_unit_of_the_books_is_one_of_ours(unit: str) -> None:
    with pytest.raises(InvalidInput):
        measure(Unit(unit))
