"""The people: who one is, the directory, and applying a new one. Names are personal data."""

from dataclasses import dataclass
from hashlib import sha256
from typing import Annotated

from fastapi import Path, Query
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from scheduler.adapters.policy_files import read_people
from scheduler.domain.errors import RefusalCode
from scheduler.domain.people import Engineer, Role
from scheduler.domain.units import EngineerId
from scheduler.entrypoints.api import answers
from scheduler.entrypoints.api.asked import Asked, Identified, Signed
from scheduler.entrypoints.api.bodies import api_router
from scheduler.entrypoints.api.fields import Name
from scheduler.lifecycle.approvals.rights import PeopleFile

router = api_router("/v1", tags=["people"])

_FILE = {
    "requestBody": {
        "required": True,
        "content": {"application/yaml": {"schema": {"type": "string"}, "example": "version: 1\nengineers: []\n"}},
    }
}


@dataclass(frozen=True, slots=True)
class Me:
    """Who the token stands for."""

    subject: str
    roles: tuple[str, ...]
    engineer: str | None
    team: str | None
    tier: str | None
    name: str
    is_simulated: bool


@dataclass(frozen=True, slots=True)
class Applied:
    """How many people the file had, and how many of them were not known before."""

    engineers: int
    new: int


@router.get("/me", summary="Who I am", responses=answers.responds(Me))
def me(asked: Identified) -> Response:
    caller = asked.caller
    engineer = asked.service.views.me(caller)
    return answers.one(
        Me(
            subject=caller.subject,
            roles=tuple(sorted(role.value for role in caller.roles)),
            engineer=caller.engineer,
            team=caller.team,
            tier=None if engineer is None else engineer.tier,
            name="" if engineer is None else engineer.name,
            is_simulated=asked.service.cluster.is_simulated,
        )
    )


@router.get("/people", summary="The directory", responses=answers.responds(Engineer, is_page=True))
def directory(asked: Signed) -> Response:
    return answers.page(asked.service.views.engineers(asked.caller))


@router.put(
    "/people",
    summary="Check and apply a people file",
    responses=answers.or_waits(
        answers.responds(Applied, RefusalCode.INVALID_DIRECTORY, RefusalCode.COVERAGE_EXCEEDED)
    ),
    openapi_extra=_FILE,
)
async def apply(
    request: Request, asked: Signed, name: Annotated[Name, Query(description="The file's name, for messages.")]
) -> Response:
    """One that gives somebody more waits for a second person, unless the policy in force says otherwise."""
    asked.caller.require(Role.OPERATOR, Role.PEOPLE)
    source = await request.body()
    return await run_in_threadpool(_apply, asked, source, name)


@dataclass(frozen=True, slots=True)
class Forgotten:
    """The opaque id that stays in the books."""

    engineer: EngineerId


@router.post(
    "/people/{name}/forget",
    summary="Erase a person's name and subject",
    responses=answers.responds(Forgotten, RefusalCode.UNKNOWN_ENGINEER),
)
def forget(asked: Signed, name: Annotated[Name, Path(description="Their id or subject.")]) -> Response:
    """The books keep the opaque id, and every proof over them stays valid."""
    engineer = asked.service.access.forget(asked.caller, name, now=asked.now, request_id=asked.request_id)
    return answers.one(Forgotten(engineer))


def _apply(asked: Asked, source: bytes, name: str) -> Response:
    service = asked.service
    engineers = read_people(source, name, EngineerId, service.world.policy)
    file = PeopleFile(name, sha256(source).hexdigest())
    made = service.rights.apply_people(asked.caller, engineers, file, now=asked.now, request_id=asked.request_id)
    return answers.in_force_or_waiting(asked, Applied(len(engineers), made) if isinstance(made, int) else made)
