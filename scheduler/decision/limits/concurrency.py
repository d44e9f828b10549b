"""What runs or is reserved at once, as limits count it: GPUs of an engineer and a team, indexes of an array."""

from collections import defaultdict

from scheduler.decision.ordering.lines import LineIndex, Lines
from scheduler.domain.arrays import array_of
from scheduler.domain.latest import put
from scheduler.domain.policy import Policy
from scheduler.domain.units import EngineerId, TeamName, TierName, WorkloadId

Counter = tuple[str, str]
"""What counts what runs at once, and whose: an engineer's GPUs, a team's, an array's indexes."""


class Concurrency:
    """`tiers` says whose limits are tighter than those for everybody; `set_tier` alone changes them."""

    def __init__(self, policy: Policy, lines: LineIndex) -> None:
        self._policy = policy
        self._lines = lines
        self.tiers: dict[EngineerId, TierName] = {}
        self.gpus_of_owner: dict[EngineerId, int] = defaultdict(int)
        self.gpus_of_team: dict[TeamName, int] = defaultdict(int)
        self.of_array: dict[WorkloadId, int] = defaultdict(int)
        self._gpu_limits: dict[EngineerId, int | None] = {}
        """As far as they were asked for."""

    def set_tier(self, owner: EngineerId, tier: TierName | None) -> None:
        put(self.tiers, owner, tier)
        self._gpu_limits.pop(owner, None)

    def gpu_limit(self, owner: EngineerId) -> int | None:
        """How many GPUs the owner may run at once: the tighter of the limit for all and their tier's."""
        try:
            return self._gpu_limits[owner]
        except KeyError:
            limit = self._gpu_limits[owner] = self._tighter_limit(owner)
            return limit

    def _tighter_limit(self, owner: EngineerId) -> int | None:
        tier, everybodys = self.tiers.get(owner), self._policy.limits.gpus_per_engineer
        known = self._policy.tiers.get(tier) if tier is not None else None
        if known is None or known.gpus_max is None:
            return everybodys
        return known.gpus_max if everybodys is None else min(everybodys, known.gpus_max)

    def left(
        self, owner: EngineerId, team: TeamName, array: WorkloadId | None, at_once: int | None
    ) -> dict[Counter, int]:
        """How much more each limit that there is lets run, of the owner, the team and the array."""
        limits = {
            ("engineer", owner): (self.gpu_limit(owner), self.gpus_of_owner.get(owner, 0)),
            ("team", team): (self._policy.limits.gpus_per_team, self.gpus_of_team.get(team, 0)),
        }
        if array is not None:
            limits["array", array] = (at_once, self.of_array.get(array, 0))
        return {counter: limit - used for counter, (limit, used) in limits.items() if limit is not None}

    def count(self, workload_id: WorkloadId, owner: EngineerId, team: TeamName, change: int) -> Lines:
        """Count GPUs that a workload takes or gives back. Returns the lines for which a limit flipped."""
        before = self.gpus_of_owner[owner]
        self.gpus_of_owner[owner] = after = before + change
        flipped = self._lines.crossing_owner_limit(owner, self.gpu_limit(owner), before, after)
        before = self.gpus_of_team[team]
        self.gpus_of_team[team] = after = before + change
        limit = self._policy.limits.gpus_per_team
        if limit is not None:
            flipped.update(self._lines.crossing_team_limit(team, limit, before, after))
        array = array_of(workload_id)
        if array is not None:
            self.of_array[array] += 1 if change > 0 else -1
            flipped.update(dict.fromkeys(self._lines.of_array(array)))
        return flipped


def uses(owner: EngineerId, team: TeamName, array: WorkloadId | None, gpus: int) -> dict[Counter, int]:
    """What a workload uses of each limit that there may be."""
    used: dict[Counter, int] = {("engineer", owner): gpus, ("team", team): gpus}
    return used if array is None else used | {("array", array): 1}
