"""Allowances: what is left, what may be spent on what, statements, and grants."""

from typing import Annotated

from fastapi import Query
from pydantic import ConfigDict, Field, StringConstraints
from starlette.responses import Response

from scheduler.domain.allowances import Allowance, AllowanceSource, Holder, HolderKind, Purpose
from scheduler.domain.awards import Award
from scheduler.domain.errors import InvalidInput, RefusalCode, Unavailable
from scheduler.domain.units import GpuClassName
from scheduler.entrypoints.api import answers
from scheduler.entrypoints.api.asked import Asked, IdempotencyKey, Signed
from scheduler.entrypoints.api.bodies import api_router
from scheduler.entrypoints.api.fields import (
    STANDARD,
    AmountMs,
    Body,
    Moment,
    Name,
    Quantity,
    Text,
    UnitName,
    instant_of,
    one_amount,
)
from scheduler.entrypoints.api.rendering import render
from scheduler.entrypoints.api.schema import schema_of
from scheduler.finance.csv_text import csv_lines
from scheduler.finance.proving.endorsement import Endorsement
from scheduler.finance.proving.takeaway import sign_statement
from scheduler.lifecycle.views.shapes import AllowanceView, BalanceView
from scheduler.lifecycle.views.statement_rows import HEADER, statement_rows
from scheduler.lifecycle.views.statement_shapes import StatementView
from scheduler.lifecycle.views.statements import LINES_UNBOUNDED

router = api_router("/v1", tags=["allowances"])

Owner = Annotated[Name | None, Query(description="An id or a subject; yourself where it is left out.")]
PeriodName = Annotated[str, StringConstraints(pattern=r"^[0-9TZQW:.+/-]{4,70}$")]
PeriodAsked = Annotated[PeriodName | None, Query(description="The one that runs where it is left out.")]
BooksOf = Annotated[
    Name | None,
    Query(description="An engineer's id or subject, a team, a project, or company; yourself where it is left out."),
]


class Grant(Body):
    """An award to an engineer, a team or a project, beside what tiers give by policy: `amount_ms` of standard time, or a
    `quantity` of any unit."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "holder_kind": "engineer",
                    "holder": "ada@example.com",
                    "amount_ms": 144_000_000,
                    "source": "ad-hoc",
                    "reason": "the benchmark for the paper",
                    "expires_at": "2027-01-01T00:00:00Z",
                }
            ]
        }
    )

    holder_kind: Annotated[HolderKind, Field(strict=False)]
    holder: Annotated[Name, Field(description="An engineer's id or subject, or the name of a team or project.")]
    amount_ms: Annotated[AmountMs | None, Field(description="Standard GPU-milliseconds.")] = None
    quantity: Quantity | None = None
    unit: UnitName = STANDARD
    reason: Text
    source: Annotated[AllowanceSource, Field(strict=False)] = AllowanceSource.AD_HOC
    expires_at: Moment | None = None
    gpu_classes: Annotated[list[Name] | None, Field(min_length=1, description="Any where it is left out.")] = None
    purposes: Annotated[list[Annotated[Purpose, Field(strict=False)]] | None, Field(min_length=1)] = None

    def award(self, asked: Asked) -> Award:
        is_person = self.holder_kind is HolderKind.ENGINEER
        holder = str(asked.engineer(self.holder)) if is_person else self.holder
        amount, unit = one_amount(self.amount_ms, self.quantity, self.unit)
        if amount is None:
            raise InvalidInput(
                "how much?",
                where="quantity",
                code=RefusalCode.INVALID_AMOUNT,
                expected="amount_ms, or a quantity and its unit",
            )
        return Award(
            holder=Holder(self.holder_kind, holder),
            amount=amount,
            source=self.source,
            expires_at=instant_of(self.expires_at),
            gpu_classes=None if self.gpu_classes is None else frozenset(map(GpuClassName, self.gpu_classes)),
            purposes=None if self.purposes is None else frozenset(self.purposes),
            reason=self.reason,
            unit=unit,
        )


@router.get("/balance", summary="What is left, and until when", responses=answers.responds(BalanceView))
def balance(asked: Signed, owner: Owner = None) -> Response:
    return answers.one(asked.service.views.balance(asked.caller, asked.now, asked.engineer(owner)))


@router.get(
    "/allowances", summary="The awards behind a balance", responses=answers.responds(AllowanceView, is_page=True)
)
def allowances(asked: Signed, owner: Owner = None) -> Response:
    return answers.page(asked.service.views.balance(asked.caller, asked.now, asked.engineer(owner)).allowances)


@router.get("/statement", summary="A period's statement", responses=answers.responds(StatementView))
def statement(asked: Signed, period: PeriodAsked = None, owner: BooksOf = None) -> Response:
    view = asked.service.views.statement(asked.caller, period, asked.now, owner)
    return answers.one(view)


_TEXT = {"type": "string"}
_SIGNED = answers.responds_as(
    {
        "title": "SignedStatement",
        "type": "object",
        "properties": {
            **dict.fromkeys(("format", "issued_at", "key", "signature"), _TEXT),
            "statement": schema_of(StatementView),
            "endorsements": {"type": "array", "items": schema_of(Endorsement)},
        },
        "required": ["format", "issued_at", "key", "signature", "statement"],
    },
    RefusalCode.HEADS_UNAVAILABLE,
)
"""The endorsements are there once the key was rotated."""


@router.get(
    "/statement/signed",
    summary="The same, signed with the company's key: to take away",
    responses=_SIGNED,
)
def statement_signed(asked: Signed, period: PeriodAsked = None, owner: BooksOf = None) -> Response:
    publisher = asked.service.publisher
    if publisher is None:
        raise Unavailable(
            "this service has no signing key",
            code=RefusalCode.HEADS_UNAVAILABLE,
            remedy="start it with --heads FOLDER and --signing-key FILE",
        )
    view = asked.service.views.statement(asked.caller, period, asked.now, owner, lines_max=LINES_UNBOUNDED)
    return Response(sign_statement(render(view), publisher.signer, asked.now), media_type=answers.JSON)


@router.get("/statement/csv", summary="The same, every line as CSV", responses=answers.responds_csv())
def statement_csv(asked: Signed, period: PeriodAsked = None, owner: BooksOf = None) -> Response:
    view = asked.service.views.statement(asked.caller, period, asked.now, owner, lines_max=LINES_UNBOUNDED)
    name = f"statement-{view.period}.csv".replace("/", "_").replace(":", "")
    return answers.csv(csv_lines(HEADER, statement_rows(view)), name)


@router.post(
    "/grants",
    status_code=201,
    summary="Grant hours, tokens or money",
    responses=answers.or_waits(
        answers.responds(
            Allowance,
            RefusalCode.INVALID_AMOUNT,
            RefusalCode.UNKNOWN_UNIT,
            RefusalCode.UNKNOWN_GPU_CLASS,
            RefusalCode.UNKNOWN_CURRENCY,
            RefusalCode.EXPIRY_BEFORE_GRANT,
            RefusalCode.UNKNOWN_ENGINEER,
            RefusalCode.IDEMPOTENCY_CONFLICT,
            RefusalCode.COVERAGE_EXCEEDED,
            status=201,
        )
    ),
)
def grant(asked: Signed, body: Grant, key: IdempotencyKey = None) -> Response:
    """Unless policy says `one-person`, it waits until another person approves its hash."""
    made = asked.service.proposals.grant(
        asked.caller,
        body.award(asked),
        now=asked.now,
        command=asked.command(key, body),
        request_id=asked.request_id,
    )
    return answers.in_force_or_waiting(asked, made, status=201)
