"""All the pages as one router. Each module adds its own; a refusal anywhere in them is a page, too."""

from http import HTTPStatus

from fastapi import APIRouter, FastAPI
from starlette.requests import Request
from starlette.responses import Response

from scheduler.domain.errors import NotFound, RefusalCode
from scheduler.entrypoints.api import problems
from scheduler.entrypoints.running import Service
from scheduler.entrypoints.web import (
    bookings,
    books,
    cluster,
    fairness,
    faults,
    front,
    hours,
    idle,
    live,
    misuse,
    policies,
    refusals,
    requests,
    session,
    workload,
)
from scheduler.entrypoints.web.pages import Pages, page_route

_MODULES = (
    front,
    session,
    hours,
    workload,
    requests,
    bookings,
    cluster,
    idle,
    misuse,
    faults,
    refusals,
    books,
    fairness,
    policies,
    live,
)

_SIGNED_IN_REMEDY = "the links at the top lead to the pages that there are"
_SIGNED_OUT_REMEDY = "sign in first: the links to the pages that there are stand at the top from then on"


def install(app: FastAPI, service: Service) -> None:
    """The pages, and one for whoever mistypes the address of another."""
    pages = Pages(service)
    app.include_router(_router(pages))

    async def nothing_there(request: Request, error: Exception) -> Response:
        if not _is_for_people(request):
            return await problems.on_http_exception(request, error)
        path = request.url.path
        remedy = _SIGNED_IN_REMEDY if pages.known_visitor(request) else _SIGNED_OUT_REMEDY
        return pages.refused(
            request, NotFound(f"there is no page {path}", code=RefusalCode.UNKNOWN_ADDRESS, remedy=remedy)
        )

    app.add_exception_handler(HTTPStatus.NOT_FOUND, nothing_there)


def _is_for_people(request: Request) -> bool:
    """A browser that looks for a page, and not a program that asks the API."""
    return "text/html" in request.headers.get("accept", "") and not request.url.path.startswith("/v1/")


def _router(pages: Pages) -> APIRouter:
    """Pages for people; they stay out of the API's own description."""
    routes = APIRouter(route_class=page_route(pages), include_in_schema=False)
    for module in _MODULES:
        module.add_routes(routes, pages)

    @routes.get("/static/{name}")
    def static(name: str) -> Response:
        return pages.assets.answer(name)

    return routes
