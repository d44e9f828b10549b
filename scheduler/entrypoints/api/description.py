"""The description of the API as a generated client reads it: who must say who they are, and what every refusal is.

FastAPI describes what it would answer by itself; refusals here are problems, whoever makes them, and who asks is found
by a dependency that it does not know for one.
"""

from collections.abc import Iterator
from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIRoute

from scheduler.entrypoints.api.components import with_components
from scheduler.entrypoints.api.examples import JSON, with_examples
from scheduler.entrypoints.api.problems import MEDIA_TYPE

_BEARER = "bearer"
_PROBLEM = {"$ref": "#/components/schemas/Problem"}
_FASTAPIS_OWN = "HTTPValidationError"


class Described(FastAPI):
    """Its description is made when somebody first asks for it."""

    def openapi(self) -> dict[str, Any]:
        if self.openapi_schema is None:
            made = super().openapi()
            _with_problems(made)
            _with_security(made)
            _without_json_of_texts(made)
            self.openapi_schema = with_components(with_examples(made))
        return self.openapi_schema


def operation_id(route: APIRoute) -> str:
    """What a generated client calls it: `workloads_submit`."""
    return "_".join([*map(str, route.tags[:1]), route.name])


def _with_problems(made: dict[str, Any]) -> None:
    """Every operation may be refused, with the same body: by a code that it names, or by any other."""
    schemas = made["components"]["schemas"]
    for name in (_FASTAPIS_OWN, "ValidationError"):
        schemas.pop(name, None)
    schemas["Problem"] = _problem_schema()
    for operation in _operations(made):
        responses = operation["responses"]
        if _FASTAPIS_OWN in str(
            responses.get("422", {}).get("content", {}).get("application/json", {}).get("schema")
        ):
            del responses["422"]
        for answer in responses.values():
            answer["description"] = answer["description"].replace("Successful Response", "Done")
            if MEDIA_TYPE in answer.get("content", {}):
                answer["content"][MEDIA_TYPE]["schema"] = _PROBLEM
        responses["default"] = {
            "description": "Any other refusal: docs/errors.md has every code",
            "content": {MEDIA_TYPE: {"schema": _PROBLEM}},
        }


def _with_security(made: dict[str, Any]) -> None:
    """A token, but where a route says otherwise."""
    made["components"]["securitySchemes"] = {
        _BEARER: {"type": "http", "scheme": "bearer", "description": "A token that an operator issued."}
    }
    made["security"] = [{_BEARER: []}]


def _without_json_of_texts(made: dict[str, Any]) -> None:
    """FastAPI says of every answer that it may be JSON of any shape, of those of CSV alone, too."""
    for operation in _operations(made):
        for answer in operation["responses"].values():
            content = answer.get("content", {})
            if len(content) > 1 and content.get(JSON) == {"schema": {}}:
                del content[JSON]


def _operations(made: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for methods in made["paths"].values():
        yield from methods.values()


def _problem_schema() -> dict[str, Any]:
    """What `problems.problem` makes of a refusal."""
    text = {"type": "string"}
    also = dict.fromkeys(("code", "detail", "where", "expected"), text)
    fields = {"type": text, "title": text, "status": {"type": "integer"}, **also, "remedy": text, "request_id": text}
    each = {"type": "object", "properties": also, "required": list(also)}
    return {
        "title": "Problem",
        "description": "A refusal (RFC 9457). `code` is stable; `errors` has each where several things are wrong.",
        "type": "object",
        "properties": {**fields, "errors": {"type": "array", "items": each}},
        "required": list(fields),
    }
