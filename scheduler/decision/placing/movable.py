"""Attempts that consolidation may move, as far as their own state goes, and the searches among them that found nothing.

A search costs milliseconds per thousand nodes, and nearly always finds what it found a second ago. What it depends on
is counted, so that one which found nothing is made again when something of that is another, and not before.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from scheduler.domain.units import MS_PER_MINUTE, AttemptId, GpuClassName, Instant
from scheduler.domain.workloads import Attempt, Workload

COMPARED_EVERY_MS = MS_PER_MINUTE
"""What moves would lose is compared as of the last multiple of this: in between, time alone makes none the cheaper."""


def compared_at(now: Instant) -> Instant:
    return Instant(now - now % COMPARED_EVERY_MS)


@dataclass(frozen=True, slots=True)
class _Fruitless:
    """For whom nothing was found, what the class had been through by then, and from when time alone may change it."""

    wanted: object
    changes: tuple[int, int]
    until: Instant


class Movable:
    """By GPU class: what their last checkpoint kept is known, they are on one node, in a class that may be moved."""

    def __init__(self) -> None:
        self._attempts: dict[GpuClassName, dict[AttemptId, Attempt]] = defaultdict(dict)
        self._changes: dict[GpuClassName, int] = defaultdict(int)
        self._fruitless: dict[GpuClassName, _Fruitless] = {}

    def of(self, gpu_class: GpuClassName) -> Iterable[Attempt]:
        return self._attempts[gpu_class].values()

    def classes(self) -> Iterator[GpuClassName]:
        """Those in which there are any."""
        return (gpu_class for gpu_class, attempts in self._attempts.items() if attempts)

    def put(self, attempt: Attempt) -> None:
        self._attempts[attempt.gpu_class][attempt.id] = attempt
        self.touch(attempt.gpu_class)

    def drop(self, attempt: Attempt) -> None:
        if self._attempts[attempt.gpu_class].pop(attempt.id, None) is not None:
            self.touch(attempt.gpu_class)

    def touch(self, gpu_class: GpuClassName) -> None:
        """Something about those of the class is another: its minimum runtime is over, say."""
        self._changes[gpu_class] += 1

    def launched_from(self, *workloads: Workload | None) -> None:
        """What attempts were launched from was one of these, and is another now."""
        for workload in workloads:
            for gpu_class in workload.spec.gpu_classes if workload is not None else ():
                self.touch(gpu_class)

    def found_nothing(self, gpu_class: GpuClassName, wanted: object, room: int, until: Instant) -> None:
        """A search for room for who is `wanted`, when that of the class had changed so often, found nothing; before
        `until` time alone does not change that."""
        self._fruitless[gpu_class] = _Fruitless(wanted, (room, self._changes[gpu_class]), until)

    def is_fruitless(self, gpu_class: GpuClassName, wanted: object, room: int, now: Instant) -> bool:
        """Whether a search would find nothing, because the same one did."""
        known = self._fruitless.get(gpu_class)
        if known is None or known.changes != (room, self._changes[gpu_class]):
            return False
        return now < known.until and known.wanted == wanted
