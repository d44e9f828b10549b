"""Signing in without a secret, where everything is simulated and the operator of the process wants it so."""

from fastapi import APIRouter
from pydantic import ConfigDict
from starlette.responses import Response

from scheduler.domain.errors import NotFound, NotPermitted, RefusalCode
from scheduler.domain.people import Caller, Role
from scheduler.domain.units import MS_PER_DAY, Instant
from scheduler.entrypoints.api import answers
from scheduler.entrypoints.api.asked import Served
from scheduler.entrypoints.api.auth import hash_of, new_token
from scheduler.entrypoints.api.fields import Body, Name
from scheduler.entrypoints.api.routes.tokens import IssuedToken

router = APIRouter(prefix="/v1/demo", tags=["tokens"])

DOORKEEPER = Caller(subject="demo sign-in", roles=frozenset({Role.OPERATOR}))
TOKEN_DAYS = 60
"""Of simulated time: one real day at sixty times its pace."""


class Visitor(Body):
    """Who of the simulated people to be: a subject or an id."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"subject": "ada@example.com"}]})

    subject: Name


@router.post(
    "/tokens",
    status_code=201,
    summary="Become one of the simulated people",
    responses=answers.responds(IssuedToken, RefusalCode.UNKNOWN_ENGINEER, status=201),
)
def become(service: Served, body: Visitor) -> Response:
    if not (service.settings.demo_sign_in and service.cluster.is_simulated):
        raise NotPermitted("there is no demo here", code=RefusalCode.UNAUTHENTICATED)
    people = service.world.people.values()
    person = next((p for p in people if body.subject in {p.subject, p.id}), None)
    if person is None:
        raise NotFound(f"there is nobody called {body.subject!r}", code=RefusalCode.UNKNOWN_ENGINEER, where="subject")
    token = new_token()
    now = service.clock.now()
    expires_at = Instant(now + TOKEN_DAYS * MS_PER_DAY)
    service.commands.issue_token(
        DOORKEEPER, person.subject, person.roles, hash_of(token), now=now, expires_at=expires_at
    )
    roles = tuple(sorted(role.value for role in person.roles))
    return answers.one(IssuedToken(token, person.subject, roles, expires_at), status=201)
