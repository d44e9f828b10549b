"""Cluster: what is it doing. Every GPU, the queue in the order it will be tried, verdicts as they fall, the brakes."""

from collections import Counter
from collections.abc import Mapping

from fastapi import APIRouter, Request
from starlette.responses import Response

from scheduler.domain.brakes import Brake
from scheduler.domain.errors import InvalidInput, NotFound, RefusalCode
from scheduler.entrypoints.web.bookings import bookings_ahead
from scheduler.entrypoints.web.gpu_map import ColourBy, gpu_map
from scheduler.entrypoints.web.pages import Form, Pages, local_path, see_other
from scheduler.entrypoints.web.visitors import signed_in
from scheduler.lifecycle.views.shapes import ClusterView

QUEUE_SHOWN = 12
QUEUE_SHOWN_MAX = 500
VERDICTS_SHOWN = 14
OBSERVED_SHOWN = 20
_WHY_LENGTH_MAX = 200


def add_routes(router: APIRouter, pages: Pages) -> None:
    service = pages.service

    @router.get("/cluster")
    def cluster(request: Request, colour: str = "", queue: str = "") -> Response:
        visitor = signed_in(request, service)
        moments = pages.moments()
        view = service.views.cluster(visitor.caller, moments.now)
        shown = QUEUE_SHOWN_MAX if queue == "all" else QUEUE_SHOWN
        verdicts = service.views.verdicts(visitor.caller, limit=VERDICTS_SHOWN)
        return pages.render(
            request,
            "cluster.html",
            visitor,
            moments=moments,
            title="Cluster",
            cluster=view,
            states=states_of(view),
            map=gpu_map(view.nodes, colour_of(colour)),
            colours=tuple(ColourBy),
            queue=service.views.queue(visitor.caller, moments.now, limit=shown),
            verdicts=verdicts,
            bookings=bookings_ahead(service.views.bookings(visitor.caller, moments.now)),
            observed=service.views.observed(visitor.caller, limit=OBSERVED_SHOWN),
            brakes=tuple(Brake),
            paused={pause.brake: pause for pause in view.brakes.pauses},
        )

    @router.get("/cluster/nodes/{name}")
    def node(request: Request, name: str) -> Response:
        visitor = signed_in(request, service)
        moments = pages.moments()
        view = service.views.cluster(visitor.caller, moments.now)
        found = next((item for item in view.nodes if item.name == name), None)
        if found is None:
            raise NotFound(
                f"there is no node {name!r}", code=RefusalCode.UNKNOWN_NODE, remedy="see the map of the cluster"
            )
        return pages.render(request, "node.html", visitor, moments=moments, title=name, node=found)

    @router.post("/brakes/{brake}/pause")
    def pause(request: Request, brake: str, form: Form) -> Response:
        visitor = signed_in(request, service)
        why = form.get("why", "")
        if not why or len(why) > _WHY_LENGTH_MAX:
            raise InvalidInput(
                "a brake needs a reason that others can read", where="why", expected="up to 200 characters"
            )
        service.administration.pause(visitor.caller, _brake(brake), why, now=service.clock.now())
        return see_other(local_path(form.get("then", ""), "/cluster"))

    @router.post("/brakes/{brake}/resume")
    def resume(request: Request, brake: str, form: Form) -> Response:
        visitor = signed_in(request, service)
        service.administration.resume_brake(visitor.caller, _brake(brake), now=service.clock.now())
        return see_other(local_path(form.get("then", ""), "/cluster"))


def states_of(view: ClusterView) -> Mapping[str, int]:
    """How many GPUs are in each state; 0 for a state that none is in."""
    return Counter(gpu.state for node in view.nodes for gpu in node.gpus)


def colour_of(text: str) -> ColourBy:
    """What the switch asked for; utilisation where it asked for nothing we know."""
    return ColourBy(text) if text in set(ColourBy) else ColourBy.UTILISATION


def _brake(text: str) -> Brake:
    if text not in set(Brake):
        raise NotFound(f"there is no brake {text!r}", expected="one of " + ", ".join(Brake))
    return Brake(text)
