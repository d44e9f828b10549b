"""Following: what a submission is to come after, checked; and whose index of an array it is."""

from collections.abc import Callable
from dataclasses import replace

from scheduler.domain.arrays import COUNT_MAX, index_id
from scheduler.domain.errors import Conflict, InvalidInput, NotFound, RefusalCode
from scheduler.domain.people import Engineer
from scheduler.domain.periods import iso
from scheduler.domain.units import Instant, WorkloadId
from scheduler.domain.workloads import ArrayPlace, Workload, WorkloadKind, WorkloadSpec, WorkloadState

AFTER_MAX = 100

Find = Callable[[WorkloadId], Workload | None]
"""A workload by its id, also where it is over."""


def with_conditions(find: Find, spec: WorkloadSpec, owner: Engineer, earliest: Instant) -> WorkloadSpec:
    """The spec without what has completed already. Refuses what can never start: it is better known now than later."""
    _require_few(len(spec.after))
    leaders = dict.fromkeys(each for leader in spec.after for each in _each_of(find, leader))
    _require_few(len(leaders))
    if spec.latest_start is not None and spec.latest_start < earliest:
        raise InvalidInput(
            "it could not use its time limit before then",
            where="finish_by",
            code=RefusalCode.INVALID_TIME_LIMIT,
            expected=f"an instant after {iso(Instant(earliest + spec.time_limit_ms))}",
            remedy="name a later one, with its offset from UTC as here, or ask for a shorter time limit",
        )
    waits_for = tuple(leader for leader in leaders if not _has_completed(find, leader, owner))
    return replace(spec, after=waits_for)


def _require_few(leaders: int) -> None:
    if leaders > AFTER_MAX:
        raise InvalidInput(f"{leaders} are too many to follow", where="after", expected=f"at most {AFTER_MAX}")


def _each_of(find: Find, leader: WorkloadId) -> list[WorkloadId]:
    """Itself, or of an array every index."""
    first = find(index_id(leader, 0)) if find(leader) is None else None
    if first is None or first.spec.array is None:
        return [leader]
    return [index_id(leader, number) for number in range(first.spec.array.count)]


def _has_completed(find: Find, leader: WorkloadId, owner: Engineer) -> bool:
    known = find(leader)
    if known is None or (known.owner != owner.id and known.team != owner.team):
        raise NotFound(
            f"there is no workload {leader!r}",
            where="after",
            code=RefusalCode.UNKNOWN_WORKLOAD,
            expected="ids of your own or your team's",
        )
    if known.state in {WorkloadState.FAILED, WorkloadState.CANCELLED}:
        raise Conflict(
            f"{known.spec.name} ({leader}) is {known.state.value}: it will not complete", code=RefusalCode.WRONG_STATE
        )
    return known.state is WorkloadState.COMPLETED


def indexes(spec: WorkloadSpec, count: int, at_once: int | None) -> list[WorkloadSpec]:
    """What each index of an array asks for."""
    if spec.kind is not WorkloadKind.JOB:
        raise InvalidInput("a sandbox has no indexes", where="array", expected="a job")
    if not 1 <= count <= COUNT_MAX:
        raise InvalidInput(f"an array of {count}", where="array", expected=f"1 to {COUNT_MAX} indexes")
    if at_once is not None and at_once < 1:
        raise InvalidInput(f"{at_once} at once", where="array", expected="at least 1")
    width = 115 - len(str(count))
    return [
        replace(spec, name=f"{spec.name[:width]}[{number}]", array=ArrayPlace(number, count, at_once))
        for number in range(count)
    ]
