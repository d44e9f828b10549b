"""What an attempt does as its size changes: the work it gets done, when it is through, how long its holds last.

Work is told in milliseconds on all its GPUs: with half of them it takes twice as long, as if it scaled without loss.
Pods that it gives back work, and are charged, until they have ended.
"""

from scheduler.domain.sizes import gpu_ms_within
from scheduler.domain.units import Instant
from scheduler.domain.workloads import Attempt
from scheduler.simulation.replay.works import Run


def gpus_of(attempt: Attempt) -> int:
    """Those that it occupies, with those that it gives back."""
    return attempt.everywhere.pods * attempt.pod.gpus


def worked_ms(run: Run, until: Instant) -> int:
    """The work that it has done by then."""
    return gpu_ms_within(run.attempt, run.started_at, until) // run.work.workload.spec.gpus


def done_at(run: Run) -> Instant:
    """When all of its work is done, if its size stays as it is; or its time limit is over."""
    left = run.work.remaining_ms * run.work.workload.spec.gpus
    limit_at = Instant(run.started_at + run.attempt.time_limit_ms)
    return min(_when_used(run, left, rounded_up=True), limit_at)


def covered_until(run: Run) -> Instant:
    """When it will have used what its holds cover."""
    attempt = run.attempt
    return _when_used(run, run.held.covered * 1_000_000 // (attempt.weight * attempt.class_factor))


def _when_used(run: Run, gpu_ms: int, *, rounded_up: bool = False) -> Instant:
    """When its GPUs come to that much, if its size stays as it is."""
    attempt, gpus = run.attempt, gpus_of(run.attempt)
    since = run.started_at
    if attempt.past_sizes:
        since = max(since, attempt.past_sizes[-1].until)
        gpu_ms -= gpu_ms_within(attempt, run.started_at, since)
    return Instant(since + (-(-gpu_ms // gpus) if rounded_up else gpu_ms // gpus))
