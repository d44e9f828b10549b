"""Paying: the allowances that may pay for what somebody asks for, or has waiting."""

from scheduler.domain.allowances import AllowanceBalance, holders_for
from scheduler.domain.units import EngineerId, TeamName
from scheduler.domain.workloads import WorkloadSpec
from scheduler.lifecycle.memory.world import World


def balances_for(world: World, spec: WorkloadSpec, owner: EngineerId, team: TeamName) -> list[AllowanceBalance]:
    """Those of its owner, its team and its project, whatever their terms."""
    held = (world.balances_of.get(holder, {}) for holder in holders_for(owner, team, spec.project))
    return [balance for balances in held for balance in list(balances.values())]
