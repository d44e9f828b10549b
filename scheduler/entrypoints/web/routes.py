"""All the pages as one router. Each module adds its own; a refusal anywhere in them is a page, too."""

from fastapi import APIRouter
from starlette.responses import Response

from scheduler.entrypoints.running import Service
from scheduler.entrypoints.web import (
    bookings,
    books,
    cluster,
    fairness,
    front,
    hours,
    live,
    misuse,
    policies,
    requests,
    session,
    workload,
)
from scheduler.entrypoints.web.pages import Pages, page_route

_MODULES = (front, session, hours, workload, requests, bookings, cluster, misuse, books, fairness, policies, live)


def router(service: Service) -> APIRouter:
    """Pages for people; they stay out of the API's own description."""
    pages = Pages(service)
    routes = APIRouter(route_class=page_route(pages), include_in_schema=False)
    for module in _MODULES:
        module.add_routes(routes, pages)

    @routes.get("/static/{name}")
    def static(name: str) -> Response:
        return pages.assets.answer(name)

    return routes
