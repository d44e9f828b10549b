"""The page of a replay as somebody opens it in a meeting, on whatever they have at hand."""

from typing import Any

import pytest
from playwright.async_api import Browser

from scheduler.domain.units import MS_PER_HOUR, MS_PER_MINUTE
from scheduler.entrypoints.replay_page.page import page as replay_page
from scheduler.simulation.replay.report import report
from scheduler.simulation.replay.submissions import Stream
from tests.browser.conftest import PHONE, WIDE
from tests.simulation.replay.build import ANN, BOB, POLICY, asks, replayed

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]

LONG_MS = 23 * MS_PER_HOUR + 59 * MS_PER_MINUTE
"""Of the waits that are told by class, the widest."""

CUT_OFF = """() => [...document.querySelectorAll('body *')]
  .filter((each) => each.checkVisibility() && each.getBoundingClientRect().right > innerWidth)
  .map((each) => each.textContent)"""


def compared() -> dict[str, Any]:
    """Two policies under which everybody waits for long."""
    work = [asks(0, 4, gpus=8), asks(2, 1, owner=BOB, gpus=4, priority_class="urgent"), asks(3, 2, owner=BOB, gpus=8)]
    other = POLICY.replace("preemptible: false", "minimum_runtime_minutes: 30")
    made = report(Stream({"kind": "a test"}, [ANN, BOB], work, {}), [replayed(work), replayed(work, other)])
    for policy in made["policies"]:
        for row in policy["wait"]["by_class_and_tier"]:
            row["mean_ms"] = row["p90_ms"] = LONG_MS
    return made


HIDDEN = """() => [...document.querySelectorAll('.scroll')]
  .filter((each) => each.scrollWidth > each.clientWidth)
  .map((each) => each.textContent)"""


async def test_three_policies_stand_beside_each_other_without_scrolling_on_a_projector(browser: Browser) -> None:
    made = compared()
    names = ("conservative", "generous", "example")
    three = [{**made["policies"][number % 2], "name": name} for number, name in enumerate(names)]
    opened = await browser.new_page(viewport={"width": WIDE, "height": 840})
    await opened.set_content(replay_page({**made, "policies": three}))
    assert await opened.evaluate(HIDDEN) == []
    await opened.close()


@pytest.mark.parametrize("width", [WIDE, PHONE])
async def test_no_figure_of_it_is_cut_off(browser: Browser, width: int) -> None:
    context = await browser.new_context(viewport={"width": width, "height": 840})
    opened = await context.new_page()
    await opened.set_content(replay_page(compared()))
    assert await opened.evaluate(CUT_OFF) == []
    await context.close()
