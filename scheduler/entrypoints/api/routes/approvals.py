"""Approvals: what waits for a second person, and its decision; and the change requests of engineers."""

from typing import Annotated

from fastapi import Path, Query
from pydantic import ConfigDict, Field
from starlette.responses import Response

from scheduler.domain.allowances import Holder, HolderKind
from scheduler.domain.approvals import Change, ProposalKind
from scheduler.domain.errors import InvalidInput, RefusalCode
from scheduler.domain.units import AllowanceId, GpuClassName
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
from scheduler.lifecycle.approvals.approve import Lower
from scheduler.lifecycle.views.approvals import ApprovalView

router = api_router("/v1", tags=["approvals"])

Named = Annotated[Name, Path(description="Its id, or the beginning of its hash.")]

_DECIDED = (
    RefusalCode.UNKNOWN_PROPOSAL,
    RefusalCode.OWN_REQUEST,
    RefusalCode.SELF_BENEFIT,
    RefusalCode.WRONG_STATE,
    RefusalCode.STALE,
)


class Request(Body):
    """An engineer's wish: more hours (tokens, money), a later end of an allowance, or another GPU class for it.

    `unit` is that of more; what is asked of an allowance is in its own."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"kind": "hours", "amount_ms": 72_000_000, "reason": "the ablations for the paper"}]
        }
    )

    kind: Annotated[ProposalKind, Field(strict=False, description="hours, extension or class")]
    reason: Text
    amount_ms: AmountMs | None = None
    quantity: Quantity | None = None
    unit: UnitName = STANDARD
    allowance: Name | None = None
    gpu_class: Name | None = None
    until: Moment | None = None
    holder_kind: Annotated[HolderKind, Field(strict=False)] = HolderKind.ENGINEER
    holder: Annotated[Name | None, Field(description="Yourself where it is left out; a lead's team or project.")] = (
        None
    )

    def change(self, asked: Asked) -> Change:
        if not self.kind.is_request:
            raise InvalidInput(f"{self.kind.value} is no request", where="kind", expected="hours, extension or class")
        is_person = self.holder_kind is HolderKind.ENGINEER
        holder = (asked.engineer(self.holder) or asked.caller.engineer) if is_person else self.holder
        if holder is None:
            raise InvalidInput("for whom?", where="holder", expected="an engineer, a team or a project")
        amount, unit = one_amount(self.amount_ms, self.quantity, self.unit)
        return Change(
            Holder(self.holder_kind, holder),
            amount,
            None if self.allowance is None else AllowanceId(self.allowance),
            None if self.gpu_class is None else GpuClassName(self.gpu_class),
            instant_of(self.until),
            unit,
        )


class Approve(Body):
    """Of a request, less may be approved than was asked."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"amount_ms": 36_000_000, "reason": "try with these"}]})

    amount_ms: AmountMs | None = None
    quantity: Annotated[Quantity | None, Field(description="The same, of what is asked in any unit.")] = None
    until: Moment | None = None
    reason: Text | None = None

    def lower(self) -> Lower:
        """Raises InvalidInput (`invalid-amount`) where both are given."""
        amount, _ = one_amount(self.amount_ms, self.quantity, STANDARD)
        return Lower(amount, instant_of(self.until))


class Reject(Body):
    """Why not."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"reason": "no capacity before March"}]})

    reason: Text


@router.get(
    "/approvals",
    summary="What waits for a second person, and what became of the rest",
    responses=answers.responds(ApprovalView, is_page=True),
)
def approvals(
    asked: Signed, waiting: Annotated[bool, Query(description="Only those that nobody decided.")] = False
) -> Response:
    """As far as the caller may decide them, or asked for them."""
    return answers.page(asked.service.approval_views.listed(asked.caller, asked.now, waiting_only=waiting))


@router.get(
    "/approvals/{name}",
    summary="One of them, with its text and steps",
    responses=answers.responds(ApprovalView, RefusalCode.UNKNOWN_PROPOSAL),
)
def approval(asked: Signed, name: Named) -> Response:
    return answers.one(asked.service.approval_views.one(asked.caller, name, asked.now))


@router.post(
    "/approvals/{name}/approve",
    summary="Let it take effect",
    responses=answers.responds(ApprovalView, *_DECIDED, RefusalCode.COVERAGE_EXCEEDED),
)
def approve(asked: Signed, name: Named, body: Approve) -> Response:
    """By another person than the one who asked, and by nobody whom it benefits."""
    decided = asked.service.approvals.approve(
        asked.caller,
        name,
        body.lower(),
        reason=body.reason or "",
        now=asked.now,
        request_id=asked.request_id,
    )
    return answers.one(asked.service.approval_views.view(decided))


@router.post("/approvals/{name}/reject", summary="Refuse it", responses=answers.responds(ApprovalView, *_DECIDED))
def reject(asked: Signed, name: Named, body: Reject) -> Response:
    decided = asked.service.approvals.reject(
        asked.caller, name, body.reason, now=asked.now, request_id=asked.request_id
    )
    return answers.one(asked.service.approval_views.view(decided))


@router.post(
    "/approvals/{name}/withdraw",
    summary="Take back what one asked for",
    responses=answers.responds(
        ApprovalView, RefusalCode.UNKNOWN_PROPOSAL, RefusalCode.NOT_YOURS, RefusalCode.WRONG_STATE
    ),
)
def withdraw(asked: Signed, name: Named) -> Response:
    decided = asked.service.approvals.withdraw(asked.caller, name, now=asked.now, request_id=asked.request_id)
    return answers.one(asked.service.approval_views.view(decided))


@router.get("/requests", summary="What I asked for", responses=answers.responds(ApprovalView, is_page=True))
def requests(asked: Signed) -> Response:
    return answers.page(asked.service.approval_views.own(asked.caller, asked.now))


@router.post(
    "/requests",
    status_code=201,
    summary="Ask for more hours, a later end, or another GPU class",
    responses=answers.responds(
        ApprovalView,
        RefusalCode.INVALID_AMOUNT,
        RefusalCode.UNKNOWN_UNIT,
        RefusalCode.UNKNOWN_CURRENCY,
        RefusalCode.UNKNOWN_GPU_CLASS,
        RefusalCode.ALLOWANCE_FOREIGN,
        RefusalCode.ALLOWANCE_EXPIRED,
        RefusalCode.NOT_YOURS,
        RefusalCode.IDEMPOTENCY_CONFLICT,
        status=201,
    ),
)
def request(asked: Signed, body: Request, key: IdempotencyKey = None) -> Response:
    made = asked.service.proposals.request(
        asked.caller,
        body.kind,
        body.change(asked),
        body.reason,
        now=asked.now,
        command=asked.command(key, body),
        request_id=asked.request_id,
    )
    return answers.one(asked.service.approval_views.one(asked.caller, made.id, asked.now), status=201)
