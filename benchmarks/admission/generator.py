"""Kueue's generator format: cohorts, queues, quotas, and the workloads that each queue is given.

As in kubernetes-sigs/kueue, test/performance/scheduler/configs: counts are per queue, and each set of workloads has
an interval of its own between creations. What is left out is what it is there, 0 or Never, but for the counts of cohorts
and queues and for `request`, which are 1: with 0 there would be none. What is not known is refused; Kueue passes it over.
"""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
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
    def workloads(self) -> int:
        return sum(each.count * len(each.templates) for queue in self.queues for each in queue.sets)

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

QUEUES_MAX = 2_500
"""Of which a policy can be written: there is a pool, a team and a project for each."""

WORKLOADS_MAX = 1_000_000
"""Twenty times what the larger of Kueue's own files creates; a mistyped count fills no memory."""

VALUES_MAX = 250_000
"""Twice what a file of as many queues as may be would have, each written out with its sets."""

SLUG_MAX = 12
"""Letters of a class that go into a name: with all numbers it stays within the 63 of a Kubernetes label."""

Item = dict[str, Any]


class Misread(ValueError):
    """What is wrong, and where in the file's tree."""

    def __init__(self, place: str, message: str) -> None:
        super().__init__(f"{place}: {message}")
        self.place = place


def read_generator(path: Path) -> Generator:
    """Raises ValueError, naming line and place of what is missing, unknown or wrong; OSError where no file is."""
    try:
        loader = yaml.SafeLoader(path.read_text(encoding="utf-8"))
        root = loader.get_single_node()
        lines = _lines_of(root)
        document = loader.construct_document(root) if root is not None else None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"no YAML: {' '.join(str(error).split())}") from error
    except RecursionError:
        raise ValueError("no YAML that ends: expected cohorts, found what is nested without end") from None
    try:
        return _generator(document)
    except Misread as wrong:
        place = wrong.place
        while place and place not in lines:  # a key that is missing stands nowhere: where it should
            place = place.rpartition(".")[0]
        raise ValueError(f"line {lines.get(place, 1)}: {wrong}") from None


def _lines_of(root: yaml.Node | None) -> dict[str, int]:
    """Of each value of the file its place and the line. Raises ValueError where a key stands twice, of which YAML's readers
    take one or the other, or where there are more values than any file needs, as aliases of aliases make."""
    if root is None:
        return {}
    lines: dict[str, int] = {}
    for place, line in _lines(root, "" if isinstance(root, yaml.MappingNode) else "cohorts"):
        if place in lines:
            raise ValueError(f"line {line}: {place} stands there twice; expected it once")
        if len(lines) == VALUES_MAX:
            raise ValueError(f"line {line}: more than {VALUES_MAX} values, aliases written out; expected fewer")
        lines[place] = line
    return lines


def _lines(node: yaml.Node, place: str) -> Iterator[tuple[str, int]]:
    yield place, node.start_mark.line + 1
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield from _lines(value, f"{place}.{key.value}".lstrip("."))
    elif isinstance(node, yaml.SequenceNode):
        for number, value in enumerate(node.value):
            yield from _lines(value, f"{place}[{number}]")


def _generator(document: Any) -> Generator:
    # Kueue's older files are the list alone; `resourceFlavor` names what here is a GPU class of each cohort's own.
    may = {"resourceFlavor", "topology", "dra"}
    top = _mapping(document, "the file", {"cohorts"}, may) if isinstance(document, dict) else {}
    if "topology" in top:
        raise Misread("topology", "what Kueue places by topology is not measured here; expected a file without")
    if "dra" in top:
        raise Misread("dra", "devices that pods claim are not measured here; expected a file without")
    generator = Generator(tuple(_queues(_items(top.get("cohorts", document), "cohorts"))))
    if not generator.workloads:
        raise Misread("cohorts", "no workload is created")
    if generator.workloads > WORKLOADS_MAX:
        raise Misread("cohorts", f"{generator.workloads} workloads; expected at most {WORKLOADS_MAX}")
    _require_room(generator)
    return generator


