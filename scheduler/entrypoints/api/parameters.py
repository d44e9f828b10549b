"""Query parameters are read as strictly as bodies: one that a route does not have is refused, not passed over, and so is
one that stands there twice and has one value.

`/v1/statement?perod=2026-10` would otherwise answer with this month, `?owner=ada&owner=bao` with one of the two, and
nobody would notice.
"""

from collections.abc import Iterator
from typing import get_args, get_origin

from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from starlette.requests import Request

from scheduler.domain.errors import InvalidInput


def refuse_unknown_parameters(request: Request) -> None:
    """Raises InvalidInput at the first parameter that the request's route does not have, or has once and is given twice."""
    given = request.query_params
    route = request.scope.get("route")
    if not given or not isinstance(route, APIRoute):
        return
    known = dict(_parameters(route.dependant))
    for name in given:
        if name not in known:
            expected = "one of " + ", ".join(sorted(known)) if known else "no parameter"
            raise InvalidInput(
                f"there is no parameter {name[:60]!r} here", where=name[:60] or "query", expected=expected
            )
        if not known[name] and len(given.getlist(name)) > 1:
            raise InvalidInput(f"{name} stands there twice", where=name, expected="it once")


def _parameters(dependant: Dependant) -> Iterator[tuple[str, bool]]:
    """Each parameter's name, and whether it may be given several times."""
    for parameter in dependant.query_params:
        annotation = parameter.field_info.annotation
        yield parameter.alias, any(get_origin(each) is list for each in (annotation, *get_args(annotation)))
    for each in dependant.dependencies:
        yield from _parameters(each)
