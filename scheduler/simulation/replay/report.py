"""A replay as one object: documented in docs/simulate.md, versioned, the same bytes for the same inputs and seed.

Times are integer milliseconds (`_ms`), GPU time is in GPU-hours rounded to thousandths (`_gpu_hours`), shares are
fractions of 1. Nobody is named: engineers are counted, compared by tier, class and team.
"""

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from scheduler.domain.periods import iso
from scheduler.domain.quantities import unit_label, whole
from scheduler.domain.units import MS_PER_HOUR, STANDARD_GPU, EngineerId, Unit
from scheduler.finance.fairness import gini, jain
from scheduler.ledger.journal import AccountKind
from scheduler.simulation.replay.engine import Outcome
from scheduler.simulation.replay.measures import Measures, Person
from scheduler.simulation.replay.submissions import Stream

FORMAT, VERSION = "allot-replay", 1

WAIT_EDGES_MS = tuple(1000 * s for s in (10, 60, 300, 900, 3600, 4 * 3600, 12 * 3600, 86_400, 3 * 86_400))
"""Upper edges of the wait distribution's bins; the last bin is open."""

Json = dict[str, Any]


def report(stream: Stream, outcomes: Sequence[Outcome], price_micros: int | None = None, currency: str = "") -> Json:
    """Everything that was measured, for each policy in the order given, and what changed from the first to each other.

    `price_micros` is what a standard GPU-hour costs, in millionths of the currency.
    """
    window = outcomes[0].measures.window
    first = outcomes[0]
    return {
        "format": FORMAT,
        "version": VERSION,
        "is_simulated": True,
        "stream": _stream(stream),
        "window": {
            "starts_at": iso(window.starts_at),
            "ends_at": iso(window.ends_at),
            "starts_at_ms": window.starts_at,
            "bin_ms": window.bin_ms,
            "bins": window.bins,
        },
        "wait_edges_ms": list(WAIT_EDGES_MS),
        "policies": [_policy(outcome, price_micros, currency) for outcome in outcomes],
        "comparisons": [_comparison(first, other) for other in outcomes[1:]],
    }


def _stream(stream: Stream) -> Json:
    asked = sum(each.spec.gpus * each.run_ms for each in stream.submissions)
    return {
        "source": dict(stream.source),
        "submissions": len(stream.submissions),
        "engineers": len({each.owner for each in stream.submissions}),
        "work_gpu_hours": _hours(asked),
        "left_out": dict(sorted(stream.left_out.items())),
    }


def _policy(outcome: Outcome, price_micros: int | None, currency: str) -> Json:
    measures, policy = outcome.measures, outcome.policy
    return {
        "name": policy.name,
        "hash": policy.hash,
        "cluster": _cluster(outcome),
        "stopped_at": iso(outcome.stopped_at),
        "submissions": {
            "taken_in": len(outcome.works),
            "refused": dict(sorted(measures.refusals.items())),
            "started": sum(len(waits) for waits in measures.waits.values()),
            "ended": {reason.value: count for reason, count in sorted(measures.outcomes.items())},
            "unfinished": sum(work.outcome is None for work in outcome.works),
            "never_started": sum(work.first_launch_at is None for work in outcome.works),
        },
        "utilisation": _utilisation(outcome),
        "queue": _queue(measures),
        "wait": _waits(measures),
        "waiting_hours_by_reason": {
            reason.value: _hours(ms) for reason, ms in sorted(measures.waiting_ms.items()) if ms
        },
        "slowdown": distribution(measures.slowdowns),
        "preemptions": {
            "count": sum(measures.preemptions.values()),
            "by_class": dict(sorted(measures.preemptions.items())),
            "lost_gpu_hours": _hours(measures.lost_gpu_ms),
            "refunded_standard_gpu_hours": _hours(measures.refunded),
        },
        "retries": {"count": measures.retries, "lost_gpu_hours": _hours(measures.redone_gpu_ms)},
        "fairness": _fairness(list(measures.persons.values())),
        "budgets": {
            "exhausted": len(measures.short),
            "engineers_exhausted": len({owner for owner, _ in measures.short}),
            "stopped_for_lack_of_hours": measures.exhausted,
        },
        "unfunded_gpu_hours": _hours(measures.unfunded_gpu_ms),
        "cost": _cost(outcome, price_micros, currency),
    }


def _cluster(outcome: Outcome) -> Json:
    by_class: dict[str, int] = {}
    for node in outcome.nodes:
        by_class[str(node.gpu_class)] = by_class.get(str(node.gpu_class), 0) + node.gpus
    return {
        "nodes": len(outcome.nodes),
        "gpus": sum(by_class.values()),
        "gpus_by_class": dict(sorted(by_class.items())),
    }


