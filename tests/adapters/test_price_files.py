"""Price books as files: what is read from them, and what is refused, with its code."""

from pathlib import Path

import pytest

from scheduler.adapters.policy_files import check_prices, price_reference, read_policy, read_prices
from scheduler.domain.errors import InvalidInput, RefusalCode
from scheduler.domain.units import MS_PER_HOUR, GpuClassName, PoolName
from scheduler.finance.prices.price_book import UnitPrice
from scheduler.finance.prices.rating import Rating
from tests.finance.build import at

EXAMPLES = Path(__file__).parents[2] / "policies"
ONE = """\
version: 1
currency: EUR
billing: {account_id: acme, account_name: Acme}
rates:
  - {gpu_class: h100, from: 2026-01-01, list: 3.00, effective: 2.000001}
  - {gpu_class: h100, from: 2026-07-01, list: 2.50}
electricity:
  - {from: 2026-01-01, per_kwh: 0.20, pue_per_mille: 1250}
hardware:
  - {gpu_class: h100, from: 2026-01-01, cost_per_gpu: 35040, life_months: 48}
"""


def test_a_book_is_read_exactly() -> None:
    book = read_prices(ONE, "prices.yaml")
    first, second = book.rates
    assert first.peak == UnitPrice(3_000_000, 3_000_000, 2_000_001)  # type: ignore[arg-type]  # plain numbers read better
    assert (first.ends_at, second.ends_at) == (at("2026-07-01"), None)
    assert book.micro_per_kwh(at("2026-02-01")) == 250_000
    hardware = book.hardware_at(GpuClassName("h100"), at("2026-02-01"))
    assert hardware is not None
    assert hardware.micro_per_hour == 1_000_000


def test_the_example_prices_every_class_and_pool_of_the_example_policy() -> None:
    policy = read_policy((EXAMPLES / "example.yaml").read_bytes(), "example.yaml")
    rating = Rating(read_prices((EXAMPLES / "prices.yaml").read_bytes(), "prices.yaml"))
    for pool in policy.pools:
        for gpu_class in policy.gpu_classes:
            parts = rating.parts(gpu_class, PoolName(pool), 8, 8 * 744 * MS_PER_HOUR, at("2026-10-31T22:59"))
            assert sum(part.gpu_ms for part in parts) == 8 * 744 * MS_PER_HOUR


BAD = {
    "an unknown currency": (
        ("EUR", "BTC"),
        RefusalCode.UNKNOWN_CURRENCY,
        "2:1: currency: found the unknown currency",
    ),
    "a gap": (("list: 3.00,", "until: 2026-06-01, list: 3.00,"), RefusalCode.PRICE_GAP, "a gap: nothing holds from"),
    "an overlap": (("list: 3.00,", "until: 2026-08-01, list: 3.00,"), RefusalCode.PRICE_OVERLAP, "an overlap"),
    "two from the same day": (("2026-07-01", "2026-01-01"), RefusalCode.PRICE_OVERLAP, "the same `from` again"),
    "an end before the start": (
        ("from: 2026-07-01,", "from: 2026-07-01, until: 2026-07-01,"),
        RefusalCode.PRICE_OVERLAP,
        "a day after `from`",
    ),
    "a price below zero": (("list: 2.50", "list: -2.50"), RefusalCode.INVALID_PRICES, "an amount of at least 0"),
    "seven decimals": (("2.50", "2.5000001"), RefusalCode.INVALID_PRICES, "at most six decimals"),
    "a price in quotes": (("2.50", '"2.50"'), RefusalCode.INVALID_PRICES, "an amount of at least 0"),
    "a price that is a float of another kind": (("2.50", "25e-1"), RefusalCode.INVALID_PRICES, "an amount"),
    "a day that is none": (("2026-07-01", "2026-06-31"), RefusalCode.INVALID_PRICES, "a day such as 2026-10-01"),
    "an unknown key": (("list: 2.50", "lst: 2.50"), RefusalCode.INVALID_PRICES, 'did you mean "list"'),
    "no rates": (("rates:", "rates: []\nrate:"), RefusalCode.INVALID_PRICES, "an empty list"),
    "a time zone that is none": (
        ("currency: EUR", "currency: EUR\ntime_zone: Mars/Olympus"),
        RefusalCode.INVALID_PRICES,
        "IANA",
    ),
    "two tariffs at once": (
        ("per_kwh: 0.20", "per_kwh: 0.20, by_hour: [" + ", ".join(["0.1"] * 24) + "]"),
        RefusalCode.INVALID_PRICES,
        "`per_kwh` or `by_hour`",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_wrong_is_refused_with_its_code_and_place(name: str) -> None:
    (old, new), code, message = BAD[name]
    text = ONE.replace(old, new, 1)
    assert text != ONE
    with pytest.raises(InvalidInput) as refused:
        read_prices(text, "prices.yaml")
    assert refused.value.code is code
    assert message in refused.value.message
    assert check_prices(text, "prices.yaml")[0] is None


def test_the_page_for_finance_has_every_key() -> None:
    assert price_reference() in (EXAMPLES.parent / "docs" / "finance.md").read_text(encoding="utf-8")
