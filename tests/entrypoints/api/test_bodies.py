"""Every route of the API reads its body strictly."""

from fastapi.routing import APIRoute

from scheduler.entrypoints.api.app import _ROUTERS
from scheduler.entrypoints.api.bodies import OnceKeyed


def test_every_route_of_the_api_refuses_a_key_that_stands_twice() -> None:
    routes = [route for router in _ROUTERS for route in router.routes if isinstance(route, APIRoute)]
    assert len(routes) > 50
    assert [route.path for route in routes if not isinstance(route, OnceKeyed)] == []
