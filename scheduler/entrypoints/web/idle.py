"""Idle: which work rests now, and what was done about rest, for operators; each leads to the page that explains it."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from scheduler.entrypoints.web.pages import Pages
from scheduler.entrypoints.web.visitors import signed_in

SHOWN = 50
HINDRANCES = {
    "dry-run": "the rule is a dry run",
    "report": "the rule only reports",
    "observing": "the service only observes",
    "no-checkpoint": "it wrote no checkpoint to go on from",
    "no-home": "it has neither a home nor a preStop hook",
}


def add_routes(router: APIRouter, pages: Pages) -> None:
    service = pages.service

    @router.get("/cluster/idle")
    def idle(request: Request) -> Response:
        visitor = signed_in(request, service)
        return pages.render(
            request,
            "idle.html",
            visitor,
            moments=pages.moments(),
            title="Idle",
            found=service.views.resting(visitor.caller, limit=SHOWN),
            hindrances=HINDRANCES,
        )
