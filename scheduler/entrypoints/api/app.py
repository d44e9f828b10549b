"""The HTTP application: routes, problems, metrics and pages around one service."""

import time
from collections.abc import Callable

from fastapi import FastAPI
from prometheus_client import CollectorRegistry
from starlette.datastructures import State

from scheduler.entrypoints.about import installed_version
from scheduler.entrypoints.api import problems
from scheduler.entrypoints.api.auth import Callers
from scheduler.entrypoints.api.description import Described, operation_id
from scheduler.entrypoints.api.edge import Edge
from scheduler.entrypoints.api.metrics import ServiceCollector
from scheduler.entrypoints.api.routes import (
    allowances,
    approvals,
    audit,
    awards,
    bookings,
    brakes,
    cluster,
    coverage,
    demo,
    finance,
    health,
    idleness,
    leaderboards,
    nodes,
    payments,
    people,
    periods,
    policies,
    prices,
    quotes,
    sandboxes,
    token_holds,
    tokens,
    workloads,
)
from scheduler.entrypoints.running import Service
from scheduler.entrypoints.web import routes as pages

_ROUTERS = (
    workloads.router,
    quotes.router,
    bookings.router,
    sandboxes.router,
    allowances.router,
    awards.router,
    approvals.router,
    leaderboards.router,
    coverage.router,
    finance.router,
    payments.router,
    cluster.router,
    policies.router,
    prices.router,
    people.router,
    brakes.router,
    tokens.router,
    token_holds.router,
    audit.router,
    periods.router,
    nodes.router,
    idleness.router,
    demo.router,
    health.router,
)

_ABOUT = """\
GPU-hours as real as pay: allowances, launch and preemption by budget on Kubernetes, and a ledger that ties to the
GPU-second. Instants are RFC 3339 in UTC; GPU time is a whole number of milliseconds (`…_ms`) beside hours as text with
one decimal (`…_hours`). Every error is an `application/problem+json` with a stable `code`.
"""


def create_app(service: Service, elapsed: Callable[[], float] = time.monotonic) -> FastAPI:
    """The application that serves `service`; starting and closing the service is its owner's business.

    `elapsed` counts seconds of real time.
    """
    app = Described(
        title="allot",
        version=installed_version(),
        description=_ABOUT,
        openapi_url="/v1/openapi.json",
        generate_unique_id_function=operation_id,
        docs_url=None,
        redoc_url=None,
        # An address with a slash behind it is another. Sent on, callers would take their tokens to whatever host and
        # scheme the request seemed to be for.
        redirect_slashes=False,
    )
    answer_for(app, service, elapsed)
    problems.install(app)
    for router in _ROUTERS:
        app.include_router(router)
    pages.install(app, service)
    app.add_middleware(Edge)
    return app


def answer_for(app: FastAPI, service: Service, elapsed: Callable[[], float]) -> None:
    """Have the routes of the API find the service, with nothing remembered of callers and nothing counted yet."""
    app.state = State()
    app.state.service = service
    app.state.callers = Callers(service.store, elapsed)
    app.state.metrics = CollectorRegistry()
    app.state.metrics.register(ServiceCollector(service))
