"""What `allot gpu judge` promises of a stop (docs/gpu.md, "What a stop promises"), held over recordings of `physics`.

HYPOTHESIS_PROFILE=searching judges hundreds: `make nightly`.
"""

import os
from dataclasses import dataclass
from functools import cache, lru_cache

import numpy as np
import pytest

from scheduler.domain.idleness import IdlePolicy, IdleRule
from scheduler.domain.units import MS_PER_HOUR, MS_PER_SECOND, GpuUuid, Instant
from scheduler.metering.idle import IdleState
from scheduler.metering.judge import Judged, judge
from scheduler.metering.recorded import Recorded
from tests.metering.physics import (
    COLUMNS,
    HOUR_S,
    KINDS,
    MODELS,
    START_S,
    Recorder,
    Truth,
    gpu_of,
    recorded,
    recorder_of,
    uses_between,
)

IS_SEARCHING = os.environ.get("HYPOTHESIS_PROFILE") == "searching"
RECORDINGS = range(12 if IS_SEARCHING else 4)
HOURS = 30 if IS_SEARCHING else 12
RULE = IdleRule("test", policy=IdlePolicy(is_dry_run=False, acts_without_checkpoint=True))
WINDOW_S = RULE.policy.window_ms // MS_PER_SECOND
GRACE_S = RULE.policy.lead_ms // MS_PER_SECOND


@dataclass(frozen=True)
class Recording:
    """Without its rows: sixty thousand of them would be the garbage collector's to visit for the rest of the run."""

    truths: dict[GpuUuid, Truth]
    how: Recorder
    judged: Judged


@lru_cache(maxsize=len(RECORDINGS))
def made(kind: str, seed: int) -> tuple[list[Recorded], dict[GpuUuid, Truth], Recorder]:
    """The rows of one attempt, on one GPU or on two that are used by turns, and the truth of them."""
    chance = np.random.default_rng([list(KINDS).index(kind), seed])
    model, how = MODELS[int(chance.integers(len(MODELS)))], recorder_of(chance)
    rows: list[Recorded] = []
    truths = {}
    clock = int(chance.integers(2**32))
    for number in range(int(chance.choice([1, 1, 2]))):
        uuid = GpuUuid(f"GPU-{number}")
        read, truths[uuid] = recorded(gpu_of(model, kind, chance, HOURS), uuid, how, np.random.default_rng([clock]))
        rows += read
    return rows, truths, how


def recording(kind: str, seed: int, columns: tuple[str, ...] = COLUMNS) -> Recording:
    return _recording(kind, seed, columns)


@cache
def _recording(kind: str, seed: int, columns: tuple[str, ...]) -> Recording:
    rows, truths, how = made(kind, seed)
    if columns != COLUMNS:
        left_out = dict.fromkeys(set(COLUMNS) - set(columns))
        rows = [row._replace(**left_out) for row in rows]  # type: ignore[arg-type]  # by name
    return Recording(truths, how, judge(rows, RULE))


def stops_of(one: Recording) -> list[Instant]:
    return [event.at for attempt in one.judged.attempts for event in attempt.stopped]


@pytest.mark.parametrize("columns", [COLUMNS, ("percent",), ("percent", "milliwatts")], ids=["all", "gauge", "power"])
@pytest.mark.parametrize("kind", KINDS)
def test_no_row_in_the_window_before_a_stop_is_above_the_threshold(kind: str, columns: tuple[str, ...]) -> None:
    for seed in RECORDINGS:
        rows, _, _ = made(kind, seed)
        for stop in stops_of(recording(kind, seed, columns)):
            in_window = (row for row in rows if stop - RULE.policy.window_ms < row.at <= stop)
            assert max(row.percent or 0 for row in in_window) <= RULE.thresholds.percent


@pytest.mark.parametrize("kind", KINDS)
def test_beside_the_energy_counter_no_use_of_as_much_as_it_tells_lies_in_the_window_before_a_stop(kind: str) -> None:
    """Be it one that no row shows: a use of a second or longer at more than the margin, or one that took as much
    between two readings."""
    for seed in RECORDINGS:
        one = recording(kind, seed)
        for device in one.judged.devices:
            if device.is_on_a_gauge or device.use_millijoules is None:
                continue
            for stop in stops_of(one):
                stop_s = stop / MS_PER_SECOND
                for use in uses_between(one.truths[device.gpu_uuid], stop_s - WINDOW_S, stop_s):
                    took = use.sum() if len(use) <= one.how.pace_s else use.max()
                    assert took * 1_000 <= device.use_millijoules, (seed, one.how)


@pytest.mark.parametrize("kind", ["training", "late training", "epochs", "fading", "unused"])
def test_of_the_gpu_hours_in_long_rests_nineteen_in_twenty_are_found(kind: str) -> None:
    rested = found = 0
    for seed in RECORDINGS:
        one = recording(kind, seed)
        for device in one.judged.devices if not one.how.is_disturbed else ():
            busy = one.truths[device.gpu_uuid].busy > 0
            called = np.zeros(len(busy), dtype=bool)
            for spell in device.spells:
                if spell.state is IdleState.IDLE_HELD:
                    called[spell.start // MS_PER_SECOND - START_S : spell.end // MS_PER_SECOND - START_S] = True
            edges = np.flatnonzero(np.diff(np.concatenate([[True], busy, [True]])))
            for start, end in edges.reshape(-1, 2):
                if end - start > WINDOW_S + GRACE_S:
                    rested, found = rested + end - start, found + int(called[start:end].sum())
    assert found >= 0.95 * rested


@pytest.mark.parametrize("kind", ["training", "epochs", "unused"])
def test_no_more_hours_come_back_than_lie_between_a_stop_and_the_next_use(kind: str) -> None:
    """By more than a reading an end. Fewer may: noise that is taken for work ends a rest, and another one begins."""
    for seed in RECORDINGS:
        one = recording(kind, seed)
        if one.how.is_disturbed or len(one.truths) > 1:
            continue
        (truth,), (attempt,) = one.truths.values(), one.judged.attempts
        busy_s = np.flatnonzero(truth.busy > 0) + START_S
        end_s = START_S + len(truth.busy)
        true_s, counted_s = 0.0, 0.0
        for stop in stops_of(one):
            later = busy_s[busy_s > stop / MS_PER_SECOND]
            next_s = float(later[0]) if len(later) else float(end_s)
            true_s += next_s - max(stop / MS_PER_SECOND, counted_s)
            counted_s = next_s
        slack_s = 2 * one.how.pace_s * len(attempt.stopped)
        assert attempt.returned_gpu_ms / MS_PER_HOUR <= (true_s + slack_s) / HOUR_S
