"""Kueue's generator format: cohorts, queues, quotas, and the workloads that each queue is given.

As in kubernetes-sigs/kueue, test/performance/scheduler/configs: counts are per queue, and each set of workloads has
an interval of its own between creations.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import yaml


@dataclass(frozen=True, slots=True)
class WorkloadTemplate:
    class_name: str
    runtime_ms: int
    priority: int
    request: int


@dataclass(frozen=True, slots=True)
class WorkloadSet:
    """`templates` are created in turn, `count` times around, each so long after the one before it was created."""

    count: int
    interval_ms: int
    templates: tuple[WorkloadTemplate, ...]


@dataclass(frozen=True, slots=True)
class Queue:
    name: str
    cohort: str
    nominal: int
    borrowing_limit: int | None
    reclaim_within_cohort: str
    within_queue: str
    sets: tuple[WorkloadSet, ...]


@dataclass(frozen=True, slots=True)
class Creation:
    """One workload to create, so long after the one before it of its set."""

    wait_ms: int
    name: str
    queue: Queue
    template: WorkloadTemplate


@dataclass(frozen=True, slots=True)
class Generator:
    queues: tuple[Queue, ...]

    @property
    def priorities(self) -> list[int]:
        return sorted({t.priority for queue in self.queues for s in queue.sets for t in s.templates})

    @property
    def cohort_gpus(self) -> dict[str, int]:
        """What each cohort's queues are guaranteed together."""
        sums: dict[str, int] = {}
        for queue in self.queues:
            sums[queue.cohort] = sums.get(queue.cohort, 0) + queue.nominal
        return sums

    def series(self) -> list[list[Creation]]:
        """What each set of each queue creates, one after the other; the series go on side by side."""
        return [
            [
                Creation(
                    each.interval_ms, f"{queue.name}-{t.class_name}-{number}-{turn}-{position}".lower(), queue, t
                )
                for turn in range(each.count)
                for position, t in enumerate(each.templates)
            ]
            for queue in self.queues
            for number, each in enumerate(queue.sets)
        ]


def read_generator(path: Path) -> Generator:
    """Raises KeyError or ValueError, naming what is missing or wrong."""
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    cohorts = document["cohorts"] if isinstance(document, dict) else document
    return Generator(tuple(_queues(cohorts)))


def _queues(cohorts: list[dict[str, Any]]) -> Iterator[Queue]:
    for cohort in cohorts:
        for cohort_number in range(int(cohort.get("count", 1))):
            cohort_name = f"{cohort['className']}-{cohort_number}"
            for set_number, each in enumerate(cohort["queuesSets"]):
                for number in range(int(each.get("count", 1))):
                    yield _queue(f"{each['className']}-{set_number}-{number}-{cohort_name}", cohort_name, each)


def _queue(name: str, cohort: str, described: dict[str, Any]) -> Queue:
    limit = described.get("borrowingLimit")
    return Queue(
        name=name,
        cohort=cohort,
        nominal=_gpus(described["nominalQuota"]),
        borrowing_limit=None if limit in {None, ""} else _gpus(limit),
        reclaim_within_cohort=described.get("reclaimWithinCohort") or "Never",
        within_queue=described.get("withinClusterQueue") or "Never",
        sets=tuple(_set(item) for item in described["workloadsSets"]),
    )


def _set(item: dict[str, Any]) -> WorkloadSet:
    return WorkloadSet(
        count=int(item["count"]),
        interval_ms=int(item["creationIntervalMs"]),
        templates=tuple(
            WorkloadTemplate(
                class_name=str(each["className"]),
                runtime_ms=int(each["runtimeMs"]),
                priority=int(each.get("priority", 0)),
                request=_gpus(each.get("request", 1)),
            )
            for each in item["workloads"]
        ),
    )


def _gpus(quantity: int | str) -> int:
    """Kueue's test asks for CPUs, as a Kubernetes quantity; here they are GPUs, of which there are whole ones."""
    text = str(quantity)
    amount = Fraction(text[:-1]) / 1000 if text.endswith("m") else Fraction(text)
    if amount.denominator != 1:
        raise ValueError(f"{quantity!r} is no whole number of GPUs")
    return int(amount)
