"""Refusals: what agents sent that was not taken, counted by node, GPU and reason, for operators."""

from collections.abc import Mapping
from typing import Final

from fastapi import APIRouter, Request
from starlette.responses import Response

from scheduler.domain.errors import RefusalCode
from scheduler.entrypoints.web.pages import Pages
from scheduler.entrypoints.web.visitors import signed_in
from scheduler.lifecycle.sensing.claiming import TOO_MANY_GPUS
from scheduler.lifecycle.sensing.meter import ANOTHERS_TOKEN
from scheduler.metering.admission import Admission

REFUSALS_SHOWN = 200
REFUSED_WORDS: Final[Mapping[str, str]] = {
    Admission.FROM_THE_FUTURE: "more than a minute ahead of our clock",
    Admission.FROM_LONG_AGO: "more than 31 days behind our clock",
    Admission.UNKNOWN_GPU: "of a GPU that no inventory ever had",
    Admission.FOREIGN_GPU: "of a GPU that another node has",
    Admission.SEQUENCE_WENT_BACK: "its number went back without a new boot",
    Admission.OVERLAPS: "of time that is kept already",
    RefusalCode.INVALID_SAMPLE: "malformed",
    RefusalCode.BODY_TOO_LARGE: "too large",
    RefusalCode.UNKNOWN_NODE: "before the node told of its GPUs: it comes again",
    ANOTHERS_TOKEN: "with the token of another node",
    TOO_MANY_GPUS: "more GPUs than a node may have told of",
}
"""What became of it in words, by code."""


def add_routes(router: APIRouter, pages: Pages) -> None:
    service = pages.service

    @router.get("/cluster/refusals")
    def refusals(request: Request) -> Response:
        visitor = signed_in(request, service)
        found = service.views.refused_samples(visitor.caller, REFUSALS_SHOWN)
        return pages.render(
            request,
            "refusals.html",
            visitor,
            moments=pages.moments(),
            title="Refusals",
            found=found,
            most=REFUSALS_SHOWN,
            words=REFUSED_WORDS,
            nodes=service.world.nodes.keys(),
        )
