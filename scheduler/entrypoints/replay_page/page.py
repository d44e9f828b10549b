"""The page of a replay, made from its object alone (`simulation/replay/report.py`)."""

from collections.abc import Sequence
from datetime import datetime
from importlib import resources
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from scheduler.domain.errors import RefusalCode
from scheduler.domain.periods import to_instant
from scheduler.domain.wording import agreeing
from scheduler.entrypoints.api.codes import CODES
from scheduler.entrypoints.replay_page.axis import Tick, day, time_ticks
from scheduler.entrypoints.replay_page.charts import Course, bars, courses
from scheduler.entrypoints.replay_page.compared import Row, comparison
from scheduler.entrypoints.replay_page.glance import glance, percent, refused, whole
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
        glance=glance(policies),
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
            f"{percent(first['utilisation']['mean'])} of the GPUs are used; work waits {_wait(first)} in the mean; "
            f"{_preempted(first)}."
        )
    return " ".join(_against(first, other) for other in policies[1:])


def _against(first: Json, other: Json) -> str:
    if not other["submissions"]["started"]:
        also = "" if first["submissions"]["started"] else f", nor under {first['name']}{_turned_away(first)}"
        return f"Under {other['name']}, none of the work starts{_turned_away(other)}{also}."
    starting, turned_away = other["submissions"]["started"], refused(other)
    parts = [
        f"{percent(other['utilisation']['mean'])} of the GPUs are used instead of "
        f"{percent(first['utilisation']['mean'])}",
        f"{grouped(starting)} {agreeing(starting, 'workload starts', 'workloads start')} instead of "
        f"{grouped(first['submissions']['started'])}",
    ]
    if refused(first) or turned_away:
        parts.append(
            f"{whole(turned_away)} {agreeing(turned_away, 'is', 'are')} refused instead of {whole(refused(first))}"
        )
    if first["submissions"]["started"]:
        parts.insert(1, f"work waits {_wait(other)} in the mean instead of {_wait(first)}")
    return f"Under {other['name']}, {', '.join(parts)}, and {_preempted(other)}{_instead_of(first, other)}."


def _instead_of(first: Json, other: Json) -> str:
    count, lost = first["preemptions"]["count"], whole(first["preemptions"]["lost_gpu_hours"])
    if not count:
        return " instead of none" if other["preemptions"]["count"] else ""
    if not other["preemptions"]["count"]:
        return f", instead of {_counted(count, 'preemption')} that {agreeing(count, 'loses', 'lose')} {lost}"
    return f" instead of {grouped(count)} that {agreeing(count, 'loses', 'lose')} {lost}"


def _preempted(policy: Json) -> str:
    count, hours = policy["preemptions"]["count"], round(policy["preemptions"]["lost_gpu_hours"])
    if not count:
        return "nothing is preempted"
    return f"{grouped(count)} {agreeing(count, 'preemption loses', 'preemptions lose')} {_counted(hours, 'GPU-hour')}"


def _turned_away(policy: Json) -> str:
    return f" ({whole(refused(policy))} refused)" if refused(policy) else ""


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
    title = "; ".join(f"{p['name']}: {percent(p['utilisation']['mean'])} in the mean" for p in report["policies"])
    ticks = [(share / 100, f"{share} %") for share in (25, 50, 75, 100)]
    return courses(title, drawn, 1.0, ticks, _axis(report["window"]))


def _queue(report: Json) -> Markup:
    drawn = [
        Course(_key(position), policy["name"], policy["queue"]["gpus_by_bin"])
        for position, policy in enumerate(report["policies"])
    ]
    top = _rounded_up(max((value for course in drawn for value in course.values), default=0))
    title = "; ".join(f"{p['name']}: {whole(p['queue']['mean_gpus'])} GPUs in the mean" for p in report["policies"])
    ticks = [(top * part / 4, whole(top * part / 4)) for part in (1, 2, 3, 4)]
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
            [percent(each[index]) for each in shares],
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
        Row(words_of(name), [whole(policy["waiting_hours_by_reason"].get(name, 0.0)) for policy in policies])
        for name in sorted(names, key=lambda name: (-most(name), name))
        if most(name) >= 1
    ]


def _class_waits(policies: Sequence[Json]) -> list[tuple[str, list[tuple[str, str]]]]:
    """A row for each class and tier: of each policy the mean wait and its 90th percentile."""
    known = [{(row["class"], row["tier"]): row for row in policy["wait"]["by_class_and_tier"]} for policy in policies]
    return [
        (f"{name[0]}, {name[1]}", [_mean_and_most(each.get(name)) for each in known])
        for name in sorted({name for each in known for name in each})
    ]


def _mean_and_most(waited: Json | None) -> tuple[str, str]:
    return (duration(waited["mean_ms"]), duration(waited["p90_ms"])) if waited is not None else (DASH, "")


_COST = (
    ("granted", "granted_standard_gpu_hours"),
    ("charged", "charged_standard_gpu_hours"),
    ("of it beyond holds", "overrun_standard_gpu_hours"),
    ("of it unfunded", "unfunded_standard_gpu_hours"),
    ("expired unused", "expired_standard_gpu_hours"),
)


def _cost(policies: Sequence[Json]) -> list[Row]:
    rows = [Row(name, [whole(policy["cost"][key]) for policy in policies]) for name, key in _COST]
    rows.append(
        Row("refunded after preemptions", [whole(p["preemptions"]["refunded_standard_gpu_hours"]) for p in policies])
    )
    for team in sorted({team for policy in policies for team in policy["cost"]["charged_by_team"]}):
        rows.append(Row(f"charged to {team}", [whole(p["cost"]["charged_by_team"].get(team, 0.0)) for p in policies]))
    for unit in sorted({unit for policy in policies for unit in policy["cost"]["in_units"]}):
        of_each = [policy["cost"]["in_units"].get(unit) for policy in policies]
        for what in ("granted", "charged"):
            rows.append(Row(f"{what} in {unit}", [DASH if each is None else whole(each[what]) for each in of_each]))
    if all(policy["cost"]["money"] for policy in policies):
        costs = [policy["cost"]["money"] for policy in policies]
        rows.append(Row("cost", [f"{money(cost['amount_micros'])} {cost['currency']}" for cost in costs]))
    return rows


def _made(report: Json) -> list[tuple[str, str]]:
    stream = report["stream"]
    given = stream["source"]
    source = {key: value for key, value in given.items() if key not in {"put_otherwise", "unknown_names"} and value}
    rows = [("work", ", ".join(f"{key} {_plain(value)}" for key, value in source.items()))]
    rows += [("put otherwise", f"{grouped(n)} × {what}") for what, n in given.get("put_otherwise", {}).items()]
    for sort, names in given.get("unknown_names", {}).items():
        listed = ", ".join(f"{name} ({grouped(n)})" for name, n in names.items())
        rows.append((f"unknown {sort.replace('_', ' ')}", listed))
    rows += [("left out", f"{grouped(count)} × {what}") for what, count in stream["left_out"].items()]
    if stream.get("bad_rows", {}).get("count"):
        rows.append(("bad rows left out", grouped(stream["bad_rows"]["count"])))
    for policy in report["policies"]:
        rows.append((policy["name"], f"sha256 {policy['hash'][:12]}"))
        for code, count in policy["submissions"]["refused"].items():
            meaning = CODES[RefusalCode(code)].meaning
            rows.append((f"refused under {policy['name']}", f"{grouped(count)} × {code}: {meaning}"))
    return rows


def _plain(value: object) -> str:
    return ", ".join(str(item) for item in value) if isinstance(value, list) else str(value)