def _queues(cohorts: list[tuple[str, Any]]) -> Iterator[Queue]:
    """As in Kueue a cohort is what is called so: entries of one class have their queues in the same cohorts."""
    names: dict[tuple[str, int], str] = {}
    slugs: Counter[str] = Counter()
    sets: Counter[str] = Counter()
    queues = 0
    for place, described in cohorts:
        cohort = _mapping(described, place, {"className", "queuesSets"}, {"count"})
        slug = _slug(cohort["className"], place)
        queues_sets = [_queues_set(each, at) for at, each in _items(cohort["queuesSets"], f"{place}.queuesSets")]
        for index in range(_whole(cohort, "count", place, absent=1, at_most=QUEUES_MAX)):
            key = (str(cohort["className"]), index)
            if key not in names:
                names[key] = f"{slug}-{slugs[slug]}"
                slugs[slug] += 1
            name = names[key]
            for each in queues_sets:
                for number in range(each.count):
                    queues += 1
                    if queues > QUEUES_MAX:
                        raise Misread(place, f"more than {QUEUES_MAX} queues in all; expected fewer")
                    yield replace(each.queue, name=f"{each.queue.name}-{sets[name]}-{number}-{name}", cohort=name)
                sets[name] += 1


@dataclass(frozen=True, slots=True)
class _QueuesSet:
    """`queue` is each of them, but for its cohort and the numbers in its name."""

    count: int
    queue: Queue


_DEVICE_QUOTAS = {"deviceNominalQuota", "deviceBorrowingLimit"}
"""Of devices that pods claim: here none does, so they bound nothing, as there."""

_QUEUES_SET_MAY = _DEVICE_QUOTAS | {
    "count",
    "borrowingLimit",
    "reclaimWithinCohort",
    "withinClusterQueue",
    "workloadsSets",
}


def _queues_set(described: Any, where: str) -> _QueuesSet:
    item = _mapping(described, where, {"className", "nominalQuota"}, _QUEUES_SET_MAY)
    limit = item.get("borrowingLimit", "")
    # One without workloads lends what it has.
    sets = _items(item.get("workloadsSets", []), f"{where}.workloadsSets", at_least=0)
    queue = Queue(
        name=_slug(item["className"], where),
        cohort="",
        nominal=_gpus(item["nominalQuota"], f"{where}.nominalQuota"),
        borrowing_limit=None if limit == "" else _gpus(limit, f"{where}.borrowingLimit"),
        reclaim_within_cohort=_one_of(RECLAIM, item, "reclaimWithinCohort", where),
        within_queue=_one_of(WITHIN, item, "withinClusterQueue", where),
        sets=tuple(_set(each, at) for at, each in sets),
    )
    return _QueuesSet(_whole(item, "count", where, absent=1, at_most=QUEUES_MAX), queue)


def _set(described: Any, where: str) -> WorkloadSet:
    item = _mapping(described, where, {"count", "workloads"}, {"creationIntervalMs"})
    return WorkloadSet(
        count=_whole(item, "count", where),
        interval_ms=_whole(item, "creationIntervalMs", where, absent=0),
        templates=tuple(_template(each, at) for at, each in _items(item["workloads"], f"{where}.workloads")),
    )


_TEMPLATE_MAY = {"runtimeMs", "priority", "request", "podCount", "tasConstraint", "tasLevel", "sliceSize", "devices"}
"""Without a level of topology, Kueue makes one pod of a workload, whatever stands in `podCount` and the other two, and
takes no `devices`."""


def _template(described: Any, where: str) -> WorkloadTemplate:
    item = _mapping(described, where, {"className"}, _TEMPLATE_MAY)
    if item.get("tasLevel"):
        raise Misread(f"{where}.tasLevel", "what Kueue places by topology is not measured here")
    if _whole(item, "devices", where, absent=0):
        raise Misread(f"{where}.devices", "devices that pods claim are not measured here")
    request = _gpus(item.get("request", 1), f"{where}.request")
    if not request:
        raise Misread(f"{where}.request", "a workload asks for one GPU at least")
    if request > GPUS_PER_POD_MAX:
        raise Misread(
            f"{where}.request", f"a workload is one pod here, which may ask for {GPUS_PER_POD_MAX} GPUs at most"
        )
    _slug(item["className"], where)
    return WorkloadTemplate(
        class_name=str(item["className"]),
        runtime_ms=_whole(item, "runtimeMs", where, absent=0),
        priority=_whole(item, "priority", where, at_least=-WHOLE_MAX, absent=0),
        request=request,
    )


