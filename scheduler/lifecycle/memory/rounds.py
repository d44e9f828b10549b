"""How far the books have come: up to when policy's grants were made, and up to when the cluster was heard of."""

from dataclasses import dataclass

from scheduler.domain.units import Instant


@dataclass(slots=True)
class Rounds:
    """None: not since the process started. Who was away for a while goes on from there, and not from now."""

    granted_at: Instant | None = None
    heard_at: Instant | None = None
    """Nothing is known of what happened in the cluster since: nothing of it is settled."""
    is_cluster_away: bool = False
    """As the last cycle found: nobody can start anything then."""
