"""What one cycle has planned so far, so that two launches never count on the same GPUs; undone at its end."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVarTuple

from scheduler.domain.units import AttemptId, EngineerId, TeamName, WorkloadId
from scheduler.domain.workloads import Attempt

What = TypeVarTuple("What")


@dataclass(slots=True)
class Planned:
    """GPUs planned in this cycle, by whom limits count them for; victims chosen; and how to undo the rest."""

    of_owner: dict[EngineerId, int] = field(default_factory=dict)
    of_array: dict[WorkloadId, int] = field(default_factory=dict)
    of_team: dict[TeamName, int] = field(default_factory=dict)
    unfunded_of_owner: dict[EngineerId, int] = field(default_factory=dict)
    victims: set[AttemptId] = field(default_factory=set)
    shrunk: dict[AttemptId, Attempt] = field(default_factory=dict)
    """Elastic attempts as their shrinking in this cycle leaves them."""
    stopped_gpus: int = 0
    _undo: list[Callable[[], None]] = field(default_factory=list)

    def left_of(self, attempt: Attempt) -> Attempt:
        """The attempt without what it gives back in this cycle."""
        return self.shrunk.get(attempt.id, attempt)

    def count(self, counted: Callable[[*What, int], None], *what: *What, by: int) -> None:
        """Count that many more, or fewer, in capacity or quotas, for this cycle alone."""
        counted(*what, by)
        self._undo.append(partial(counted, *what, -by))

    def roll_back(self) -> None:
        """Undo what was counted in capacity and quotas, the last first."""
        while self._undo:
            self._undo.pop()()


NOTHING_PLANNED = Planned()
"""For looks at the snapshot as it stands. Never written to."""
