"""The cluster as it is: GPUs, the queue in the order in which it will be tried, verdicts as they fall, the audit log."""

from typing import Annotated

from fastapi import Query
from starlette.responses import Response

from scheduler.domain.errors import RefusalCode
from scheduler.entrypoints.api import answers, cursors
from scheduler.entrypoints.api.asked import Signed
from scheduler.entrypoints.api.bodies import api_router
from scheduler.entrypoints.api.fields import Name
from scheduler.lifecycle.views.audit_events import AuditEventView
from scheduler.lifecycle.views.shapes import ClusterView, ObservedView, VerdictView, WorkloadView

router = api_router("/v1", tags=["cluster"])

Limit = Annotated[int, Query(ge=1, le=1000)]


@router.get("/cluster", summary="Every node and GPU", responses=answers.responds(ClusterView))
def cluster(asked: Signed) -> Response:
    return answers.one(asked.service.views.cluster(asked.caller, asked.now))


@router.get("/queue", summary="What waits, in its order", responses=answers.responds(WorkloadView, is_page=True))
def queue(asked: Signed, limit: Limit = 100) -> Response:
    return answers.page(asked.service.views.queue(asked.caller, asked.now, limit))


@router.get("/verdicts", summary="Verdicts, newest first", responses=answers.responds(VerdictView, is_page=True))
def verdicts(
    asked: Signed,
    after_seq: Annotated[int, Query(ge=0, lt=2**63, description="Only those that fell after this one.")] = 0,
    limit: Limit = 50,
) -> Response:
    return answers.page(asked.service.views.verdicts(asked.caller, after_seq=after_seq, limit=limit))


@router.get(
    "/observed", summary="What would have been done, where it only observes", responses=answers.responds(ObservedView)
)
def observed(
    asked: Signed,
    after_seq: Annotated[int, Query(ge=0, lt=2**63, description="Only what was found after this one.")] = 0,
    limit: Limit = 100,
) -> Response:
    return answers.one(asked.service.views.observed(asked.caller, after_seq=after_seq, limit=limit))


@router.get(
    "/audit",
    summary="Who changed what, newest first",
    responses=answers.responds(AuditEventView, RefusalCode.INVALID_CURSOR, is_page=True),
)
def audit(
    asked: Signed,
    target: Annotated[Name | None, Query()] = None,
    limit: Limit = 100,
    cursor: Annotated[str | None, Query()] = None,
) -> Response:
    before = cursors.unseal_number(cursor)
    events = asked.service.views.audit(asked.caller, target=target, before_seq=before, limit=limit)
    has_more = len(events) == limit
    return answers.page(events, cursors.seal(str(events[-1].seq)) if has_more else None)
