"""A browser's worth of client on the real service, for somebody who is signed in, and what they do by forms."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx

from scheduler.entrypoints.running import Service
from tests.entrypoints.company import token_of
from tests.entrypoints.lent_apps import lent_app
from tests.entrypoints.web.conftest import SITE
from tests.entrypoints.web.reading import Page, read


@asynccontextmanager
async def client_of(company: Service, subject: str) -> AsyncIterator[httpx.AsyncClient]:
    with lent_app(company) as app:
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(app),
            base_url=SITE,
            cookies={"allot_session": token_of(subject)},
            headers={"Origin": SITE},
            follow_redirects=True,
        ) as client:
            yield client


async def started(client: httpx.AsyncClient, name: str) -> Page:
    """Start a sandbox by the form, as it is filled in."""
    form = read(await client.get("/hours")).form("/hours/sandboxes")
    return read(await client.post(form.action, data={**form.fields, "name": name, "gpu_class": "H100"}))
