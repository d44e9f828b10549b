"""Protected GPU-time: the minimum runtimes that an owner's attempts of one day are given, which policy may cap.

Counted in full at launch, and nothing of it comes back: whoever launches many small jobs one after the other is given
no more of it than whoever launches one.
"""

from dataclasses import dataclass

from scheduler.domain.periods import PeriodLength, period_at
from scheduler.domain.policy import Policy
from scheduler.domain.units import Instant
from scheduler.domain.workloads import Attempt


@dataclass(frozen=True, slots=True)
class Sheltered:
    """GPU-milliseconds given to one owner on the day that begins at `day`."""

    day: Instant = Instant(0)
    gpu_ms: int = 0

    def on(self, day: Instant) -> int:
        return self.gpu_ms if day == self.day else 0

    def and_of(self, attempt: Attempt, policy: Policy) -> "Sheltered":
        """With what the attempt was given on the day of its launch; what is older than this day counts no more."""
        given = shelter_of(attempt, policy)
        day = day_of(attempt.launched_at, policy)
        if not given or day < self.day:
            return self
        return Sheltered(day, self.on(day) + given)


def day_of(at: Instant, policy: Policy) -> Instant:
    """The local midnight before."""
    return period_at(at, PeriodLength.DAY, policy.time_zone).starts_at


def shelter_of(attempt: Attempt, policy: Policy) -> int:
    """GPU-milliseconds in which its minimum runtime keeps it from being preempted; 0 where it was launched without one. Of
    an elastic attempt it protects the minimum alone. What has run out of hours since, and goes on unfunded, had it."""
    terms = policy.priority_classes.get(attempt.priority_class)
    if terms is None or not attempt.is_sheltered or attempt.booking_id is not None:
        return 0
    pods = attempt.elastic.pods_min if attempt.elastic is not None else attempt.placement.pods
    return terms.minimum_runtime_ms * pods * attempt.pod.gpus


def is_within_cap(attempt: Attempt, given: int, policy: Policy) -> bool:
    """Whether it may be given its minimum runtime beside what its owner's attempts of the day were `given`."""
    cap, needed = policy.limits.protected_per_day, shelter_of(attempt, policy)
    return cap is None or not needed or given + needed <= cap
