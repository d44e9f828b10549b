"""Burn rate: the band in which hours run out, and days that jump."""

from scheduler.domain.burning import BurnTerms
from scheduler.domain.units import MS_PER_DAY, MS_PER_HOUR, Instant, PerMille
from scheduler.finance.burn import (
    Jump,
    RunOut,
    beginnings,
    jumps,
    per_day,
    run_out,
    since_first_use,
    spread_over_days,
)

H = MS_PER_HOUR
TERMS = BurnTerms()
NOW = Instant(100 * MS_PER_DAY)


def test_steady_use_runs_out_on_one_day() -> None:
    found = run_out(100 * H, [10 * H] * 30, NOW)
    ten_days = Instant(NOW + 10 * MS_PER_DAY)
    assert found == RunOut(ten_days, ten_days, 7, 28)


def test_use_that_grew_makes_a_band() -> None:
    found = run_out(140 * H, [0] * 21 + [20 * H] * 7, NOW)
    assert found == RunOut(Instant(NOW + 7 * MS_PER_DAY), Instant(NOW + 28 * MS_PER_DAY), 7, 28)


def test_a_few_days_say_so() -> None:
    found = run_out(20 * H, [10 * H, 10 * H], NOW)
    assert found is not None
    assert (found.short_days, found.long_days) == (2, 2)


def test_nothing_used_or_nothing_left_runs_out_never() -> None:
    assert run_out(100 * H, [0] * 10, NOW) is None
    assert run_out(100 * H, [], NOW) is None
    assert run_out(0, [10 * H], NOW) is None


def test_a_weekend_batch_is_a_jump_and_a_small_one_is_none() -> None:
    used = [10 * H] * 10 + [400 * H] + [10 * H] * 3
    assert jumps(used, Instant(0), TERMS) == (Jump(Instant(10 * MS_PER_DAY), 400 * H, 10 * H),)
    assert jumps([0, 0, 0, 0, 23 * H], Instant(0), TERMS) == ()
    assert jumps([0, 400 * H], Instant(0), TERMS) == ()


def test_a_mean_is_of_the_days_there_are() -> None:
    assert per_day([1, 2, 3], 2) == 2
    assert per_day([], 7) == 0


def test_policy_says_how_many_times_and_from_when_on() -> None:
    used = [20 * H] * 5 + [50 * H]
    assert jumps(used, Instant(0), TERMS) == ()
    assert [jump.used for jump in jumps(used, Instant(0), BurnTerms(PerMille(2000)))] == [50 * H]
    assert jumps(used, Instant(0), BurnTerms(PerMille(2000), jump_floor=50 * H)) == ()


def test_a_batch_over_two_days_is_one_jump_and_a_later_one_another() -> None:
    used = [10 * H] * 10 + [400 * H, 300 * H, 10 * H, 200 * H]
    found = beginnings(jumps(used, Instant(0), TERMS))
    assert [jump.day // MS_PER_DAY for jump in found] == [10, 13]


def test_days_without_a_charge_count_as_none_from_the_first_use_on() -> None:
    charged = [(Instant(3 * MS_PER_DAY), 5), (Instant(5 * MS_PER_DAY), 2), (Instant(3 * MS_PER_DAY), 1)]
    used = spread_over_days(charged, Instant(2 * MS_PER_DAY), 5)
    assert used == [0, 6, 0, 2, 0]
    assert (since_first_use(used), since_first_use([0, 0])) == (1, 2)
