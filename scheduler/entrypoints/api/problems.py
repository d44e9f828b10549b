"""Refusals as answers: RFC 9457 problem details, in one form whatever went wrong."""

import logging
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import orjson
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Match

from scheduler.domain.errors import InvalidInput, NotFound, NotPermitted, Refusal, RefusalCode, Unavailable
from scheduler.entrypoints.api.codes import CODES
from scheduler.entrypoints.api.validation import refusals_in

MEDIA_TYPE = "application/problem+json"

_log = logging.getLogger(__name__)

_CODE_OF_STATUS = {
    401: RefusalCode.UNAUTHENTICATED,
    403: RefusalCode.ROLE_REQUIRED,
    404: RefusalCode.UNKNOWN_ADDRESS,
    405: RefusalCode.METHOD_NOT_ALLOWED,
    413: RefusalCode.BODY_TOO_LARGE,
}

_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
"""Those that a route may take; HEAD goes wherever GET does."""


def problem(refusal: Refusal, request_id: str = "", others: Sequence[Refusal] = ()) -> dict[str, Any]:
    """The refusal as a JSON object. `others` are further things wrong with the same request."""
    text = CODES[refusal.code]
    body: dict[str, Any] = {
        "type": f"/v1/problems/{refusal.code.value}",
        "title": text.title,
        "status": text.status,
        "code": refusal.code.value,
        "detail": refusal.message,
        "where": refusal.where,
        "expected": refusal.expected,
        "remedy": refusal.remedy or text.remedy,
        "request_id": request_id,
    }
    several = refusal.each or ((refusal, *others) if others else ())
    if several:
        body["errors"] = [
            {"code": each.code.value, "detail": each.message, "where": each.where, "expected": each.expected}
            for each in several
        ]
    return body


def answer(request: Request, refusal: Refusal, others: Sequence[Refusal] = ()) -> Response:
    """The refusal as an HTTP answer."""
    status = CODES[refusal.code].status
    headers: dict[str, str] = {}
    if status == 401:
        headers["WWW-Authenticate"] = 'Bearer realm="allot"'
    if status in {429, 503}:
        headers["Retry-After"] = "2"
    body = orjson.dumps(problem(refusal, request_id_of(request), others))
    return Response(body, status_code=status, media_type=MEDIA_TYPE, headers=headers)


def request_id_of(request: Request) -> str:
    """The id that the outermost layer gave this request."""
    found = request.scope.get("state", {}).get("request_id", "")
    return str(found)


def install(app: FastAPI) -> None:
    """Have every error of the app answered as a problem."""
    app.add_exception_handler(Refusal, _on_refusal)
    app.add_exception_handler(RequestValidationError, _on_invalid_request)
    app.add_exception_handler(HTTPException, on_http_exception)
    app.add_exception_handler(Exception, _on_surprise)


async def _on_refusal(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refusal)
    return answer(request, error)


async def _on_invalid_request(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first, *rest = refusals_in(error.errors())
    return answer(request, first, rest)


async def on_http_exception(request: Request, error: Exception) -> Response:
    """What FastAPI or Starlette refused by itself."""
    assert isinstance(error, HTTPException)
    response = answer(request, _refusal_of(request, error))
    for name, value in (error.headers or {}).items():
        response.headers[name] = value
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        response.headers["Allow"] = ", ".join(sorted(_methods_at(request)))
    return response


def _methods_at(request: Request) -> set[str]:
    """Those of every route with that path: Starlette's own answer names the first route's alone."""

    def is_taken(method: str) -> bool:
        asked = {**request.scope, "method": method}
        return any(route.matches(asked)[0] is Match.FULL for route in request.app.routes)

    taken = set(filter(is_taken, _METHODS))
    return taken | {"HEAD"} if "GET" in taken else taken


async def _on_surprise(request: Request, error: Exception) -> Response:
    """What nobody foresaw: logged with its trace, answered without it."""
    _log.error("request %s %s %s failed", request_id_of(request), request.method, request.url.path, exc_info=error)
    return answer(request, Refusal("the service failed to answer", code=RefusalCode.INTERNAL_ERROR))


def _refusal_of(request: Request, error: HTTPException) -> Refusal:
    code = _CODE_OF_STATUS.get(error.status_code)
    path = request.url.path
    match code:
        case RefusalCode.UNKNOWN_ADDRESS:
            return NotFound(f"there is nothing at {path}", code=code, where=path)
        case RefusalCode.METHOD_NOT_ALLOWED:
            return InvalidInput(f"{path} does not take {request.method}", code=code, where=path)
        case RefusalCode.UNAUTHENTICATED | RefusalCode.ROLE_REQUIRED:
            return NotPermitted(str(error.detail), code=code)
        case RefusalCode.BODY_TOO_LARGE:
            return InvalidInput(str(error.detail), code=code, where="body")
        case _ if error.status_code == HTTPStatus.UNSUPPORTED_MEDIA_TYPE:
            return InvalidInput(
                str(error.detail), where="Content-Encoding", expected="the body as it is, not encoded"
            )
        case _ if error.status_code == HTTPStatus.BAD_REQUEST:  # FastAPI's word for a body that no decoder could read
            return InvalidInput("the body cannot be read", where="body", expected="JSON in UTF-8, not deeply nested")
        case _ if error.status_code >= 500:
            return Unavailable(str(error.detail), code=RefusalCode.INTERNAL_ERROR)
        case _:
            return InvalidInput(str(error.detail), where="request")


def described(*codes: RefusalCode) -> Mapping[int | str, dict[str, Any]]:
    """OpenAPI's `responses` for these refusals, with an example each."""
    by_status: dict[int | str, dict[str, Any]] = {}
    for code in codes:
        text = CODES[code]
        entry = by_status.setdefault(
            text.status,
            {"description": text.title, "content": {MEDIA_TYPE: {"examples": {}}}},
        )
        example = problem(Refusal(text.meaning, code=code), "r-3f9c")
        entry["content"][MEDIA_TYPE]["examples"][code.value] = {"summary": text.title, "value": example}
    return by_status
