"""A workload: why does it stand as it does. Factors, verdicts as they fell, attempts with their charges; and the acts."""

from collections.abc import Mapping

from fastapi import APIRouter, Request
from starlette.responses import Response

from scheduler.domain.errors import NotFound, RefusalCode
from scheduler.domain.people import Caller
from scheduler.domain.units import MS_PER_HOUR, WorkloadId
from scheduler.domain.workloads import WorkloadState
from scheduler.entrypoints.api import cursors
from scheduler.entrypoints.web.form_commands import command_of
from scheduler.entrypoints.web.pages import Form, Pages, local_path, see_other
from scheduler.entrypoints.web.reclaim_words import became_of, why_left_alone
from scheduler.entrypoints.web.sandbox_form import whole_number
from scheduler.entrypoints.web.use_curve import use_curve
from scheduler.entrypoints.web.visitors import signed_in

_PAGE_SIZE = 50


def add_routes(router: APIRouter, pages: Pages) -> None:
    service = pages.service

    @router.get("/workloads")
    def workloads(request: Request, state: str = "", cursor: str | None = None) -> Response:
        visitor = signed_in(request, service)
        moments = pages.moments()
        page = service.views.workloads(
            visitor.caller,
            moments.now,
            owner=visitor.caller.engineer,
            states=[WorkloadState(state)] if state in set(WorkloadState) else None,
            cursor=cursors.unseal(cursor),
            limit=_PAGE_SIZE,
        )
        return pages.render(
            request,
            "workloads.html",
            visitor,
            moments=moments,
            title="Workloads",
            page=page,
            next_cursor=cursors.seal(page.next_cursor),
            state=state,
            states=[item.value for item in WorkloadState],
        )

    @router.get("/workloads/{workload_id}")
    def workload(request: Request, workload_id: str) -> Response:
        visitor = signed_in(request, service)
        moments = pages.moments()
        explained = service.views.explain(visitor.caller, WorkloadId(workload_id), moments.now)
        decisions = explained.idle.decisions if explained.idle is not None else ()
        # Single readings are kept for days, and those that a decision rests on for good.
        points = explained.curve or (decisions[0].curve if decisions else ())
        return pages.render(
            request,
            "workload.html",
            visitor,
            moments=moments,
            title=explained.workload.name,
            explained=explained,
            points=points,
            curve=use_curve(points, moments) if points else None,
            states={point.state for point in points},
            became_of=became_of,
            why_left_alone=why_left_alone,
            is_own=explained.workload.owner == visitor.caller.engineer,
        )

    @router.post("/workloads/{workload_id}/{act}")
    def act(request: Request, workload_id: str, act: str, form: Form) -> Response:
        visitor = signed_in(request, service)
        _do(pages, visitor.caller, WorkloadId(workload_id), act, form)
        return see_other(local_path(form.get("then", ""), f"/workloads/{workload_id}"))


def _do(pages: Pages, caller: Caller, workload_id: WorkloadId, act: str, form: Mapping[str, str]) -> None:
    commands, now = pages.service.commands, pages.service.clock.now()
    match act:
        case "cancel":
            commands.cancel(caller, workload_id, now=now)
        case "stop":
            commands.stop(caller, workload_id, now=now)
        case "resume":
            commands.resume(caller, workload_id, now=now)
        case "extend":
            extra_ms = whole_number(form, "hours", RefusalCode.INVALID_TIME_LIMIT) * MS_PER_HOUR
            commands.extend(caller, workload_id, extra_ms, now=now, command=command_of(caller, form))
        case _:
            raise NotFound(f"a workload cannot be asked to {act!r}", expected="cancel, stop, resume or extend")
