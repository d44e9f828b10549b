"""What everybody has left, at a glance: from memory alone, so that a page of many people reads no journal."""

from dataclasses import dataclass

from scheduler.domain.allowances import Holder, HolderKind
from scheduler.domain.people import Engineer
from scheduler.domain.units import STANDARD_GPU, Instant
from scheduler.lifecycle.memory.world import World


@dataclass(frozen=True, slots=True)
class StandingView:
    """Somebody's own open allowances, summed (standard GPU-milliseconds)."""

    engineer: Engineer
    available: int
    held: int
    granted: int


def standing_views(world: World, now: Instant) -> tuple[StandingView, ...]:
    """Everybody, by team, tier and name. Pay data: for who may see all, or where everybody is invented."""
    sums: dict[Holder, tuple[int, int, int]] = {}
    for balance in list(world.balances.values()):
        allowance = balance.allowance
        is_hours = allowance.unit == STANDARD_GPU
        if allowance.holder.kind is HolderKind.ENGINEER and is_hours and allowance.is_open_at(now):
            available, held, granted = sums.get(allowance.holder, (0, 0, 0))
            sums[allowance.holder] = (
                available + balance.available,
                held + balance.held,
                granted + allowance.amount - balance.promised,
            )
    people = sorted(world.people.values(), key=lambda person: (person.team, person.tier, person.name, person.id))
    return tuple(
        StandingView(person, *sums.get(Holder(HolderKind.ENGINEER, person.id), (0, 0, 0))) for person in people
    )
