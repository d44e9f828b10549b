"""The page of a replay, made from its object alone (`simulation/replay/report.py`)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib import resources
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from scheduler.domain.periods import to_instant
from scheduler.domain.wording import agreeing
from scheduler.entrypoints.replay_page.axis import Tick, day, time_ticks
from scheduler.entrypoints.replay_page.charts import Course, bars, courses
from scheduler.entrypoints.replay_page.compared import Row, comparison, signed, signed_duration
from scheduler.entrypoints.web.formatting import DASH, duration, grouped, money, words_of
from scheduler.entrypoints.web.svg import svg

COLOURS = 6
_WAIT_LABELS = (
    *("under 10 s", "10 s to 1 min", "1 to 5 min", "5 to 15 min", "15 min to 1 h"),
    *("1 to 4 h", "4 to 12 h", "12 to 24 h", "1 to 3 d", "longer"),
)
"""Of `WAIT_EDGES_MS`."""

Json = dict[str, Any]


def page(report: Json) -> str:
    """One self-contained HTML document."""
    policies = report["policies"]
    template = _templates().get_template("page.html")
    return template.render(
        title=_title(policies),
        style=Markup((resources.files(__package__) / "style.css").read_text(encoding="utf-8")),  # noqa: S704 - our own
        lead=_lead(report),
        about=_about(report),
        policies=policies,
        is_pair=len(policies) == 2,
        glance=[_glance(measure, policies) for measure in _measures(policies)],
        bin_length=duration(report["window"]["bin_ms"]),
        keys=_keys(policies),
        utilisation=_utilisation(report),
        queue=_queue(report),
        waits=_waits(policies),
        reasons=_reasons(policies),
        class_waits=_class_waits(policies),
        comparisons=[comparison(each) for each in report["comparisons"]],
        cost=_cost(policies),
        made=_made(report),
    )


def _templates() -> Environment:
    return Environment(
        loader=PackageLoader("scheduler.entrypoints.replay_page", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        keep_trailing_newline=True,
    )


# the head


def _title(policies: Sequence[Json]) -> str:
    names = [policy["name"] for policy in policies]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}?"


def _lead(report: Json) -> str:
    policies = report["policies"]
    first = policies[0]
    if not report["stream"]["submissions"]:
        return "There is no work to replay."
    if len(policies) == 1 and not first["submissions"]["started"]:
        return f"None of the work starts{_turned_away(first)}."
    if len(policies) == 1:
        return (
            f"{_percent(first['utilisation']['mean'])} of the GPUs are used; work waits {_wait(first)} in the mean; "
            f"{grouped(first['preemptions']['count'])} preemptions lose "
            f"{_hours(first['preemptions']['lost_gpu_hours'])} GPU-hours."
        )
    return " ".join(_against(first, other) for other in policies[1:])


def _against(first: Json, other: Json) -> str:
    if not other["submissions"]["started"]:
        also = "" if first["submissions"]["started"] else f", nor under {first['name']}{_turned_away(first)}"
        return f"Under {other['name']}, none of the work starts{_turned_away(other)}{also}."
    lost = [policy["preemptions"]["lost_gpu_hours"] for policy in (first, other)]
    parts = [
        f"{_percent(other['utilisation']['mean'])} of the GPUs are used instead of "
        f"{_percent(first['utilisation']['mean'])}",
        f"{grouped(other['submissions']['started'])} workloads start instead of "
        f"{grouped(first['submissions']['started'])}",
    ]
    if _refused(first) or _refused(other):
        parts.append(f"{_count(_refused(other))} are refused instead of {_count(_refused(first))}")
    if first["submissions"]["started"]:
        parts.insert(1, f"work waits {_wait(other)} in the mean instead of {_wait(first)}")
    return (
        f"Under {other['name']}, {', '.join(parts)}, and {grouped(other['preemptions']['count'])} preemptions lose "
        f"{_hours(lost[1])} GPU-hours instead of {grouped(first['preemptions']['count'])} that lose {_hours(lost[0])}."
    )


def _turned_away(policy: Json) -> str:
    return f" ({_count(_refused(policy))} refused)" if _refused(policy) else ""


def _refused(policy: Json) -> int:
    return sum(policy["submissions"]["refused"].values())


def _wait(policy: Json) -> str:
    return duration(policy["wait"]["all"]["mean_ms"])


def _about(report: Json) -> str:
    stream, policies = report["stream"], report["policies"]
    work = f"{_counted(stream['submissions'], 'workload')} ({stream['source'].get('kind', 'given')})"
    dates = f", {_dates(report['window'])}" if stream["submissions"] else ""
    return f"{work} of {_counted(stream['engineers'], 'engineer')}{dates}, with {_clusters(policies)}."


def _clusters(policies: Sequence[Json]) -> str:
    """Nodes that a policy has no class for are none of its cluster."""
    clusters = [_cluster(policy["cluster"]) for policy in policies]
    if len(set(clusters)) > 1:
        return "; ".join(f"{each} under {policy['name']}" for each, policy in zip(clusters, policies, strict=True))
    return clusters[0] + (": the same for every policy" if len(policies) > 1 else "")


def _cluster(cluster: Json) -> str:
    classes = ", ".join(f"{grouped(gpus)} {name}" for name, gpus in cluster["gpus_by_class"].items())
    return f"{_counted(cluster['gpus'], 'GPU')} ({classes})"


def _counted(count: int, one: str) -> str:
    return f"{grouped(count)} {agreeing(count, one, one + 's')}"


# at a glance


@dataclass(frozen=True, slots=True)
class Measure:
    """One row: its number of a policy, and how a number and a change of it read."""

    name: str
    value: Callable[[Json], float | None]
    shown: Callable[[float], str]
    changed: Callable[[float], str]


def _percent(share: float) -> str:
    return f"{share * 100:.1f} %"


def _points(change: float) -> str:
    return f"{signed(change * 100, 1)} points"


def _hours(amount: float) -> str:
    return grouped(round(amount))


def _count(amount: float) -> str:
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
    Measure("GPUs in use", lambda p: p["utilisation"]["mean"], _percent, _points),
    Measure("GPU-hours used", lambda p: p["utilisation"]["used_gpu_hours"], _hours, _changed_count),
    Measure("workloads started", lambda p: p["submissions"]["started"], _count, _changed_count),
    Measure("not finished at the end", lambda p: p["submissions"]["unfinished"], _count, _changed_count),
    Measure("refused at submission", _refused, _count, _changed_count),
    Measure("wait, mean", lambda p: _of_any(p["wait"]["all"], "mean_ms"), _length, _changed_length),
    Measure("wait, median", lambda p: _of_any(p["wait"]["all"], "p50_ms"), _length, _changed_length),
    Measure("wait, 90 % below", lambda p: _of_any(p["wait"]["all"], "p90_ms"), _length, _changed_length),
    Measure("slowdown, mean", lambda p: _of_any(p["slowdown"], "mean"), _number, _changed_number),
    Measure("preemptions", lambda p: p["preemptions"]["count"], _count, _changed_count),
    Measure("GPU-hours lost to them", lambda p: p["preemptions"]["lost_gpu_hours"], _hours, _changed_count),
    Measure("retries of what failed", lambda p: p["retries"]["count"], _count, _changed_count),
    Measure("GPU-hours lost to retries", lambda p: p["retries"]["lost_gpu_hours"], _hours, _changed_count),
    Measure(
        "fairness of what was served (Jain)",
        lambda p: p["fairness"]["served_share"]["jain"],
        _number,
        _changed_number,
    ),
    Measure("inequality of GPU-hours (Gini)", lambda p: p["fairness"]["gpu_hours"]["gini"], _number, _changed_number),
    Measure("budgets run out", lambda p: p["budgets"]["exhausted"], _count, _changed_count),
    Measure("unfunded GPU-hours", lambda p: p["unfunded_gpu_hours"], _hours, _changed_count),
)


def _measures(policies: Sequence[Json]) -> Sequence[Measure]:
    """With the cost, where a price was given."""
    costs = [policy["cost"]["money"] for policy in policies]
    if not all(costs):
        return MEASURES
    name = f"cost in {costs[0]['currency']}"
    return (
        *MEASURES,
        Measure(name, lambda p: p["cost"]["money"]["amount_micros"] / 1_000_000, _count, _changed_count),
    )


def _glance(measure: Measure, policies: Sequence[Json]) -> Row:
    values = [measure.value(policy) for policy in policies]
    cells = [DASH if value is None else measure.shown(value) for value in values]
    known = [value for value in values if value is not None]
    change = measure.changed(known[1] - known[0]) if len(known) == 2 else ""
    return Row(measure.name, cells, change)


# charts


def _key(position: int) -> str:
    return f"p{position % COLOURS}"


def _keys(policies: Sequence[Json]) -> Markup:
    items = [
        Markup("<li>{}{}</li>").format(
            svg(
                'width="26" height="10" aria-hidden="true"',
                f'<line class="line {_key(position)}" x1="0" x2="26" y1="5" y2="5"/>',
            ),
            policy["name"],
        )
        for position, policy in enumerate(policies)
    ]
    return Markup('<ul class="keys">{}</ul>').format(Markup("").join(items))


def _utilisation(report: Json) -> Markup:
    drawn = [
        Course(_key(position), policy["name"], policy["utilisation"]["by_bin"])
        for position, policy in enumerate(report["policies"])
    ]
    title = "; ".join(f"{p['name']}: {_percent(p['utilisation']['mean'])} in the mean" for p in report["policies"])
    ticks = [(share / 100, f"{share} %") for share in (25, 50, 75, 100)]
    return courses(title, drawn, 1.0, ticks, _axis(report["window"]))


def _queue(report: Json) -> Markup:
    drawn = [
        Course(_key(position), policy["name"], policy["queue"]["gpus_by_bin"])
        for position, policy in enumerate(report["policies"])
    ]
    top = _rounded_up(max((value for course in drawn for value in course.values), default=0))
    title = "; ".join(f"{p['name']}: {_count(p['queue']['mean_gpus'])} GPUs in the mean" for p in report["policies"])
    ticks = [(top * part / 4, _count(top * part / 4)) for part in (1, 2, 3, 4)]
    return courses(title, drawn, top, ticks, _axis(report["window"]))


def _waits(policies: Sequence[Json]) -> list[tuple[str, Markup, list[str]]]:
    """A row for each bin up to the longest wait: its label, a bar each, the shares."""
    counts = [policy["wait"]["all"]["counts"] for policy in policies]
    shares = [[count / max(1, sum(each)) for count in each] for each in counts]
    most = max((share for each in shares for share in each), default=0.0) or 1.0
    last = max((index for each in counts for index, count in enumerate(each) if count), default=0)
    return [
        (
            _WAIT_LABELS[index],
            bars([(_key(position), each[index] / most) for position, each in enumerate(shares)]),
            [_percent(each[index]) for each in shares],
        )
        for index in range(last + 1)
    ]


def _axis(window: Json) -> tuple[Tick, ...]:
    return time_ticks(window["starts_at_ms"], _ends(window))


def _dates(window: Json) -> str:
    first, last = day(window["starts_at_ms"]), day(to_instant(datetime.fromisoformat(window["ends_at"])) - 1)
    return f"on {first}" if first == last else f"{first} to {last}"


def _ends(window: Json) -> int:
    """Of its bins, the last of which may reach beyond the last submission."""
    return int(window["starts_at_ms"] + window["bin_ms"] * window["bins"])


def _rounded_up(value: float) -> float:
    """To one, two, four or ten times a power of ten, so that a quarter of it reads well."""
    top = 4.0
    while top < value:
        top *= 10
    # Not below 4: each quarter is a whole number of GPUs.
    return max(4.0, min(step for step in (top / 10, top / 5, top / 2, top) if step >= value))


# tables


def _reasons(policies: Sequence[Json]) -> list[Row]:
    names = {name for policy in policies for name in policy["waiting_hours_by_reason"]}

    def most(name: str) -> float:
        return max(float(policy["waiting_hours_by_reason"].get(name, 0.0)) for policy in policies)

    return [
        Row(words_of(name), [_hours(policy["waiting_hours_by_reason"].get(name, 0.0)) for policy in policies])
        for name in sorted(names, key=lambda name: (-most(name), name))
        if most(name) >= 1
    ]


def _class_waits(policies: Sequence[Json]) -> list[Row]:
    known = [{(row["class"], row["tier"]): row for row in policy["wait"]["by_class_and_tier"]} for policy in policies]
    return [
        Row(
            f"{name[0]}, {name[1]}",
            [duration(each[name][key]) if name in each else DASH for each in known for key in ("mean_ms", "p90_ms")],
        )
        for name in sorted({name for each in known for name in each})
    ]


_COST = (
    ("granted", "granted_standard_gpu_hours"),
    ("charged", "charged_standard_gpu_hours"),
    ("of it beyond holds", "overrun_standard_gpu_hours"),
    ("of it unfunded", "unfunded_standard_gpu_hours"),
    ("expired unused", "expired_standard_gpu_hours"),
)


def _cost(policies: Sequence[Json]) -> list[Row]:
    rows = [Row(name, [_hours(policy["cost"][key]) for policy in policies]) for name, key in _COST]
    rows.append(
        Row("refunded after preemptions", [_hours(p["preemptions"]["refunded_standard_gpu_hours"]) for p in policies])
    )
    for team in sorted({team for policy in policies for team in policy["cost"]["charged_by_team"]}):
        rows.append(
            Row(f"charged to {team}", [_hours(p["cost"]["charged_by_team"].get(team, 0.0)) for p in policies])
        )
    for unit in sorted({unit for policy in policies for unit in policy["cost"]["in_units"]}):
        of_each = [policy["cost"]["in_units"].get(unit) for policy in policies]
        for what in ("granted", "charged"):
            rows.append(Row(f"{what} in {unit}", [DASH if each is None else _hours(each[what]) for each in of_each]))
    if all(policy["cost"]["money"] for policy in policies):
        costs = [policy["cost"]["money"] for policy in policies]
        rows.append(Row("cost", [f"{money(cost['amount_micros'])} {cost['currency']}" for cost in costs]))
    return rows


def _made(report: Json) -> list[tuple[str, str]]:
    stream = report["stream"]
    source = {key: value for key, value in stream["source"].items() if key != "put_otherwise" and value}
    rows = [("work", ", ".join(f"{key} {_plain(value)}" for key, value in source.items()))]
    rows += [
        ("put otherwise", f"{grouped(n)} × {what}") for what, n in stream["source"].get("put_otherwise", {}).items()
    ]
    rows += [("left out", f"{grouped(count)} × {what}") for what, count in stream["left_out"].items()]
    if stream.get("bad_rows", {}).get("count"):
        rows.append(("bad rows left out", grouped(stream["bad_rows"]["count"])))
    for policy in report["policies"]:
        rows.append((policy["name"], f"sha256 {policy['hash'][:12]}"))
        for code, count in policy["submissions"]["refused"].items():
            rows.append((f"refused under {policy['name']}", f"{grouped(count)} × {code}"))
    return rows


def _plain(value: object) -> str:
    return ", ".join(str(item) for item in value) if isinstance(value, list) else str(value)
