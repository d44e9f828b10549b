"""What a replay remembers of every submission, and of every attempt that runs."""

from dataclasses import dataclass, field
from typing import NamedTuple

from scheduler.domain.reasons import Reason
from scheduler.domain.terms import Need, Prices
from scheduler.domain.units import Instant
from scheduler.domain.workloads import Attempt, Workload
from scheduler.simulation.replay.books import Purse
from scheduler.simulation.replay.settling import Held
from scheduler.simulation.replay.submissions import Submission


@dataclass(eq=False, slots=True)
class Work:
    """A submission on its way. `remaining_ms` of its work is still to be done; `waiting_for` is its last verdict."""

    number: int
    submission: Submission
    workload: Workload
    remaining_ms: int
    purses: tuple[Purse, ...]
    """What may pay for it."""
    queued_since: Instant
    waiting_for: Reason = Reason.SUBMITTED
    waiting_since: Instant = Instant(0)
    attempts: int = 0
    first_launch_at: Instant | None = None
    reserved: Held | None = None
    """What was set aside for it when its victims were chosen."""
    ends: list[Reason] = field(default_factory=list)
    """Of its attempts, in their order."""
    ran_ms: int = 0
    outcome: Reason | None = None
    ended_at: Instant | None = None


class NextSlice(NamedTuple):
    """What the next slice of a rolling hold needs, of the attempt as it is and at the prices as they are."""

    attempt: Attempt
    prices: Prices | None
    need: Need


@dataclass(eq=False, slots=True)
class Run:
    """A live attempt. `is_over` voids what was planned for it; `stopping_at` is when it was told to stop."""

    work: Work
    attempt: Attempt
    started_at: Instant
    held: Held
    is_over: bool = False
    stopping_at: Instant | None = None
    finishes_at: Instant = Instant(0)
    """When it was last planned to be through, to be renewed, and to have given pods back: of each, what was planned
    for another instant before is void."""
    renews_at: Instant = Instant(0)
    leaves_at: Instant = Instant(0)
    slice: NextSlice | None = None

    def kept_ms(self, ran_ms: int) -> int:
        """Of so much running, what its last checkpoint keeps."""
        every_ms = self.work.submission.checkpoint_every_ms
        return ran_ms // every_ms * every_ms if every_ms else 0

    def checkpointed_at(self, now: Instant) -> Instant | None:
        kept_ms = self.kept_ms(max(0, now - self.started_at))
        return Instant(self.started_at + kept_ms) if kept_ms else None
