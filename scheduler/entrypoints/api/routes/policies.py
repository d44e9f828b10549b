"""The policy in force, the policies that were, and applying a new one. The body is the file as it is."""

from dataclasses import replace
from typing import Annotated

from fastapi import Query
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from scheduler.adapters.policy_files import read_policy
from scheduler.domain.errors import NotFound, RefusalCode
from scheduler.domain.people import Role
from scheduler.domain.records import PolicyVersion
from scheduler.entrypoints.api import answers
from scheduler.entrypoints.api.asked import Asked, Signed
from scheduler.entrypoints.api.bodies import api_router
from scheduler.entrypoints.api.fields import Name
from scheduler.lifecycle.memory.named import named

router = api_router("/v1", tags=["policies"])

_FILE = {
    "requestBody": {
        "required": True,
        "content": {"application/yaml": {"schema": {"type": "string"}, "example": "version: 1\n"}},
    }
}


@router.get(
    "/policy", summary="The policy in force", responses=answers.responds(PolicyVersion, RefusalCode.NO_POLICY)
)
def current(asked: Signed) -> Response:
    versions = asked.service.views.policies(asked.caller, limit=1)
    if not versions:
        asked.service.views.policy()
        raise NotFound("no policy was ever applied", code=RefusalCode.UNKNOWN_POLICY)
    return answers.one(versions[0])


@router.get(
    "/policies",
    summary="Policies as they were applied, newest first",
    responses=answers.responds(PolicyVersion, is_page=True),
)
def history(asked: Signed, limit: Annotated[int, Query(ge=1, le=200)] = 50) -> Response:
    return answers.page(asked.service.views.policies(asked.caller, limit=limit))


@router.put(
    "/policy",
    summary="Check and apply a policy file",
    responses=answers.or_waits(
        answers.responds(PolicyVersion, RefusalCode.INVALID_POLICY, RefusalCode.COVERAGE_EXCEEDED)
    ),
    openapi_extra=_FILE,
)
async def apply(
    request: Request, asked: Signed, name: Annotated[Name, Query(description="The file's name, for messages.")]
) -> Response:
    """One that raises allowances, prices or rights waits for a second person, unless the policy in force says otherwise."""
    asked.caller.require(Role.OPERATOR)
    source = await request.body()
    return await run_in_threadpool(_apply, asked, source, name)


def _apply(asked: Asked, source: bytes, name: str) -> Response:
    policy = read_policy(source, name)
    text = source.decode("utf-8-sig")
    made = asked.service.proposals.apply_policy(
        asked.caller, text, policy, now=asked.now, request_id=asked.request_id
    )
    if isinstance(made, PolicyVersion):
        made = replace(made, applied_by=named(asked.service.world, made.applied_by))
    return answers.in_force_or_waiting(asked, made)
