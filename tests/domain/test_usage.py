"""Use that fades: what it weighs, and in which band it puts who used it."""

from hypothesis import given
from hypothesis import strategies as st

from scheduler.domain.units import MS_PER_DAY, MS_PER_HOUR, Instant, StandardGpuMs
from scheduler.domain.usage import (
    ENTRY_MS,
    NO_USE,
    REORDERED_EVERY_MS,
    DecayedUse,
    ages_at,
    reordering_at,
    share_per_million,
    use_band,
    use_of,
)
from tests.decision.builders import NOW, attempt

WEEK = 7 * MS_PER_DAY


def test_use_weighs_half_after_a_half_life() -> None:
    use = DecayedUse(StandardGpuMs(1000), NOW)
    assert [use.seen_from(Instant(NOW + weeks * WEEK), WEEK) for weeks in (0, 1, 2, 10)] == [1000, 500, 250, 1]


def test_a_short_run_weighs_its_gpu_time_and_the_penalty_at_entry() -> None:
    ended = attempt("r", "n1", gpus=4, running_for=3600, ended_at=NOW)
    assert abs(use_of(ended, NOW, 10_000 * WEEK) - 4 * (MS_PER_HOUR + ENTRY_MS)) < 10
    assert use_of(attempt("r", "n1", gpus=4, running_for=0), NOW, 10_000 * WEEK) == 4 * ENTRY_MS


@given(st.integers(0, 20 * WEEK), st.integers(0, 5 * WEEK))
def test_an_attempt_weighs_the_same_while_it_runs_and_when_it_has_ended(ran: int, since: int) -> None:
    live = attempt("r", "n1", gpus=3, running_for=ran // 1000)
    ended = attempt("r", "n1", gpus=3, running_for=ran // 1000, ended_at=NOW)
    later = Instant(NOW + since)
    known = NO_USE.and_of(ended, WEEK)
    assert known == DecayedUse(StandardGpuMs(use_of(live, NOW, WEEK)), NOW)
    assert abs(known.seen_from(later, WEEK) - use_of(ended, later, WEEK)) <= 1


def test_all_of_a_cluster_for_ever_is_all_of_what_it_offers() -> None:
    for_ever = attempt("r", "n1", gpus=8, running_for=100 * WEEK // 1000)
    share = share_per_million(use_of(for_ever, NOW, WEEK), 8 * 1000, WEEK)
    assert 999_000 <= share <= 1_000_000
    assert share_per_million(1000, 0, WEEK) == 0


def test_each_band_is_up_to_twice_the_one_before() -> None:
    starts = [0, 1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 64_000, 128_000, 256_000]
    assert [use_band(start) for start in starts] == list(range(10))
    assert [use_band(start - 1) for start in starts[1:]] == list(range(9))
    assert use_band(5_000_000) == 9


@given(st.integers(0, 10**13), st.integers(1, WEEK))
def test_ageing_falls_on_the_first_re_ordering_after_the_wait(submitted: int, ageing: int) -> None:
    at = ages_at(Instant(submitted), ageing)
    assert at - REORDERED_EVERY_MS < submitted + ageing <= at
    assert reordering_at(at) == at
