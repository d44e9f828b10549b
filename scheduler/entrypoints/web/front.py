"""The front page: where all is simulated, the cluster at a glance and somebody to be; elsewhere, the way in."""

from collections.abc import Sequence
from dataclasses import dataclass

from fastapi import APIRouter, Request
from markupsafe import Markup
from starlette.responses import Response

from scheduler.domain.people import Engineer, Role
from scheduler.domain.units import Instant
from scheduler.entrypoints.web.charts import sparkline
from scheduler.entrypoints.web.cluster import states_of
from scheduler.entrypoints.web.gpu_map import ColourBy, gpu_map
from scheduler.entrypoints.web.pages import Pages, see_other
from scheduler.entrypoints.web.session import DOORKEEPER, people_to_pick
from scheduler.entrypoints.web.visitors import Visitor, visitor_of
from scheduler.lifecycle.views.shapes import BalanceView

_QUEUE_SHOWN = 6
_VERDICTS_SHOWN = 6
_PEOPLE_SHOWN = 40


@dataclass(frozen=True, slots=True)
class Standing:
    """A simulated person with what they have left."""

    person: Engineer
    balance: BalanceView
    course: Markup


def add_routes(router: APIRouter, pages: Pages) -> None:
    service = pages.service

    @router.get("/")
    def front(request: Request) -> Response:
        visitor = visitor_of(request, service)
        if not service.settings.demo_sign_in:
            return see_other(home_of(visitor) if visitor else "/sign-in")
        moments = pages.moments()
        now = moments.now
        view = service.views.cluster(DOORKEEPER, now)
        people = people_to_pick(pages)
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
            verdicts=service.views.verdicts(DOORKEEPER, now, limit=_VERDICTS_SHOWN),
            standings=_standings(pages, people[:_PEOPLE_SHOWN], now),
        )


def home_of(visitor: Visitor) -> str:
    """The page that answers this visitor's question."""
    if visitor.caller.has(Role.OPERATOR):
        return "/cluster"
    if visitor.caller.has(Role.FINANCE, Role.AUDITOR):
        return "/books"
    return "/hours"


def _standings(pages: Pages, people: Sequence[Engineer], now: Instant) -> list[Standing]:
    standings = []
    for person in people:
        balance = pages.service.views.balance(DOORKEEPER, now, owner=person.id)
        course = sparkline(balance.history, balance.period_starts_at, balance.period_ends_at)
        standings.append(Standing(person, balance, course))
    return standings
