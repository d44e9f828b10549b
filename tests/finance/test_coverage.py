"""Coverage by class and period: what falls into a period, over which classes it is spread, and the ratio."""

from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.domain.periods import Period
from scheduler.domain.units import MS_PER_DAY, MS_PER_HOUR, GpuClassName, Instant, PerMille
from scheduler.finance.coverage import ENDLESS_MS, ClassCoverage, ClassSupply, Commitment, Kept, Timeline, coverage

H100, L40S = GpuClassName("H100"), GpuClassName("L40S")
TEN_DAYS = Period("ten", Instant(0), Instant(10 * MS_PER_DAY))
NEXT = Period("next", Instant(10 * MS_PER_DAY), Instant(20 * MS_PER_DAY))
SUPPLY = {H100: ClassSupply(10, PerMille(1000)), L40S: ClassSupply(10, PerMille(500))}


def covered(*commitments: Commitment, period: Period = TEN_DAYS, now: int = 0) -> dict[str, ClassCoverage]:
    return {each.gpu_class: each for each in coverage(commitments, SUPPLY, PerMille(900), period, Instant(now))}


def hours(amount: int, until_day: int | None = 10, *classes: GpuClassName, since: int = 0) -> Commitment:
    ends_at = None if until_day is None else Instant(until_day * MS_PER_DAY)
    return Commitment(amount * MS_PER_HOUR, Instant(since * MS_PER_DAY), ends_at, frozenset(classes) or None)


def test_a_class_delivers_its_gpus_for_the_stated_share_of_the_period() -> None:
    found = covered(hours(1080, 10, H100))
    assert found[H100].deliverable == 10 * 240 * MS_PER_HOUR * 900 // 1000
    assert found[L40S].deliverable == found[H100].deliverable // 2
    assert (found[H100].ratio_per_mille, found[L40S].ratio_per_mille) == (500, 0)


def test_hours_that_any_class_serves_are_spread_by_what_each_delivers() -> None:
    found = covered(hours(300))
    assert [found[name].outstanding // MS_PER_HOUR for name in (H100, L40S)] == [200, 100]


def test_an_award_that_lasts_beyond_the_period_counts_with_its_share() -> None:
    for period in (TEN_DAYS, NEXT):
        assert covered(hours(100, 20, H100), period=period)[H100].outstanding == 50 * MS_PER_HOUR
    assert covered(hours(100, 15, H100), period=NEXT, now=5 * MS_PER_DAY)[H100].outstanding == 50 * MS_PER_HOUR
    assert covered(hours(3650, None, H100))[H100].outstanding == 100 * MS_PER_HOUR
    assert covered(hours(100, 20, H100, since=10))[H100].outstanding == 0


def test_of_a_period_that_runs_what_is_left_of_it_counts_on_both_sides() -> None:
    found = covered(hours(540, 10, H100), now=5 * MS_PER_DAY)[H100]
    assert (found.outstanding, found.ratio_per_mille) == (540 * MS_PER_HOUR, 500)


def test_what_is_promised_stands_apart_and_what_is_taken_back_is_subtracted() -> None:
    promised = Commitment(60 * MS_PER_HOUR, Instant(0), TEN_DAYS.ends_at, frozenset({H100}), is_promised=True)
    found = covered(hours(100, 10, H100), hours(-40, 10, H100), promised)[H100]
    assert (found.outstanding, found.promised) == (60 * MS_PER_HOUR, 60 * MS_PER_HOUR)


@pytest.mark.parametrize(
    ("weights", "told"),
    [
        ({H100: 500}, (400, 100)),
        ({H100: 500, L40S: 250}, (400, 200)),
        ({H100: 2000, L40S: 500}, (200, 100)),
        ({}, (200, 100)),
    ],
)
def test_what_keeps_a_lower_weight_counts_by_what_it_buys_today(
    weights: dict[GpuClassName, int], told: tuple[int, int]
) -> None:
    """Of 300 h 200 fall to the H100, of weight 1000 today: at 500 they buy twice as much of it."""
    kept = tuple((name, PerMille(weight)) for name, weight in weights.items())
    found = covered(replace(hours(300), weights=kept))
    assert tuple(found[name].outstanding // MS_PER_HOUR for name in (H100, L40S)) == told


@pytest.mark.parametrize(("amount", "is_over"), [(2160, False), (2161, True)])
def test_the_ratio_is_exceeded_above_it_and_not_at_it(amount: int, is_over: bool) -> None:
    assert covered(hours(amount, 10, H100))[H100].exceeds(PerMille(1000)) is is_over


def test_a_class_without_gpus_has_no_ratio_and_covers_nothing() -> None:
    none = {H100: ClassSupply(0, PerMille(1000))}
    (found,) = coverage([hours(1, 10, H100)], none, PerMille(900), TEN_DAYS, Instant(0))
    assert (found.ratio_per_mille, found.exceeds(PerMille(100_000))) == (None, True)


Instants = st.integers(0, 40 * MS_PER_DAY).map(Instant)
Commitments = st.lists(
    st.builds(
        Commitment,
        st.integers(-(10**12), 10**12),
        Instants,
        st.none() | Instants,
        st.sampled_from([None, frozenset({H100}), frozenset({H100, L40S})]),
        st.booleans(),
        st.sampled_from([(), ((H100, PerMille(500)),)]),
    ),
    max_size=8,
)


@given(Commitments, Instants, st.lists(Instants, min_size=2, max_size=2, unique=True).map(sorted))
def test_a_timeline_has_what_each_commitment_spends_evenly_and_no_more(
    commitments: list[Commitment], now: Instant, window: list[Instant]
) -> None:
    starts_at, ends_at = max(window[0], now), max(window[1], now)
    wanted: dict[Kept, Fraction] = {}
    for each in commitments:
        since = max(each.starts_at, now)
        until = each.ends_at if each.ends_at is not None else since + ENDLESS_MS
        overlap = max(0, min(until, ends_at) - max(since, starts_at))
        if until > since:
            kept = Kept(each.gpu_classes, each.is_promised, each.weights)
            wanted[kept] = wanted.get(kept, Fraction(0)) + Fraction(each.amount * overlap, until - since)
    found = Timeline(commitments, now).within(starts_at, ends_at)
    assert found.keys() == wanted.keys()
    for kept, exact in wanted.items():
        assert abs(Fraction(found[kept], 1 << 80) - exact) < Fraction(1, 2**30)


@given(Commitments)
def test_what_is_taken_back_as_it_was_committed_leaves_nothing(commitments: list[Commitment]) -> None:
    back = [replace(each, amount=-each.amount) for each in commitments]
    assert set(Timeline([*commitments, *back], Instant(0)).within(0, 10**12).values()) <= {0}
