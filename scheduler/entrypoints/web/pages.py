"""What every page shares: its frame, its headers, and how a refusal reads. A page's module fills the middle."""

import gzip
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any
from urllib.parse import quote
from zoneinfo import ZoneInfo

from fastapi import Depends, Request
from fastapi.routing import APIRoute
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from starlette.responses import HTMLResponse, RedirectResponse, Response

from scheduler.domain.brakes import Pause
from scheduler.domain.errors import Refusal, RefusalCode
from scheduler.domain.people import Role
from scheduler.entrypoints.api.codes import CODES
from scheduler.entrypoints.running import Service
from scheduler.entrypoints.web import charts, formatting, verdicts
from scheduler.entrypoints.web.assets import packaged_assets
from scheduler.entrypoints.web.moments import Moments
from scheduler.entrypoints.web.visitors import Visitor, visitor_of
from scheduler.lifecycle.views.cluster import brakes_view

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; font-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_COMPRESSED_FROM_BYTES = 2_000
_SEE_OTHER = 303


@dataclass(frozen=True, slots=True)
class Place:
    """An entry of the navigation."""

    href: str
    label: str
    is_here: bool


@dataclass(frozen=True, slots=True)
class Rate:
    """How many GPUs a loop stopped in ten minutes, against its limit."""

    loop: str
    gpus: int
    limit: int | None

    @property
    def is_reached(self) -> bool:
        return self.limit is not None and self.gpus >= self.limit


@dataclass(frozen=True, slots=True)
class Frame:
    """What stands around every page."""

    visitor: Visitor | None
    places: tuple[Place, ...]
    moments: Moments
    pauses: tuple[Pause, ...]
    rates: tuple[Rate, ...]
    is_simulated: bool
    is_observing: bool
    is_cluster_away: bool


class Pages:
    """Renders templates in their frame. One for all requests."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.assets = packaged_assets()
        self._environment = _environment()

    def moments(self) -> Moments:
        """Now, on the wall clock of the policy's time zone; in UTC where there is no policy yet."""
        policy = self.service.world.policy
        return Moments(self.service.clock.now(), ZoneInfo(policy.time_zone if policy else "UTC"))

    def render(
        self, request: Request, template: str, visitor: Visitor | None, status: int = 200, **values: Any
    ) -> Response:
        """A page in its frame, compressed where the reader takes it so."""
        moments = values.pop("moments", None) or self.moments()
        brakes = brakes_view(self.service.world, moments.now)
        frame = Frame(
            visitor=visitor,
            places=_places(visitor, request.url.path),
            moments=moments,
            pauses=brakes.pauses,
            rates=tuple(Rate(*rate) for rate in brakes.stopped_gpus),
            is_simulated=self.service.clock.is_simulated,
            is_observing=self.service.world.observed is not None,
            is_cluster_away=not self.service.cluster.is_reachable,
        )
        text = self._environment.get_template(template).render(
            frame=frame, t=moments, here=request.url.path, **values
        )
        return _answer(request, text, status)

    def refused(self, request: Request, refusal: Refusal) -> Response:
        """A refusal as a page; who is not signed in is led to where they can be."""
        code = CODES[refusal.code]
        if refusal.code is RefusalCode.UNAUTHENTICATED and request.method == "GET":
            return self._to_sign_in(request)
        return self.render(
            request,
            "refused.html",
            self.known_visitor(request),
            code.status,
            refusal=refusal,
            code=code,
            title=code.title,
        )

    def known_visitor(self, request: Request) -> Visitor | None:
        """Who looks, as far as it can be told: a page that says what went wrong must not fail itself."""
        try:
            return visitor_of(request, self.service)
        except Refusal:  # the session cannot be looked up, or it was another site that used it
            return None

    def _to_sign_in(self, request: Request) -> Response:
        """A strict cookie is not sent with a link from elsewhere: ask the browser once more, from here."""
        where = quote(request.url.path) + (f"?{request.url.query}" if request.url.query else "")
        if request.headers.get("sec-fetch-site") == "cross-site":
            return HTMLResponse("", headers={**_HEADERS, "Refresh": f"0;url={where}"})
        return RedirectResponse(f"/sign-in?then={quote(where, safe='')}", _SEE_OTHER)


def _answer(request: Request, text: str, status: int) -> Response:
    body = text.encode()
    headers = dict(_HEADERS)
    if len(body) > _COMPRESSED_FROM_BYTES and "gzip" in request.headers.get("accept-encoding", ""):
        body = gzip.compress(body, compresslevel=5, mtime=0)
        headers["Content-Encoding"] = "gzip"
    headers["Vary"] = "Accept-Encoding"
    return HTMLResponse(body, status, headers)


def _places(visitor: Visitor | None, path: str) -> tuple[Place, ...]:
    if visitor is None:
        return ()
    places = [("/hours", "My hours")] if visitor.engineer else []
    places.append(("/cluster", "Cluster"))
    places.append(("/books", "Books") if visitor.reads_books else ("/statement", "Statement"))
    places.append(("/requests", "Requests"))
    places.append(("/policies", "Policies"))
    return tuple(Place(href, label, path.startswith(href)) for href, label in places)


@cache
def _environment() -> Environment:
    """The templates, compiled once a process."""
    environment = Environment(
        loader=PackageLoader("scheduler.entrypoints.web", "templates"),
        autoescape=select_autoescape(default=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        hours=formatting.hours,
        h=formatting.hours_with_unit,
        signed_hours=formatting.signed_hours,
        money=formatting.money,
        grouped=formatting.grouped,
        duration=formatting.duration,
        stopwatch=formatting.stopwatch,
        per_mille=formatting.per_mille,
        in_percent=formatting.in_percent,
        gibibytes=formatting.gibibytes,
        words_of=formatting.words_of,
        prose=formatting.prose,
        as_sentence=formatting.sentence_of,
        tone=verdicts.tone,
        tone_of=verdicts.tone_of,
    )
    environment.globals.update(
        asset=packaged_assets().href,
        bar=charts.bar,
        with_unit=formatting.with_unit,
        percent=formatting.percent,
        counted=formatting.counted,
        by_whom=formatting.by_whom,
        roles=Role,
    )
    return environment


Handler = Callable[[Request], Coroutine[Any, Any, Response]]


def page_route(pages: Pages) -> type[APIRoute]:
    """A route class whose refusals are pages for people, not problem details for programs."""

    class PageRoute(APIRoute):
        def get_route_handler(self) -> Handler:
            handler = super().get_route_handler()

            async def answered(request: Request) -> Response:
                try:
                    return await handler(request)
                except Refusal as refusal:
                    return pages.refused(request, refusal)

            return answered

    return PageRoute


def see_other(href: str) -> RedirectResponse:
    """Where a form leads once it was taken, so that reloading does not send it again."""
    return RedirectResponse(href, _SEE_OTHER, headers=dict(_HEADERS))


async def form_of(request: Request) -> Mapping[str, str]:
    """The text fields of a form; files are not taken."""
    form = await request.form(max_files=0, max_fields=40)
    return {key: value.strip() for key, value in form.items() if isinstance(value, str)}


Form = Annotated[Mapping[str, str], Depends(form_of)]


def local_path(text: str, default: str) -> str:
    """A path of ours that a form asked to lead to; anything that could lead elsewhere is the default."""
    is_local = text.startswith("/") and not text.startswith(("//", "/\\")) and text.isprintable()
    return text if is_local else default
