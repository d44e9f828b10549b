"""Holds in hours of a class, in money, at kept terms and in standard time, on one attempt."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from scheduler.domain.quantities import class_unit, money_unit
from scheduler.domain.terms import Draw
from scheduler.domain.units import (
    MS_PER_HOUR,
    STANDARD_GPU,
    AllowanceId,
    GpuClassName,
    Instant,
    PerMille,
    standard_total,
)
from scheduler.domain.workloads import Attempt
from scheduler.ledger.charging import Charge, charge
from scheduler.ledger.holding import hold as post_holds
from scheduler.ledger.holding import release
from scheduler.ledger.holds import Hold, HoldState
from scheduler.ledger.journal import AccountKind, TransactionKind
from scheduler.ledger.refunds import refund
from tests.ledger.build import attempt, hold

H100 = class_unit(GpuClassName("h100"))
EUR = money_unit("EUR")


def drawn(amount: int, draw: Draw, name: str = "1", allowance: str = "a-1") -> Hold:
    return replace(hold(amount, name=name, allowance=allowance), draw=draw)


def after(made: Charge, ran: Attempt, holds: list[Hold]) -> tuple[Attempt, list[Hold]]:
    """The attempt and its holds as a charge leaves them."""
    return replace(ran, charged_gpu_ms=made.gpu_ms, charged=made.total), [
        replace(each, charged=each.charged + made.from_holds.get(each.id, 0), draw=made.draws.get(each.id, each.draw))
        for each in holds
    ]


def moved(made: Charge) -> list[tuple[str, str, int, int]]:
    return [
        (str(entry.account), entry.unit, entry.amount, entry.gpu_ms)
        for transaction in made.transactions
        for entry in transaction.entries
        if entry.account.kind is AccountKind.CHARGED
    ]


def test_hours_of_a_class_are_charged_by_the_class_factor_whatever_the_class_weighs() -> None:
    ran = attempt(weight=250, class_factor=1500)
    made = charge(ran, [drawn(9_000, Draw(H100, 1500))], 2_000, Instant(9))
    assert moved(made) == [("charged:a-1", H100, 3_000, 2_000)]
    assert [each.id for each in made.transactions] == [f"charge:w-1.1:2000:{H100}"]
    assert (made.total, made.overrun, made.unfunded) == (750, 0, 0)


def test_what_a_hold_is_worth_to_its_attempt_is_said_in_standard_time() -> None:
    half = attempt(weight=500)
    assert hold(1_000).in_standard(1_000, half) == 1_000
    assert drawn(1_000, Draw(H100, 1_000)).in_standard(1_000, half) == 500


def test_money_is_charged_at_the_price_in_force_though_a_higher_one_is_held() -> None:
    held = drawn(3_000_000, Draw(EUR, 3_000_000))
    made = charge(attempt(), [held], MS_PER_HOUR, Instant(9), price=2_000_000)
    assert moved(made) == [("charged:a-1", EUR, 2_000_000, MS_PER_HOUR)]
    ran, holds = after(made, attempt(), [held])
    assert [entry.amount for each in release(holds, Instant(10)) for entry in each.entries] == [-1_000_000, 1_000_000]
    assert ran.charged == MS_PER_HOUR


def test_one_attempt_is_paid_in_three_units_and_what_nobody_pays_is_overrun_in_standard_time() -> None:
    ran = attempt(weight=500)
    holds = [
        drawn(1_000, Draw(H100, 1_000), "1", "a-class"),
        drawn(500, Draw(EUR, MS_PER_HOUR), "2", "a-money"),
        hold(300, name="3", allowance="a-standard"),
    ]
    made = charge(ran, holds, 3_000, Instant(9))
    assert moved(made) == [
        ("charged:a-class", H100, 1_000, 1_000),
        ("charged:a-money", EUR, 500, 500),
        ("charged:a-standard", STANDARD_GPU, 300, 601),
        ("charged:overrun/e-ada", STANDARD_GPU, 450, 899),
    ]
    assert made.overrun == 450


def test_an_attempt_that_goes_on_unfunded_uses_up_its_money_first() -> None:
    made = charge(attempt(is_funded=False), [drawn(500, Draw(EUR, MS_PER_HOUR))], 700, Instant(9))
    assert moved(made) == [
        ("charged:a-1", EUR, 500, 500),
        ("charged:unfunded/e-ada", STANDARD_GPU, 200, 200),
    ]
    assert (made.overrun, made.unfunded) == (0, 200)


def test_a_hold_pays_to_the_last_millisecond_before_it_would_owe_one_unit_more() -> None:
    # Of 17 thousandths a millisecond 647 come to 10.999.
    made = charge(attempt(), [drawn(10, Draw(H100, 17))], 648, Instant(9))
    assert [(each, amount, gpu_ms) for each, _, amount, gpu_ms in moved(made)] == [
        ("charged:a-1", 10, 647),
        ("charged:overrun/e-ada", 1, 1),
    ]


def test_a_resolved_hold_of_another_unit_pays_nothing() -> None:
    released = replace(drawn(900, Draw(H100, 1_000), "1", "a-released"), state=HoldState.RESOLVED)
    made = charge(attempt(), [released, drawn(900, Draw(H100, 1_000), "2", "a-open")], 400, Instant(9))
    assert moved(made) == [("charged:a-open", H100, 400, 400)]


def test_what_a_price_leaves_below_a_unit_is_carried_to_the_next_charge() -> None:
    ran, holds = attempt(), [drawn(10, Draw(EUR, 1_800_000), "1"), drawn(10, Draw(EUR, 1_800_000), "2", "a-2")]
    charged = []
    for until in (1, 2, 3, 23, 24):
        made = charge(ran, holds, until, Instant(9))
        charged.append(sum(made.from_holds.values()))
        ran, holds = after(made, ran, holds)
    assert charged == [0, 1, 0, 10, 1]
    assert [each.charged for each in holds] == [10, 2]


def test_a_preemption_gives_back_to_each_what_its_lost_time_cost() -> None:
    holds = [
        replace(hold(100, name="1", allowance="a-standard"), charged=100),
        replace(drawn(400, Draw(EUR, 2 * MS_PER_HOUR, gpu_ms=200), "2", "a-money"), charged=400),
    ]
    given_back = refund(attempt(charged_gpu_ms=300, charged=300), holds, 250, Instant(9), "work lost")
    assert [
        (each.id, entry.account.owner, entry.amount, entry.gpu_ms)
        for each in given_back
        for entry in each.entries
        if entry.amount > 0
    ] == [(f"refund:w-1.1:{EUR}", "a-money", 400, 200), ("refund:w-1.1", "a-standard", 50, 50)]


RATES = st.sampled_from([1, 333, 999, 1000, 1500, 2_345_678, 98_765_432])


@st.composite
def holds_of_any_unit(draw: st.DrawFn) -> list[Hold]:
    made = []
    for number in range(draw(st.integers(1, 4))):
        amount = draw(st.integers(1, 10**7))
        kind = draw(st.sampled_from([None, H100, EUR, STANDARD_GPU]))
        held = hold(amount, name=str(number), allowance=f"a-{number}")
        made.append(held if kind is None else replace(held, draw=Draw(kind, draw(RATES))))
    return made


@given(
    holds_of_any_unit(),
    st.lists(st.tuples(st.integers(0, 10**6), st.none() | RATES), min_size=1, max_size=6),
    st.sampled_from([1, 333, 1000, 1500]),
    st.integers(0, 10**7),
)
def test_whatever_pays_every_millisecond_stands_beside_one_charge_and_each_unit_is_floored_once(
    holds: list[Hold], slices: list[tuple[int, int | None]], weight: int, lost: int
) -> None:
    ran = attempt(weight=weight)
    exact: dict[str, int] = {}
    for used, price in slices:
        made = charge(ran, holds, ran.charged_gpu_ms + used, Instant(9), price)
        assert sum(gpu_ms for _, _, _, gpu_ms in moved(made)) == used
        for each, unit, _, gpu_ms in moved(made):
            known = next((h.draw for h in holds if h.draw is not None and f"charged:{h.allowance_id}" == each), None)
            if known is not None:
                rate = price if price is not None and unit == EUR else known.rate
                exact[unit] = exact.get(unit, 0) + gpu_ms * rate
        ran, holds = after(made, ran, holds)
        assert all(0 <= each.charged <= each.amount for each in holds)
    for unit, product in exact.items():
        units = [each for each in holds if each.draw is not None and each.draw.unit == unit]
        assert sum(each.charged for each in units) == product // Draw(units[0].unit, 1).per
    assert ran.charged == standard_total(ran.charged_gpu_ms, ran.weight, PerMille(1000))
    paid = {each.allowance_id: each.charged for each in holds}
    physical = 0
    for transaction in refund(ran, holds, lost, Instant(9), "lost"):
        assert transaction.kind is TransactionKind.REFUND
        for entry in transaction.entries:
            if entry.account.kind is AccountKind.ALLOWANCE:
                assert entry.amount <= paid[AllowanceId(entry.account.owner)]
            physical += max(0, entry.gpu_ms)
    assert physical <= min(lost, ran.charged_gpu_ms)
    assert all(sum(e.amount for e in each.entries) == 0 for each in post_holds(holds))
