"""Own gain: whether hours of a holder are the caller's own to spend. Nobody gives themselves any, and nobody alone."""

from scheduler.domain.allowances import Holder
from scheduler.domain.approvals import benefits
from scheduler.domain.errors import NotPermitted, RefusalCode
from scheduler.domain.people import Caller
from scheduler.lifecycle.memory.world import World


def is_own_gain(world: World, caller: Caller, holder: Holder) -> bool:
    """Theirs, their team's, or a project's of it."""
    teams = {project.name: project.team for project in world.require_policy().projects.values()}
    return benefits(holder, caller, teams)


def require_no_own_gain(world: World, caller: Caller, holder: Holder, what: str) -> None:
    """Raises NotPermitted (`self-benefit`)."""
    if is_own_gain(world, caller, holder):
        raise NotPermitted(
            f"nobody {what} for themselves, their team or its projects",
            code=RefusalCode.SELF_BENEFIT,
            expected="another person with the right to",
        )
