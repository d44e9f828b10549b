"""The API over a small company, in one process and without a socket."""

from collections.abc import AsyncIterator, Callable, Iterator

import httpx
import pytest

from scheduler.entrypoints.running import Service
from tests.entrypoints.company import small_company, token_of
from tests.entrypoints.lent_apps import lent_app

Client = Callable[[str | None], httpx.AsyncClient]


@pytest.fixture
def service() -> Iterator[Service]:
    made = small_company()
    yield made
    made.store.close()


@pytest.fixture
async def as_(service: Service) -> AsyncIterator[Client]:
    """A client with somebody's token: `as_("ada")`; `as_(None)` for one without."""
    opened: list[httpx.AsyncClient] = []

    def client(subject: str | None) -> httpx.AsyncClient:
        headers = {} if subject is None else {"Authorization": f"Bearer {token_of(subject)}"}
        transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
        made = httpx.AsyncClient(transport=transport, base_url="http://allot.test", headers=headers)
        opened.append(made)
        return made

    with lent_app(service, elapsed=lambda: service.clock.now() / 1000) as app:
        yield client
        for each in opened:
            await each.aclose()
