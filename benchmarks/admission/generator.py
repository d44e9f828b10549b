"""Kueue's generator format: cohorts, queues, quotas, and the workloads that each queue is given.

As in kubernetes-sigs/kueue, test/performance/scheduler/configs: counts are per queue, and each set of workloads has
an interval of its own between creations.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import yaml

from scheduler.lifecycle.asking.judge import GPUS_PER_POD_MAX


@dataclass(frozen=True, slots=True)
class WorkloadTemplate:
    class_name: str
    runtime_ms: int
    priority: int
    request: int

    @property
    def slug(self) -> str:
        return _slug(self.class_name, "a workload")


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
                Creation(each.interval_ms, f"{queue.name}-{t.slug}-{number}-{turn}-{position}", queue, t)
                for turn in range(each.count)
                for position, t in enumerate(each.templates)
            ]
            for queue in self.queues
            for number, each in enumerate(queue.sets)
        ]


RECLAIM = ("Never", "LowerPriority", "Any")
WITHIN = ("Never", "LowerPriority", "LowerOrNewerEqualPriority")
WHOLE_MAX = 10**9
"""What people's priority classes go up to in Kubernetes, and more than any count here needs."""

SLUG_MAX = 12
"""Letters of a class that go into a name: with all numbers it stays within the 63 of a Kubernetes label."""

Item = dict[str, Any]


def read_generator(path: Path) -> Generator:
    """Raises ValueError, naming the place and what is missing, unknown or wrong there; OSError where no file is."""
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"no YAML: {' '.join(str(error).split())}") from error
    # Kueue's older files are the list alone; `resourceFlavor` names what here is a GPU class of each cohort's own.
    top = _mapping(document, "the file", {"cohorts"}, {"resourceFlavor"}) if isinstance(document, dict) else {}
    generator = Generator(tuple(_queues(_items(top.get("cohorts", document), "cohorts"))))
    if not any(generator.series()):
        raise ValueError("cohorts: no workload is created")
    _require_room(generator)
    return generator


def _queues(cohorts: list[tuple[str, Any]]) -> Iterator[Queue]:
    numbers: dict[str, int] = {}
    for place, described in cohorts:
        cohort = _mapping(described, place, {"className", "queuesSets"}, {"count"})
        slug = _slug(cohort["className"], place)
        queues_sets = [
            _mapping(each, where, {"className", "nominalQuota", "workloadsSets"}, _QUEUES_SET_MAY)
            for where, each in _items(cohort["queuesSets"], f"{place}.queuesSets")
        ]
        for _ in range(_whole(cohort, "count", place, absent=1)):
            # Two entries of one class go on counting: a cohort is one entry's.
            name = f"{slug}-{numbers.setdefault(slug, 0)}"
            numbers[slug] += 1
            for set_number, each in enumerate(queues_sets):
                where = f"{place}.queuesSets[{set_number}]"
                sets = tuple(_set(item, at) for at, item in _items(each["workloadsSets"], f"{where}.workloadsSets"))
                for number in range(_whole(each, "count", where, absent=1)):
                    queue = f"{_slug(each['className'], where)}-{set_number}-{number}-{name}"
                    yield _queue(queue, name, each, sets, where)


_QUEUES_SET_MAY = {"count", "borrowingLimit", "reclaimWithinCohort", "withinClusterQueue"}


def _queue(name: str, cohort: str, described: Item, sets: tuple[WorkloadSet, ...], where: str) -> Queue:
    limit = described.get("borrowingLimit")
    return Queue(
        name=name,
        cohort=cohort,
        nominal=_gpus(described["nominalQuota"], f"{where}.nominalQuota"),
        borrowing_limit=None if limit in {None, ""} else _gpus(limit, f"{where}.borrowingLimit"),
        reclaim_within_cohort=_one_of(RECLAIM, described, "reclaimWithinCohort", where),
        within_queue=_one_of(WITHIN, described, "withinClusterQueue", where),
        sets=sets,
    )


def _set(described: Any, where: str) -> WorkloadSet:
    item = _mapping(described, where, {"count", "creationIntervalMs", "workloads"}, set())
    return WorkloadSet(
        count=_whole(item, "count", where),
        interval_ms=_whole(item, "creationIntervalMs", where),
        templates=tuple(_template(each, at) for at, each in _items(item["workloads"], f"{where}.workloads")),
    )


