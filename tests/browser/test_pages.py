"""The pages in a real browser, over the real service: readable at both widths, live, and usable."""

import re
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from playwright.async_api import Browser, Page, expect

from scheduler.domain.reasons import TEXTS
from tests.browser.conftest import NARROWEST, WIDE, become
from tests.plugins.polling import eventually

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]

ENGINEER, OPERATOR, FINANCE = "Ada Moreau", "Greta Lindqvist", "Olga Petrova"
PLACES = {
    ENGINEER: ("/", "/hours", "/workloads", "/statement", "/requests", "/policies"),
    OPERATOR: (
        "/cluster",
        "/cluster?colour=owner",
        "/cluster?queue=all",
        "/cluster/idle",
        "/cluster/misuse",
        "/cluster/faults",
        "/cluster/refusals",
    ),
    FINANCE: ("/books", "/fairness", "/statement?owner=company"),
}

IDLE_HOURS = 12
"""Simulated, and as far as GPUs were read in them: by the example policy an hour of rest is due. A busy machine takes
longer to read them, and is waited for."""

STALLED_SECONDS = 600.0
"""Real ones, without one more reading: then the service hangs."""

NEVER = datetime.min.replace(tzinfo=UTC)

wide_only = pytest.mark.parametrize("page", [WIDE], indirect=True)
narrowest_only = pytest.mark.parametrize("page", [NARROWEST], indirect=True)

CONTRASTS = """() => {
  const canvas = Object.assign(document.createElement('canvas'), {width: 1, height: 1})
    .getContext('2d', {willReadFrequently: true});
  const parsed = new Map();
  const parse = (text) => {
    if (!parsed.has(text)) {
      canvas.clearRect(0, 0, 1, 1);
      canvas.fillStyle = text; canvas.fillRect(0, 0, 1, 1);
      parsed.set(text, [...canvas.getImageData(0, 0, 1, 1).data]);
    }
    return parsed.get(text);
  };
  const light = ([r, g, b]) => [r, g, b].map((v) => v / 255)
    .map((v) => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const colour = parse(getComputedStyle(at).backgroundColor);
      if (colour[3] === 255) return colour;
    }
    return parse(getComputedStyle(document.documentElement).backgroundColor);
  };
  const poor = [];
  for (const element of document.querySelectorAll('body *')) {
    const says = [...element.childNodes].some((node) => node.nodeType === 3 && node.nodeValue.trim());
    if (!says || !element.checkVisibility() || element.closest('svg, option')) continue;
    const [one, other] = [light(parse(getComputedStyle(element).color)), light(ground(element))].sort();
    const ratio = (other + 0.05) / (one + 0.05);
    if (ratio < 4.5) poor.push(`${element.tagName}.${element.className} ${ratio.toFixed(2)} ${element.textContent}`);
  }
  return poor;
}"""


BROKEN = """() => {
  const broken = [];
  const texts = document.createTreeWalker(document.querySelector('main'), NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const text = texts.currentNode;
    if (!text.parentElement.checkVisibility() || text.parentElement.closest('svg, option, pre')) continue;
    for (const word of text.nodeValue.matchAll(/[a-z]{2,12}/gi)) {
      const range = document.createRange();
      range.setStart(text, word.index);
      range.setEnd(text, word.index + word[0].length);
      if (new Set([...range.getClientRects()].map((rect) => Math.round(rect.top))).size > 1) broken.push(word[0]);
    }
  }
  return broken;
}"""


async def test_no_page_breaks_a_word_or_scrolls_sideways_and_no_text_is_pale(page: Page) -> None:
    for person, paths in PLACES.items():
        await become(page, person)
        for path in paths:
            await page.goto(path)
            assert await page.evaluate(BROKEN) == [], path
            for scheme in ("light", "dark"):
                await page.emulate_media(color_scheme=scheme)
                sideways = await page.evaluate("document.documentElement.scrollWidth - innerWidth")
                assert sideways <= 0, f"{path} is {sideways} px too wide"
                assert await page.evaluate(CONTRASTS) == [], f"{path} in {scheme}"
        await page.context.clear_cookies()
    await become(page, OPERATOR)
    await page.goto("/cluster")
    await page.locator("#queue a.name, #verdicts a.name").first.click()
    await expect(page.locator("#factors, #attempts").first).to_be_visible()
    assert await page.evaluate(BROKEN) == []


