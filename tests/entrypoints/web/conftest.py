"""The pages around a sample service, and a browser's worth of client for somebody who is signed in."""

from collections.abc import Callable, Iterator
from functools import cache

import httpx
import pytest
from fastapi import FastAPI

from scheduler.domain.people import Engineer
from scheduler.entrypoints.running import Service
from scheduler.entrypoints.web.routes import install
from tests.entrypoints.company import small_company
from tests.entrypoints.lent_apps import Standing
from tests.entrypoints.web.sample_views import SampleService

SITE = "http://allot.test"

SignIn = Callable[[Engineer | None], httpx.AsyncClient]


@pytest.fixture
def service() -> SampleService:
    return SampleService()


@pytest.fixture
def sign_in(service: SampleService) -> SignIn:
    """A client for a person, or for nobody; its forms come from our own pages."""

    app, standing = _pages()
    standing.service = service

    def client_of(person: Engineer | None) -> httpx.AsyncClient:
        cookies = {"allot_session": service.token_of(person)} if person else {}
        return httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url=SITE, cookies=cookies, headers={"Origin": SITE}
        )

    return client_of


@pytest.fixture
def company() -> Iterator[Service]:
    """The real service of a small company, not started."""
    made = small_company()
    yield made
    made.store.close()


@cache
def _pages() -> tuple[FastAPI, Standing]:
    app, standing = FastAPI(openapi_url=None), Standing()
    install(app, standing)  # type: ignore[arg-type]  # a sample stands for the service
    return app, standing
