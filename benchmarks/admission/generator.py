"""Kueue's generator format: cohorts, queues, quotas, and the workloads that each queue is given.

As in kubernetes-sigs/kueue, test/performance/scheduler/configs: counts are per queue, and each set of workloads has
an interval of its own between creations.
"""

from collections.abc import Iterator
from dataclasses import dataclass
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
    """`templates` are created together, `count` times, so far apart."""

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
    """One workload to create, so long after the start."""

    at_ms: int
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

    def creations(self) -> list[Creation]:
        """In the order of their instants: every queue creates side by side, each set at its own interval."""
        return sorted(self._creations(), key=lambda creation: (creation.at_ms, creation.name))

    def _creations(self) -> Iterator[Creation]:
        for queue in self.queues:
            for number, each in enumerate(queue.sets):
                for turn in range(each.count):
                    for position, template in enumerate(each.templates):
                        name = f"{queue.name}-{template.class_name}-{number}-{turn}-{position}"
                        yield Creation((turn + 1) * each.interval_ms, name.lower(), queue, template)


def read_generator(path: Path) -> Generator:
    """Raises KeyError or ValueError, naming what is missing or wrong."""
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    cohorts = document["cohorts"] if isinstance(document, dict) else document
    return Generator(tuple(_queues(cohorts)))


def _queues(cohorts: list[dict[str, Any]]) -> Iterator[Queue]:
    for cohort in cohorts:
        for cohort_number in range(int(cohort.get("count", 1))):
            cohort_name = f"{cohort['className']}-{cohort_number}"
            for each in cohort["queuesSets"]:
                for number in range(int(each.get("count", 1))):
                    limit = each.get("borrowingLimit")
                    yield Queue(
                        name=f"{cohort_name}-{each['className']}-{number}",
                        cohort=cohort_name,
                        nominal=int(each["nominalQuota"]),
                        borrowing_limit=None if limit is None else int(limit),
                        reclaim_within_cohort=each.get("reclaimWithinCohort", "Never"),
                        within_queue=each.get("withinClusterQueue", "Never"),
                        sets=tuple(_set(item) for item in each["workloadsSets"]),
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
                request=int(each.get("request", 1)),
            )
            for each in item["workloads"]
        ),
    )
