from dataclasses import replace

import pytest

from scheduler.domain.quantities import TOKENS, class_unit, money_unit
from scheduler.domain.units import MS_PER_HOUR, STANDARD_GPU, GpuClassName, Instant, PerMille, Unit
from scheduler.finance.prices.fair_value import fair_value
from scheduler.finance.prices.price_book import OffPeak, TokenRate
from tests.finance.build import H100, at, book, price, rate

A100 = GpuClassName("a100")
WEIGHTS = {A100: PerMille(600), H100: PerMille(1250)}
HOURS = 100 * MS_PER_HOUR
NOW = at("2026-06-01T12:00")


@pytest.mark.parametrize(
    ("unit", "amount", "value"),
    [
        (STANDARD_GPU, HOURS, 200_000_000),
        (class_unit(H100), HOURS, 250_000_000),
        (money_unit("EUR"), 7, 7),
        (STANDARD_GPU, 1, 0),
    ],
    ids=["a standard hour is 0.8 h of an H100", "an hour of the class", "money is itself", "floored once"],
)
def test_an_amount_is_worth_what_it_would_cost_at_list_price(unit: Unit, amount: int, value: int) -> None:
    found = fair_value(book(), unit, amount, WEIGHTS, NOW)
    assert (found.value_micro, found.currency) == (value, "EUR")


def test_it_rises_with_the_price_and_says_what_it_rests_on() -> None:
    prices = book(rate("2026-01-01", "2027-01-01", "2.00"), rate("2027-01-01", None, "3.00"))
    values = [fair_value(prices, class_unit(H100), HOURS, WEIGHTS, when) for when in (NOW, at("2027-06-01T12:00"))]
    assert [value.value_micro for value in values] == [200_000_000, 300_000_000]
    assert values[1].basis == "list price of h100 on 2027-06-01, prices.yaml"


def test_the_hour_of_the_day_makes_no_difference() -> None:
    prices = book(rate("2026-01-01", None, "2.00", off_peak="1.00"), off_peak=OffPeak(hours=frozenset({3})))
    night = fair_value(prices, class_unit(H100), HOURS, WEIGHTS, at("2026-06-01T03:30"))
    assert night.value_micro == fair_value(prices, class_unit(H100), HOURS, WEIGHTS, NOW).value_micro


@pytest.mark.parametrize(
    ("unit", "when", "basis"),
    [
        (TOKENS, NOW, "no price of tokens of any model on 2026-06-01"),
        (class_unit(A100), NOW, "no price of a100 on 2026-06-01"),
        (STANDARD_GPU, at("2025-06-01T12:00"), "no price of h100 or a100 on 2025-06-01"),
    ],
    ids=["tokens", "a class without a price", "before the first price"],
)
def test_where_there_is_no_price_there_is_no_value_and_it_says_why(unit: Unit, when: Instant, basis: str) -> None:
    found = fair_value(book(), unit, HOURS, WEIGHTS, when)
    assert (found.value_micro, found.basis) == (None, basis)


def test_only_the_classes_that_it_may_be_spent_on_count() -> None:
    assert fair_value(book(), STANDARD_GPU, HOURS, WEIGHTS, NOW, only={A100}).value_micro is None
    assert fair_value(None, STANDARD_GPU, HOURS, WEIGHTS, NOW).basis == "there is no price book"


def test_in_a_closed_period_an_award_is_worth_what_it_was_by_the_book_under_which_it_was_closed() -> None:
    tokens = TokenRate(None, at("2026-01-01"), None, price("1.00"))
    before = replace(book(rate("2026-01-01", None, "2.00")), token_rates=(tokens,))
    dearer = replace(book(rate("2026-01-01", None, "3.00")), token_rates=(replace(tokens, price=price("4.00")),))
    prices = before.succeeded_by(dearer, [(at("2026-05-01"), at("2026-06-01"))])
    closed, first_of_june = Instant(at("2026-06-01") - 1), at("2026-06-01")
    hours = [
        fair_value(prices, class_unit(H100), HOURS, WEIGHTS, when).value_micro for when in (closed, first_of_june)
    ]
    of_tokens = [fair_value(prices, TOKENS, 1_000_000, WEIGHTS, when).value_micro for when in (closed, first_of_june)]
    assert (hours, of_tokens) == ([200_000_000, 300_000_000], [1_000_000, 4_000_000])


def test_hours_are_not_valued_on_a_class_that_takes_none() -> None:
    found = fair_value(book(), STANDARD_GPU, HOURS, {H100: PerMille(0)}, NOW)
    assert (found.value_micro, found.basis) == (None, "no price of h100 on 2026-06-01")
