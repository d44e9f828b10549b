"""Workloads: submit, list, show, explain, cancel, extend, checkpoint."""

from typing import Annotated

from fastapi import Query
from pydantic import ConfigDict
from starlette.responses import Response

from scheduler.domain.errors import RefusalCode
from scheduler.domain.units import TeamName, WorkloadId
from scheduler.domain.workloads import WorkloadState
from scheduler.entrypoints.api import answers, cursors
from scheduler.entrypoints.api.asked import Asked, IdempotencyKey, Signed
from scheduler.entrypoints.api.bodies import api_router
from scheduler.entrypoints.api.fields import Body, DurationMs, Name
from scheduler.entrypoints.api.submissions import JobSubmission, Submission
from scheduler.lifecycle.views.shapes import ExplainView, WorkloadView

router = api_router("/v1/workloads", tags=["workloads"])

_ONE = answers.responds(WorkloadView, RefusalCode.UNKNOWN_WORKLOAD, RefusalCode.NOT_YOURS, RefusalCode.WRONG_STATE)
_EXTENDED = answers.responds(
    WorkloadView,
    RefusalCode.UNKNOWN_WORKLOAD,
    RefusalCode.NOT_YOURS,
    RefusalCode.WRONG_STATE,
    RefusalCode.IDEMPOTENCY_CONFLICT,
)


class Extension(Body):
    """How much longer the live attempt may run."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"extra_ms": 7_200_000}]})

    extra_ms: DurationMs


@router.post(
    "",
    status_code=201,
    summary="Submit a job",
    responses=answers.responds(
        WorkloadView,
        RefusalCode.INVALID_GPUS,
        RefusalCode.INVALID_MIN_PODS,
        RefusalCode.INVALID_TIME_LIMIT,
        RefusalCode.UNKNOWN_TOPOLOGY_LEVEL,
        RefusalCode.UNPLACEABLE,
        RefusalCode.PRIORITY_CLASS_NOT_ALLOWED,
        RefusalCode.ALLOWANCE_SHORT,
        RefusalCode.IDEMPOTENCY_CONFLICT,
        RefusalCode.QUEUE_FULL,
        RefusalCode.CONFIRMATION_NEEDED,
        status=201,
    ),
)
def submit(asked: Signed, body: JobSubmission, key: IdempotencyKey = None) -> Response:
    return submitted(asked, body, key)


@router.get("", summary="List workloads, newest first", responses=answers.responds(WorkloadView, is_page=True))
def list_workloads(
    asked: Signed,
    state: Annotated[list[WorkloadState] | None, Query()] = None,
    owner: Annotated[Name | None, Query(description="An id or a subject; your own where it is left out.")] = None,
    team: Annotated[Name | None, Query()] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    cursor: Annotated[str | None, Query()] = None,
) -> Response:
    page = asked.service.views.workloads(
        asked.caller,
        asked.now,
        owner=asked.engineer(owner),
        team=None if team is None else TeamName(team),
        states=state,
        cursor=cursors.unseal(cursor),
        limit=limit,
    )
    return answers.page(page.items, cursors.seal(page.next_cursor))


@router.get("/{workload_id}", summary="Show a workload with its verdict", responses=_ONE)
def show(asked: Signed, workload_id: str) -> Response:
    return shown(asked, WorkloadId(workload_id))


@router.get(
    "/{workload_id}/explain",
    summary="Everything behind its verdict",
    responses=answers.responds(ExplainView, RefusalCode.UNKNOWN_WORKLOAD, RefusalCode.NOT_YOURS),
)
def explain(asked: Signed, workload_id: str) -> Response:
    return answers.one(asked.service.views.explain(asked.caller, WorkloadId(workload_id), asked.now))


@router.post("/{workload_id}/cancel", summary="Cancel it for good", responses=_ONE)
def cancel(asked: Signed, workload_id: str) -> Response:
    """By the id of an array (an index's without `-i` and its number) what is left of that; answers with its first."""
    known = asked.service.commands.cancel(
        asked.caller, WorkloadId(workload_id), now=asked.now, request_id=asked.request_id
    )
    return shown(asked, known.id)


@router.post("/{workload_id}/extend", summary="Let its attempt run longer", responses=_EXTENDED)
def extend(asked: Signed, workload_id: str, body: Extension, key: IdempotencyKey = None) -> Response:
    """Send an Idempotency-Key: a repeated request then lengthens it once."""
    asked.service.commands.extend(
        asked.caller,
        WorkloadId(workload_id),
        body.extra_ms,
        now=asked.now,
        command=asked.command(key, body),
        request_id=asked.request_id,
    )
    return shown(asked, WorkloadId(workload_id))


@router.post("/{workload_id}/checkpoint", summary="Say that a checkpoint was just written", responses=_ONE)
def checkpoint(asked: Signed, workload_id: str) -> Response:
    asked.service.commands.record_checkpoint(
        asked.caller, WorkloadId(workload_id), now=asked.now, request_id=asked.request_id
    )
    return shown(asked, WorkloadId(workload_id))


def submitted(asked: Asked, body: Submission, key: str | None) -> Response:
    """What was asked for, queued for whom it was asked, once under each key."""
    workload = asked.service.commands.submit(
        asked.caller,
        body.spec(),
        now=asked.now,
        command=asked.command(key, body),
        owner=asked.engineer(body.owner),
        request_id=asked.request_id,
        terms=body.terms(),
    )
    return answers.one(asked.service.views.submitted(asked.caller, workload, asked.now), status=201)


def shown(asked: Asked, workload_id: WorkloadId) -> Response:
    """The workload as its caller may see it, after whatever was done to it."""
    return answers.one(asked.service.views.workload(asked.caller, workload_id, asked.now))
