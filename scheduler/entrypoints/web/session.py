"""Signing in: with a token, or, where everything is simulated, by picking a person."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from scheduler.domain.errors import NotPermitted, Refusal, RefusalCode
from scheduler.entrypoints.api.auth import SESSION_COOKIE, hash_of, refuse_other_sites
from scheduler.entrypoints.demo import become, is_demo, people_to_pick
from scheduler.entrypoints.web.pages import Form, Pages, local_path, see_other

SESSION_MAX_AGE_SECONDS = 12 * 3600


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
            token = become(service, form["engineer"]).token
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


def _page(request: Request, pages: Pages, then: str, refusal: Refusal | None = None) -> Response:
    return pages.render(
        request,
        "sign_in.html",
        None,
        401 if refusal else 200,
        title="Sign in",
        people=people_to_pick(pages.service),
        then=local_path(then, ""),
        refusal=refusal,
    )
