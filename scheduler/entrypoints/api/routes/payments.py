"""Payments: what a person paid for their own compute, for their fringe-benefit statement."""

from dataclasses import dataclass
from typing import Annotated, Self

from pydantic import ConfigDict, Field, model_validator
from starlette.responses import Response

from scheduler.domain.approvals import Proposal
from scheduler.domain.errors import NotFound, RefusalCode
from scheduler.domain.money import Currency
from scheduler.domain.periods import period_named
from scheduler.domain.units import AMOUNT_MAX, EngineerId, Instant
from scheduler.entrypoints.api import answers
from scheduler.entrypoints.api.asked import IdempotencyKey, Signed
from scheduler.entrypoints.api.bodies import api_router
from scheduler.entrypoints.api.fields import Body, Moment, Name, Text, instant_of
from scheduler.lifecycle.accounting.pay import Payment

router = api_router("/v1/finance", tags=["finance"])


class PaymentRequest(Body):
    """Who paid how much, and when."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "owner": "ada@example.com",
                    "micro": 120_000_000,
                    "currency": "EUR",
                    "paid_on": "2026-11-20",
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
    paid_on: Annotated[
        str | None, Field(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$", description="A day, in the policy's time zone.")
    ] = None
    reason: Text

    @model_validator(mode="after")
    def is_dated_once(self) -> Self:
        if self.paid_at is not None and self.paid_on is not None:
            raise ValueError("paid_at or paid_on, not both")
        return self


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
    """Taken off what their fringe-benefit statement says is includable. Unless policy says `one-person` for grants, it
    waits for another."""
    engineer = asked.engineer(body.owner)
    if engineer is None:
        raise NotFound(f"there is no engineer {body.owner!r}", where="owner", code=RefusalCode.UNKNOWN_ENGINEER)
    paid = Payment(engineer, body.micro, Currency(body.currency), _paid_at(asked, body), body.reason)
    made = asked.service.payments.record(
        asked.caller, paid, now=asked.now, command=asked.command(key, body), request_id=asked.request_id
    )
    if isinstance(made, Proposal):
        return answers.in_force_or_waiting(asked, made)
    return answers.one(Recorded(made, engineer, paid.micro, paid.currency, paid.paid_at), status=201)


def _paid_at(asked: Signed, body: PaymentRequest) -> Instant:
    """Of a day its noon, by the clock that the policy's periods and tax years go by; of today no later than now."""
    if body.paid_on is None:
        paid_at = instant_of(body.paid_at)
        return asked.now if paid_at is None else paid_at
    policy = asked.service.world.policy
    day = period_named(body.paid_on, "UTC" if policy is None else policy.time_zone)
    noon = (day.starts_at + day.ends_at) // 2
    return Instant(max(day.starts_at, min(noon, asked.now)))
