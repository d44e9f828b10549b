"""Use that fades: what fair share compares. It decays with a half-life, as in Slurm; balances never do.

Nothing here is charged: where an allowance says what may still be spent, this says who has had how much lately.
"""

from dataclasses import dataclass
from math import exp2, expm1, log

from scheduler.domain.sizes import Stretch, stretches
from scheduler.domain.units import MS_PER_MINUTE, GpuMs, Instant, PerMille, StandardGpuMs
from scheduler.domain.workloads import Attempt, Workload

REORDERED_EVERY_MS = 5 * MS_PER_MINUTE
"""Fair share and age re-order queues at multiples of this, as Slurm's PriorityCalcPeriod does, and not in between."""

ENTRY_MS = REORDERED_EVERY_MS
"""What every start counts beyond its running time: the penalty at entry. A burst of submissions is felt at once, and
work cut into small pieces counts more than the same work in one."""

BANDS = 10
_FIRST_BAND_PER_MILLION = 1_000
_PER_MILLION = 1_000_000


@dataclass(frozen=True, slots=True)
class DecayedUse:
    """Standard GPU-milliseconds that somebody used and no longer uses, as they weigh at the instant `at`."""

    amount: StandardGpuMs
    at: Instant

    def seen_from(self, now: Instant, half_life_ms: int) -> int:
        return round(self.amount * _weight(now - self.at, half_life_ms))

    def and_of(self, attempt: Attempt, half_life_ms: int) -> "DecayedUse":
        """With that of an attempt that has ended, as it weighs at its end or at `at`, whichever is later."""
        at = max(self.at, attempt.ended_at or self.at)
        amount = self.seen_from(at, half_life_ms) + use_of(attempt, at, half_life_ms)
        return DecayedUse(StandardGpuMs(amount), at)


NO_USE = DecayedUse(StandardGpuMs(0), Instant(0))


def reordering_at(now: Instant) -> Instant:
    """The last instant, up to `now`, at which queues were re-ordered."""
    return Instant(now - now % REORDERED_EVERY_MS)


def begins_to_age(workload: Workload, now: Instant) -> Instant:
    """Since when it grows old if it begins to now: the last re-ordering, unless it waits for less long. So a cycle more or
    less between two re-orderings makes nobody older."""
    return max(workload.waits_since, reordering_at(now))


def growing_old(workload: Workload, now: Instant) -> Workload:
    """The workload once it is recorded that it begins to grow old now: nearly everything comes by here, and `replace` takes
    four times as long."""
    return Workload(
        workload.id,
        workload.owner,
        workload.team,
        workload.spec,
        workload.submitted_at,
        workload.state,
        workload.state_reason,
        workload.state_since,
        workload.origin,
        workload.namespace,
        workload.job_name,
        workload.job_uid,
        workload.retries,
        workload.not_before,
        workload.version,
        workload.eligible_at,
        begins_to_age(workload, now),
    )


def ages_at(grows_old_from: Instant, ageing_ms: int) -> Instant:
    """When what grows old since then has waited too long: the first re-ordering at or after that."""
    return Instant(-(-(grows_old_from + ageing_ms) // REORDERED_EVERY_MS) * REORDERED_EVERY_MS)


def use_of(attempt: Attempt, now: Instant, half_life_ms: int) -> int:
    """Standard GPU-milliseconds that the attempt has used, from launch to its end or `now`, as they weigh at `now`.

    It counts as if it had begun `ENTRY_MS` before its launch, so that a start weighs from its first instant on.
    """
    begins = Instant(min(now, attempt.launched_at) - ENTRY_MS)
    ends = min(now, max(attempt.ended_at, attempt.launched_at)) if attempt.ended_at is not None else now
    counted = sum(each.gpus * _faded(each, now, half_life_ms) for each in stretches(attempt, begins, ends))
    return round(attempt.weight * attempt.class_factor / _PER_MILLION * counted)


def _faded(stretch: Stretch, now: Instant, half_life_ms: int) -> float:
    """Its milliseconds, as they weigh at `now`."""
    length = -expm1(-(stretch.end - stretch.start) / half_life_ms * log(2)) * half_life_ms / log(2)
    return length * _weight(now - stretch.end, half_life_ms)


def entry_use(gpus: int, weight: PerMille, class_factor: PerMille) -> int:
    """What a start that is only planned weighs."""
    return GpuMs(gpus * ENTRY_MS) * weight * class_factor // _PER_MILLION


def share_per_million(used: int, capacity: int, half_life_ms: int) -> int:
    """Decayed use as a share of what a cluster of `capacity` (GPUs × weight in per mille) offers in the same frame.

    It is the cluster's capacity and not a pool's, so that the use of what would have idled costs little (KAI's
    time-based fair share).
    """
    if capacity <= 0:
        return 0
    offered = capacity / 1_000 * half_life_ms / log(2)
    return round(used * _PER_MILLION / offered)


def _weight(ago_ms: int, half_life_ms: int) -> float:
    return exp2(-ago_ms / half_life_ms)


def use_band(share: int) -> int:
    """One of ten bands: 0 below a thousandth of the cluster, each further one up to twice the one before, 9 from a
    quarter of it on."""
    return min(BANDS - 1, (share // _FIRST_BAND_PER_MILLION).bit_length())
