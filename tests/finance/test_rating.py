"""Rating: the price of an hour, postings cut where it changes, and one floor a posting."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler.domain.errors import InvalidInput, NotFound, RefusalCode
from scheduler.domain.quantities import money_unit
from scheduler.domain.units import MS_PER_HOUR, STANDARD_GPU, AllowanceId, Instant, PoolName
from scheduler.domain.workloads import Attempt
from scheduler.finance.prices.postings import paid_posting, plain_micro, plain_price, worth_of
from scheduler.finance.prices.price_book import OffPeak, in_force
from scheduler.finance.prices.rating import Rating, charged_micro
from scheduler.ledger.journal import Account, AccountKind, PostedEntry, Terms, TransactionKind, charged_to
from tests.finance.build import H100, RESEARCH, at, book, rate
from tests.ledger.build import attempt as an_attempt

NIGHT = OffPeak(hours=frozenset({22, 23, 0, 1, 2, 3, 4, 5}))


def test_an_hour_of_eight_gpus_costs_eight_times_the_price() -> None:
    parts = Rating(book()).parts(H100, RESEARCH, 8, 8 * MS_PER_HOUR, Instant(at("2026-10-01T12:00") - 1))
    assert [(p.start, p.end, p.gpu_ms) for p in parts] == [
        (at("2026-10-01T11:00"), at("2026-10-01T12:00"), 8 * MS_PER_HOUR)
    ]
    assert charged_micro(parts) == 20_000_000


def test_a_posting_is_cut_where_off_peak_begins_on_the_book_s_own_wall_clock() -> None:
    prices = book(rate("2026-01-01", None, "2.00", off_peak="1.00"), off_peak=NIGHT, time_zone="Europe/Berlin")
    # 22:00 in Berlin is 20:00 UTC in summer time.
    parts = Rating(prices).parts(H100, RESEARCH, 1, 2 * MS_PER_HOUR, Instant(at("2026-10-01T21:00") - 1))
    assert [(p.gpu_ms, p.priced.is_off_peak, p.priced.unit.effective) for p in parts] == [
        (MS_PER_HOUR, False, 2_000_000),
        (MS_PER_HOUR, True, 1_000_000),
    ]
    assert charged_micro(parts) == 3_000_000


def test_off_peak_days_hold_all_day() -> None:
    prices = book(rate("2026-01-01", None, "2.00", off_peak="1.00"), off_peak=OffPeak(weekdays=frozenset({5, 6})))
    saturday = Rating(prices).price_at(H100, RESEARCH, at("2026-10-03T12:00"))
    friday = Rating(prices).price_at(H100, RESEARCH, at("2026-10-02T12:00"))
    assert saturday is not None
    assert friday is not None
    assert (saturday.unit.effective, friday.unit.effective) == (1_000_000, 2_000_000)


def test_the_next_rate_holds_from_its_first_millisecond() -> None:
    prices = book(rate("2026-01-01", "2026-10-01", "3.00"), rate("2026-10-01", None, "2.00"))
    rating = Rating(prices)
    assert charged_micro(rating.parts(H100, RESEARCH, 1, 1000, Instant(at("2026-10-01T00:00") - 1))) == 833
    assert charged_micro(rating.parts(H100, RESEARCH, 1, 1000, Instant(at("2026-10-01T00:00") + 999))) == 555


def test_a_pool_s_own_rate_goes_before_that_of_every_pool() -> None:
    prices = book(rate("2026-01-01", None, "3.00"), rate("2026-01-01", None, "1.00", pool="evals"))
    rating = Rating(prices)
    own = rating.price_at(H100, PoolName("evals"), at("2026-10-01"))
    other = rating.price_at(H100, RESEARCH, at("2026-10-01"))
    assert own is not None
    assert other is not None
    assert (own.unit.effective, other.unit.effective) == (1_000_000, 3_000_000)


def test_what_has_no_price_is_refused_and_the_hour_named() -> None:
    with pytest.raises(NotFound, match="2025-12-31T23:00:00Z") as refused:
        Rating(book()).parts(H100, RESEARCH, 1, 1000, Instant(at("2025-12-31T23:59") - 1))
    assert refused.value.code is RefusalCode.PRICE_MISSING


@pytest.mark.parametrize(
    ("end", "start", "code"),
    [
        ("2026-06-01", "2026-07-01", RefusalCode.PRICE_GAP),
        ("2026-08-01", "2026-07-01", RefusalCode.PRICE_OVERLAP),
        (None, "2026-07-01", RefusalCode.PRICE_OVERLAP),
    ],
)
def test_a_book_with_a_gap_or_an_overlap_cannot_be_built(end: str | None, start: str, code: RefusalCode) -> None:
    with pytest.raises(InvalidInput) as refused:
        book(rate("2026-01-01", end, "3.00"), rate(start, None, "2.00"))
    assert refused.value.code is code


ZIGZAG = Rating(
    book(
        rate("2010-01-01", "2026-10-15", "3.00", off_peak="1.50"),
        rate("2026-10-15", None, "2.00"),
        off_peak=NIGHT,
        time_zone="Asia/Kathmandu",
    )
)


@settings(deadline=None)
@given(
    gpu_ms=st.integers(1, 10**10),
    gpus=st.integers(1, 64),
    end=st.integers(at("2026-09-01"), at("2026-11-01")),
)
def test_the_parts_of_a_posting_add_up_to_it_and_lie_end_to_end(gpu_ms: int, gpus: int, end: int) -> None:
    parts = ZIGZAG.parts(H100, RESEARCH, gpus, gpu_ms, Instant(end))
    assert sum(part.gpu_ms for part in parts) == gpu_ms
    given_back = ZIGZAG.parts(H100, RESEARCH, gpus, -gpu_ms, Instant(end))
    assert charged_micro(given_back) == -charged_micro(parts)


@settings(max_examples=60)
@given(
    gpus=st.integers(1, 16),
    gpu_ms=st.integers(0, 40 * MS_PER_HOUR),
    minutes=st.integers(0, 2 * 24 * 60),
    payer=st.sampled_from([AccountKind.HELD, AccountKind.OVERRUN, AccountKind.UNFUNDED]),
)
def test_a_charge_at_one_price_is_worth_what_the_attempt_itself_says(
    gpus: int, gpu_ms: int, minutes: int, payer: AccountKind
) -> None:
    prices = book(rate("2026-01-01", None, "2.00", off_peak="1.37"), off_peak=NIGHT, time_zone="Europe/Berlin")
    rating, ran = Rating(prices), an_attempt(gpus=gpus)
    posted_at = Instant(at("2026-10-01T12:00") + minutes * 60_000)
    plain = a_charge(ran, Account(payer, "x"), gpu_ms, posted_at, gpus)
    posting = paid_posting(plain)
    assert posting is not None
    worth = worth_of(rating, posting, ran)
    priced = plain_price(rating, plain)
    if len(worth.parts) > 1:
        assert priced is None
    elif priced is not None:
        assert plain_micro(plain, priced) == worth.micro
        assert [part.priced for part in worth.parts] == ([priced] if gpu_ms else [])


def a_charge(ran: Attempt, payer: Account, gpu_ms: int, at: Instant, gpus: int | None) -> PostedEntry:
    """What the account paid for the attempt, in as much standard time."""
    terms = Terms(ran.owner, ran.gpu_class, ran.pool, gpus)
    charged = (1, "c", TransactionKind.CHARGE, at, at, payer, STANDARD_GPU, -gpu_ms, -gpu_ms)
    return PostedEntry(*charged, attempt_id=ran.id, memo="", terms=terms)


def test_what_was_resized_or_redated_takes_the_attempt_itself() -> None:
    rating, ran = Rating(book()), an_attempt()
    noon = at("2026-10-01T12:00")
    known = a_charge(ran, Account(AccountKind.HELD, "a"), 1_000, noon, 1)
    assert plain_price(rating, known) is not None
    assert plain_price(rating, a_charge(ran, known.account, 1_000, noon, None)) is None
    assert plain_price(rating, known._replace(terms=None)) is None
    assert plain_price(rating, known._replace(kind=TransactionKind.REFUND)) is None
    assert plain_price(rating, known._replace(account=charged_to(AllowanceId("a")))) is None
    assert plain_price(rating, known._replace(corrects_at=noon)) is None
    assert plain_price(rating, known._replace(unit=money_unit(rating.book.currency))) is None


CHANGING = Rating(book(rate("2026-01-01", "2026-10-02", "3.60"), rate("2026-10-02", None, "7.20")))
"""A second of a GPU is 1,000 micro-units, and from the second of October on 2,000."""


def test_a_refund_gives_back_what_the_last_of_the_attempt_cost_however_late_it_is_posted() -> None:
    ran = replace(an_attempt(), ended_at=at("2026-10-02"))
    plain = a_charge(ran, Account(AccountKind.ALLOWANCE, "a"), -2_000, at("2026-10-03"), 1)
    posting = paid_posting(plain._replace(kind=TransactionKind.REFUND))
    assert posting is not None
    assert worth_of(CHANGING, posting, ran).micro == -2_000
    still_running = replace(ran, ended_at=None)
    assert worth_of(CHANGING, posting, still_running).micro == -4_000


def test_a_charge_for_a_closed_period_is_worth_what_its_own_time_cost() -> None:
    ran = an_attempt()
    late = a_charge(ran, Account(AccountKind.HELD, "a"), 2_000, at("2026-10-03"), 1)
    posting = paid_posting(late._replace(corrects_at=Instant(at("2026-10-02") - 1)))
    assert posting is not None
    assert worth_of(CHANGING, posting, ran).micro == 2_000


def test_what_is_closed_in_the_moment_in_which_a_later_book_comes_keeps_its_prices() -> None:
    old, new = book(rate("2026-01-01", None, "2.00")), book(rate("2026-01-01", None, "3.00"))
    now, september, october = at("2026-11-02"), at("2026-09-01"), at("2026-10-01")
    applied = [(Instant(0), old), (now, new)]
    for closed_at, inside in ((now, 2_000_000), (Instant(now + 1), 3_000_000)):
        found = in_force(applied, [(closed_at, september, october)])
        assert found is not None
        told = [Rating(found).price_at(H100, RESEARCH, when) for when in (Instant(october - 1), october)]
        assert [each.unit.effective for each in told if each is not None] == [inside, 3_000_000]


def test_what_money_paid_is_worth_that_money_and_its_time_is_told() -> None:
    ran, unit = an_attempt(), money_unit(CHANGING.book.currency)
    paid = a_charge(ran, Account(AccountKind.HELD, "a"), 2_000, at("2026-10-03"), 1)._replace(unit=unit, amount=-5)
    posting = paid_posting(paid)
    assert posting is not None
    worth = worth_of(CHANGING, posting, ran)
    assert (worth.micro, [part.gpu_ms for part in worth.parts]) == (5, [2_000])


@settings(max_examples=60)
@given(st.integers(0, 47), st.integers(0, 47), st.integers(1, 30), st.integers(0, 59))
def test_the_dearest_start_of_a_band_is_as_dear_as_that_of_any_of_its_minutes(
    first: int, length: int, lasts: int, minute: int
) -> None:
    known = book(
        rate("2026-01-01", None, "4.00", off_peak="2.00"), off_peak=OffPeak(hours=frozenset({3, 12, 13, 20}))
    )
    rating, begin = Rating(known), Instant(at("2026-01-01") + first * MS_PER_HOUR + minute * 60_000)
    starts = [Instant(begin + n * MS_PER_HOUR // 2) for n in range(length + 1)]
    each = [rating.cost(H100, RESEARCH, 2, (start, Instant(start + lasts * MS_PER_HOUR // 2))) for start in starts]
    found = rating.dearest(H100, RESEARCH, 2, lasts * MS_PER_HOUR // 2, (starts[0], starts[-1]))
    assert found is not None
    assert found >= max(cost for cost in each if cost is not None)
    assert rating.dearest(H100, RESEARCH, 2, 1, (at("2020-01-01"), at("2020-01-02"))) is None
