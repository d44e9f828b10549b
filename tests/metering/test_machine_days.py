"""The idle rules on generated machine-days, of which the truth is known: whom they stop, and what they find.

The days are those of `python -m benchmarks.idle_rules`, one of each kind here. HYPOTHESIS_PROFILE=searching judges
more days, and measures every row of the benchmark's tables again: `make nightly`.
"""

import os
import random
from functools import cache
from pathlib import Path
from typing import Any

import orjson
import pytest

from benchmarks.idle_rules.__main__ import GOAL_RECALL, READINGS, measure, row_of_pattern, row_of_rule
from benchmarks.idle_rules.days import DISTURBANCES, PATTERNS, Day, day_of
from benchmarks.idle_rules.rules import OURS, PEERS, POLICY, WINDOW_S, Found, Score, attempt_of, stops_of
from benchmarks.page import table
from scheduler.domain.units import MS_PER_MINUTE
from scheduler.metering.idle import IdleState
from scheduler.metering.judge import AttemptJudgement, judge

IS_SEARCHING = os.environ.get("HYPOTHESIS_PROFILE") == "searching"
SEEDS_OF_THE_TABLE = 2
SEEDS = 25 if IS_SEARCHING else 1
nightly = pytest.mark.skipif(not IS_SEARCHING, reason="the tables are measured again by `make nightly`")
RESTING = ("bursty", "interactive", "nightly", "pipeline", "latched")
ROOT = Path(__file__).parents[2]
STORED = orjson.loads((ROOT / "benchmarks" / "results" / "idle_rules.json").read_bytes())


@cache
def judged(pattern: str, disturbance: str, seed: int = 0) -> tuple[Day, AttemptJudgement]:
    day, chance = day_of(pattern, disturbance, seed)
    return day, attempt_of(day, chance)


def days_of(pattern: str, seeds: int = SEEDS) -> list[tuple[Day, AttemptJudgement]]:
    return [judged(pattern, disturbance, seed) for disturbance in DISTURBANCES for seed in range(seeds)]


@pytest.mark.parametrize("pattern", PATTERNS)
def test_no_attempt_is_ever_stopped_that_used_a_gpu_in_the_window_before(pattern: str) -> None:
    """Whether that use was read, fell into a gap of the reading, or into a reboot."""
    for day, judgement in days_of(pattern):
        for stop in stops_of(judgement):
            assert not day.used_in_steps(stop, WINDOW_S).any()


@pytest.mark.parametrize("pattern", RESTING)
def test_of_the_gpu_hours_in_idle_spells_longer_than_window_and_grace_nineteen_in_twenty_are_found(
    pattern: str,
) -> None:
    assert POLICY.window_ms == 30 * MS_PER_MINUTE
    found = Found()
    for day, judgement in days_of(pattern):
        found.add(day, judgement)
    assert found.idle_s > 0
    assert found.found_s >= 0.95 * found.idle_s
    assert found.right_s == found.held_s > 0


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


@nightly
@pytest.mark.parametrize("pattern", PATTERNS)
def test_the_table_of_patterns_says_what_is_measured(pattern: str) -> None:
    found, score = Found(), Score()
    for day, judgement in days_of(pattern, SEEDS_OF_THE_TABLE):
        found.add(day, judgement)
        score.add(day, stops_of(judgement))
    row = row_of_pattern(found, score)
    assert STORED["patterns"][pattern] == row
    assert row["precision"] in {None, 1.0}
    assert row["recall"] is None or row["recall"] >= GOAL_RECALL
    assert (row["wrongful"], row["unread"]) == (0, 0)


@nightly
def test_the_table_of_rules_says_what_is_measured_of_ours_and_of_each_peers_on_the_same_days() -> None:
    scores = {rule: Score() for rule in ("ours", *PEERS)}
    for pattern in PATTERNS:
        for day, judgement in days_of(pattern, SEEDS_OF_THE_TABLE):
            scores["ours"].add(day, stops_of(judgement))
            for rule, stops in PEERS.items():
                scores[rule].add(day, stops(day))
    rows = {rule: row_of_rule(score) for rule, score in scores.items()}
    assert {rule: STORED["rules"][rule] for rule in rows} == rows
    assert rows["ours"]["wrongful"] == rows["ours"]["unread"] == 0
    for rule in PEERS:
        assert rows[rule]["wrongful"] > 0
        assert rows[rule]["GPU-hours returned"] < rows["ours"]["GPU-hours returned"]


@nightly
def test_every_row_of_both_tables_is_what_is_measured() -> None:
    measured = measure(SEEDS_OF_THE_TABLE)
    assert list(measured["rules"]) == ["ours", *PEERS]
    assert {key: STORED[key] for key in measured} == measured


@pytest.mark.parametrize("reading", READINGS)
def test_a_gauge_wrongs_nobody_beside_the_energy_counter_or_alone(reading: str) -> None:
    row = STORED["readings"][reading]
    pace_s, columns = READINGS[reading]
    if pace_s > 90:
        assert (row["stops"], row["wrongful"]) == (0, 0), "read too rarely to stop anybody"
        return
    assert (row["wrongful"], row["unread"]) == (0, 0)
    if "energy_joules" in columns:
        assert row["recall"] >= GOAL_RECALL
    assert row["GPU-hours returned"] > 100


@pytest.mark.parametrize("name", ["patterns", "rules", "readings"])
def test_the_operators_page_has_the_tables_as_they_were_stored(name: str) -> None:
    rows: dict[str, dict[str, Any]] = STORED[name]
    assert table(name, rows) in (ROOT / "docs" / "gpu.md").read_text(encoding="utf-8")
