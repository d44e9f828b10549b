"""Requests: may I have more, and who decides. What somebody asked for with every step; and the queue of what waits."""

from collections.abc import Mapping
from dataclasses import dataclass

from fastapi import APIRouter, Request
from starlette.responses import Response

from scheduler.domain.approvals import ProposalState
from scheduler.domain.errors import NotFound, Refusal
from scheduler.domain.people import Role
from scheduler.entrypoints.api.codes import CODES
from scheduler.entrypoints.web.form_commands import command_of
from scheduler.entrypoints.web.pages import Form, Pages, see_other
from scheduler.entrypoints.web.request_form import KINDS, decision_from, last_day, request_choices, request_from
from scheduler.entrypoints.web.verdicts import Tone
from scheduler.entrypoints.web.visitors import Visitor, signed_in
from scheduler.lifecycle.views.approvals import ApprovalView

OWN_SHOWN = 30
DECIDED_SHOWN = 10
_SEES_QUEUE = (Role.FINANCE, Role.OPERATOR, Role.PEOPLE, Role.AUDITOR)
_TONES = {
    ProposalState.WAITING: Tone.WAITING,
    ProposalState.APPROVED: Tone.GOOD,
    ProposalState.REJECTED: Tone.LOST,
    ProposalState.WITHDRAWN: Tone.OVER,
}


@dataclass(frozen=True, slots=True)
class _Refused:
    """A form that was refused, as it was filled in."""

    refusal: Refusal
    form: Mapping[str, str]


def add_routes(router: APIRouter, pages: Pages) -> None:
    service = pages.service

    @router.get("/requests")
    def requests(request: Request, ask: str = "") -> Response:
        return _page(request, pages, signed_in(request, service), ask)

    @router.post("/requests")
    def ask_for(request: Request, form: Form) -> Response:
        visitor = signed_in(request, service)
        try:
            own = service.views.balance(visitor.caller, service.clock.now()).allowances if visitor.engineer else ()
            units = {item.id: item.unit for item in own}
            kind, change, reason = request_from(form, pages.moments().zone, units)
            made = service.proposals.request(
                visitor.caller,
                kind,
                change,
                reason,
                now=service.clock.now(),
                command=command_of(visitor.caller, form),
            )
        except Refusal as refusal:
            return _page(request, pages, visitor, form.get("kind", ""), _Refused(refusal, form))
        return see_other(f"/requests#r-{made.id}")

    @router.get("/requests/{name}")
    def one(request: Request, name: str) -> Response:
        visitor = signed_in(request, service)
        found = service.approval_views.one(visitor.caller, name, service.clock.now())
        return pages.render(
            request,
            "request.html",
            visitor,
            title=f"{found.kind.value} {found.id}",
            found=found,
            is_own=found.id in {each.id for each in service.approval_views.own(visitor.caller, service.clock.now())},
            tones=_TONES,
            last_day=last_day,
        )

    @router.post("/requests/{name}/{act}")
    def decide(request: Request, name: str, act: str, form: Form) -> Response:
        visitor = signed_in(request, service)
        try:
            _decide(pages, visitor, name, act, form)
        except Refusal as refusal:
            return _page(request, pages, visitor, "", _Refused(refusal, form))
        place = "r" if act == "withdraw" else "d"
        return see_other(f"/requests#{place}-{name}")


def _decide(pages: Pages, visitor: Visitor, name: str, act: str, form: Mapping[str, str]) -> None:
    approvals, now = pages.service.approvals, pages.service.clock.now()
    match act:
        case "approve":
            lower, reason = decision_from(form, pages.moments().zone)
            approvals.approve(visitor.caller, name, lower, reason=reason, now=now)
        case "reject":
            approvals.reject(visitor.caller, name, form.get("reason", ""), now=now)
        case "withdraw":
            approvals.withdraw(visitor.caller, name, now=now)
        case _:
            raise NotFound(f"a request cannot be asked to {act!r}", expected="approve, reject or withdraw")


def _page(request: Request, pages: Pages, visitor: Visitor, ask: str, refused: _Refused | None = None) -> Response:
    """The page; after a refusal with what to mend, and the form that was open as it was filled in."""
    service, moments, caller = pages.service, pages.moments(), visitor.caller
    own = service.approval_views.own(caller, moments.now)
    own_ids = {each.id for each in own}
    waiting: list[ApprovalView] = []
    decided: list[ApprovalView] = []
    if caller.has(*_SEES_QUEUE):
        waiting = service.approval_views.listed(caller, moments.now, waiting_only=True)
        others = [each for each in service.approval_views.listed(caller, moments.now) if each.id not in own_ids]
        decided = [each for each in others if each.state is not ProposalState.WAITING][:DECIDED_SHOWN]
    kind = ask if visitor.engineer is not None and ask in {choice.value for choice in KINDS} else ""
    choices = None
    if kind and visitor.engineer is not None:
        allowances = service.views.balance(caller, moments.now).allowances
        book = service.world.price_book
        currency = book.currency if book is not None else None
        choices = request_choices(service.views.policy(), caller, visitor.engineer, allowances, currency)
    return pages.render(
        request,
        "requests.html",
        visitor,
        CODES[refused.refusal.code].status if refused else 200,
        moments=moments,
        title="Requests",
        own=own[:OWN_SHOWN],
        own_ids=own_ids,
        waiting=waiting,
        decided=decided,
        sees_queue=caller.has(*_SEES_QUEUE),
        kinds=KINDS,
        policy_period=service.views.policy().period.value,
        kind=kind,
        choices=choices,
        form=refused.form if refused else {},
        refusal=refused.refusal if refused else None,
        command_id=service.ids.new("f"),
        tones=_TONES,
        last_day=last_day,
    )
