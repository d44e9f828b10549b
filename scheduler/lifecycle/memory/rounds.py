"""How far the books have come: up to when policy's grants were made, up to when the cluster was heard of, and when limits
were last looked at."""

from dataclasses import dataclass
from typing import Final

from scheduler.domain.units import MS_PER_SECOND, Instant

LIMITS_EVERY_MS: Final = MS_PER_SECOND // 2
"""An idle service looks at limits once a second. To look at all that runs in each of a busy one's twenty cycles a second
would be a sixteenth of their work."""


@dataclass(slots=True)
class Rounds:
    """None: not since the process started. Who was away for a while goes on from there, and not from now."""

    granted_at: Instant | None = None
    heard_at: Instant | None = None
    """Nothing is known of what happened in the cluster since: nothing of it is settled."""
    is_cluster_away: bool = False
    """As the last cycle found: nobody can start anything then."""
    limits_at: Instant | None = None

    def come_to_limits(self, now: Instant) -> bool:
        """Whether limits are to be looked at, as is noted then: not so soon after the last time."""
        if self.limits_at is not None and 0 <= now - self.limits_at < LIMITS_EVERY_MS:
            return False
        self.limits_at = now
        return True