MANY_GPUS = """() => {
  for (const each of document.querySelectorAll('.queue td.right')) each.textContent = '1024 × A100-80GB / H100-80GB';
}"""


@narrowest_only
async def test_on_the_narrowest_phone_no_page_scrolls_sideways_or_breaks_a_word(page: Page) -> None:
    for person, paths in PLACES.items():
        await become(page, person)
        for path in paths:
            await page.goto(path)
            await page.evaluate(MANY_GPUS)
            beyond = await page.evaluate("document.documentElement.scrollWidth - innerWidth")
            assert (beyond, await page.evaluate(BROKEN)) == (0, []), path
        await page.context.clear_cookies()


PUT_FIRST = """(menu, text) => {
  const note = Object.assign(document.createElement('p'), {className: 'note', textContent: text});
  menu.prepend(note);
}"""

BEYOND = """() => [...document.querySelectorAll('.acts[open] .menu, .acts[open] .menu *')]
  .filter((each) => each.getBoundingClientRect().left < 0 || each.getBoundingClientRect().right > innerWidth)
  .map((each) => each.outerHTML)"""


A4_POINTS = (595, 842)
PRINTABLE_PX = 688
"""A4 is 210 mm wide; 14 mm on each side are margin, and a pixel is 1/96 of an inch."""
PRINTABLE_HIGH_PX = 1_001
"""297 mm less 16 mm twice."""


@wide_only
async def test_money_pages_print_on_a4_with_nothing_cut_off(page: Page) -> None:
    await become(page, FINANCE)
    for path in ("/books", "/statement?owner=company", "/fairness"):
        await page.goto(path)
        printed = await page.pdf(prefer_css_page_size=True)
        sizes = {
            tuple(round(float(each)) for each in box.split())
            for box in re.findall(rb"/MediaBox ?\[([^]]+)\]", printed)
        }
        assert sizes == {(0, 0, *A4_POINTS)}, f"{path} is printed on {sizes}"
        await page.emulate_media(media="print", color_scheme="light")
        await page.set_viewport_size({"width": PRINTABLE_PX, "height": 1000})
        cut = await page.evaluate("document.documentElement.scrollWidth - innerWidth")
        assert cut <= 0, f"{path} is {cut} px too wide for the paper"
        assert await page.locator(".top nav").is_hidden()
        height = await page.evaluate("document.body.scrollHeight")
        sheets = len(re.findall(rb"/Type ?/Page\b", printed))
        assert sheets <= 2 + height * 1.2 / PRINTABLE_HIGH_PX, f"{path}: {height} px on {sheets} sheets"
        await page.emulate_media(media="null")  # what is set to a screen is printed as a screen
        await page.set_viewport_size({"width": WIDE, "height": 840})


async def test_somebody_signs_in_and_out(page: Page) -> None:
    await become(page, ENGINEER)
    await expect(page).to_have_url(re.compile("/hours$"))
    await expect(page.locator("#left")).to_contain_text("GPU-hours")
    await page.get_by_role("button", name="Sign out").click()
    await expect(page.locator(".who")).to_contain_text("Sign in")
    await page.goto("/hours")
    await expect(page).to_have_url(re.compile("/sign-in"))


async def test_an_engineer_starts_a_sandbox_by_the_form_and_cancels_it(page: Page) -> None:
    await become(page, ENGINEER)
    await page.get_by_text("Start a sandbox").click()
    await page.get_by_label("Name").fill("walk-in-sandbox")
    await page.get_by_label("GPU class").select_option("A100")
    await page.get_by_label("Hours", exact=True).select_option("2")
    await page.get_by_role("button", name="Start it").click()
    row = page.locator("tr", has_text="walk-in-sandbox").first
    await expect(row).to_contain_text("A100")
    await row.locator("summary.button").click()
    async with page.expect_event(
        "domcontentloaded"
    ):  # a link that is pressed before the form has led on leads nowhere
        await row.get_by_role("button", name="Cancel").click()
    await page.locator("a.name", has_text="walk-in-sandbox").first.click()
    await expect(page.locator(".sentence")).to_contain_text("Cancelled by ada")


