"""People for a replay that has no directory: invented, by seed, in the policy's teams and tiers."""

from math import comb
from random import Random

from scheduler.domain.people import Engineer
from scheduler.domain.policy import Policy
from scheduler.domain.units import EngineerId, TeamName, TierName


class Company:
    """Gives whoever is asked for a team and a tier: the same for the same name and seed, in any order.

    Teams draw people in proportion to their pools' nominal quota; of the tiers, ordered by allowance, most are in the
    middle (binomial weights).
    """

    def __init__(self, policy: Policy, seed: int) -> None:
        self._policy = policy
        self._seed = seed
        with_projects = {project.team for project in policy.projects.values()}
        pools = sorted(policy.pools.values(), key=lambda pool: pool.name)
        weights = {
            team: max(1, sum(quota.nominal for quota in pool.quotas.values()) // len(pool.teams))
            for pool in pools
            for team in pool.teams
        }
        # Who has no project can be paid for nothing by policy alone.
        self._teams = {team: weight for team, weight in weights.items() if team in with_projects} or weights
        tiers = sorted(policy.tiers.values(), key=lambda tier: (tier.allowance, tier.name))
        self._tiers = {tier.name: comb(len(tiers) - 1, rank) for rank, tier in enumerate(tiers)}

    def person(self, subject: str, team: TeamName | None = None, tier: TierName | None = None) -> Engineer:
        chance = Random(f"{self._seed}/person/{subject}")
        drawn_team = chance.choices(list(self._teams), list(self._teams.values()))[0]
        drawn_tier = chance.choices(list(self._tiers), list(self._tiers.values()))[0]
        return Engineer(EngineerId(subject), subject, team or drawn_team, tier or drawn_tier, name=subject)

    def people(self, count: int) -> list[Engineer]:
        return [self.person(f"engineer-{number:04d}") for number in range(count)]
