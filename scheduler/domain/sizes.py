"""Sizes: how many GPUs an attempt had when. What it used never depends on how it is resized later.

An elastic attempt counts with those that it gives back until they have ended, as its charges do.
"""

from collections.abc import Iterator
from typing import NamedTuple

from scheduler.domain.units import MS_PER_SECOND, Instant
from scheduler.domain.workloads import Attempt, PastSize


class Stretch(NamedTuple):
    """[start, end), in which it had so many GPUs, and the physical GPU-milliseconds in it."""

    start: Instant
    end: Instant
    gpus: int
    gpu_ms: int


def resized(attempt: Attempt, now: Instant) -> tuple[PastSize, ...]:
    """Its past sizes once the one that it has is past, too."""
    return (*attempt.past_sizes, PastSize(now, attempt.everywhere.pods))


def pods_at(attempt: Attempt, at: Instant) -> int:
    return next((past.pods for past in attempt.past_sizes if at < past.until), attempt.everywhere.pods)


def grown_by(attempt: Attempt, at: Instant) -> Instant:
    """When it was last given GPUs by then: a pod that came at `at`, a whole second, has them from no earlier. At its
    launch, where it had not grown."""
    if not attempt.past_sizes:  # as with most
        return attempt.launched_at
    ends = [past.pods for past in attempt.past_sizes[1:]] + [attempt.everywhere.pods]
    grown = (past.until for past, then in zip(attempt.past_sizes, ends, strict=True) if then > past.pods)
    second = at - at % MS_PER_SECOND + MS_PER_SECOND
    return max((each for each in grown if each < second), default=attempt.launched_at)


def stretches(attempt: Attempt, starts_at: Instant, ends_at: Instant) -> Iterator[Stretch]:
    """That time, a stretch for each size that it had, the oldest first."""
    since = starts_at
    for size in (*attempt.past_sizes, PastSize(ends_at, attempt.everywhere.pods)):
        until = min(size.until, ends_at)
        if until > since:
            gpus = size.pods * attempt.pod.gpus
            yield Stretch(since, until, gpus, (until - since) * gpus)
            since = until


def gpu_ms_within(attempt: Attempt, starts_at: Instant, ends_at: Instant) -> int:
    """What all of its GPUs come to in that time."""
    if not attempt.past_sizes:  # as with most: one stretch
        return max(0, ends_at - starts_at) * attempt.everywhere.pods * attempt.pod.gpus
    return sum(each.gpu_ms for each in stretches(attempt, starts_at, ends_at))


def last_use(attempt: Attempt, gpu_ms: int, ends_at: Instant) -> tuple[Stretch, ...]:
    """The time that ends there in which its GPUs came to `gpu_ms`, a stretch for each size, the oldest first.

    At least a millisecond long; a stretch that began within one has that one to itself.
    """
    found: list[Stretch] = []
    left, end = gpu_ms, ends_at
    for since, pods in _newest_first(attempt):
        if since is not None and since >= end:
            continue
        gpus = max(1, pods * attempt.pod.gpus)
        took = left if since is None else min(left, (end - since) * gpus)
        start = Instant(end - max(1, -(-took // gpus)))
        found.append(Stretch(start, end, gpus, took))
        left, end = left - took, start
        if left <= 0:
            break
    return tuple(reversed(found))


def sizes_between(attempt: Attempt, starts_at: Instant, ends_at: Instant) -> tuple[int, ...]:
    """The pods that it had one after the other."""
    return tuple(each.gpus // max(1, attempt.pod.gpus) for each in stretches(attempt, starts_at, ends_at))


def _newest_first(attempt: Attempt) -> Iterator[tuple[Instant | None, int]]:
    """(since when, pods); of the first None."""
    pods = attempt.everywhere.pods
    for past in reversed(attempt.past_sizes):
        yield past.until, pods
        pods = past.pods
    yield None, pods