async def test_an_open_menu_stays_on_the_page_whatever_there_is_to_do_next(page: Page) -> None:
    """A menu opens leftwards from its button: one as wide as its longest sentence had its buttons beyond the left edge,
    where nobody can scroll."""
    longest = max((text.next_step for text in TEXTS.values()), key=len)
    await become(page, ENGINEER)
    await page.goto("/hours")
    await page.get_by_role("button", name="Live").click()
    await page.locator("tr summary.button").first.click()
    await page.locator(".acts[open] .menu").evaluate(PUT_FIRST, longest)
    assert await page.evaluate(BEYOND) == []
    await page.locator(".acts[open]").get_by_role("button", name="Cancel").click(trial=True)


async def test_a_menu_closes_by_escape_and_where_something_else_is_pressed(page: Page) -> None:
    await become(page, OPERATOR)
    await page.goto("/cluster")
    menus, opened = page.locator(".acts > summary"), page.locator(".acts[open]")
    for menu in await menus.all():
        await menu.click()
        assert await page.evaluate(BEYOND) == []
        await page.keyboard.press("Escape")
        await expect(opened).to_have_count(0)
        await expect(menu).to_be_focused()
    await menus.first.click()
    await opened.get_by_role("textbox").click()
    await expect(opened).to_have_count(1)
    await page.get_by_role("heading", name="In use").click()
    await expect(opened).to_have_count(0)


async def test_the_page_keeps_itself_live_without_a_reload_and_stops_when_asked(page: Page) -> None:
    await page.goto("/")
    await page.evaluate("window.isTheSamePage = true")
    clock = page.locator("#foot p")
    before = await clock.inner_text()
    await expect(clock).not_to_have_text(before)
    assert await page.evaluate("window.isTheSamePage") is True
    await page.get_by_role("button", name="Live").click()
    await expect(page.get_by_role("button", name="Paused")).to_be_visible()


@wide_only
async def test_nothing_is_exchanged_under_a_pressed_pointer(page: Page) -> None:
    await page.goto("/")
    clock = page.locator("#foot p")
    await page.mouse.move(5, 5)
    await page.mouse.down()
    before = await clock.inner_text()
    for _ in range(2):
        async with page.expect_response(lambda answer: "x-live" in answer.request.headers):
            pass
    assert await clock.inner_text() == before
    await page.mouse.up()
    await expect(clock).not_to_have_text(before)


@wide_only
async def test_what_somebody_is_using_survives_the_refresh(page: Page) -> None:
    await become(page, ENGINEER)
    await page.get_by_text("Start a sandbox").click()
    await page.get_by_label("Name").fill("half-typed")
    clock = page.locator("#foot p")
    before = await clock.inner_text()
    await expect(clock).not_to_have_text(before)
    assert await page.get_by_label("Name").input_value() == "half-typed"


@wide_only
async def test_an_operator_pulls_a_brake_that_everybody_sees(page: Page) -> None:
    await become(page, OPERATOR)
    await page.goto("/cluster")
    await page.locator("#pause-reclaim summary").click()
    await page.get_by_placeholder("why, for everybody to read").locator("visible=true").fill("a walk-through")
    await page.get_by_role("button", name="Pause it").locator("visible=true").click()
    await expect(page.locator("#brake-reclaim")).to_contain_text("Reclaiming is paused by greta")
    await page.goto("/policies")
    await expect(page.locator("#brake-reclaim")).to_contain_text("a walk-through")
    await page.locator("#brake-reclaim").get_by_role("button", name="Resume").click()
    await expect(page.locator("#brake-reclaim")).to_have_count(0)


@wide_only
async def test_hovering_over_the_map_names_what_runs_there(page: Page) -> None:
    await become(page, OPERATOR)
    await page.goto("/cluster")
    titles = page.locator("#gpu-map title")
    await expect(titles.nth(80)).to_be_attached()
    assert "GPU" in (await titles.first.text_content() or "")
    await page.locator("#gpu-map a").first.click()
    await expect(page.locator("#gpus")).to_be_visible()


