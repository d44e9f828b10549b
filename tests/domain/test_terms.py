"""What an allowance buys under which terms, whatever it is counted in."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from scheduler.domain.allowances import AllowanceBalance
from scheduler.domain.funding import Shortfall, fund, spendable_standard
from scheduler.domain.quantities import TOKENS, class_unit, money_unit
from scheduler.domain.terms import Draw, KeptTerms, Need, Prices, Terms
from scheduler.domain.units import STANDARD_GPU, GpuClassName, PerMille, PoolName, PriorityClassName, Unit
from tests.ledger.build import allowance

H100, T4, NEW = GpuClassName("h100"), GpuClassName("t4"), GpuClassName("b300")
STANDARD, URGENT = PriorityClassName("standard"), PriorityClassName("urgent")
EUR = money_unit("EUR")
PER_MILLE = st.sampled_from([0, 1, 250, 333, 500, 999, 1000, 1001, 1500, 4000]).map(PerMille)
DAY = (
    st.fixed_dictionaries({H100: PER_MILLE, T4: PER_MILLE}),
    st.fixed_dictionaries({STANDARD: PER_MILLE, URGENT: PER_MILLE}),
)


def balance(amount: int, unit: Unit, kept: KeptTerms | None = None, name: str = "a-1") -> AllowanceBalance:
    return AllowanceBalance(replace(allowance(amount, unit=unit, name=name), kept_terms=kept), amount)


def buys(pays: AllowanceBalance, terms: Terms, at_most: int = 10**12) -> int:
    """The longest physical time that it alone is enough for, by asking for ever less."""
    low, high = 0, at_most
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (low, middle - 1) if isinstance(fund([pays], Need(middle, terms)), Shortfall) else (middle, high)
    return low


@given(
    st.integers(1, 10**9),
    st.sampled_from([STANDARD_GPU, class_unit(H100)]),
    st.tuples(*DAY),
    st.lists(st.tuples(*DAY), min_size=1, max_size=4),
    st.sampled_from([H100, T4]),
    st.sampled_from([STANDARD, URGENT]),
)
def test_pay_buys_at_least_the_gpu_hours_of_each_class_that_it_bought_on_its_day(
    amount: int,
    unit: Unit,
    day: tuple[dict[GpuClassName, PerMille], dict[PriorityClassName, PerMille]],
    later: list[tuple[dict[GpuClassName, PerMille], dict[PriorityClassName, PerMille]]],
    gpu_class: GpuClassName,
    priority_class: PriorityClassName,
) -> None:
    kept = KeptTerms(tuple(day[0].items()), tuple(day[1].items()))
    pays = balance(amount, unit, kept)
    then = Terms(gpu_class, priority_class, day[0][gpu_class], day[1][priority_class])
    for weights, factors in later:
        now = Terms(gpu_class, priority_class, weights[gpu_class], factors[priority_class])
        assert buys(pays, now) >= buys(pays, then)
        assert buys(pays, now) >= buys(balance(amount, unit), now), "and better ones hold for it, too"


def test_a_class_that_came_later_counts_as_it_does_now() -> None:
    kept = KeptTerms(((H100, PerMille(1000)),), ((STANDARD, PerMille(1000)),))
    assert buys(balance(900, STANDARD_GPU, kept), Terms(NEW, STANDARD, PerMille(3000), PerMille(1000))) == 300


@given(
    st.lists(
        st.tuples(
            st.sampled_from([STANDARD_GPU, class_unit(H100), class_unit(T4), EUR, TOKENS]), st.integers(0, 10**8)
        ),
        min_size=1,
        max_size=5,
    ),
    st.integers(1, 10**8),
    st.sampled_from([333, 1000, 1500]).map(PerMille),
    st.sampled_from([500, 1000, 1500]).map(PerMille),
    st.none() | st.integers(0, 10**8),
)
def test_several_units_pay_together_for_all_of_it_or_nobody_does(
    had: list[tuple[Unit, int]], gpu_ms: int, weight: PerMille, factor: PerMille, price: int | None
) -> None:
    terms = Terms(H100, STANDARD, weight, factor)
    pool = PoolName("research")
    terms = terms.priced(None if price is None else Prices(EUR, {(H100, pool): price}), pool)
    need = Need(gpu_ms, terms)
    ordered = [balance(amount, unit, name=f"a-{n}") for n, (unit, amount) in enumerate(had)]
    shares = fund(ordered, need)
    able = {each.allowance.id: terms.draw(each.allowance.unit, None) for each in ordered}
    if isinstance(shares, Shortfall):
        exact = sum(
            each.available * draw.per // draw.rate if draw.rate else gpu_ms
            for each in ordered
            if (draw := able[each.allowance.id]) is not None
        )
        assert exact < gpu_ms or all(each.allowance.is_plain for each in ordered)
        assert shares.available == spendable_standard(ordered, need)
        return
    amounts = {each.allowance.id: each.available for each in ordered}
    paid = 0
    for share in shares:
        draw = able[share.allowance_id]
        assert draw is not None
        assert 0 < share.amount <= amounts[share.allowance_id]
        assert share.draw in {None, draw}
        paid += draw.lasts(share.amount, gpu_ms) if draw.rate else gpu_ms
    free = any(draw is not None and draw.rate == 0 for draw in able.values())
    assert paid >= gpu_ms or free


def test_money_is_drawn_at_the_pools_price_and_the_class_factor_leaves_it_alone() -> None:
    prices = Prices(EUR, {(H100, PoolName("research")): 2_000_000})
    urgent = Terms(H100, URGENT, PerMille(1000), PerMille(1500))
    assert urgent.priced(prices, PoolName("research")).draw(EUR, None) == Draw(EUR, 2_000_000)
    assert urgent.priced(prices, PoolName("other")).draw(EUR, None) is None
    assert urgent.priced(prices, PoolName("research")).draw(money_unit("USD"), None) is None
