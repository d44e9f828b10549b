"""What a gauge did not see: the energy counter tells of it, and habits do; and what a recording itself shows is never
overruled, whichever of its columns there are."""

import os
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from random import Random

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from scheduler.domain.idleness import IdlePolicy, IdleRule, IdleThresholds
from scheduler.domain.units import MS_PER_HOUR, MS_PER_MINUTE, MS_PER_SECOND, AttemptId, GpuUuid, Instant
from scheduler.metering.idle import IdleState
from scheduler.metering.judge import AttemptJudgement, judge
from scheduler.metering.recorded import Recorded

IDLE_MW, BUSY_MW = 70_000, 450_000
RULE = IdleRule("test", policy=IdlePolicy(startup_ms=0))
NIGHT_S = 8 * 3_600
COLUMNS = ("percent", "milliwatts", "energy_millijoules", "process_count")
EXAMPLES = 400 if os.environ.get("HYPOTHESIS_PROFILE") == "searching" else 25


def reading_of(
    works: list[bool], pace_s: int, *, energy: bool, noise_mw: int = 0, level_mw: int = IDLE_MW
) -> AttemptJudgement:
    """By a gauge, which has the last second before each reading, from what ran in each second."""
    chance, counter, rows = Random(5), 1, []
    for second in range(0, len(works), pace_s):
        seconds = works[second : second + pace_s]
        busy_s = sum(seconds)
        counter += level_mw * pace_s + (BUSY_MW - level_mw) * busy_s + round(chance.gauss(0, noise_mw) * pace_s)
        at = Instant((second + pace_s) * MS_PER_SECOND)
        percent = 100 if seconds[-1] else 0
        rows.append(Recorded(at, GpuUuid("GPU-a"), percent=percent, energy_millijoules=counter if energy else None))
    (attempt,) = judge(rows, RULE).attempts
    return attempt