@wide_only
async def test_the_keyboard_reaches_everything(page: Page) -> None:
    await become(page, ENGINEER)
    await page.goto("/hours")
    await page.keyboard.press("Tab")
    await expect(page.locator(".skip")).to_be_focused()
    await page.locator("#start summary").focus()
    await page.keyboard.press("Enter")
    await expect(page.get_by_label("Name")).to_be_visible()
    await page.keyboard.press("Tab")
    await expect(page.get_by_label("Name")).to_be_focused()


async def test_without_a_script_everything_works(browser: Browser, address: str) -> None:
    context = await browser.new_context(java_script_enabled=False, base_url=address)
    page = await context.new_page()
    await page.goto("/")
    await expect(page.locator("#gpu-map")).to_be_visible()
    await page.goto("/sign-in")
    await page.get_by_role("button", name="Mei Chen").click()
    await page.get_by_text("Start a sandbox").click()
    await page.get_by_label("Name").fill("without-a-script")
    await page.get_by_role("button", name="Start it").click()
    await expect(page.locator("tr", has_text="without-a-script")).to_be_visible()
    await page.goto("/cluster?colour=state")
    await expect(page.locator("#map-keys")).to_contain_text("free")
    await context.close()


async def read_until(page: Page) -> datetime:
    """The simulated instant up to which GPUs were read."""
    found = await (await page.request.get("/v1/nodes")).json()
    ends = [each["windows_until"] for each in found["items"] if each["windows_until"]]
    return max(map(datetime.fromisoformat, ends), default=NEVER)


@wide_only
async def test_an_idle_sandbox_is_warned_suspended_and_explained_and_what_came_back_is_on_the_statement(
    page: Page,
) -> None:
    """The last of the file, for an idle sandbox's hour takes the accelerated company a minute or two."""
    await become(page, OPERATOR)
    begun = await eventually(partial(read_until, page), NEVER.__lt__, STALLED_SECONDS)
    until = begun + timedelta(hours=IDLE_HOURS)
    await page.goto("about:blank")  # nobody looks at a page, which would be made and drawn anew all the while

    async def suspended() -> list[str]:
        found = await (await page.request.get("/v1/reclaims")).json()
        return [
            each["workload_id"]
            for each in found["items"]
            if each["is_taken"] and each["action"] == "suspend" and each["hours_back_ms"] > 0
        ]

    while not (found := await suspended()):
        read = await read_until(page)
        assert read < until, f"no sandbox was suspended in {IDLE_HOURS} simulated hours of readings"
        await eventually(partial(read_until, page), read.__lt__, STALLED_SECONDS)
    workload_id = found[-1]
    await page.goto(f"/workloads/{workload_id}")
    main = page.locator("main")
    await expect(main).to_contain_text(
        re.compile(r"(has|have) been idle for \d+ min: it will be suspended in about \d+ min")
    )
    await expect(main).to_contain_text(
        re.compile(
            r"Suspended: its (1 GPU was|\d+ GPUs were) idle for \d+ min; (\d+ h ?)?(\d+ min )?.*GPU time comes? back"
        )
    )
    await expect(page.locator("#use svg")).to_be_visible()
    workload = await (await page.request.get(f"/v1/workloads/{workload_id}")).json()

    await become(page, FINANCE)

    async def came_back_to() -> str:
        """Hours come back to whom they were held from: their owner, or, where his own were out, his team."""
        for holder in (workload["owner"], f"team:{workload['team']}"):
            statement = await (await page.request.get("/v1/statement", params={"owner": holder})).json()
            if workload_id in [each["workload_id"] for each in statement["returned"] if each["reason"] == "Idle"]:
                return str(holder)
        return ""

    holder = await eventually(came_back_to, bool, STALLED_SECONDS)
    await page.goto(f"/statement?owner={holder}")
    await expect(page.locator("#returned")).to_contain_text("suspended, since its GPUs were idle")
