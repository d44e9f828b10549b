"""The demo: where everything is simulated and the operator of the process wants it so, a visitor may be anybody."""

from dataclasses import dataclass

from scheduler.domain.errors import NotFound, RefusalCode
from scheduler.domain.people import Caller, Engineer, Role
from scheduler.domain.units import MS_PER_DAY, Instant
from scheduler.entrypoints.api.auth import hash_of, new_token
from scheduler.entrypoints.running import Service

DOORKEEPER = Caller(subject="demo sign-in", roles=frozenset({Role.OPERATOR, Role.AUDITOR}))
"""Stands behind what the demo does for a visitor that has not signed in yet; used only where all is simulated."""

TOKEN_DAYS = 60
"""Of simulated time: one real day at sixty times its pace."""


@dataclass(frozen=True, slots=True)
class DemoToken:
    """A fresh token for one of the simulated people; only its hash is kept."""

    token: str
    person: Engineer
    expires_at: Instant


def is_demo(service: Service) -> bool:
    """Whether a visitor may be anybody: everybody is invented then."""
    return service.settings.demo_sign_in and service.cluster.is_simulated


def people_to_pick(service: Service) -> tuple[Engineer, ...]:
    """Whom a visitor may become: everybody, where all is simulated, and nobody elsewhere."""
    if not is_demo(service):
        return ()
    people = service.views.engineers(DOORKEEPER)
    return tuple(sorted(people, key=lambda person: (person.team, person.tier, person.name)))


def become(service: Service, name: str) -> DemoToken:
    """Sign in as the person of that subject or id. Raises NotFound where there is none to pick."""
    person = next((person for person in people_to_pick(service) if name in {person.subject, person.id}), None)
    if person is None:
        raise NotFound(f"there is nobody called {name!r}", code=RefusalCode.UNKNOWN_ENGINEER, where="subject")
    token, now = new_token(), service.clock.now()
    expires_at = Instant(now + TOKEN_DAYS * MS_PER_DAY)
    service.administration.issue_token(
        DOORKEEPER, person.subject, person.roles, hash_of(token), now=now, expires_at=expires_at, by_host=True
    )
    return DemoToken(token, person, expires_at)
