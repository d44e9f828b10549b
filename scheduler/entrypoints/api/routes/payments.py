"""Payments: what a person paid for their own compute, for their fringe-benefit statement."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter
from pydantic import ConfigDict, Field
from starlette.responses import Response

from scheduler.domain.approvals import Proposal
from scheduler.domain.errors import NotFound, RefusalCode
from scheduler.domain.money import Currency
from scheduler.domain.units import AMOUNT_MAX, EngineerId, Instant
from scheduler.entrypoints.api import answers
from scheduler.entrypoints.api.asked import IdempotencyKey, Signed
from scheduler.entrypoints.api.fields import Body, Moment, Name, Text, instant_of
from scheduler.lifecycle.accounting.pay import Payment

router = APIRouter(prefix="/v1/finance", tags=["finance"])


class PaymentRequest(Body):
    """Who paid how much, and when."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "owner": "ada@example.com",
                    "micro": 120_000_000,
                    "currency": "EUR",
                    "paid_at": "2026-11-20T12:00:00Z",
                    "reason": "payroll of November",
                }
            ]
        }
    )

    owner: Annotated[Name, Field(description="An engineer's id or subject.")]
    micro: Annotated[
        int, Field(gt=-AMOUNT_MAX, lt=AMOUNT_MAX, description="Millionths of the currency; below zero, paid back.")
    ]
    currency: Annotated[str, Field(min_length=3, max_length=3)]
    paid_at: Moment | None = None
    reason: Text


@dataclass(frozen=True, slots=True)
class Recorded:
    """What is in the journal, by its id."""

    payment: str
    owner: EngineerId
    micro: int
    currency: str
    paid_at: Instant


@router.post(
    "/payments",
    status_code=201,
    summary="Record what a person paid for their own compute",
    responses=answers.or_waits(
        answers.responds(
            Recorded,
            RefusalCode.UNKNOWN_ENGINEER,
            RefusalCode.INVALID_AMOUNT,
            RefusalCode.UNKNOWN_CURRENCY,
            RefusalCode.NO_PRICES,
            RefusalCode.IDEMPOTENCY_CONFLICT,
            status=201,
        )
    ),
)
def record(asked: Signed, body: PaymentRequest, key: IdempotencyKey = None) -> Response:
    """Taken off what their fringe-benefit statement says is includable. Where policy says `two-persons` for grants, it
    waits for another."""
    engineer = asked.engineer(body.owner)
    if engineer is None:
        raise NotFound(f"there is no engineer {body.owner!r}", code=RefusalCode.UNKNOWN_ENGINEER)
    paid_at = instant_of(body.paid_at)
    paid = Payment(
        engineer, body.micro, Currency(body.currency), asked.now if paid_at is None else paid_at, body.reason
    )
    made = asked.service.payments.record(
        asked.caller, paid, now=asked.now, command=asked.command(key, body), request_id=asked.request_id
    )
    if isinstance(made, Proposal):
        return answers.in_force_or_waiting(asked, made)
    return answers.one(Recorded(made, engineer, paid.micro, paid.currency, paid.paid_at), status=201)