def _utilisation(outcome: Outcome) -> Json:
    measures, window = outcome.measures, outcome.measures.window
    gpus = max(1, sum(node.gpus for node in outcome.nodes))
    sums = measures.busy.sums()
    return {
        "mean": _share(sum(sums), gpus * max(1, window.ends_at - window.starts_at)),
        "used_gpu_hours": _hours(measures.used_gpu_ms),
        "by_bin": [_share(part, gpus * length) for part, length in zip(sums, window.lengths(), strict=True)],
    }


def _queue(measures: Measures) -> Json:
    window = measures.window
    length = max(1, window.ends_at - window.starts_at)
    workloads, gpus = measures.queue.sums(), measures.queue_gpus.sums()
    return {
        "mean_workloads": round(sum(workloads) / length, 3),
        "mean_gpus": round(sum(gpus) / length, 3),
        "workloads_by_bin": [round(part / ms, 2) for part, ms in zip(workloads, window.lengths(), strict=True)],
        "gpus_by_bin": [round(part / ms, 2) for part, ms in zip(gpus, window.lengths(), strict=True)],
    }


def _waits(measures: Measures) -> Json:
    by_class: dict[str, list[int]] = {}
    by_tier: dict[str, list[int]] = {}
    for (priority_class, tier), waits in sorted(measures.waits.items()):
        by_class.setdefault(priority_class, []).extend(waits)
        by_tier.setdefault(tier, []).extend(waits)
    everything = [wait for waits in by_class.values() for wait in waits]
    return {
        "all": wait_distribution(everything),
        "by_class": {name: wait_distribution(waits) for name, waits in by_class.items()},
        "by_tier": {name: wait_distribution(waits) for name, waits in sorted(by_tier.items())},
        "by_class_and_tier": [
            {"class": priority_class, "tier": tier, **wait_distribution(waits)}
            for (priority_class, tier), waits in sorted(measures.waits.items())
        ],
    }


def wait_distribution(waits: Sequence[int]) -> Json:
    """Of milliseconds; `counts` are by the bins of `wait_edges_ms`."""
    ordered = sorted(waits)
    counts = [0] * (len(WAIT_EDGES_MS) + 1)
    position = 0
    for wait in ordered:
        while position < len(WAIT_EDGES_MS) and wait >= WAIT_EDGES_MS[position]:
            position += 1
        counts[position] += 1
    return {
        "count": len(ordered),
        "mean_ms": sum(ordered) // len(ordered) if ordered else 0,
        "p50_ms": _quantile(ordered, 50),
        "p90_ms": _quantile(ordered, 90),
        "p99_ms": _quantile(ordered, 99),
        "max_ms": ordered[-1] if ordered else 0,
        "counts": counts,
    }


def distribution(values: Sequence[float]) -> Json:
    """Of numbers, rounded to thousandths."""
    ordered = sorted(values)
    return {
        "count": len(ordered),
        "mean": round(fmean(ordered), 3) if ordered else 0.0,
        "p50": round(_quantile(ordered, 50), 3),
        "p90": round(_quantile(ordered, 90), 3),
        "p99": round(_quantile(ordered, 99), 3),
        "max": round(ordered[-1], 3) if ordered else 0.0,
    }


def _fairness(persons: Sequence[Person]) -> Json:
    """Over the engineers who asked for something: GPU-hours that served them, and their share of what they asked."""
    hours = [float(person.served_gpu_ms) for person in persons]
    shares = [person.served_gpu_ms / person.asked_gpu_ms for person in persons if person.asked_gpu_ms]
    slowdowns = [fmean(person.slowdowns) for person in persons if person.slowdowns]
    return {
        name: {"jain": _rounded(jain(values)), "gini": _rounded(gini(values))}
        for name, values in (("gpu_hours", hours), ("served_share", shares), ("slowdown", slowdowns))
    }


