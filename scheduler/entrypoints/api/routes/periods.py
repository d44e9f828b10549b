"""Periods: closing them, and the differences between charges, pods and devices that have to be settled before."""

from dataclasses import replace
from typing import Annotated

from fastapi import Path
from pydantic import ConfigDict, Field
from starlette.responses import Response

from scheduler.domain.errors import NotFound, RefusalCode
from scheduler.entrypoints.api import answers
from scheduler.entrypoints.api.asked import Signed
from scheduler.entrypoints.api.bodies import api_router
from scheduler.entrypoints.api.fields import Body, Name, Text
from scheduler.entrypoints.api.routes.allowances import PeriodName
from scheduler.finance.reconciling.closing import Closing, standing
from scheduler.finance.reconciling.reconciliation import Difference, Reconciliation, SettlementKind
from scheduler.lifecycle.accounting.close_period import Decision
from scheduler.lifecycle.memory.named import named

router = api_router("/v1/periods", tags=["finance"])

Named = Annotated[PeriodName, Path(description="2026-10, 2026-W44, 2026-Q4, 2026-10-01 or 2026.")]


class CloseRequest(Body):
    """`provisionally`: charge what ran in it and look for differences, and close it later."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"provisionally": True}]})

    provisionally: bool = False


class SettleRequest(Body):
    """An owner for these differences, or a write-off."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "differences": ["2026-10/evidence-lost/node:n-1"],
                    "kind": "write-off",
                    "reason": "its agent was away",
                }
            ]
        }
    )

    differences: Annotated[list[Text], Field(min_length=1, max_length=10_000)]
    kind: Annotated[SettlementKind, Field(strict=False)]
    reason: Text
    owner: Name | None = None


@router.get("", summary="Every step of every close", responses=answers.responds(Closing, is_page=True))
def steps(asked: Signed) -> Response:
    return answers.page(asked.service.periods.steps(asked.caller))


@router.get("/{name}", summary="How a period stands", responses=answers.responds(Closing, RefusalCode.UNKNOWN_PERIOD))
def show(asked: Signed, name: Named) -> Response:
    known = standing(asked.service.periods.steps(asked.caller)).get(name)
    if known is None:
        raise NotFound(f"nobody began to close {name}", code=RefusalCode.UNKNOWN_PERIOD)
    return answers.one(known)


@router.post(
    "/{name}/close",
    summary="Close a period",
    responses=answers.responds(
        Closing,
        RefusalCode.PERIOD_NOT_OVER,
        RefusalCode.PERIOD_CLOSED,
        RefusalCode.PERIOD_UNRECONCILED,
        RefusalCode.CLUSTER_UNAVAILABLE,
    ),
)
def close(asked: Signed, name: Named, body: CloseRequest) -> Response:
    """A head is published over it at once, so that what was closed is anchored."""
    closed = asked.service.periods.close(
        asked.caller, name, now=asked.now, request_id=asked.request_id, provisionally=body.provisionally
    )
    if asked.service.publisher is not None:
        asked.service.publisher.publish()
    return answers.one(replace(closed, by=named(asked.service.world, closed.by)))


@router.get(
    "/{name}/reconciliation", summary="Charges, pods and devices compared", responses=answers.responds(Reconciliation)
)
def reconciliation(asked: Signed, name: Named) -> Response:
    return answers.one(asked.service.periods.reconciliation(asked.caller, name, asked.now))


@router.post(
    "/{name}/settlements",
    summary="Give differences an owner, or write them off",
    responses=answers.responds(Difference, RefusalCode.UNKNOWN_DIFFERENCE, RefusalCode.UNKNOWN_OWNER, is_page=True),
)
def settle(asked: Signed, name: Named, body: SettleRequest) -> Response:
    decision = Decision(body.kind, body.reason, body.owner or "")
    ids = [each if "/" in each else f"{name}/{each}" for each in body.differences]
    settled = asked.service.periods.settle(asked.caller, ids, decision, now=asked.now, request_id=asked.request_id)
    return answers.page(settled)
