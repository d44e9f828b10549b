"""A replay as tables for a terminal: one column a policy, so that they are compared at a glance."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from scheduler.domain.wording import agreeing
from scheduler.entrypoints.cli.output import Column, print_compared, print_text
from scheduler.entrypoints.web.formatting import DASH, duration

Json = dict[str, Any]

_ROWS: tuple[tuple[str, Callable[[Json], str]], ...] = (
    ("GPUs", lambda p: f"{p['cluster']['gpus']:,}"),
    ("utilisation", lambda p: f"{100 * p['utilisation']['mean']:.1f} %"),
    ("GPU-hours used", lambda p: f"{p['utilisation']['used_gpu_hours']:,.0f}"),
    ("started", lambda p: f"{p['submissions']['started']:,}"),
    ("refused", lambda p: f"{sum(p['submissions']['refused'].values()):,}"),
    ("unfinished", lambda p: f"{p['submissions']['unfinished']:,}"),
    ("wait, mean", lambda p: _wait(p["wait"]["all"], "mean_ms")),
    ("wait, median", lambda p: _wait(p["wait"]["all"], "p50_ms")),
    ("wait, 90 %", lambda p: _wait(p["wait"]["all"], "p90_ms")),
    ("slowdown, mean", lambda p: f"{p['slowdown']['mean']:.2f}" if p["slowdown"]["count"] else DASH),
    ("queue, mean", lambda p: f"{p['queue']['mean_workloads']:,.1f}"),
    ("preemptions", lambda p: f"{p['preemptions']['count']:,}"),
    ("GPU-hours lost", lambda p: f"{p['preemptions']['lost_gpu_hours']:,.0f}"),
    ("retries", lambda p: f"{p['retries']['count']:,}"),
    ("GPU-hours retried", lambda p: f"{p['retries']['lost_gpu_hours']:,.0f}"),
    ("Jain, share served", lambda p: _number(p["fairness"]["served_share"]["jain"])),
    ("Gini, GPU-hours", lambda p: _number(p["fairness"]["gpu_hours"]["gini"])),
    ("budgets exhausted", lambda p: f"{p['budgets']['exhausted']:,}"),
    ("unfunded GPU-hours", lambda p: f"{p['unfunded_gpu_hours']:,.0f}"),
    ("charged, standard h", lambda p: f"{p['cost']['charged_standard_gpu_hours']:,.0f}"),
)


def print_report(report: Json, first_refusals: Sequence[Mapping[str, str]]) -> None:
    """What differs between the policies; the rest is in `--json`. Of each policy and code the first refusal is told."""
    policies: Sequence[Json] = report["policies"]
    stream = report["stream"]
    count, people, window = stream["submissions"], stream["engineers"], report["window"]
    dates = f", {window['starts_at'][:10]} to {window['ends_at'][:10]}" if count else ""
    print_text(
        f"Simulated: {count:,} {agreeing(count, 'workload', 'workloads')} of {people:,} "
        f"{agreeing(people, 'engineer', 'engineers')}{dates}."
    )
    columns = [Column(""), *(Column(policy["name"], is_number=True, width_max=18) for policy in policies)]
    print_compared(
        columns,
        [
            *((name, *(value(policy) for policy in policies)) for name, value in _ROWS),
            *_units(policies),
            *_costs(policies),
        ],
    )
    names = sorted({name for policy in policies for name in policy["wait"]["by_class"]})
    print_text("")
    if names:
        print_compared(
            [Column("mean wait by class"), *columns[1:]],
            [(name, *(_wait(policy["wait"]["by_class"].get(name)) for policy in policies)) for name in names],
        )
    for name, count in stream["source"].get("put_otherwise", {}).items():
        print_text(f"Put otherwise: {count:,} × {name}.", "dim")
    for sort, known in stream["source"].get("unknown_names", {}).items():
        print_text(
            f"Unknown {sort.replace('_', ' ')}: {', '.join(f'{name} ({n:,})' for name, n in known.items())}.", "dim"
        )
    for name, count in stream["left_out"].items():
        print_text(f"Left out: {count:,} × {name}.", "dim")
    for policy, sentences in zip(policies, first_refusals, strict=True):
        for code, count in policy["submissions"]["refused"].items():
            print_text(f"Refused under {policy['name']}: {count:,} × {code}, first: {sentences[code]}.", "dim")


def _units(policies: Sequence[Json]) -> list[tuple[str, ...]]:
    """What was charged in other units than standard time, where any of the policies grants them."""
    units = sorted({unit for policy in policies for unit in policy["cost"]["in_units"]})
    return [
        (f"charged, {unit}", *(_charged(policy["cost"]["in_units"].get(unit)) for policy in policies))
        for unit in units
    ]


def _costs(policies: Sequence[Json]) -> list[tuple[str, ...]]:
    """What the charged hours come to, where `--price` says what one costs."""
    costs = [policy["cost"]["money"] for policy in policies]
    if not all(costs):
        return []
    return [(f"cost, {costs[0]['currency']}", *(f"{round(cost['amount_micros'] / 1_000_000):,}" for cost in costs))]


def _charged(found: Json | None) -> str:
    return DASH if found is None else f"{found['charged']:,.0f}"


def _wait(distribution: Json | None, key: str = "mean_ms") -> str:
    """What never started did not wait for 0 s."""
    return duration(distribution[key]) if distribution is not None and distribution["count"] else DASH


def _number(value: float | None) -> str:
    return DASH if value is None else f"{value:.3f}"
