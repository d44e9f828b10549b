"""Burn rate: the band in which hours run out, and days that jump."""

from scheduler.domain.units import MS_PER_DAY, MS_PER_HOUR, Instant
from scheduler.finance.burn import Jump, RunOut, jumps, per_day, run_out

H = MS_PER_HOUR
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
    assert jumps(used, Instant(0)) == (Jump(Instant(10 * MS_PER_DAY), 400 * H, 10 * H),)
    assert jumps([0, 0, 0, 0, 23 * H], Instant(0)) == ()
    assert jumps([0, 400 * H], Instant(0)) == ()


def test_a_mean_is_of_the_days_there_are() -> None:
    assert per_day([1, 2, 3], 2) == 2
    assert per_day([], 7) == 0
