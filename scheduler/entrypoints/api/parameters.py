"""Query parameters are read as strictly as bodies: one that a route does not have is refused, not passed over, and so is
one that stands there twice and has one value, and a number that is not written in digits alone.

`/v1/statement?perod=2026-10` would otherwise answer with this month, `?owner=ada&owner=bao` with one of the two,
`?limit=1_0` as if it were 10, and nobody would notice.
"""

from collections.abc import Iterator
from typing import Any, get_args, get_origin

from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from starlette.requests import Request

from scheduler.domain.digits import DIGITS_MAX, whole_number_in
from scheduler.domain.errors import InvalidInput
from scheduler.entrypoints.api.validation import shown


def refuse_unknown_parameters(request: Request) -> None:
    """Raises InvalidInput at the first parameter that the request's route does not have, has once and is given twice, or
    has as a number and is given as none."""
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
        if list not in known[name] and len(given.getlist(name)) > 1:
            raise InvalidInput(f"{name} stands there twice", where=name, expected="it once")
        if int in known[name] and whole_number_in(given[name].removeprefix("-")) is None:
            expected = f"a whole number of at most {DIGITS_MAX} digits"
            raise InvalidInput(f"{name} is {shown(given[name])}", where=name, expected=expected)


def _parameters(dependant: Dependant) -> Iterator[tuple[str, set[Any]]]:
    """Each parameter's name, and of which types its value may be."""
    for parameter in dependant.query_params:
        yield parameter.alias, _types(parameter.field_info.annotation)
    for each in dependant.dependencies:
        yield from _parameters(each)


def _types(annotation: Any) -> set[Any]:
    """Those of a union are each of them; of a list it is one, and what is in it."""
    return {get_origin(each) or each for each in (annotation, *get_args(annotation))}
