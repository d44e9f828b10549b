"""Idle: which work rests now, and what was done about rest, for operators; each leads to the page that explains it."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from scheduler.entrypoints.web.pages import Pages
from scheduler.entrypoints.web.reclaim_words import became_of, came_back, rounded_up, why_left_alone
from scheduler.entrypoints.web.visitors import signed_in

SHOWN = 50


def add_routes(router: APIRouter, pages: Pages) -> None:
    service = pages.service

    @router.get("/cluster/idle")
    def idle(request: Request) -> Response:
        visitor, moments = signed_in(request, service), pages.moments()
        return pages.render(
            request,
            "idle.html",
            visitor,
            moments=moments,
            title="Idle",
            found=service.views.resting(visitor.caller, moments.now, limit=SHOWN),
            became_of=became_of,
            why_left_alone=why_left_alone,
            came_back=came_back,
            rounded_up=rounded_up,
        )