def _require_room(generator: Generator) -> None:
    """What no queue could ever hold would wait until the limit of the run."""
    cohort_gpus = generator.cohort_gpus
    for queue in generator.queues:
        cohort = cohort_gpus[queue.cohort]
        most = cohort if queue.borrowing_limit is None else min(cohort, queue.nominal + queue.borrowing_limit)
        for template in (template for each in queue.sets if each.count for template in each.templates):
            if template.request > most:
                raise ValueError(
                    f"{queue.name}: {template.class_name} asks for {template.request} GPUs of at most {most}"
                )


def _mapping(value: Any, place: str, must: set[str], may: set[str]) -> Item:
    """Its entries; one of nothing is left out."""
    if not isinstance(value, dict):
        raise Misread(place, f"expected {', '.join(sorted(must))}, found {value!r:.60}")
    item = {key: each for key, each in value.items() if each is not None}
    if unknown := value.keys() - must - may:
        first, known = sorted(map(str, unknown))[0], ", ".join(sorted(must | may))
        raise Misread(f"{place}.{first}".removeprefix("the file."), f"not known here; expected {known}")
    if missing := must - item.keys():
        raise Misread(place, f"{', '.join(sorted(missing))} is missing")
    return item


def _items(value: Any, place: str, at_least: int = 1) -> list[tuple[str, Any]]:
    """The items of a list, each with its place."""
    if not isinstance(value, list) or len(value) < at_least:
        raise Misread(place, f"expected a list, found {value!r:.60}")
    return [(f"{place}[{number}]", each) for number, each in enumerate(value)]


def _whole(
    item: Item, key: str, place: str, at_least: int = 0, at_most: int = WHOLE_MAX, absent: int | None = None
) -> int:
    value = item.get(key, absent)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    text = "" if isinstance(value, bool | float) else str(value)
    if not re.fullmatch(r"-?[0-9]{1,10}", text) or not at_least <= int(text) <= at_most:
        raise Misread(f"{place}.{key}", f"{value!r:.60} is no whole number from {at_least} to {at_most}")
    return int(text)


def _one_of(words: tuple[str, ...], item: Item, key: str, place: str) -> str:
    word = item.get(key) or "Never"
    if word not in words:
        raise Misread(f"{place}.{key}", f"{word!r:.60} is none of {', '.join(words)}")
    return str(word)


def _slug(class_name: Any, place: str) -> str:
    """A class's name as Kubernetes takes one: lower-case letters, digits and dashes."""
    slug = re.sub(r"[^a-z0-9]+", "-", str(class_name).lower())[:SLUG_MAX].strip("-")
    if not slug or isinstance(class_name, list | dict):
        raise Misread(f"{place}.className", f"{class_name!r:.60} is no name: it has no letter or digit of ASCII")
    return slug


_QUANTITY = re.compile(
    r"\+?([0-9]{1,12}(?:\.[0-9]{0,9})?|\.[0-9]{1,9})(?:([eE][+-]?[0-9]{1,2})|([numkMGTPE]|[KMGTPE]i)?)"
)
_SUFFIXES = {
    "": Fraction(1),
    **{suffix: Fraction(1, 1000**power) for power, suffix in enumerate("mun", 1)},
    **{suffix: Fraction(1000**power) for power, suffix in enumerate("kMGTPE", 1)},
    **{f"{suffix}i": Fraction(1024**power) for power, suffix in enumerate("KMGTPE", 1)},
}


def _gpus(quantity: Any, place: str) -> int:
    """Kueue's test asks for CPUs, as a Kubernetes quantity; here they are GPUs, of which there are whole ones."""
    match = _QUANTITY.fullmatch(str(quantity))
    if match is None or isinstance(quantity, bool):
        raise Misread(place, f"{quantity!r:.60} is no number of GPUs; expected a quantity such as 5 or 5000m")
    amount = Fraction(match[1] + (match[2] or "")) * _SUFFIXES[match[3] or ""]
    if amount.denominator != 1 or amount > WHOLE_MAX:
        expected = f"whole ones, which parts of a CPU cannot stand for, and at most {WHOLE_MAX}"
        raise Misread(place, f"{quantity!r:.60} is no whole number of GPUs; expected {expected}")
    return int(amount)
