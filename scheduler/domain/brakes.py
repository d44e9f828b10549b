"""Brakes: what an operator has paused, and how fast each loop may stop work."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from scheduler.domain.units import MS_PER_MINUTE, Instant, PerMille

STOP_RATE_WINDOW_MS = 10 * MS_PER_MINUTE


class Brake(StrEnum):
    LAUNCH = "launch"
    PREEMPT = "preempt"
    RECLAIM = "reclaim"


@dataclass(frozen=True, slots=True)
class Pause:
    """A brake that somebody has put on: `by` is a person's opaque id, or a program."""

    brake: Brake
    by: str
    why: str
    since: Instant


@dataclass(frozen=True, slots=True)
class StopRate:
    """How many GPUs a loop may stop in ten minutes: a share of those running, at least `floor`. None is no limit."""

    share: PerMille | None
    floor: int = 1

    def limit(self, running_gpus: int) -> int | None:
        return None if self.share is None else max(self.floor, running_gpus * self.share // 1000)


@dataclass(frozen=True, slots=True)
class Stop:
    """GPUs that a loop stopped at an instant, as kept for the rate."""

    brake: Brake
    at: Instant
    gpus: int


def stopped_recently(stops: Iterable[Stop], brake: Brake, now: Instant) -> int:
    """GPUs that this loop stopped in the last ten minutes."""
    return sum(stop.gpus for stop in stops if stop.brake is brake and now - stop.at < STOP_RATE_WINDOW_MS)
