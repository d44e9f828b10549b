"""The front page: where all is simulated, the cluster at a glance and somebody to be; elsewhere, the way in."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from scheduler.domain.people import Role
from scheduler.entrypoints.demo import DOORKEEPER, is_demo
from scheduler.entrypoints.web.cluster import states_of
from scheduler.entrypoints.web.gpu_map import ColourBy, gpu_map
from scheduler.entrypoints.web.pages import Pages, see_other
from scheduler.entrypoints.web.visitors import Visitor, visitor_of
from scheduler.lifecycle.views.standings import standing_views

_QUEUE_SHOWN = 6
_VERDICTS_SHOWN = 6
_PEOPLE_SHOWN = 40


def add_routes(router: APIRouter, pages: Pages) -> None:
    service = pages.service

    @router.get("/")
    def front(request: Request) -> Response:
        visitor = visitor_of(request, service)
        if not is_demo(service):
            return see_other(home_of(visitor) if visitor else "/sign-in")
        moments = pages.moments()
        now = moments.now
        view = service.views.cluster(DOORKEEPER, now)
        return pages.render(
            request,
            "front.html",
            visitor,
            moments=moments,
            title="Overview",
            cluster=view,
            states=states_of(view),
            map=gpu_map(view.nodes, ColourBy.UTILISATION),
            queue=service.views.queue(DOORKEEPER, now, limit=_QUEUE_SHOWN),
            verdicts=service.views.verdicts(DOORKEEPER, limit=_VERDICTS_SHOWN),
            standings=standing_views(service.world, now)[:_PEOPLE_SHOWN],
        )


def home_of(visitor: Visitor) -> str:
    """The page that answers this visitor's question."""
    if visitor.caller.has(Role.OPERATOR):
        return "/cluster"
    if visitor.caller.has(Role.FINANCE, Role.AUDITOR):
        return "/books"
    return "/hours"
