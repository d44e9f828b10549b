"""The whole service on its embedded default, as `make run` starts it, and a browser at the two widths."""

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, async_playwright, expect

from tests.browser.serving import serving
from tests.plugins.chromium import ARGUMENTS

WIDE, PHONE = 1240, 390
NARROWEST = 320
"""The first iPhone SE, and any phone that is set to large text: WCAG 2.2 asks for it (1.4.10, Reflow)."""
_PATIENCE_MS = 60_000
"""By default an expectation has five seconds, which a busy machine may need for one page."""


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory, chromium_path: str) -> Iterator[str]:
    """Where a service listens whose company is invented and whose time is accelerated."""
    with serving(tmp_path_factory.mktemp("service")) as listening:
        yield listening


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser(chromium_path: str) -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        launched = await playwright.chromium.launch(executable_path=chromium_path, args=list(ARGUMENTS))
        expect.set_options(timeout=_PATIENCE_MS)
        yield launched
        await launched.close()


@pytest_asyncio.fixture(params=[WIDE, PHONE], ids=["wide", "phone"], loop_scope="module")
async def page(request: pytest.FixtureRequest, browser: Browser, address: str) -> AsyncIterator[Page]:
    """A page that nobody is signed in on. A message on the console is a failure: the content policy reports there."""
    context = await browser.new_context(viewport={"width": request.param, "height": 840}, base_url=address)
    context.set_default_timeout(_PATIENCE_MS)
    opened = await context.new_page()
    complaints: list[str] = []
    opened.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    yield opened
    await context.close()
    assert complaints == []


async def become(page: Page, name: str) -> None:
    """Sign in as one of the invented people."""
    await page.goto("/sign-in")
    await page.get_by_role("button", name=name).click()
    await expect(page.locator(".who")).to_contain_text(name)
