"""Answers: rendered by orjson, described for OpenAPI by the schema of the same type."""

from collections.abc import Iterator, Sequence
from typing import Any

import orjson
from starlette.responses import Response, StreamingResponse

from scheduler.domain.approvals import Proposal
from scheduler.domain.errors import RefusalCode
from scheduler.entrypoints.api.asked import Asked
from scheduler.entrypoints.api.problems import described
from scheduler.entrypoints.api.rendering import dumps, render
from scheduler.entrypoints.api.schema import page_of, schema_of
from scheduler.lifecycle.views.approvals import ApprovalView

JSON = "application/json"
CSV = "text/csv"

OPEN_TO_ALL: dict[str, Any] = {"security": []}
"""What the description says of a route that asks for no token, by `openapi_extra`."""

_ALWAYS = (RefusalCode.UNAUTHENTICATED, RefusalCode.ROLE_REQUIRED, RefusalCode.DATABASE_UNAVAILABLE)


def one(value: Any, status: int = 200) -> Response:
    """A single value."""
    return Response(dumps(value), status_code=status, media_type=JSON)


def page(items: Sequence[Any], next_cursor: str | None = None) -> Response:
    """A page of values with the cursor of the next one, null on the last."""
    body = {"items": [render(item) for item in items], "next_cursor": next_cursor}
    return Response(orjson.dumps(body), media_type=JSON)


def csv(pieces: Iterator[str], name: str) -> Response:
    """A file of text, sent as it is made. What can be refused is refused before: then it is too late."""
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"}
    return StreamingResponse(pieces, media_type=CSV, headers=headers)


def in_force_or_waiting(asked: Asked, made: Any, status: int = 200) -> Response:
    """What took effect; 202 with the proposal where that waits for a second person."""
    if not isinstance(made, Proposal):
        return one(made, status)
    return one(asked.service.approval_views.one(asked.caller, made.id, asked.now), status=202)


def or_waits(answered: dict[int | str, Any]) -> dict[int | str, Any]:
    """The same answers, and 202 with the proposal."""
    content = {JSON: {"schema": schema_of(ApprovalView)}}
    return {**answered, 202: {"description": "It waits for a second person", "content": content}}


def responds_csv(*codes: RefusalCode) -> dict[int | str, Any]:
    """The same for a file of text."""
    answered: dict[int | str, Any] = {200: {"description": "Done", "content": {CSV: {"schema": {"type": "string"}}}}}
    return {**answered, **described(*codes, *_ALWAYS)}


def responds_probe(annotation: Any) -> dict[int | str, Any]:
    """Of a probe, which answers the same whether all is well or not."""
    content = {JSON: {"schema": schema_of(annotation)}}
    return {
        200: {"description": "All is well", "content": content},
        503: {"description": "It is not", "content": content},
    }


def responds(annotation: Any, *codes: RefusalCode, status: int = 200, is_page: bool = False) -> dict[int | str, Any]:
    """OpenAPI's `responses` of a route: what it answers, and the refusals that its caller should expect."""
    schema = page_of(annotation) if is_page else schema_of(annotation)
    return responds_as(schema, *codes, status=status)


def responds_as(schema: dict[str, Any], *codes: RefusalCode, status: int = 200) -> dict[int | str, Any]:
    """The same for JSON that is no rendered value of ours."""
    answered: dict[int | str, Any] = {status: {"description": "Done", "content": {JSON: {"schema": schema}}}}
    return {**answered, **described(*codes, *_ALWAYS)}
