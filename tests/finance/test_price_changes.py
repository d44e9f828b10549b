"""What whoever approves a price book reads of it."""

from dataclasses import replace

from scheduler.domain.money import Currency
from scheduler.domain.units import PoolName
from scheduler.finance.prices.price_book import OffPeak, TokenRate
from scheduler.finance.prices.price_changes import price_changes
from tests.finance.build import at, book, hardware, price, rate, tariff

BOOK = book(
    rate("2026-01-01", "2026-07-01", "2.50", off_peak="1.90"),
    rate("2026-07-01", None, "2.00"),
    tariffs=(tariff((200_000,) * 24),),
    hardware=(hardware("30000", 40_000),),
)


def told(**changes: object) -> list[tuple[str, object, object]]:
    return [(each.path, each.before, each.after) for each in price_changes(BOOK, replace(BOOK, **changes))]  # type: ignore[arg-type]


def test_the_same_book_differs_in_nothing() -> None:
    assert told(name="another", hash="1" * 64) == []


def test_each_price_that_changes_comes_or_goes_is_told_with_its_first_day() -> None:
    dearer = replace(BOOK.rates[0], peak=price("2.75"))
    own = replace(BOOK.rates[1], pool=PoolName("evals"))
    assert told(rates=(dearer, BOOK.rates[1], own)) == [
        (
            "rates.h100 from 2026-01-01",
            "2.50 / 2.50 / 2.50, off-peak 1.90 / 1.90 / 1.90, until 2026-07-01",
            "2.75 / 2.75 / 2.75, off-peak 1.90 / 1.90 / 1.90, until 2026-07-01",
        ),
        ("rates.h100.evals from 2026-07-01", None, "2.00 / 2.00 / 2.00"),
    ]
    assert told(rates=BOOK.rates[:1]) == [("rates.h100 from 2026-07-01", "2.00 / 2.00 / 2.00", None)]


def test_so_is_all_else_that_hours_cost() -> None:
    free = TokenRate(None, at("2026-01-01"), None, price("0.40"))
    assert told(token_rates=(free,)) == [("tokens.every model from 2026-01-01", None, "0.40 / 0.40 / 0.40")]
    assert told(hardware=(hardware("60000", 40_000),)) == [
        ("hardware.h100 from 2026-01-01", "30000.00 over 40000 h", "60000.00 over 40000 h")
    ]
    (night,) = told(tariffs=(tariff((100_000,) + (200_000,) * 23),))
    assert night[1] == "0.20, PUE 1"
    assert str(night[2]).startswith("0.10, 0.20, 0.20")
    assert told(off_peak=OffPeak(frozenset({22}), frozenset({5}))) == [
        ("off_peak", "hours none; days none (Monday is 1)", "hours 22; days 6 (Monday is 1)")
    ]
    assert told(currency=Currency("USD")) == [("currency", "EUR", "USD")]
    assert [path for path, *_ in told(time_zone="Asia/Tokyo")] == ["time_zone"]
