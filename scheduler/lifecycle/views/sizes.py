"""How many of its pods an elastic attempt had, in words: `5 of 8 pods`, `8, 3, 5 of 8 pods`."""

from scheduler.domain.sizes import pods_at, sizes_between
from scheduler.domain.units import Instant
from scheduler.domain.workloads import Attempt

LATEST_SHOWN = 6
"""Of a job that was resized often, the latest sizes are named."""


def sizes_text(attempt: Attempt, starts_at: Instant, ends_at: Instant) -> str:
    """The sizes that it had in that time, one after the other; nothing of work that always has all of its pods."""
    if attempt.elastic is None:
        return ""
    sizes = sizes_between(attempt, starts_at, ends_at) or (pods_at(attempt, starts_at),)
    shown = [str(pods) for pods in sizes[-LATEST_SHOWN:]]
    if len(sizes) > LATEST_SHOWN:
        shown.insert(0, "…")
    return f"{', '.join(shown)} of {attempt.elastic.pods_max} pods"