def _cost(outcome: Outcome, price_micros: int | None, currency: str) -> Json:
    measures, totals = outcome.measures, outcome.books.totals
    charged = totals[AccountKind.CHARGED]
    return {
        "granted_standard_gpu_hours": _hours(-totals[AccountKind.ISSUED]),
        "charged_standard_gpu_hours": _hours(charged),
        "overrun_standard_gpu_hours": _hours(-totals[AccountKind.OVERRUN]),
        "unfunded_standard_gpu_hours": _hours(-totals[AccountKind.UNFUNDED]),
        "expired_standard_gpu_hours": _hours(totals[AccountKind.EXPIRED]),
        "in_units": {
            unit_label(unit): _in_unit(unit, of_unit)
            for unit, of_unit in sorted(outcome.books.totals_in.items())
            if unit != STANDARD_GPU
        },
        "charged_by_class": {name: _hours(ms) for name, ms in sorted(measures.charged_by_class.items())},
        "charged_by_team": {name: _hours(ms) for name, ms in sorted(measures.charged_by_team.items())},
        "charged_by_tier": {name: _hours(ms) for name, ms in sorted(measures.charged_by_tier.items())},
        "money": None
        if price_micros is None
        else {
            "currency": currency,
            "price_micros_per_standard_gpu_hour": price_micros,
            "amount_micros": charged * price_micros // MS_PER_HOUR,
        },
    }


def _in_unit(unit: Unit, totals: Mapping[AccountKind, int]) -> Json:
    """Hours of a class, tokens or units of a currency, to thousandths. Tokens are granted, and pay for no GPU."""
    return {
        "granted": round(-totals[AccountKind.ISSUED] / whole(unit), 3),
        "charged": round(totals[AccountKind.CHARGED] / whole(unit), 3),
        "refunded": round(-totals[AccountKind.REFUNDS] / whole(unit), 3),
        "expired": round(totals[AccountKind.EXPIRED] / whole(unit), 3),
    }


def _comparison(first: Outcome, other: Outcome) -> Json:
    """From the first policy to another: who gained and who lost. Waits and GPU-hours are other minus first."""
    before, after = first.measures, other.measures
    changes = [_change(before.persons.get(owner), after.persons.get(owner)) for owner in _owners(before, after)]
    keys = sorted({*before.waits, *after.waits})
    return {
        "from": first.policy.name,
        "to": other.policy.name,
        "by_class_and_tier": [
            {
                "class": priority_class,
                "tier": tier,
                "mean_wait_change_ms": _change_of(
                    _mean(before.waits.get((priority_class, tier), [])),
                    _mean(after.waits.get((priority_class, tier), [])),
                ),
                "started_change": len(after.waits.get((priority_class, tier), []))
                - len(before.waits.get((priority_class, tier), [])),
            }
            for priority_class, tier in keys
        ],
        "by_team": _by(before, after, "team"),
        "by_tier": _by(before, after, "tier"),
        "engineers": sorted(changes, key=lambda change: (change["gpu_hours_change"], change["wait_change_ms"] or 0)),
        "engineers_gained": sum(change["gpu_hours_change"] > 0 for change in changes),
        "engineers_lost": sum(change["gpu_hours_change"] < 0 for change in changes),
    }


def _owners(before: Measures, after: Measures) -> list[EngineerId]:
    return sorted({*before.persons, *after.persons})


def _change(before: Person | None, after: Person | None) -> Json:
    """One engineer, unnamed."""
    known = after or before
    assert known is not None, "an owner is of one of the two"
    served = (after.served_gpu_ms if after else 0) - (before.served_gpu_ms if before else 0)
    return {
        "tier": known.tier,
        "team": known.team,
        "gpu_hours_change": _hours(served),
        "wait_change_ms": _change_of(_mean_wait(before), _mean_wait(after)),
    }


def _by(before: Measures, after: Measures, attribute: str) -> list[Json]:
    sums: dict[str, list[int]] = {}
    for measures, at in ((before, 0), (after, 1)):
        for person in measures.persons.values():
            sums.setdefault(str(getattr(person, attribute)), [0, 0])[at] += person.served_gpu_ms
    return [
        {attribute: name, "gpu_hours_before": _hours(served[0]), "gpu_hours_after": _hours(served[1])}
        for name, served in sorted(sums.items())
    ]


def _mean_wait(person: Person | None) -> int | None:
    return person.waited_ms // person.started if person is not None and person.started else None


def _mean(waits: Sequence[int]) -> int | None:
    return sum(waits) // len(waits) if waits else None


def _change_of(before: int | None, after: int | None) -> int | None:
    """None where under either nothing started: what never starts waits no shorter."""
    return None if before is None or after is None else after - before


def _quantile(ordered: Sequence[Any], percent: int) -> Any:
    """The value that so many percent do not exceed (nearest rank); 0 where there is none."""
    return ordered[max(0, -(-len(ordered) * percent // 100) - 1)] if ordered else 0


def _hours(gpu_ms: int) -> float:
    return round(gpu_ms / MS_PER_HOUR, 3)


def _share(part: int, whole: int) -> float:
    return round(part / whole, 5)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
