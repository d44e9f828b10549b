"""The cost of an hour in its parts, against the same sums in fractions of a currency unit."""

from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler.domain.errors import NotFound, RefusalCode
from scheduler.domain.money import Micro
from scheduler.domain.units import MS_PER_HOUR, GpuClassName, Instant
from scheduler.finance.prices.hour_cost import hour_cost
from scheduler.finance.prices.price_book import Hardware, OffPeak, PriceBook
from scheduler.finance.prices.rating import Rating
from scheduler.finance.prices.valuation import Electricity, electricity_of
from tests.finance.build import H100, RESEARCH, at, book, hardware, rate, tariff

BERLIN = "Europe/Berlin"
BY_HOUR = tuple(100_000 + 10_000 * hour for hour in range(24))
"""0.10 a kilowatt-hour from midnight, 0.01 more each hour."""


def in_berlin(*, pue: int = 1000, written_off: tuple[Hardware, ...] = ()) -> PriceBook:
    rates = (rate("2026-01-01", None, "2.50", off_peak="1.00"),)
    night = OffPeak(hours=frozenset({22, 23}))
    return book(*rates, time_zone=BERLIN, off_peak=night, tariffs=(tariff(BY_HOUR, pue),), hardware=written_off)


@settings(max_examples=60)
@given(
    milliwatts=st.integers(0, 2_000_000),
    pue=st.integers(1000, 2500),
    hour=st.integers(0, 24 * 364),
    price=st.integers(1, 10**11),
    life_hours=st.integers(1, 100_000),
)
def test_the_parts_are_measured_energy_by_pue_by_tariff_and_price_by_life(
    milliwatts: int, pue: int, hour: int, price: int, life_hours: int
) -> None:
    """The factors are floored to a micro-unit each, so the product may be less by the energy and one micro-unit."""
    then = Instant(at("2026-01-01T00:00") + hour * MS_PER_HOUR)
    bought = Hardware(H100, at("2025-01-01"), None, Micro(price), life_hours)
    found = hour_cost(in_berlin(pue=pue, written_off=(bought,)), H100, RESEARCH, then, milliwatts)
    local = datetime.fromtimestamp(then // 1000, ZoneInfo(BERLIN)).hour
    kwh = Fraction(milliwatts, 1_000_000)
    electricity = kwh * Fraction(pue, 1000) * BY_HOUR[local]
    assert found.electricity_micro is not None
    assert 0 <= electricity - found.electricity_micro < kwh + 1
    assert found.hardware_micro is not None
    assert 0 <= Fraction(price, life_hours) - found.hardware_micro < 1
    assert found.effective_micro == (1_000_000 if local in {22, 23} else 2_500_000)
    assert found.rest_micro + found.electricity_micro + found.hardware_micro == found.effective_micro


@pytest.mark.parametrize(
    ("instant", "per_kwh"),
    [
        ("2026-07-01T12:00", "0.24"),
        ("2026-12-01T12:00", "0.23"),
        ("2026-03-29T00:30", "0.11"),
        ("2026-03-29T01:30", "0.13"),
        ("2026-10-25T00:30", "0.12"),
        ("2026-10-25T01:30", "0.12"),
    ],
    ids=["summer", "winter", "before clocks go on", "after", "before clocks go back", "the same hour again"],
)
def test_the_tariff_is_that_of_the_wall_clock_s_hour(instant: str, per_kwh: str) -> None:
    found = hour_cost(in_berlin(), H100, RESEARCH, at(instant), 700_000)
    assert found.kwh_price_micro == int(Decimal(per_kwh) * 1_000_000)
    assert found.electricity_micro == int(Decimal("0.7") * Decimal(per_kwh) * 1_000_000)


def test_what_is_not_known_is_no_part_and_the_rest_is_what_is_left() -> None:
    unmeasured = hour_cost(
        in_berlin(written_off=(hardware("30000", 40_000),)), H100, RESEARCH, at("2026-07-01"), None
    )
    assert (unmeasured.electricity_micro, unmeasured.hardware_micro) == (None, 750_000)
    assert unmeasured.rest_micro == 1_750_000
    bare = hour_cost(book(), H100, RESEARCH, at("2026-07-01"), 700_000)
    assert (bare.kwh_price_micro, bare.electricity_micro, bare.hardware_micro) == (None, None, None)
    assert bare.rest_micro == bare.effective_micro


def test_hardware_that_costs_more_than_the_price_leaves_a_rest_below_zero() -> None:
    found = hour_cost(in_berlin(written_off=(hardware("90000", 30_000),)), H100, RESEARCH, at("2026-07-01"), 0)
    assert (found.hardware_micro, found.electricity_micro, found.rest_micro) == (3_000_000, 0, -500_000)


def test_an_hour_without_a_price_is_refused() -> None:
    with pytest.raises(NotFound) as refused:
        hour_cost(in_berlin(), GpuClassName("b300"), RESEARCH, at("2026-07-01"), 0)
    assert refused.value.code is RefusalCode.PRICE_MISSING


def test_energy_of_an_hour_without_a_tariff_is_told_with_the_first_such_hour() -> None:
    rating = Rating(book(tariffs=(tariff((200_000,) * 24),)))
    known, before = (at("2026-01-01T01:00"), 3_600_000_000), (at("2025-12-31T01:00"), 1)
    earlier, unread = (at("2025-12-30T01:00"), 6), (at("2025-12-01T01:00"), 0)
    assert electricity_of(rating, [known]) == Electricity(Micro(200_000))
    assert electricity_of(rating, [known]).known_micro == 200_000
    found = electricity_of(rating, [known, before, earlier, unread])
    assert found == Electricity(Micro(200_000), 7, at("2025-12-30T01:00"))
    assert found.known_micro is None
    assert electricity_of(rating, []).known_micro == 0
