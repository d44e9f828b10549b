"""Attempts that consolidation may move, as far as their own state goes, and the searches among them that found nothing.

A search costs milliseconds per thousand nodes, and nearly always finds what it found a second ago. One that
found nothing is remembered until something that it depends on is another, and not made again before.
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
    """For whom nothing was found, how often room of the class had changed by then, and from when time alone may change
    it."""

    wanted: object
    room: int
    until: Instant


class Movable:
    """By GPU class: what their last checkpoint kept is known, they are on one node, in a class that may be moved."""

    def __init__(self) -> None:
        self._attempts: dict[GpuClassName, dict[AttemptId, Attempt]] = defaultdict(dict)
        self._fruitless: dict[GpuClassName, _Fruitless] = {}
        """By class, as long as nothing about its attempts has changed since."""

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
        self._fruitless.pop(gpu_class, None)

    def launched_from(self, *workloads: Workload | None) -> None:
        """What attempts were launched from was one of these, and is another now."""
        if self._fruitless:
            for workload in workloads:
                for gpu_class in workload.spec.gpu_classes if workload is not None else ():
                    self.touch(gpu_class)

    def found_nothing(self, gpu_class: GpuClassName, wanted: object, room: int, until: Instant) -> None:
        """A search for room for who is `wanted`, when that of the class had changed so often, found nothing; before
        `until` time alone does not change that."""
        self._fruitless[gpu_class] = _Fruitless(wanted, room, until)

    def is_fruitless(self, gpu_class: GpuClassName, wanted: object, room: int, now: Instant) -> bool:
        """Whether a search would find nothing, because the same one did."""
        known = self._fruitless.get(gpu_class)
        return known is not None and known.room == room and now < known.until and known.wanted == wanted
