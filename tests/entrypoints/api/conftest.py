"""The API over a small company, in one process and without a socket."""

from collections.abc import AsyncIterator, Callable, Iterator

import httpx
import pytest

from scheduler.entrypoints.api.app import create_app
from scheduler.entrypoints.running import Service
from tests.entrypoints.company import small_company, token_of

Client = Callable[[str | None], httpx.AsyncClient]


@pytest.fixture
def service() -> Iterator[Service]:
    made = small_company()
    yield made
    made.store.close()


@pytest.fixture
async def as_(service: Service) -> AsyncIterator[Client]:
    """A client with somebody's token: `as_("ada")`; `as_(None)` for one without."""
    app = create_app(service, elapsed=lambda: service.clock.now() / 1000)
    opened: list[httpx.AsyncClient] = []

    def client(subject: str | None) -> httpx.AsyncClient:
        headers = {} if subject is None else {"Authorization": f"Bearer {token_of(subject)}"}
        transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
        made = httpx.AsyncClient(transport=transport, base_url="http://allot.test", headers=headers)
        opened.append(made)
        return made

    yield client
    for each in opened:
        await each.aclose()
