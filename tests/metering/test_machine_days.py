import random
from collections.abc import Callable

import pytest

from scheduler.domain.idleness import IdlePolicy, IdleRule
from scheduler.domain.units import MS_PER_MINUTE
from scheduler.metering.idle import IdleState
from scheduler.metering.judge import AttemptJudgement, judge
from scheduler.metering.spells import Spell
from tests.metering import machine_days
from tests.metering.machine_days import Day

POLICY = IdlePolicy(startup_ms=0)
RULE = IdleRule("test", policy=POLICY)
WINDOW_S = POLICY.window_ms // 1_000
GRACE_S = 120
GAP_MS = 40_000
PATTERNS: dict[str, Callable[[random.Random], Day]] = {
    "constant": machine_days.constant,
    "bursty": machine_days.bursty,
    "interactive": machine_days.interactive,
    "hanging": machine_days.hanging,
}


def days(pattern: str, count: int = 6) -> list[Day]:
    """Half of them with a sampler that was away at times."""
    found = []
    for seed in range(count):
        chance = random.Random(f"{pattern} {seed}")
        day = PATTERNS[pattern](chance)
        found.append(machine_days.with_gaps(day, chance) if seed % 2 else day)
    return found


def judged(day: Day) -> AttemptJudgement:
    return judge(day.rows(), RULE, GAP_MS).attempts[0]


def overlap_s(spells: list[tuple[int, int]], found: tuple[Spell, ...]) -> float:
    """Seconds of the spells that were found to be at rest."""
    rest = [(spell.start / 1_000, spell.end / 1_000) for spell in found if spell.state is IdleState.IDLE_HELD]
    return sum(max(0.0, min(end, stop) - max(start, begin)) for start, end in spells for begin, stop in rest)


@pytest.mark.parametrize("pattern", PATTERNS)
def test_nothing_is_stopped_that_worked_in_its_window(pattern: str) -> None:
    for day in days(pattern):
        for event in judged(day).due:
            until_s = event.at // 1_000
            assert not any(day.works[until_s - WINDOW_S : until_s])
            assert not any(day.hangs[until_s - WINDOW_S : until_s])


@pytest.mark.parametrize("pattern", ["bursty", "interactive"])
def test_nearly_all_gpu_hours_of_long_rests_are_found(pattern: str) -> None:
    for day in days(pattern):
        if not all(day.is_read):
            continue
        spells = day.idle_spells(WINDOW_S + GRACE_S)
        assert len(spells) > 0
        assert overlap_s(spells, judged(day).spells) >= 0.95 * sum(end - start for start, end in spells)


@pytest.mark.parametrize("pattern", ["bursty", "interactive"])
def test_every_long_rest_that_was_read_throughout_ends_in_an_action(pattern: str) -> None:
    for day in days(pattern):
        if not all(day.is_read):
            continue
        judgement = judged(day)
        due_s = [event.at // 1_000 for event in judgement.due]
        for start, end in day.idle_spells(WINDOW_S + GRACE_S):
            assert any(start + WINDOW_S <= at <= end for at in due_s)
        assert judgement.returned_gpu_ms > 0


def test_a_hang_is_suspected_and_never_called_rest() -> None:
    for day in days("hanging"):
        states = {spell.state for spell in judged(day).spells}
        assert IdleState.IDLE_HELD not in states


def test_a_hang_is_told_from_work_once_the_device_was_seen_at_rest() -> None:
    day = machine_days.hanging(random.Random(1))
    for second in range(600):
        day.works[second] = False
    suspected = [spell for spell in judged(day).spells if spell.state is IdleState.SUSPECTED_HUNG]
    assert sum(spell.end - spell.start for spell in suspected) == pytest.approx(1_000 * sum(day.hangs), abs=60_000)


def test_warnings_come_twice_before_each_action() -> None:
    for day in days("interactive"):
        judgement = judged(day)
        for event in judgement.due:
            own = [each for each in judgement.warned if each.since == event.since]
            assert [each.number for each in own] == [1, 2]
            assert event.at - own[-1].at >= 2 * MS_PER_MINUTE


def test_rows_in_any_order_and_twice_judge_the_same() -> None:
    rows = days("interactive", count=1)[0].rows()
    shuffled = [*rows, *rows[::7]]
    random.Random(3).shuffle(shuffled)
    assert judge(shuffled, RULE) == judge(rows, RULE)
