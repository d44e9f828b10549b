"""Misuse: who was on a GPU without business there, for operators, with the evidence."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from scheduler.entrypoints.web.pages import Pages
from scheduler.entrypoints.web.visitors import signed_in
from scheduler.metering.misuse import MisuseKind

NODES_NAMED = 5
MISUSE_KINDS = {
    MisuseKind.OTHER_POD: "a pod that was not given the GPU",
    MisuseKind.HOST_PROCESS: "no pod’s, on the host itself",
    MisuseKind.SUSPECTED_MINING: "looks like mining: for people to look into",
}


def add_routes(router: APIRouter, pages: Pages) -> None:
    service = pages.service

    @router.get("/cluster/misuse")
    def misuse(request: Request) -> Response:
        visitor = signed_in(request, service)
        moments = pages.moments()
        return pages.render(
            request,
            "misuse.html",
            visitor,
            moments=moments,
            title="Misuse",
            found=service.views.misuses(visitor.caller, moments.now),
            kinds=MISUSE_KINDS,
            nodes_named=NODES_NAMED,
        )
