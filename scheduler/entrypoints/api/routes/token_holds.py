"""Holds of tokens: what a gateway asks around an answer. Its token has the role `gateway`."""

from typing import Annotated

from pydantic import ConfigDict, Field
from starlette.responses import Response

from scheduler.domain.errors import RefusalCode
from scheduler.domain.units import ProjectName
from scheduler.entrypoints.api import answers
from scheduler.entrypoints.api.asked import IdempotencyKey, Signed
from scheduler.entrypoints.api.bodies import api_router
from scheduler.entrypoints.api.fields import Body, Name, Quantity
from scheduler.ledger.token_holds import TokenHold
from scheduler.lifecycle.awarding.draw_tokens import LASTS_MS, LASTS_MS_MAX, TokensAsked

router = api_router("/v1/token-holds", tags=["tokens of models"])


class TokensHeld(Body):
    """The most that one answer may take: prompt and completion."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"owner": "ada@example.com", "model": "llama-3.1", "tokens": 9000}]}
    )

    owner: Annotated[Name, Field(description="The engineer that it is for: an id or a subject.")]
    model: Name
    tokens: Quantity
    project: Annotated[Name | None, Field(description="Personal work where it is left out.")] = None
    uses_compensation: Annotated[bool, Field(description="Its owner's word that pay may pay project work.")] = False
    lasts_ms: Annotated[int, Field(ge=1, le=LASTS_MS_MAX, description="Then what is left of it is released.")] = (
        LASTS_MS
    )


class TokensUsed(Body):
    """All that the answer took so far, and no difference: sent twice, it is charged once."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"tokens": 1250}]})

    tokens: Quantity


@router.post(
    "",
    status_code=201,
    summary="Set tokens aside before an answer is made",
    responses=answers.responds(
        TokenHold,
        RefusalCode.ROLE_REQUIRED,
        RefusalCode.INVALID_AMOUNT,
        RefusalCode.UNKNOWN_ENGINEER,
        RefusalCode.UNKNOWN_PROJECT,
        RefusalCode.ALLOWANCE_SHORT,
        RefusalCode.IDEMPOTENCY_CONFLICT,
        status=201,
    ),
)
def hold(asked: Signed, body: TokensHeld, key: IdempotencyKey = None) -> Response:
    """Send an Idempotency-Key: a repeated request then gets the same hold."""
    wanted = TokensAsked(
        body.owner,
        body.model,
        body.tokens,
        None if body.project is None else ProjectName(body.project),
        body.uses_compensation,
        body.lasts_ms,
    )
    made = asked.service.token_draws.hold(
        asked.caller, wanted, now=asked.now, command=asked.command(key, body), request_id=asked.request_id
    )
    return answers.one(made, status=201)


@router.get("/{name}", summary="One hold", responses=answers.responds(TokenHold, RefusalCode.UNKNOWN_HOLD))
def one(asked: Signed, name: Name) -> Response:
    return answers.one(asked.service.token_draws.get(asked.caller, name))


@router.post(
    "/{name}/charge",
    summary="Charge what the answer took so far",
    responses=answers.responds(
        TokenHold,
        RefusalCode.INVALID_AMOUNT,
        RefusalCode.UNKNOWN_HOLD,
        RefusalCode.HOLD_EXCEEDED,
        RefusalCode.WRONG_STATE,
    ),
)
def charge(asked: Signed, name: Name, body: TokensUsed) -> Response:
    return answers.one(
        asked.service.token_draws.charge(asked.caller, name, body.tokens, now=asked.now, request_id=asked.request_id)
    )


@router.post(
    "/{name}/release",
    summary="End it: what was not charged goes back",
    responses=answers.responds(TokenHold, RefusalCode.UNKNOWN_HOLD),
)
def release(asked: Signed, name: Name) -> Response:
    return answers.one(
        asked.service.token_draws.release(asked.caller, name, now=asked.now, request_id=asked.request_id)
    )
