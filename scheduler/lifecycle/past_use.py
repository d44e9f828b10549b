"""Past use: what fair share compares is not stored, it follows from the attempts that have ended."""

from scheduler.domain.policy import Policy
from scheduler.domain.units import Instant
from scheduler.lifecycle.world import World
from scheduler.ports import Store

HALF_LIVES = 10
"""How far back use is remembered: what is older would count a thousandth."""


def put_policy(store: Store, world: World, policy: Policy, now: Instant) -> None:
    """Have the world go by a policy that is on record. One that weighs past use otherwise has it counted anew."""
    known = world.policy
    world.put_policy(policy)
    if known is not None and (known.looks_back, known.fair_share) == (policy.looks_back, policy.fair_share):
        return
    world.forget_use()
    if policy.looks_back:
        with store.reading() as books:
            since = Instant(now - HALF_LIVES * policy.fair_share.half_life_ms)
            world.count_use(books.attempts.ended_since(since))
