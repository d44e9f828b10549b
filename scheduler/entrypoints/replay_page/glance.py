"""At a glance: the measures by which policies are compared, a row each with the number of every policy."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from scheduler.entrypoints.replay_page.compared import Row, signed, signed_duration
from scheduler.entrypoints.web.formatting import DASH, duration, grouped

Json = dict[str, Any]


def glance(policies: Sequence[Json]) -> list[Row]:
    return [_row(measure, policies) for measure in _measures(policies)]


def refused(policy: Json) -> int:
    return sum(policy["submissions"]["refused"].values())


@dataclass(frozen=True, slots=True)
class Measure:
    """One row: its number of a policy, and how a number and a change of it read."""

    name: str
    value: Callable[[Json], float | None]
    shown: Callable[[float], str]
    changed: Callable[[float], str]


def percent(share: float) -> str:
    return f"{share * 100:.1f} %"


def _points(change: float) -> str:
    return f"{signed(change * 100, 1)} points"


def whole(amount: float) -> str:
    """Of hours, or of anything that is counted."""
    return grouped(round(amount))


def _changed_count(change: float) -> str:
    return signed(change, 0)


def _length(ms: float) -> str:
    return duration(int(ms))


def _changed_length(ms: float) -> str:
    return signed_duration(int(ms))


def _number(value: float) -> str:
    return f"{value:.3f}"


def _changed_number(change: float) -> str:
    return signed(change, 3)


def _of_any(distribution: Json, key: str) -> float | None:
    """None where there is nothing of which it could be: work that never started did not wait for 0 s."""
    return float(distribution[key]) if distribution["count"] else None


MEASURES: tuple[Measure, ...] = (
    Measure("GPUs in use", lambda p: p["utilisation"]["mean"], percent, _points),
    Measure("GPU-hours used", lambda p: p["utilisation"]["used_gpu_hours"], whole, _changed_count),
    Measure("workloads started", lambda p: p["submissions"]["started"], whole, _changed_count),
    Measure("not finished at the end", lambda p: p["submissions"]["unfinished"], whole, _changed_count),
    Measure("refused at submission", refused, whole, _changed_count),
    Measure("wait, mean", lambda p: _of_any(p["wait"]["all"], "mean_ms"), _length, _changed_length),
    Measure("wait, median", lambda p: _of_any(p["wait"]["all"], "p50_ms"), _length, _changed_length),
    Measure("wait, 90 % below", lambda p: _of_any(p["wait"]["all"], "p90_ms"), _length, _changed_length),
    Measure("slowdown, mean", lambda p: _of_any(p["slowdown"], "mean"), _number, _changed_number),
    Measure("preemptions", lambda p: p["preemptions"]["count"], whole, _changed_count),
    Measure("GPU-hours lost to them", lambda p: p["preemptions"]["lost_gpu_hours"], whole, _changed_count),
    Measure("retries of what failed", lambda p: p["retries"]["count"], whole, _changed_count),
    Measure("GPU-hours lost to retries", lambda p: p["retries"]["lost_gpu_hours"], whole, _changed_count),
    Measure(
        "fairness of what was served (Jain)",
        lambda p: p["fairness"]["served_share"]["jain"],
        _number,
        _changed_number,
    ),
    Measure("inequality of GPU-hours (Gini)", lambda p: p["fairness"]["gpu_hours"]["gini"], _number, _changed_number),
    Measure("budgets run out", lambda p: p["budgets"]["exhausted"], whole, _changed_count),
    Measure("unfunded GPU-hours", lambda p: p["unfunded_gpu_hours"], whole, _changed_count),
)


def _measures(policies: Sequence[Json]) -> Sequence[Measure]:
    """With the cost, where a price was given."""
    costs = [policy["cost"]["money"] for policy in policies]
    if not all(costs):
        return MEASURES
    name = f"cost in {costs[0]['currency']}"
    return (
        *MEASURES,
        Measure(name, lambda p: p["cost"]["money"]["amount_micros"] / 1_000_000, whole, _changed_count),
    )


def _row(measure: Measure, policies: Sequence[Json]) -> Row:
    values = [measure.value(policy) for policy in policies]
    cells = [DASH if value is None else measure.shown(value) for value in values]
    known = [value for value in values if value is not None]
    change = measure.changed(known[1] - known[0]) if len(known) == 2 else ""
    return Row(measure.name, cells, change)
