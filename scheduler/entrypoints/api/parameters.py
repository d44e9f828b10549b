"""Query parameters are read as strictly as bodies: one that a route does not have is refused, not passed over.

`/v1/statement?perod=2026-10` would otherwise answer with this month, and nobody would notice.
"""

from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from starlette.requests import Request

from scheduler.domain.errors import InvalidInput


def refuse_unknown_parameters(request: Request) -> None:
    """Raises InvalidInput at the first parameter that the request's route does not have."""
    given = request.query_params
    route = request.scope.get("route")
    if not given or not isinstance(route, APIRoute):
        return
    known = _names(route.dependant)
    for name in given:
        if name not in known:
            expected = "one of " + ", ".join(sorted(known)) if known else "no parameter"
            raise InvalidInput(
                f"there is no parameter {name[:60]!r} here", where=name[:60] or "query", expected=expected
            )


def _names(dependant: Dependant) -> set[str]:
    names = {parameter.alias for parameter in dependant.query_params}
    return names.union(*(_names(each) for each in dependant.dependencies))
