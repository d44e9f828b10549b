"""My hours: what have I left. The number, the day it runs out, my workloads and the allowances that pay for them."""

from collections.abc import Mapping

from fastapi import APIRouter, Request
from starlette.responses import Response

from scheduler.domain.errors import Refusal
from scheduler.domain.people import Engineer
from scheduler.domain.units import Instant
from scheduler.domain.workloads import WorkloadState
from scheduler.entrypoints.api.codes import CODES
from scheduler.entrypoints.web.bookings import own_bookings
from scheduler.entrypoints.web.charts import hours_curve
from scheduler.entrypoints.web.form_commands import command_of
from scheduler.entrypoints.web.pages import Form, Pages, see_other
from scheduler.entrypoints.web.sandbox_form import choices, spec_from
from scheduler.entrypoints.web.visitors import Visitor, signed_in
from scheduler.entrypoints.web.waiting import in_line
from scheduler.lifecycle.views.shapes import BalanceView, WorkloadView

AT_WORK = tuple(state for state in WorkloadState if state.is_live)
FINAL = tuple(state for state in WorkloadState if state.is_final)
_AT_WORK_SHOWN = 100
_STOPPED_SHOWN = 8
_WAITING_SHOWN, _WAITING_READ = 12, 100
"""The first in line, an array as one, of so many that were submitted latest."""
_FINAL_SHOWN, _FINAL_READ = 8, 60
"""The latest to end, of so many that were submitted latest: what ran for long ends long after it was submitted."""
_ON_PLAN, _FAST = 20, 100  # per mille of the period's allowance


def add_routes(router: APIRouter, pages: Pages) -> None:
    service = pages.service

    @router.get("/hours")
    def hours(request: Request) -> Response:
        visitor = signed_in(request, service)
        if visitor.engineer is None:
            return see_other("/cluster")
        return _page(request, pages, visitor, visitor.engineer)

    @router.post("/hours/sandboxes")
    def start_sandbox(request: Request, form: Form) -> Response:
        visitor = signed_in(request, service)
        if visitor.engineer is None:
            return see_other("/cluster")
        try:
            workload = service.commands.submit(
                visitor.caller,
                spec_from(form),
                now=service.clock.now(),
                command=command_of(visitor.caller, form),
            )
        except Refusal as refusal:
            return _page(request, pages, visitor, visitor.engineer, form, refusal)
        return see_other(f"/hours#{workload.id}")


def _page(
    request: Request,
    pages: Pages,
    visitor: Visitor,
    engineer: Engineer,
    form: Mapping[str, str] | None = None,
    refusal: Refusal | None = None,
) -> Response:
    """The page; after a refusal with the form open, as it was filled in, and what to mend."""
    service, moments = pages.service, pages.moments()
    views, caller, now = service.views, visitor.caller, moments.now
    balance = views.balance(caller, now)
    own = engineer.id
    # In the order of a life: what starts between two of these readings is in both, and shown where it came to.
    queued = views.workloads(caller, now, owner=own, states=[WorkloadState.QUEUED], limit=_WAITING_READ)
    at_work = views.workloads(caller, now, owner=own, states=AT_WORK, limit=_AT_WORK_SHOWN)
    begun = {each.id for each in at_work.items}
    waiting = in_line([each for each in queued.items if each.id not in begun])
    stopped = views.workloads(caller, now, owner=own, states=[WorkloadState.STOPPED], limit=_STOPPED_SHOWN)
    earlier = views.workloads(caller, now, owner=own, states=FINAL, limit=_FINAL_READ)
    return pages.render(
        request,
        "hours.html",
        visitor,
        CODES[refusal.code].status if refusal else 200,
        moments=moments,
        title="My hours",
        balance=balance,
        curve=hours_curve(balance, moments),
        pace=pace_phrase(balance),
        at_work=at_work.items,
        waiting=waiting[:_WAITING_SHOWN],
        waits_more=len(waiting) > _WAITING_SHOWN or queued.next_cursor is not None,
        stopped=stopped.items,
        earlier=sorted(earlier.items, key=_ended, reverse=True)[:_FINAL_SHOWN],
        bookings=own_bookings(views.bookings(caller, now), engineer),
        choices=choices(views.policy(), engineer),
        form=form or {},
        refusal=refusal,
        command_id=service.ids.new("f"),
    )


def _ended(work: WorkloadView) -> Instant:
    """When it ended; what never ran was over when it was submitted, for all that a list need know."""
    return work.ended_at if work.ended_at is not None else work.submitted_at


def pace_phrase(balance: BalanceView) -> str:
    """Pace as words: above 0 hours stay unused, below 0 they burn fast."""
    if balance.granted == 0:
        return ""
    if abs(balance.pace) < _ON_PLAN:
        return "On plan."
    share = f"{round(abs(balance.pace) / 10)}\N{NO-BREAK SPACE}%"
    if balance.pace > 0:
        return f"{share} behind plan."
    return f"{share} ahead of plan: burning fast." if balance.pace < -_FAST else f"{share} ahead of plan."
