"""The pictures of the docs, taken anew: `make pictures`.

Each is a page of the embedded default as one of its people sees it, two minutes after the start. Twice as many pixels
as the page has, so that they are sharp where they are shown smaller.
"""

import asyncio
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from playwright.async_api import Browser, async_playwright

from tests.browser.serving import serving
from tests.plugins.chromium import ARGUMENTS

FOLDER = Path(__file__).parents[2] / "docs" / "images"
WAIT_SECONDS = 120
"""Two hours of the company's time: budgets have run low, priorities collided, and every GPU was read."""


@dataclass(frozen=True)
class Picture:
    name: str
    person: str
    path: str
    width: int
    height: int


PICTURES = (
    Picture("cluster", "Greta Lindqvist", "/cluster", 1240, 930),
    Picture("hours", "Mei Chen", "/hours", 1240, 880),
    Picture("hours-phone", "Mei Chen", "/hours", 390, 844),
    Picture("books", "Olga Petrova", "/books", 1240, 900),
)


async def take(browser: Browser, address: str, picture: Picture) -> None:
    """Sign in as the person, open the page, and write what is seen of it."""
    context = await browser.new_context(
        viewport={"width": picture.width, "height": picture.height}, device_scale_factor=2, base_url=address
    )
    page = await context.new_page()
    await page.goto("/sign-in")
    await page.get_by_role("button", name=picture.person).click()
    await page.goto(picture.path)
    await page.screenshot(path=FOLDER / f"{picture.name}.png")
    await context.close()


async def main() -> None:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        sys.exit("there is no Chromium; run scripts/install-system-packages as root (Debian's package chromium)")
    with tempfile.TemporaryDirectory() as folder, serving(Path(folder)) as address:
        await asyncio.sleep(WAIT_SECONDS)
        async with async_playwright() as playwright:
            browser = await playwright.chromium.launch(executable_path=chromium, args=list(ARGUMENTS))
            for picture in PICTURES:
                await take(browser, address, picture)
                print(f"docs/images/{picture.name}.png")
            await browser.close()


if __name__ == "__main__":
    asyncio.run(main())
