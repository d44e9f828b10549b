"""What the idle rules find on machine-days of known truth, and whom they would have stopped wrongly; beside peers' rules.

python -m benchmarks.idle_rules [--seeds 2] prints one JSON object. Every pattern of use is generated with every disturbance
of its reading (none; gaps; reboots; a clock that is set), as many days of each as there are seeds: simulated, none of them
recorded. All rules have a window of 30 minutes and no startup grace. *Precision* is the share of what was judged idle-held
that was so; *recall* the share found of the GPU-hours in idle spells longer than the window and its warnings (goal: 0.95).
A *wrongful* stop is one of an attempt that used a GPU in the window before, as far as it was read; *unread* counts those
whose use fell into a gap of the reading alone. Hours are GPU-hours from each rightful stop to the next use. *Readings* are
ours on the first of those days of each kind, by fewer columns and at other paces.
"""

import argparse
from typing import Any

import orjson

from benchmarks.idle_rules.days import DISTURBANCES, PATTERNS, day_of
from benchmarks.idle_rules.rules import PEERS, Found, Score, attempt_of, attempt_on_a_gauge, stops_of
from benchmarks.measured import keep

GOAL_RECALL = 0.95
PACES_S = (5, 15, 30, 60, 300)
READINGS: dict[str, tuple[int, tuple[str, ...]]] = {
    f"{name}, every {pace_s} s": (pace_s, columns)
    for name, columns in {
        "energy and processes": ("energy_joules", "process_count"),
        "power": ("power_watts",),
        "utilisation alone": (),
    }.items()
    for pace_s in PACES_S
}
"""What a recording has beside a gauge of utilisation, and how often it was read."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=2, help="days of each pattern and disturbance")
    result = keep("idle_rules", measure(parser.parse_args().seeds))
    print(orjson.dumps(result, option=orjson.OPT_INDENT_2).decode())


def measure(seeds: int) -> dict[str, Any]:
    found = {pattern: Found() for pattern in PATTERNS}
    by_pattern = {pattern: Score() for pattern in PATTERNS}
    by_rule = {rule: Score() for rule in ("ours", *PEERS)}
    for pattern in PATTERNS:
        for disturbance in DISTURBANCES:
            for seed in range(seeds):
                _add(pattern, disturbance, seed, found[pattern], by_pattern[pattern], by_rule)
    ours = by_rule["ours"]
    return {
        "days": len(PATTERNS) * len(DISTURBANCES) * seeds,
        "goal recall": GOAL_RECALL,
        "is recall met": all(each.recall is None or each.recall >= GOAL_RECALL for each in found.values()),
        "false stops": ours.wrongful + ours.unread,
        "patterns": {pattern: row_of_pattern(found[pattern], by_pattern[pattern]) for pattern in PATTERNS},
        "rules": {rule: row_of_rule(score) for rule, score in by_rule.items()},
        "readings": {reading: row_of_reading(reading) for reading in READINGS},
    }


def row_of_reading(reading: str) -> dict[str, Any]:
    """Our rule on the first day of each pattern and disturbance, read by a gauge of utilisation and what is beside it."""
    found, score = Found(), Score()
    for pattern in PATTERNS:
        for disturbance in DISTURBANCES:
            day, chance = day_of(pattern, disturbance, 0)
            judgement = attempt_on_a_gauge(day, chance, *READINGS[reading])
            found.add(day, judgement)
            score.add(day, stops_of(judgement))
    return {"recall": found.recall, **row_of_rule(score)}


def _add(pattern: str, disturbance: str, seed: int, found: Found, own: Score, by_rule: dict[str, Score]) -> None:
    day, chance = day_of(pattern, disturbance, seed)
    judgement = attempt_of(day, chance)
    found.add(day, judgement)
    for score in (own, by_rule["ours"]):
        score.add(day, stops_of(judgement))
    for rule, stops in PEERS.items():
        by_rule[rule].add(day, stops(day))


def row_of_pattern(found: Found, score: Score) -> dict[str, Any]:
    """What is told of a pattern of use: what our rule found of its rest, and whom it stopped."""
    return {
        "precision": found.precision,
        "recall": found.recall,
        "idle GPU-hours": _hours(found.idle_s),
        **row_of_rule(score),
    }


def row_of_rule(score: Score) -> dict[str, Any]:
    return {
        "stops": score.stops,
        "wrongful": score.wrongful,
        "unread": score.unread,
        "GPU-hours returned": _hours(score.returned_s),
    }


def _hours(seconds: int) -> float:
    return round(seconds / 3_600, 1)


if __name__ == "__main__":
    main()
