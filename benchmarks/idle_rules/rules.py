"""Rules that say when an attempt is idle: ours on several sorts of readings, and those of peers, on one day each.

A rule says at which steps of the day it would have stopped the attempt. What the peers' rules are, and where they are
documented, is in docs/gpu.md.
"""

import random
from collections.abc import Callable, Collection
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from benchmarks.idle_rules.days import STEP_S, STEPS, Day, Seconds, by_step, in_step
from scheduler.domain.idleness import IdlePolicy, IdleRule
from scheduler.metering.idle import IdleState
from scheduler.metering.judge import AttemptJudgement, judge

POLICY = IdlePolicy(startup_ms=0)
WINDOW_S = POLICY.window_ms // 1_000
WINDOW = WINDOW_S // STEP_S
BELOW_PERCENT = 10
OURS = IdleRule("ours", policy=POLICY)

Stops = list[int]
"""Seconds of the day, by the node's clock."""


def attempt_of(day: Day, chance: random.Random) -> AttemptJudgement:
    """By what the agent reads."""
    return judge(day.rows(chance), OURS).attempts[0]


def attempt_on_a_gauge(day: Day, chance: random.Random, pace_s: int, columns: Collection[str]) -> AttemptJudgement:
    return judge(day.gauge_rows(chance, pace_s, columns), OURS).attempts[0]


def stops_of(judgement: AttemptJudgement) -> Stops:
    return [event.at // 1_000 for event in judgement.stopped]


def every_sample_zero(day: Day) -> Stops:
    """No sample of any GPU above 0 in the window; what is missing is passed over (`max_over_time(…) == 0`)."""
    percent = _gauge(day)
    return _stops(day, _over_window(np.nan_to_num(percent).max(axis=0) > 0) == 0)


def any_gpu_below(day: Day) -> Stops:
    """Every sample of any one GPU below 10 % in the window, which samples must span."""
    percent = _gauge(day)
    is_low = np.zeros(STEPS, dtype=np.bool_)
    for of_gpu in percent:
        is_high = np.nan_to_num(of_gpu) >= BELOW_PERCENT
        is_low |= (_over_window(is_high) == 0) & day.is_read & np.roll(day.is_read, WINDOW - 1)
    return _stops(day, is_low)


def mean_below(day: Day) -> Stops:
    """The mean of all samples of all GPUs below 10 % in the window."""
    percent = _gauge(day)
    read = _over_window((~np.isnan(percent)).sum(axis=0))
    total = _over_window(np.nan_to_num(percent).sum(axis=0))
    return _stops(day, (read > 0) & (total < BELOW_PERCENT * read))


PEERS: dict[str, Callable[[Day], Stops]] = {
    "every sample 0": every_sample_zero,
    "any GPU below 10 %": any_gpu_below,
    "mean below 10 %": mean_below,
}


@dataclass
class Score:
    """Stops of a day or several. `wrongful` are those of attempts that used a GPU in the window before, as far as it
    was read; `unread` those that did so only where nothing was read. `returned_s` are GPU-seconds from every rightful
    stop to the next use."""

    stops: int = 0
    wrongful: int = 0
    unread: int = 0
    returned_s: int = 0

    def add(self, day: Day, stops: Stops) -> None:
        used = in_step(day.is_used())
        at = np.array([day.at(step) // 1_000 for step in range(STEPS)])
        returned_until = 0
        for stop in stops:
            in_window = day.used_in_steps(stop, WINDOW_S)
            self.stops += 1
            self.wrongful += bool((in_window & day.is_read).any())
            self.unread += bool(in_window.any() and not (in_window & day.is_read).any())
            if not in_window.any() and stop >= returned_until:
                later = np.flatnonzero(used & (at > stop))
                returned_until = int(at[later[0]]) - STEP_S if len(later) else int(at[-1])
                self.returned_s += max(0, returned_until - stop) * len(day.gpus)


@dataclass
class Found:
    """Seconds of an attempt. `idle_s` are those of idle spells longer than the window and its warnings; `found_s` what
    was judged idle-held of them; `held_s` all that was judged idle-held, and `right_s` what was so in truth."""

    idle_s: int = 0
    found_s: int = 0
    held_s: int = 0
    right_s: int = 0

    def add(self, day: Day, judgement: AttemptJudgement) -> None:
        """By steps, each of which the node's clock may tell of under another time."""
        used = in_step(day.is_used())
        held = _is_held(day, judgement)
        in_spell = np.zeros(STEPS * STEP_S, dtype=np.bool_)
        for start, end in day.idle_spells(WINDOW_S + POLICY.lead_ms // 1_000):
            in_spell[start:end] = True
        whole = by_step(in_spell).all(axis=1)
        gpu_s = STEP_S * len(day.gpus)
        self.idle_s += int(whole.sum()) * gpu_s
        self.found_s += int((whole & held).sum()) * gpu_s
        self.held_s += int(held.sum()) * gpu_s
        self.right_s += int((held & ~used).sum()) * gpu_s

    @property
    def precision(self) -> float | None:
        return round(self.right_s / self.held_s, 4) if self.held_s else None

    @property
    def recall(self) -> float | None:
        return round(self.found_s / self.idle_s, 4) if self.idle_s else None


def _is_held(day: Day, judgement: AttemptJudgement) -> Seconds:
    """Whether the middle of each step was judged idle-held."""
    held = np.zeros(STEPS, dtype=np.bool_)
    middles = np.array([day.at(step) - STEP_S * 500 for step in range(STEPS)])
    for spell in judgement.spells:
        if spell.state is IdleState.IDLE_HELD:
            held |= (middles >= spell.start) & (middles < spell.end)
    return held


def _gauge(day: Day) -> npt.NDArray[np.float64]:
    """GPUs × steps: utilisation in percent as a gauge has it, NaN where nobody read it."""
    read = np.array([by_step(gpu.reads())[:, -1] * 100.0 for gpu in day.gpus])
    read[:, ~day.is_read] = np.nan
    return read


def _over_window(values: npt.NDArray[np.generic]) -> npt.NDArray[np.float64]:
    """Sums over the window that ends with each step."""
    sums = np.concatenate(([0.0], np.cumsum(values.astype(np.float64))))
    starts = np.maximum(0, np.arange(1, STEPS + 1) - WINDOW)
    return np.asarray(sums[1:] - sums[starts])


def _stops(day: Day, is_idle: Seconds) -> Stops:
    """The first idle step, and so again a window after every use: what was stopped is begun anew with it."""
    used, idle = np.flatnonzero(in_step(day.is_used())), np.flatnonzero(is_idle)
    stops: Stops = []
    begun = 0
    while (place := int(np.searchsorted(idle, begun + WINDOW - 1))) < len(idle):
        step = int(idle[place])
        stops.append(day.at(step) // 1_000)
        later = used[used > step]
        if len(later) == 0:
            break
        begun = int(later[0])
    return stops
