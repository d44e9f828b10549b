"""What the energy counter is believed for: rests that drift, paces that change, and work that is alike in every minute."""

from collections.abc import Callable, Iterable
from math import sin, tau
from random import Random

import pytest

from scheduler.domain.idleness import IdlePolicy, IdleRule
from scheduler.domain.units import MS_PER_HOUR, MS_PER_MINUTE, MS_PER_SECOND, GpuUuid, Instant
from scheduler.metering.idle import IdleState
from scheduler.metering.judge import Judged, judge
from scheduler.metering.paces import Pace, paces_of
from scheduler.metering.recorded import Recorded

RULE = IdleRule("test", policy=IdlePolicy(startup_ms=0))
WINDOW_MS = RULE.policy.window_ms
GPU = GpuUuid("GPU-a")
HOUR_S = 3_600


def read(
    seconds: Iterable[int], percent: Callable[[int], int], watts: Callable[[int], float], *, energy: bool = True
) -> Judged:
    """Rows at these seconds. Power is asked for each second; the gauge has the one before its row."""
    rows, counter, at = [], 1.0, 0
    for second in seconds:
        counter += sum(watts(each) for each in range(at, second))
        at = second
        joules = round(counter * 1_000) if energy else None
        row = Recorded(Instant(second * MS_PER_SECOND), GPU, percent=percent(second - 1), energy_millijoules=joules)
        rows.append(row)
    return judge(rows, RULE)


def rested_ms(found: Judged) -> int:
    return sum(each.end - each.start for each in found.devices[0].spells if each.state is IdleState.IDLE_HELD)


