"""The inbox: what the cluster reported and answered since the last cycle, and how much of it one transaction takes in."""

from dataclasses import dataclass, field

from scheduler.domain.actions import ActionOutcome
from scheduler.domain.observations import ClusterChanges

OUTCOMES_AT_ONCE = 1_000
"""Answers that one transaction writes down: after a burst of tens of thousands it would be large, slow and heavy."""
SEEN_AT_ONCE = 500
"""Jobs and pods of which one transaction writes down what became of them; more where one look at the cluster saw more."""


@dataclass
class Inbox:
    """What happened since the last cycle, in the order in which it came."""

    changes: list[ClusterChanges] = field(default_factory=list)
    outcomes: list[ActionOutcome] = field(default_factory=list)

    def take(self) -> "Inbox":
        """What the next cycle looks at."""
        taken = Inbox(self.changes, self.outcomes)
        self.changes, self.outcomes = [], []
        return taken

    def pieces(self) -> "list[Inbox]":
        """In the same order, what one transaction each takes in; at least one.

        A cycle looks at everything there is: an end whose launch is not known to be answered holds its GPUs.
        """
        starts = range(0, max(1, len(self.outcomes)), OUTCOMES_AT_ONCE)
        pieces = [Inbox(outcomes=self.outcomes[start : start + OUTCOMES_AT_ONCE]) for start in starts]
        seen = 0
        for changes in self.changes:
            if seen >= SEEN_AT_ONCE:
                pieces.append(Inbox())
                seen = 0
            pieces[-1].changes.append(changes)
            seen += len(changes.jobs) + len(changes.pods)
        return pieces

    def put_back(self, taken: "Inbox") -> None:
        self.changes[:0] = taken.changes
        self.outcomes[:0] = taken.outcomes