def _template(described: Any, where: str) -> WorkloadTemplate:
    item = _mapping(described, where, {"className", "runtimeMs"}, {"priority", "request", "podCount"})
    if _whole(item, "podCount", where, absent=1) != 1:
        raise ValueError(f"{where}.podCount: a workload is one pod here, which asks for N GPUs")
    request = _gpus(item.get("request", 1), f"{where}.request")
    if not request:
        raise ValueError(f"{where}.request: a workload asks for one GPU at least")
    if request > GPUS_PER_POD_MAX:
        raise ValueError(
            f"{where}.request: a workload is one pod here, which may ask for {GPUS_PER_POD_MAX} GPUs at most"
        )
    return WorkloadTemplate(
        class_name=str(item["className"]),
        runtime_ms=_whole(item, "runtimeMs", where),
        priority=_whole(item, "priority", where, at_least=-WHOLE_MAX, absent=0),
        request=request,
    )


def _require_room(generator: Generator) -> None:
    """What no queue could ever hold would wait until the limit of the run."""
    for queue in generator.queues:
        cohort = generator.cohort_gpus[queue.cohort]
        most = cohort if queue.borrowing_limit is None else min(cohort, queue.nominal + queue.borrowing_limit)
        for template in (template for each in queue.sets for template in each.templates):
            if template.request > most:
                raise ValueError(
                    f"{queue.name}: {template.class_name} asks for {template.request} GPUs of at most {most}"
                )


def _mapping(value: Any, place: str, must: set[str], may: set[str]) -> Item:
    item: Item | None = value if isinstance(value, dict) else None
    if item is None:
        raise ValueError(f"{place}: expected {', '.join(sorted(must))}, found {value!r:.60}")
    if missing := must - item.keys():
        raise ValueError(f"{place}: {', '.join(sorted(missing))} is missing")
    if unknown := item.keys() - must - may:
        known = ", ".join(sorted(must | may))
        raise ValueError(f"{place}: {', '.join(sorted(map(str, unknown)))} is not known here; expected {known}")
    return item


def _items(value: Any, place: str) -> list[tuple[str, Any]]:
    """The items of a list, each with its place."""
    if not isinstance(value, list) or not value:
        raise ValueError(f"{place}: expected a list, found {value!r:.60}")
    return [(f"{place}[{number}]", each) for number, each in enumerate(value)]


def _whole(item: Item, key: str, place: str, at_least: int = 0, absent: int | None = None) -> int:
    value = item.get(key, absent)
    text = "" if isinstance(value, bool | float) else str(value)
    if not re.fullmatch(r"-?[0-9]{1,10}", text) or not at_least <= int(text) <= WHOLE_MAX:
        raise ValueError(f"{place}.{key}: {value!r:.60} is no whole number from {at_least} to {WHOLE_MAX}")
    return int(text)


def _one_of(words: tuple[str, ...], item: Item, key: str, place: str) -> str:
    word = item.get(key) or "Never"
    if word not in words:
        raise ValueError(f"{place}.{key}: {word!r:.60} is none of {', '.join(words)}")
    return str(word)


def _slug(class_name: Any, place: str) -> str:
    """A class's name as Kubernetes takes one: lower-case letters, digits and dashes."""
    slug = re.sub(r"[^a-z0-9]+", "-", str(class_name).lower())[:SLUG_MAX].strip("-")
    if not slug:
        raise ValueError(f"{place}.className: {class_name!r:.60} has no letter or digit")
    return slug


def _gpus(quantity: Any, place: str) -> int:
    """Kueue's test asks for CPUs, as a Kubernetes quantity; here they are GPUs, of which there are whole ones."""
    match = re.fullmatch(r"([0-9]{1,12}(?:\.[0-9]{1,9})?)([mk]?)", str(quantity))
    if match is None or isinstance(quantity, bool):
        raise ValueError(f"{place}: {quantity!r:.60} is no number of GPUs")
    amount = Fraction(match[1]) * {"m": Fraction(1, 1000), "": Fraction(1), "k": Fraction(1000)}[match[2]]
    if amount.denominator != 1 or amount > WHOLE_MAX:
        raise ValueError(f"{place}: {quantity!r:.60} is no whole number of GPUs")
    return int(amount)
