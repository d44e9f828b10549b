"""The pages around a sample service, and a browser's worth of client for somebody who is signed in."""

from collections.abc import Callable

import httpx
import pytest
from fastapi import FastAPI

from scheduler.domain.people import Engineer
from scheduler.entrypoints.web.routes import router
from tests.entrypoints.web.sample_views import SampleService

SITE = "http://allot.test"

SignIn = Callable[[Engineer | None], httpx.AsyncClient]


@pytest.fixture
def service() -> SampleService:
    return SampleService()


@pytest.fixture
def sign_in(service: SampleService) -> SignIn:
    """A client for a person, or for nobody; its forms come from our own pages."""

    def client_of(person: Engineer | None) -> httpx.AsyncClient:
        app = FastAPI(openapi_url=None)
        app.include_router(router(service))  # type: ignore[arg-type]  # a sample stands for the service
        cookies = {"allot_session": service.token_of(person)} if person else {}
        return httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url=SITE, cookies=cookies, headers={"Origin": SITE}
        )

    return client_of
