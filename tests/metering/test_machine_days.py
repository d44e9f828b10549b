"""The idle rules on generated machine-days, of which the truth is known: whom they stop, and what they find."""

import random
from itertools import product

import pytest

from benchmarks.idle_rules.days import DISTURBANCES, PATTERNS, Day, day_of
from benchmarks.idle_rules.rules import OURS, PEERS, POLICY, WINDOW_S, Found, Score, attempt_of, stops_of
from scheduler.domain.units import MS_PER_MINUTE
from scheduler.metering.idle import IdleState
from scheduler.metering.judge import AttemptJudgement, judge

RESTING = ("bursty", "interactive", "nightly", "pipeline", "latched")


def judged(pattern: str, disturbance: str, seed: int = 7) -> tuple[Day, AttemptJudgement]:
    day, chance = day_of(pattern, disturbance, seed)
    return day, attempt_of(day, chance)


@pytest.mark.parametrize(("pattern", "disturbance"), list(product(PATTERNS, DISTURBANCES)))
def test_nothing_is_stopped_that_was_used_in_its_window(pattern: str, disturbance: str) -> None:
    day, judgement = judged(pattern, disturbance)
    score = Score()
    score.add(day, stops_of(judgement))
    assert (score.wrongful, score.unread) == (0, 0)


@pytest.mark.parametrize("pattern", RESTING)
def test_nearly_all_gpu_hours_of_long_rests_are_found(pattern: str) -> None:
    found = Found()
    for disturbance in ("clean", "reboots", "skew"):
        found.add(*judged(pattern, disturbance))
    assert found.idle_s > 0
    assert found.recall is not None
    assert found.recall >= 0.95
    assert found.precision == 1.0


@pytest.mark.parametrize("pattern", RESTING)
def test_every_long_rest_that_was_read_throughout_ends_in_an_action(pattern: str) -> None:
    day, judgement = judged(pattern, "clean")
    due_s = [event.at // 1_000 for event in judgement.due]
    spells = day.idle_spells(WINDOW_S + POLICY.lead_ms // 1_000)
    assert len(spells) > 0
    for start, end in spells:
        assert any(start + WINDOW_S <= at <= end for at in due_s)


@pytest.mark.parametrize("disturbance", DISTURBANCES)
def test_a_hang_is_suspected_and_never_called_rest(disturbance: str) -> None:
    day, judgement = judged("hanging", disturbance)
    assert IdleState.IDLE_HELD not in {spell.state for spell in judgement.spells}
    if disturbance == "clean":
        hung = [spell for spell in judgement.spells if spell.state is IdleState.SUSPECTED_HUNG]
        assert sum(s.end - s.start for s in hung) == pytest.approx(1_000 * int(day.gpus[0].hangs.sum()), abs=60_000)


def test_warnings_come_twice_before_each_action() -> None:
    _, judgement = judged("interactive", "clean")
    assert len(judgement.due) > 0
    for event in judgement.due:
        own = [each for each in judgement.warned if each.since == event.since]
        assert [each.number for each in own] == [1, 2]
        assert event.at - own[-1].at >= 2 * MS_PER_MINUTE


def test_rows_in_any_order_and_twice_judge_the_same() -> None:
    day, chance = day_of("interactive", "clean", 7)
    rows = list(day.rows(chance))
    shuffled = [*rows, *rows[::7]]
    random.Random(3).shuffle(shuffled)
    assert judge(shuffled, OURS) == judge(rows, OURS)


def test_peers_stop_what_was_used_and_we_do_not() -> None:
    """The comparison of docs/gpu.md: an idle GPU among four, and work between two samples of a gauge."""
    unused, _ = day_of("unused", "clean", 7)
    sparse, _ = day_of("sparse", "clean", 7)
    wrongful = {}
    for name, stops in PEERS.items():
        score = Score()
        score.add(unused, stops(unused))
        score.add(sparse, stops(sparse))
        wrongful[name] = score.wrongful
    assert wrongful["any GPU below 10 %"] > 0
    assert wrongful["every sample 0"] > 0
    assert wrongful["mean below 10 %"] > 0
