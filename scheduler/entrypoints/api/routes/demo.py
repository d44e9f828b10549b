"""Signing in without a secret, where everything is simulated and the operator of the process wants it so."""

from pydantic import ConfigDict
from starlette.responses import Response

from scheduler.domain.access import TOKEN_ID_LENGTH
from scheduler.domain.errors import NotPermitted, RefusalCode
from scheduler.entrypoints import demo
from scheduler.entrypoints.api import answers
from scheduler.entrypoints.api.asked import Served
from scheduler.entrypoints.api.auth import hash_of
from scheduler.entrypoints.api.bodies import api_router
from scheduler.entrypoints.api.fields import Body, Name
from scheduler.entrypoints.api.routes.tokens import IssuedToken

router = api_router("/v1/demo", tags=["tokens"])


class Visitor(Body):
    """Who of the simulated people to be: a subject or an id."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"subject": "ada@example.com"}]})

    subject: Name


@router.post(
    "/tokens",
    status_code=201,
    summary="Become one of the simulated people",
    responses=answers.responds(IssuedToken, RefusalCode.UNKNOWN_ENGINEER, status=201),
    openapi_extra=answers.OPEN_TO_ALL,
)
def become(service: Served, body: Visitor) -> Response:
    if not demo.is_demo(service):
        raise NotPermitted("there is no demo here", code=RefusalCode.UNAUTHENTICATED)
    issued = demo.become(service, body.subject)
    roles = tuple(sorted(role.value for role in issued.person.roles))
    token_id = hash_of(issued.token)[:TOKEN_ID_LENGTH]
    shown = IssuedToken(token_id, issued.token, issued.person.subject, roles, issued.expires_at)
    return answers.one(shown, status=201)