def stopped_at(found: Judged) -> list[int]:
    """In minutes."""
    return [event.at // MS_PER_MINUTE for attempt in found.attempts for event in attempt.stopped]


def test_a_rest_is_found_to_its_end_though_idle_power_drifts_through_the_day() -> None:
    """Five minutes of work every 95: what is left of a rest after whole pieces of its level is measured by the piece before
    it, and not by what is left of others, hours away."""
    chance = Random(2)

    def works(second: int) -> bool:
        return second % (95 * 60) >= 90 * 60

    def watts(second: int) -> float:
        return 450 if works(second) else 70 + 1.4 * sin(tau * second / (24 * HOUR_S)) + chance.gauss(0, 0.2)

    found = read(range(60, 24 * HOUR_S, 60), lambda second: 100 * works(second), watts)
    assert rested_ms(found) >= 0.97 * (24 * HOUR_S * 90 / 95) * MS_PER_SECOND


def changing(slow_s: int) -> list[int]:
    """Every 5 s for six hours, and then so slowly for six more."""
    return [*range(5, 6 * HOUR_S, 5), *range(6 * HOUR_S, 12 * HOUR_S, slow_s)]


def test_a_pace_that_changes_is_no_gap_where_the_counter_tells_of_what_is_between_its_rows() -> None:
    found = read(changing(60), lambda _: 0, lambda _: 70)
    assert stopped_at(found) == [30]
    assert rested_ms(found) >= 11.9 * MS_PER_HOUR
    assert found.devices[0].gap_ms == 150_000


def test_on_a_gauge_alone_what_was_seen_at_one_pace_says_nothing_of_another() -> None:
    found = read(changing(60), lambda _: 0, lambda _: 70, energy=False)
    assert found.devices[0].is_on_a_gauge
    assert rested_ms(found) == pytest.approx(6 * MS_PER_HOUR, abs=5 * MS_PER_MINUTE)
    assert found.devices[0].gap_ms == 12_500


def test_a_pace_by_which_no_window_can_be_told_of_stays_unread() -> None:
    found = read(changing(300), lambda _: 0, lambda _: 70)
    assert rested_ms(found) == pytest.approx(6 * MS_PER_HOUR, abs=30 * MS_PER_MINUTE)
    assert found.devices[0].gap_ms == 12_500


def test_a_second_of_work_between_two_rows_is_told_by_the_counter_after_the_pace_has_changed() -> None:
    works = range(6 * HOUR_S, 12 * HOUR_S, 20 * 60)

    def watts(second: int) -> float:
        return 200 if second - 61 in works else 70

    found = read(changing(60), lambda _: 0, watts)
    assert not found.devices[0].is_on_a_gauge
    assert stopped_at(found) == [30]
    assert found.attempts[0].returned_gpu_ms <= 6.1 * MS_PER_HOUR


def rows_at(steps_s: Iterable[int]) -> list[Recorded]:
    rows, at = [Recorded(Instant(0), GPU)], 0
    for step_s in steps_s:
        at += step_s
        rows.append(Recorded(Instant(at * MS_PER_SECOND), GPU))
    return rows


@pytest.mark.parametrize(
    ("steps_s", "paces"),
    {
        "steady": ([15] * 60, [Pace(0, 60, 37_500)]),
        "a few long pauses": ([*[15] * 30, 900, *[15] * 30, *[900] * 9, *[15] * 30], [Pace(0, 100, 37_500)]),
        "rows lost by chance": ([30 if step % 3 else 15 for step in range(90)], [Pace(0, 90, 75_000)]),
        "another pace": ([*[5] * 60, *[60] * 40], [Pace(0, 60, 12_500), Pace(60, 100, 150_000)]),
        "a faster one": ([*[60] * 60, *[5] * 40], [Pace(0, 60, 150_000), Pace(60, 100, 150_000)]),
        "one and the next by degrees": (
            [*[30] * 40, *[15] * 4, *[10] * 4, *[5] * 60],
            [Pace(0, 44, 75_000), Pace(44, 108, 12_500)],
        ),
        "too slow a one": ([*[5] * 60, *[300] * 40], [Pace(0, 60, 12_500), Pace(60, 100, 12_500, is_read=False)]),
    }.values(),
    ids=[
        "steady",
        "a few long pauses",
        "rows lost by chance",
        "another pace",
        "a faster one",
        "by degrees",
        "too slow a one",
    ],
)
def test_a_pace_is_what_most_steps_around_have(steps_s: list[int], paces: list[Pace]) -> None:
    assert paces_of(rows_at(steps_s), WINDOW_MS) == paces


def test_a_row_or_none_has_one_pace() -> None:
    assert [pace.steps for pace in paces_of([], WINDOW_MS)] == [0]
    assert [pace.steps for pace in paces_of(rows_at([]), WINDOW_MS)] == [0]


def test_a_training_that_starves_is_never_stopped_by_a_device_that_rests_elsewhere() -> None:
    """A second of every 32, read every 30 s by turns in step and out of it, on a small GPU whose real rest takes less: what
    is quiet beside uses that were read, and took no more than it does, may be the same work."""

    def trains(second: int) -> bool:
        return second < 6 * HOUR_S and second % 32 == 0

    def watts(second: int) -> float:
        return 80 if trains(second) else 16

    # For 40 minutes of each hour the rows are at even seconds, of which none is the one after the work.
    rows = [second + (second % HOUR_S > 1_200) for second in range(31, 20 * HOUR_S, 30)]
    found = read(rows, lambda second: 100 * trains(second), watts)
    assert not found.devices[0].is_on_a_gauge
    assert stopped_at(found) == [6 * 60 + 29]


def test_rests_of_a_noisy_counter_are_no_work_though_no_use_stands_out_of_them() -> None:
    """A second of work every 50 minutes, each in a row: their levels differ by what noise makes of them, and by more than
    what a second takes of a small GPU."""
    chance, rows, counter = Random(4), [], 1
    for second in range(60, 24 * HOUR_S, 60):
        works = second % 3_000 == 0
        counter += max(0, round(60 * chance.gauss(16_000, 2_000))) + 30_000 * works
        rows.append(Recorded(Instant(second * MS_PER_SECOND), GPU, percent=100 * works, energy_millijoules=counter))
    found = judge(rows, RULE)
    assert rested_ms(found) >= 0.95 * 24 * MS_PER_HOUR
    assert stopped_at(found) == []


@pytest.mark.parametrize(
    ("second", "spans"), [(120 * 30 + 5, range(40, 120)), (610 * 30 + 25, range(611, 720))], ids=["end", "beginning"]
)
def test_a_second_at_either_end_of_work_that_no_row_saw_is_work(second: int, spans: range) -> None:
    """A training that starves in step with the rows, two to four seconds in each span: what is around the span of that
    second is work by half, and tells of no rest."""
    works = {second, *(span * 30 + 5 + each for span in spans for each in range(2 + span % 3))}
    found = read(range(30, 6 * HOUR_S, 30), lambda _: 0, lambda second: 204 if second in works else 57)
    spells = found.devices[0].spells
    assert [each.state for each in spells if each.start <= second * MS_PER_SECOND < each.end] == [IdleState.ACTIVE]


def test_what_the_counter_rose_by_over_a_row_that_lacks_it_may_be_of_either_side() -> None:
    """Work until shortly before a row that shows it, and again after the next, which has no energy."""
    last = 2 * HOUR_S
    works = {*range(last - 100, last - 60), *range(last + 1, last + 31)}
    rows, counter = [], 1
    for second in range(60, 6 * HOUR_S, 60):
        counter += sum(130_000 if each in works else 70_000 for each in range(second - 60, second))
        percent, joules = 100 * (second - 1 in works), None if second == last else counter
        rows.append(Recorded(Instant(second * MS_PER_SECOND), GPU, percent=percent, energy_millijoules=joules))
    assert stopped_at(judge(rows, RULE)) == [31, 151]


@pytest.mark.parametrize("offset_s", [-200, -40, -4, 30, 200, 700])
def test_a_second_of_work_is_told_where_the_pace_changes(offset_s: int) -> None:
    """After the change a rest of 20 minutes is too short to have a level of its own."""
    change = 6 * HOUR_S
    works = {change + offset_s, *range(change + 1_200, 12 * HOUR_S)}

    def watts(second: int) -> float:
        return 200 if second in works else 70

    quiet_at = [*range(5, change, 5), *range(change, 12 * HOUR_S, 60)]
    rows = [each for each in quiet_at if each != change + offset_s + 1]
    found = read(rows, lambda second: 100 * (second in works and second != change + offset_s), watts)
    hidden = [each for each in found.devices[0].spells if each.start <= (change + offset_s) * 1_000 < each.end]
    assert [each.state for each in hidden] == [IdleState.ACTIVE]


def test_a_counter_that_is_too_noisy_at_one_of_its_paces_is_no_witness() -> None:
    """A stamp that is wrong by half a second is noise of 35 J; what the other pace has says nothing of that."""
    chance, rows, counter = Random(3), [], 1
    before = 0
    for second in changing(60):
        counter += 70_000 * (second - before)
        before = second
        off_ms = 0 if second < 6 * HOUR_S else chance.randint(-500, 500)
        rows.append(Recorded(Instant(second * MS_PER_SECOND + off_ms), GPU, percent=0, energy_millijoules=counter))
    assert judge(rows, RULE).devices[0].is_on_a_gauge


def test_neither_gaps_nor_hangs_speak_against_the_counter() -> None:
    """Nobody used it: what a gap may hide and a hang are no uses that a reading found and the counter did not."""
    gaps = [range(start, start + 600) for start in range(2 * HOUR_S, 9 * HOUR_S, HOUR_S)]
    rows = [second for second in range(15, 12 * HOUR_S, 15) if not any(second in gap for gap in gaps)]
    hang = range(10 * HOUR_S, 11 * HOUR_S)
    found = read(rows, lambda second: 100 * (second in hang), lambda _: 70)
    assert not found.devices[0].is_on_a_gauge
    assert stopped_at(found) == [30, 11 * 60 + 30]
