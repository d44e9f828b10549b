"""Idleness: somebody's word that a workload may rest, and what was decided where nobody gave it."""

from typing import Annotated

from fastapi import Query
from pydantic import ConfigDict
from starlette.responses import Response

from scheduler.domain.errors import RefusalCode
from scheduler.domain.idleness import Exemption
from scheduler.domain.periods import to_instant
from scheduler.domain.units import WorkloadId
from scheduler.entrypoints.api import answers
from scheduler.entrypoints.api.asked import Signed
from scheduler.entrypoints.api.bodies import api_router
from scheduler.entrypoints.api.fields import Body, Moment, Text
from scheduler.lifecycle.memory.named import exemption_named
from scheduler.lifecycle.views.usage_shapes import ReclaimView

router = api_router("/v1", tags=["idleness"])


class ExemptionRequest(Body):
    """Why it has to stay though its GPUs rest, and until when: a week at most."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"why": "the demo is tomorrow", "expires_at": "2026-11-21T18:00:00Z"}]}
    )

    why: Text
    expires_at: Moment


@router.put(
    "/workloads/{workload_id}/exemption",
    summary="Answer for its rest, until then",
    responses=answers.responds(Exemption, RefusalCode.UNKNOWN_WORKLOAD, RefusalCode.WRONG_STATE),
)
def exempt(asked: Signed, workload_id: str, body: ExemptionRequest) -> Response:
    made = asked.service.exemptions.exempt(
        asked.caller,
        WorkloadId(workload_id),
        body.why,
        to_instant(body.expires_at),
        now=asked.now,
        request_id=asked.request_id,
    )
    return answers.one(exemption_named(asked.service.world, made))


@router.delete("/workloads/{workload_id}/exemption", status_code=204, summary="Answer for it no longer")
def withdraw(asked: Signed, workload_id: str) -> Response:
    asked.service.exemptions.withdraw(
        asked.caller, WorkloadId(workload_id), now=asked.now, request_id=asked.request_id
    )
    return Response(status_code=204)


@router.get(
    "/reclaims",
    summary="What was due by the idle rules, taken or not; the latest first",
    responses=answers.responds(ReclaimView, is_page=True),
)
def reclaims(asked: Signed, limit: Annotated[int, Query(ge=1, le=1000)] = 100) -> Response:
    return answers.page(asked.service.views.reclaims(asked.caller, limit))
