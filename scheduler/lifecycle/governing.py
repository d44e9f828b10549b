"""Governing: have the world go by a policy that is on record."""

from scheduler.domain.policy import Policy
from scheduler.domain.units import Instant
from scheduler.lifecycle.past_use import looks_otherwise, reaches_back
from scheduler.lifecycle.world import World
from scheduler.ports import Store


def put_policy(store: Store, world: World, policy: Policy, now: Instant) -> None:
    """Put it in force. One that looks at past use otherwise has it counted anew."""
    known = world.policy
    world.put_policy(policy)
    if looks_otherwise(known, policy):
        reach = reaches_back(policy)
        with store.reading() as books:
            world.count_past_use(books.attempts.ended_since(Instant(now - reach)) if reach else [])
