"""How fast the cycle goes round, and how many words a second go to the cluster: neither may take from what people or
launches wait for."""

from collections import deque
from dataclasses import dataclass, field
from typing import Final

from scheduler.domain.observations import ClusterChanges, ObservedJob

BREATH_SECONDS: Final = 0.05
"""The longest rest after a cycle, and how soon after its beginning the next one begins for what does not press. What comes
in meanwhile shares the next one's transactions."""
WORDS_A_SECOND: Final = 20
"""Telling all of a long queue as fast as it goes would cost the API server more than launching it."""
WORDS_A_SECOND_WHEN_BUSY: Final = 2
"""A word is two writes, on the Job and as an Event: at the full pace they would be a sixth of all writes."""
BUSY_CALLS: Final = 32
"""More calls or news than so many within a second, or half as many calls under way, and the API server has better to do."""
_BUSY_SECONDS: Final = 1.0


def is_pressing(changes: ClusterChanges) -> bool:
    """Whether GPUs may have come free, for which others wait. All else, what runs now as it was told to or is new, a cycle
    sees in company: each costs as much as a few launches, whatever little it finds."""
    return (
        changes.is_relist
        or bool(changes.nodes)
        or any(job is None or _has_let_go(job) for job in changes.jobs.values())
        or any(pod.has_ended for pod in changes.pods)
    )


def _has_let_go(job: ObservedJob) -> bool:
    """Also as a victim: a new Job is marked as suspended too, but of no attempt."""
    return job.has_ended or job.is_deleted or (job.is_confirmed_suspended and job.attempt_id != "")


def rest_seconds(took: float, *, is_asked: bool) -> float:
    """For how long after a cycle that took so long the event loop has the interpreter to itself.

    Half as long as the cycle: longer, and launches wait for it. `is_asked` says that people asked for more while it
    thought: under a stream of submissions, each of which would else meet a cycle, the rest is as long as may be.
    """
    return BREATH_SECONDS if is_asked else min(BREATH_SECONDS, took / 2)


@dataclass
class Pace:
    """Counts our calls and the news of the last second: Jobs and pods that others write are its work, too.

    `moment` is monotonic, in seconds.
    """

    _noted: deque[tuple[float, int]] = field(default_factory=deque)

    def note(self, moment: float, writes: int) -> None:
        if writes:
            self._noted.append((moment, writes))

    def words_a_second(self, moment: float, under_way: int) -> int:
        while self._noted and moment - self._noted[0][0] > _BUSY_SECONDS:
            self._noted.popleft()
        is_busy = 2 * under_way > BUSY_CALLS or sum(writes for _, writes in self._noted) > BUSY_CALLS
        return WORDS_A_SECOND_WHEN_BUSY if is_busy else WORDS_A_SECOND
