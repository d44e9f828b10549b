"""What every route needs of its request: who asks, when, of which service, and under which id."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Header
from pydantic import StringConstraints
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from scheduler.domain.errors import NotFound, NotPermitted, RefusalCode
from scheduler.domain.people import Caller, Engineer, Role
from scheduler.domain.periods import iso
from scheduler.domain.units import CommandId, EngineerId, Instant
from scheduler.entrypoints.api.auth import Callers, hash_of, token_hash_of, unauthenticated
from scheduler.entrypoints.api.fields import Body
from scheduler.entrypoints.api.parameters import refuse_unknown_parameters
from scheduler.entrypoints.api.problems import request_id_of
from scheduler.entrypoints.running import Service
from scheduler.lifecycle.writing.answered import Command

IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        description="The same key with the same body gets the first answer again; with another body it is a conflict.",
        examples=["3f0c1d1e-submit-1"],
    ),
    StringConstraints(min_length=1, max_length=200, pattern=r"^[\x21-\x7e]+$"),
]


@dataclass(frozen=True, slots=True)
class Asked:
    """One authenticated request. Times are the service's: simulated ones where its clock is."""

    service: Service
    caller: Caller
    now: Instant
    request_id: str
    path: str
    is_by_host: bool = False
    """Whether it came with the token that the process was started with: the word of whoever runs it."""

    def command(self, key: str | None, body: Body) -> Command | None:
        """The command that an Idempotency-Key makes of this request. Keys of different callers never meet."""
        if key is None:
            return None
        content = f"{self.path}\n{body.model_dump_json()}"
        return Command(
            id=CommandId(f"{self.caller.actor}:{key}"),
            body_hash=hashlib.sha256(content.encode("utf-8", errors="surrogatepass")).hexdigest(),
        )

    def engineer(self, name: str | None) -> EngineerId | None:
        """The engineer that an id or a subject names; None where none was named.

        An engineer who asks for anybody else, and a lead who asks for anybody outside the team, hears the same
        whether they are there or not: nobody learns who there is.
        """
        if name is None:
            return None
        if name in {self.caller.engineer, self.caller.subject} and self.caller.engineer is not None:
            return self.caller.engineer
        found = _find(self.service.world.people.values(), name)
        is_led = found is not None and self.caller.has(Role.LEAD) and found.team == self.caller.team
        if not is_led and not self.caller.has(*_SEES_EVERYBODY):
            raise NotPermitted("that belongs to somebody else", code=RefusalCode.NOT_YOURS, where="owner")
        if found is None:
            raise NotFound(f"there is no engineer {name!r}", code=RefusalCode.UNKNOWN_ENGINEER, where="owner")
        return found.id


_SEES_EVERYBODY = (Role.OPERATOR, Role.FINANCE, Role.PEOPLE, Role.AUDITOR)


async def identified(request: Request) -> Asked:
    """The dependency of the routes that every token may ask, an agent's too."""
    service: Service = request.app.state.service
    now = service.clock.now()
    request.state.now = iso(now)
    request.state.is_simulated = service.cluster.is_simulated
    callers: Callers = request.app.state.callers
    token_hash = token_hash_of(request)
    if token_hash is None:
        raise unauthenticated()
    caller = callers.remembered(token_hash) or await run_in_threadpool(callers.find, token_hash, now)
    if caller is None:
        raise unauthenticated()
    refuse_unknown_parameters(request)
    first = service.settings.bootstrap_token
    is_by_host = first is not None and token_hash == hash_of(first)
    return Asked(service, caller, now, request_id_of(request), request.url.path, is_by_host)


async def signed(request: Request) -> Asked:
    """The dependency of all other routes: a token that lies on a node is for what that node's agent sends, and reads
    nothing."""
    asked = await identified(request)
    if asked.caller.roles == {Role.AGENT}:
        raise NotPermitted(
            "an agent's token is for its node's inventory and windows alone",
            code=RefusalCode.ROLE_REQUIRED,
            expected="a token of a person or a program",
        )
    return asked


def service_of(request: Request) -> Service:
    """The dependency of the routes that anybody may ask: health and metrics."""
    service: Service = request.app.state.service
    return service


Identified = Annotated[Asked, Depends(identified)]
Signed = Annotated[Asked, Depends(signed)]
Served = Annotated[Service, Depends(service_of)]


def _find(people: Iterable[Engineer], name: str) -> Engineer | None:
    return next((person for person in people if name in {person.id, person.subject}), None)
