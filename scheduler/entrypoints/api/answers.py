"""Answers: rendered by orjson, described for OpenAPI by the schema of the same type."""

from collections.abc import Sequence
from typing import Any

import orjson
from starlette.responses import Response

from scheduler.domain.errors import RefusalCode
from scheduler.entrypoints.api.problems import described
from scheduler.entrypoints.api.rendering import dumps, render
from scheduler.entrypoints.api.schema import page_of, schema_of

JSON = "application/json"

_ALWAYS = (RefusalCode.UNAUTHENTICATED, RefusalCode.ROLE_REQUIRED, RefusalCode.DATABASE_UNAVAILABLE)


def one(value: Any, status: int = 200) -> Response:
    """A single value."""
    return Response(dumps(value), status_code=status, media_type=JSON)


def page(items: Sequence[Any], next_cursor: str | None = None) -> Response:
    """A page of values with the cursor of the next one, null on the last."""
    body = {"items": [render(item) for item in items], "next_cursor": next_cursor}
    return Response(orjson.dumps(body), media_type=JSON)


def responds(annotation: Any, *codes: RefusalCode, status: int = 200, is_page: bool = False) -> dict[int | str, Any]:
    """OpenAPI's `responses` of a route: what it answers, and the refusals that its caller should expect."""
    schema = page_of(annotation) if is_page else schema_of(annotation)
    answered: dict[int | str, Any] = {status: {"description": "Done", "content": {JSON: {"schema": schema}}}}
    return {**answered, **described(*codes, *_ALWAYS)}
