"""Signing in: with a token, or, where everything is simulated, by picking a person."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from scheduler.domain.errors import NotFound, NotPermitted, Refusal, RefusalCode
from scheduler.domain.people import Caller, Engineer, Role
from scheduler.domain.units import MS_PER_DAY, Instant
from scheduler.entrypoints.api.auth import SESSION_COOKIE, hash_of, new_token, refuse_other_sites
from scheduler.entrypoints.service import Service
from scheduler.entrypoints.web.hours import Form
from scheduler.entrypoints.web.pages import Pages, local_path, see_other

SESSION_MAX_AGE_SECONDS = 12 * 3600

DOORKEEPER = Caller(subject="demo sign-in", roles=frozenset({Role.OPERATOR, Role.AUDITOR}))
"""Stands behind what the demo does for a visitor that has not signed in yet; used only where all is simulated."""

_DEMO_TOKEN_DAYS = 60  # of simulated time: a day of the real one at the usual factor


def add_routes(router: APIRouter, pages: Pages) -> None:
    service = pages.service

    @router.get("/sign-in")
    def sign_in_page(request: Request, then: str = "") -> Response:
        return _page(request, pages, then)

    @router.post("/sign-in")
    def sign_in(request: Request, form: Form) -> Response:
        refuse_other_sites(request)
        then = form.get("then", "")
        if "engineer" in form:
            token = _token_for(pages, form["engineer"])
        else:
            token = form.get("token", "")
            with service.store.reading() as books:
                caller = books.people.caller_of(hash_of(token), service.clock.now())
            if caller is None:
                unknown = NotPermitted(
                    "this token is not known, or no longer good",
                    code=RefusalCode.UNAUTHENTICATED,
                    remedy="ask an operator for a new one",
                )
                return _page(request, pages, then, unknown)
        response = see_other(local_path(then, "/hours"))
        response.set_cookie(
            SESSION_COOKIE,
            token,
            max_age=SESSION_MAX_AGE_SECONDS,
            httponly=True,
            samesite="strict",
            secure=request.url.scheme == "https",
        )
        return response

    @router.post("/sign-out")
    def sign_out(request: Request) -> Response:
        refuse_other_sites(request)
        token = request.cookies.get(SESSION_COOKIE)
        if token and is_demo(service):
            with service.store.writing() as books:
                books.people.revoke_token(hash_of(token))
        response = see_other("/")
        response.delete_cookie(SESSION_COOKIE)
        return response


def is_demo(service: Service) -> bool:
    """Whether a visitor may be anybody: where the operator of the process wants it so, and everybody is invented."""
    return service.settings.demo_sign_in and service.cluster.is_simulated


def people_to_pick(pages: Pages) -> tuple[Engineer, ...]:
    """Whom a visitor may become: everybody, where all is simulated, and nobody elsewhere."""
    if not is_demo(pages.service):
        return ()
    people = pages.service.views.engineers(DOORKEEPER)
    return tuple(sorted(people, key=lambda person: (person.team, person.tier, person.name)))


def _page(request: Request, pages: Pages, then: str, refusal: Refusal | None = None) -> Response:
    return pages.render(
        request,
        "sign_in.html",
        None,
        401 if refusal else 200,
        title="Sign in",
        people=people_to_pick(pages),
        then=local_path(then, ""),
        refusal=refusal,
    )


def _token_for(pages: Pages, engineer_id: str) -> str:
    """A fresh token for a simulated person; only its hash is kept."""
    person = next((person for person in people_to_pick(pages) if person.id == engineer_id), None)
    if person is None:
        raise NotFound("there is nobody to sign in as by that name", code=RefusalCode.UNKNOWN_ENGINEER)
    token = new_token()
    now = pages.service.clock.now()
    pages.service.commands.issue_token(
        DOORKEEPER,
        person.subject,
        person.roles,
        hash_of(token),
        now=now,
        expires_at=Instant(now + _DEMO_TOKEN_DAYS * MS_PER_DAY),
    )
    return token
