"""Tokens: issued once, shown once, stored as a hash."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Path
from pydantic import ConfigDict, Field
from starlette.responses import Response

from scheduler.domain.access import TokenRecord
from scheduler.domain.errors import RefusalCode
from scheduler.domain.people import Role
from scheduler.domain.units import Instant
from scheduler.entrypoints.api import answers
from scheduler.entrypoints.api.asked import IdempotencyKey, Signed
from scheduler.entrypoints.api.auth import hash_of, new_token
from scheduler.entrypoints.api.bodies import api_router
from scheduler.entrypoints.api.fields import Body, Moment, Name, instant_of
from scheduler.lifecycle.views.approvals import ApprovalView

router = api_router("/v1/tokens", tags=["tokens"])


class TokenRequest(Body):
    """Whom the token is for, and what it may do. An agent's subject is `node:NAME`."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"subject": "ada@example.com", "roles": ["engineer"]}]})

    subject: Name
    roles: Annotated[list[Annotated[Role, Field(strict=False)]], Field(min_length=1, max_length=7)]
    expires_at: Moment | None = None


@dataclass(frozen=True, slots=True)
class IssuedToken:
    """The only time that the token is shown: null where the same Idempotency-Key issued it before. With an `approval` it is
    good once another person approved that. `id` takes it back."""

    id: str
    token: str | None
    subject: str
    roles: tuple[str, ...]
    expires_at: Instant | None
    approval: ApprovalView | None = None


_ISSUED = answers.responds(IssuedToken, RefusalCode.IDEMPOTENCY_CONFLICT, status=201)
_ISSUED[202] = {**_ISSUED[201], "description": "It waits for a second person"}


@router.post("", status_code=201, summary="Issue a token", responses=_ISSUED)
def issue(asked: Signed, body: TokenRequest, key: IdempotencyKey = None) -> Response:
    """Unless policy says `one-person`, or nobody could agree yet, it is refused until another person approves it. A node's
    never waits, nor does what the token of `ALLOT_BOOTSTRAP_TOKEN` issues while the service runs with that.

    The same key again issues no second token, and shows the first no second time: where its answer was lost, take it back
    by its `id`, and issue another under a new key."""
    expires_at = instant_of(body.expires_at)
    token = new_token()
    roles = frozenset(body.roles)
    made = asked.service.rights.issue_token(
        asked.caller,
        TokenRecord(hash_of(token), body.subject, roles, expires_at),
        now=asked.now,
        command=asked.command(key, body),
        request_id=asked.request_id,
        by_host=asked.is_by_host,
    )
    approval = None
    if made.waits_for is not None:
        approval = asked.service.approval_views.one(asked.caller, made.waits_for, asked.now)
    named = tuple(sorted(role.value for role in roles))
    issued = IssuedToken(made.token_id, token if made.is_new else None, body.subject, named, expires_at, approval)
    return answers.one(issued, status=201 if approval is None else 202)


@dataclass(frozen=True, slots=True)
class TokenView:
    """A token that is out, by the beginning of its hash."""

    id: str
    subject: str
    roles: tuple[str, ...]
    issued_at: Instant | None
    issued_by: str | None
    expires_at: Instant | None


@router.get("", summary="The tokens that are good now", responses=answers.responds(TokenView, is_page=True))
def tokens(asked: Signed) -> Response:
    return answers.page([_view(each) for each in asked.service.access.tokens(asked.caller, asked.now)])


@router.delete(
    "/{token}",
    summary="Take a token back",
    responses=answers.responds(TokenView, RefusalCode.UNKNOWN_TOKEN, RefusalCode.WRONG_STATE),
)
def revoke(asked: Signed, token: Annotated[Name, Path(description="Its id, or the beginning of it.")]) -> Response:
    """Whoever shows it is refused within two seconds; a live page that it opened is closed as well."""
    taken = asked.service.access.revoke(asked.caller, token, now=asked.now, request_id=asked.request_id)
    return answers.one(_view(taken))


def _view(token: TokenRecord) -> TokenView:
    roles = tuple(sorted(role.value for role in token.roles))
    return TokenView(token.id, token.subject, roles, token.issued_at, token.issued_by, token.expires_at)