def minutes_of(attempt: AttemptJudgement) -> list[int]:
    return [event.at // MS_PER_MINUTE for event in attempt.stopped]


def bursts_between_readings() -> list[bool]:
    """A second of work every 20 minutes for a night, always the first after a reading: no gauge sees any."""
    return [second % 1_200 < 1 for second in range(NIGHT_S)]


@pytest.mark.parametrize("pace_s", [5, 15, 30])
@pytest.mark.parametrize("noise_mw", [0, 1_000])
@pytest.mark.parametrize("level_mw", [IDLE_MW, 115_000])
def test_the_energy_counter_tells_of_a_second_of_work_that_the_gauge_missed(
    pace_s: int, noise_mw: int, level_mw: int
) -> None:
    works = bursts_between_readings()
    assert minutes_of(reading_of(works, pace_s, energy=True, noise_mw=noise_mw, level_mw=level_mw)) == []
    assert minutes_of(reading_of(works, pace_s, energy=False)) == [30], "no reading of a gauge says otherwise"


@pytest.mark.parametrize("pace_s", [5, 15, 30, 60])
@pytest.mark.parametrize("energy", [True, False])
@pytest.mark.parametrize("noise_mw", [0, 5_000])
def test_a_night_of_rest_is_found_after_one_window_by_any_reading(pace_s: int, energy: bool, noise_mw: int) -> None:
    works = [second < 600 for second in range(NIGHT_S)]
    attempt = reading_of(works, pace_s, energy=energy, noise_mw=noise_mw)
    assert minutes_of(attempt) == [41 if pace_s == 60 else 40]
    assert attempt.unproven == ()


def test_a_counter_in_whose_noise_a_use_may_hide_leaves_a_rest_with_short_uses_to_its_owner() -> None:
    """One second of work that a row did show says that there are such; the counter has to be clear to say that there are no
    more. Its noise is 3 J in the one and 90 J in the other; the least use takes 32.5 J."""
    works = [second < 600 or second == 7_199 for second in range(NIGHT_S)]
    clear = reading_of(works, 15, energy=True, noise_mw=200)
    assert (minutes_of(clear), clear.unproven) == ([40, 150], ())
    blurred = reading_of(works, 15, energy=True, noise_mw=6_000)
    assert blurred.stopped == ()
    assert len(blurred.unproven) >= 1


@pytest.mark.parametrize(
    "lie",
    [
        pytest.param(
            lambda at, energy: (at, energy - 3_000_000 if at > 7_200_000 else energy), id="a counter that began anew"
        ),
        pytest.param(lambda at, energy: (at + 90_000 if at > 7_200_000 else at, energy), id="a clock that was set"),
    ],
)
def test_what_a_counter_cannot_have_counted_sets_the_clock_back(lie: Callable[[int, int], tuple[int, int]]) -> None:
    """Two seconds of work in no row, in the minute in which the node started anew or its clock was set."""
    counter, rows = 3_000_000, []
    for minute in range(1, 180):
        counter += IDLE_MW * 60 + (BUSY_MW - IDLE_MW) * 2 * (minute == 121)
        at, energy = lie(minute * MS_PER_MINUTE, counter)
        rows.append(Recorded(Instant(at), GpuUuid("GPU-a"), percent=0, energy_millijoules=energy))
    (attempt,) = judge(rows, RULE).attempts
    (early, late) = (event.at for event in attempt.stopped)
    assert early < 120 * MS_PER_MINUTE
    assert late >= 151 * MS_PER_MINUTE


def test_idle_power_that_rises_for_good_is_a_new_level_and_no_work_for_ever() -> None:
    rows, counter = [], 1
    for step in range(4 * 240):
        counter += 15 * (70_000 if step < 300 else 90_000)
        rows.append(Recorded(Instant((step + 1) * 15_000), GpuUuid("GPU-a"), percent=0, energy_millijoules=counter))
    (attempt,) = judge(rows, RULE).attempts
    active_ms = sum(each.end - each.start for each in attempt.spells if each.state is IdleState.ACTIVE)
    assert 0 < active_ms <= 30 * MS_PER_MINUTE
    assert len(attempt.stopped) == 2


def test_work_seen_by_one_reading_may_have_gone_on_after_it() -> None:
    """Rest begins with the next reading, not with the last that found work."""
    rows = [Recorded(Instant(step * 60_000), GpuUuid("GPU-a"), percent=100 if step < 5 else 0) for step in range(60)]
    (attempt,) = judge(rows, RULE).attempts
    assert minutes_of(attempt) == [5 + 30]


def habit(length_s: int, every_s: int) -> list[bool]:
    """Uses of so many seconds, so many apart, for six hours; then a day of rest."""
    works = [False] * (30 * 3_600)
    for second in range(0, 6 * 3_600, every_s):
        works[second : second + length_s] = [True] * length_s
    return works


@pytest.mark.parametrize("length_s", [7, 35])
def test_on_a_gauge_alone_uses_that_it_may_miss_leave_every_rest_to_its_owner(length_s: int) -> None:
    """Uses of 35 s are seen by two readings of 15 s, or by three."""
    attempt = reading_of(habit(length_s, 613), 15, energy=False)
    assert (attempt.stopped, attempt.returned_gpu_ms) == ((), 0)
    (due,) = [each for each in attempt.unproven if each.at > 7 * MS_PER_HOUR] or attempt.unproven[-1:]
    assert due in attempt.due
    assert attempt.rested_gpu_ms > 23 * MS_PER_HOUR
    assert [event.number for event in attempt.warned if event.since == due.since] == [1, 2]
    assert minutes_of(reading_of(habit(length_s, 613), 15, energy=True))[0] < 7 * 60


def test_on_a_gauge_alone_a_rest_after_uses_that_it_cannot_miss_is_stopped_after_a_window() -> None:
    attempt = reading_of(habit(200, 600), 15, energy=False)
    assert attempt.unproven == ()
    assert minutes_of(attempt) == [383], "the last use ends in the 353rd"
    assert attempt.returned_gpu_ms == attempt.rested_gpu_ms > 23 * MS_PER_HOUR


def test_one_use_that_a_single_reading_saw_says_that_others_were_missed() -> None:
    works = habit(200, 600)
    works[3_600 + 404] = True
    attempt = reading_of(works, 15, energy=False)
    assert (len(attempt.due), attempt.stopped) == (1, ())


def test_the_last_use_before_a_rest_has_to_be_a_long_one() -> None:
    """Uses that grow shorter end in uses that no reading sees."""
    works = habit(200, 600)
    works[6 * 3_600 : 6 * 3_600 + 31] = [True] * 31
    attempt = reading_of(works, 15, energy=False)
    assert (len(attempt.due), attempt.stopped) == (1, ())


def test_what_is_used_after_a_rest_proves_nothing_of_it() -> None:
    works = [300 <= second < 331 or 7_200 <= second < 7_400 for second in range(14_400)]
    attempt = reading_of(works, 15, energy=False)
    assert len(attempt.unproven) == 1
    assert minutes_of(attempt) == [(7_400 + 10) // 60 + 30]


def test_a_row_that_was_lost_beside_the_energy_counter_hides_no_second_of_work() -> None:
    """Its span is twice as long, and its noise not."""
    chance, counter, rows = Random(4), 0, []
    for minute in range(600):
        counter += 68_000 * 60 + round(chance.gauss(0, 600) * 60) + 360_000 * (minute % 25 == 7)
        if minute % 25 != 7 or minute % 2:
            at = Instant(minute * MS_PER_MINUTE)
            rows.append(Recorded(at, GpuUuid("G"), (AttemptId("a"),), percent=0, energy_millijoules=counter))
    (attempt,) = judge(rows, RULE).attempts
    assert attempt.due == ()


def test_work_in_a_gap_is_no_use_that_one_reading_saw_and_no_long_one_either() -> None:
    """Power that is read again after a gap may have been drawn throughout it."""

    def found(gap_at: int) -> AttemptJudgement:
        rows = [
            Recorded(Instant(n * 15_000), GpuUuid("G"), percent=90 * (100 < n < 200), milliwatts=70_000)
            for n in range(900)
            if not gap_at < n < gap_at + 40
        ]
        after = next(place for place, row in enumerate(rows) if row.at >= (gap_at + 40) * 15_000)
        rows[after] = rows[after]._replace(milliwatts=90_000)
        (attempt,) = judge(rows, RULE).attempts
        return attempt

    assert len(found(20).stopped) == 1
    assert (len(found(220).due), found(220).stopped) == (1, ())


def test_a_gpu_of_several_that_was_never_used_does_not_speak_against_the_others() -> None:
    rows = [
        Recorded(Instant(n * 15_000 + gpu), GpuUuid(f"GPU-{gpu}"), (AttemptId("a"),), percent=90 * (n < 99 and gpu))
        for n in range(600)
        for gpu in range(2)
    ]
    (attempt,) = judge(rows, RULE).attempts
    assert (len(attempt.stopped), attempt.unproven) == (1, ())
    (alone,) = judge([row for row in rows if row.gpu_uuid == "GPU-0"], RULE).attempts
    assert (len(alone.stopped), alone.unproven) == (1, ())


@pytest.mark.parametrize(("lasts_s", "stops"), [(30, 0), (NIGHT_S, 1)])
def test_a_process_that_comes_and_goes_was_there_for_something_and_one_that_stays_was_not(
    lasts_s: int, stops: int
) -> None:
    """Every 20 minutes one comes, and works between two readings; the other is an idle notebook's."""
    rows = [
        Recorded(Instant(at * MS_PER_SECOND), GpuUuid("GPU-a"), percent=0, process_count=int(at % 1_200 <= lasts_s))
        for at in range(15, NIGHT_S, 15)
    ]
    (attempt,) = judge(rows, RULE).attempts
    assert len(attempt.due) == stops


PAUSES_MS = st.sampled_from([5_000, 15_000, 30_000, 60_000, 61_003, 400_000])


@settings(max_examples=EXAMPLES, deadline=None)
@given(
    base_ms=PAUSES_MS,
    runs=st.lists(
        st.tuples(
            st.integers(1, 200),
            st.sampled_from([None, 0, 0, 0, 1, 4, 60, 100]),
            st.sampled_from([None, 0, 66_000, 70_000, 110_000, 500_000]),
            st.sampled_from([None, 0, 1]),
            PAUSES_MS,
        ),
        min_size=1,
        max_size=8,
    ),
    columns=st.sets(st.sampled_from(COLUMNS)),
    threshold=st.sampled_from([0, 3]),
    gpus=st.integers(1, 3),
    seed=st.integers(0, 99),
)
@example(15_000, [(150, 0, 70_000, 1, 15_000), (60, 4, 70_000, 1, 15_000)], {"percent"}, 3, 1, 0)
def test_whichever_columns_there_are_nothing_is_stopped_whose_recorded_mean_is_above_the_threshold(
    base_ms: int,
    runs: list[tuple[int, int | None, int | None, int | None, int]],
    columns: set[str],
    threshold: int,
    gpus: int,
    seed: int,
) -> None:
    """Unsorted, with duplicates, gaps, clocks that jump, several GPUs and several attempts. One exception, which the rules
    name: a counter that is latched at full use, with no process there."""
    chance, rows, at = Random(seed), [], 1_000_000
    counter = 1
    for number, (length, percent, watts, processes, pause_ms) in enumerate(runs):
        at += pause_ms - (40_000 if seed % 3 == 0 else 0)
        for _ in range(length):
            at += base_ms
            counter += (watts or 70_000) * base_ms // 1_000
            told = {
                "percent": percent,
                "milliwatts": watts,
                "energy_millijoules": counter,
                "process_count": processes,
            }
            cells = {name: told[name] for name in columns}
            attempt = AttemptId(f"a-{number * gpus // 4}")
            rows += [Recorded(Instant(at), GpuUuid(f"GPU-{gpu}"), (attempt,), **cells) for gpu in range(gpus)]
    rows += rows[:: 1 + seed % 7]
    chance.shuffle(rows)
    rule = IdleRule("test", thresholds=IdleThresholds(percent=threshold), policy=RULE.policy)
    for found in judge(rows, rule).attempts:
        for event in found.stopped:
            _assert_idle_in_the_window(rows, found, event.at, threshold)


def _assert_idle_in_the_window(rows: list[Recorded], found: AttemptJudgement, stop: Instant, threshold: int) -> None:
    for uuid in found.gpu_uuids:
        own = sorted(
            {row.at: row for row in sorted(rows, key=lambda row: row.percent or 0) if row.gpu_uuid == uuid}.items()
        )
        read = [
            ((after.percent or 0), after.at - before.at)
            for (_, before), (_, after) in pairwise(own)
            if stop - RULE.policy.window_ms < after.at <= stop
            and after.percent is not None
            and not (after.percent >= 95 and after.process_count == 0)
        ]
        assert all(percent <= threshold for percent, _ in read)
        assert sum(percent * ms for percent, ms in read) <= threshold * sum(ms for _, ms in read)


def test_a_gauge_that_is_read_every_five_minutes_warns_and_stops_nobody() -> None:
    """It finds the rest that it read, and says that it cannot tell what was between."""
    rows = [Recorded(Instant(n * 300_000), GpuUuid("G"), (AttemptId("a"),), percent=0) for n in range(120)]
    (attempt,) = judge(rows, RULE).attempts
    assert (attempt.is_too_coarse, attempt.events, attempt.returned_gpu_ms) == (True, (), 0)
    assert {spell.state for spell in attempt.spells} == {IdleState.IDLE_HELD}
    hours = replace(RULE, policy=replace(RULE.policy, window_ms=2 * MS_PER_HOUR))
    (attempt,) = judge(rows, hours).attempts
    assert (attempt.is_too_coarse, len(attempt.due)) == (False, 1)


def test_a_counter_in_which_uses_that_were_seen_do_not_stand_out_tells_nothing_of_the_others() -> None:
    """A training that starves for its data: seconds of work, alike in every minute, so that its mean looks like a level of
    rest; a reading in thirteen finds it at work."""
    rows = [
        Recorded(
            Instant(n * MS_PER_MINUTE),
            GpuUuid("G"),
            (AttemptId("a"),),
            percent=90 if n % 40 in {0, 7, 9} else 0,
            energy_millijoules=n * 60 * 90_000,
        )
        for n in range(600)
    ]
    (attempt,) = judge(rows, RULE).attempts
    assert attempt.stopped == ()


def service_read_every_minute() -> list[Recorded]:
    """A request of a second every 20 to 29 minutes, right after a reading, beside more between five and six every
    day; each takes 60 W for its second, which a minute's noise of the counter (about 9 J) leaves barely to be seen."""
    chance, counter, rows = Random(11), 0, []
    due_s = 600
    for minute in range(1, 30 * 60):
        works = 60 * minute >= due_s
        if works:
            due_s = 60 * minute + (
                chance.randint(60, 300) if minute % 1_440 // 60 == 5 else chance.randint(1_200, 1_740)
            )
        counter += 55_000 * 60 + round(chance.gauss(0, 9_300)) + (60_000 if works else 0)
        at = Instant(minute * MS_PER_MINUTE)
        rows.append(Recorded(at, GpuUuid("G"), (AttemptId("a"),), percent=0, energy_millijoules=counter))
    return rows


def test_a_counter_in_which_a_second_of_work_barely_stands_out_stops_nobody_by_itself() -> None:
    (attempt,) = judge(service_read_every_minute(), RULE).attempts
    assert attempt.stopped == ()
