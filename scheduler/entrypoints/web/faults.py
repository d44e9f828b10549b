"""Faults: GPUs whose hardware reported an error, for operators, with the work that had them."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from scheduler.entrypoints.web.fault_words import FAULT_OUTCOMES
from scheduler.entrypoints.web.pages import Pages
from scheduler.entrypoints.web.visitors import signed_in


def add_routes(router: APIRouter, pages: Pages) -> None:
    service = pages.service

    @router.get("/cluster/faults")
    def faults(request: Request) -> Response:
        visitor = signed_in(request, service)
        moments = pages.moments()
        return pages.render(
            request,
            "faults.html",
            visitor,
            moments=moments,
            title="GPU faults",
            found=service.gpu_faults.latest(visitor.caller, moments.now),
            outcomes=FAULT_OUTCOMES,
        )
