"""Rights: what of a people file gives somebody more than they have. Pure; people by their opaque ids alone."""

from collections.abc import Iterable, Mapping
from hashlib import sha256

from scheduler.domain.access import RoleChange
from scheduler.domain.people import Engineer, Role
from scheduler.domain.policy_changes import PolicyChange
from scheduler.domain.units import EngineerId

DECIDES_ACCESS = (Role.PEOPLE, Role.OPERATOR)
"""Who lets a people file or a token take effect, where that takes a second person."""

OF_MACHINES = frozenset({Role.AGENT})
"""Roles that give nobody anything: a node's agent posts what it reads."""


def standing(person: Engineer) -> str:
    """What the directory gives somebody, in one line."""
    return f"{person.team}/{person.tier}: {', '.join(sorted(person.roles))}"


def raised_rights(known: Mapping[EngineerId, Engineer], placed: Iterable[Engineer]) -> dict[EngineerId, PolicyChange]:
    """Whom it would give more, and what. Somebody new, another team or tier, and a role that they had not: a tier or
    team that gives less cannot be told from one that gives more, so each counts. A role that is taken gives nothing."""
    raised = {}
    for person in placed:
        before = known.get(person.id)
        is_placed_alike = before is not None and (before.team, before.tier) == (person.team, person.tier)
        if before is None or not is_placed_alike or not person.roles <= before.roles:
            had = None if before is None else standing(before)
            raised[person.id] = PolicyChange(person.id, had, standing(person), "what the directory gives them")
    return raised


def directory_hash(people: Iterable[Engineer]) -> str:
    """Of what the directory gives to whom, without a name."""
    lines = sorted(f"{person.id} {standing(person)}\n" for person in people)
    return sha256("".join(lines).encode()).hexdigest()


def is_shared(changes: Iterable[RoleChange], directory: str) -> bool:
    """Whether two have held a token that decides about access. Before that nobody could have agreed; afterwards it
    stays so: who took every other token back would be alone again, and free."""
    deciding = {role.value for role in DECIDES_ACCESS}
    holders = {
        change.principal
        for change in changes
        if change.is_granted and change.credential != directory and change.role in deciding
    }
    return len(holders) > 1
