"""docs/api.md names every route and every metric that there is, and none that there is not."""

import re
from pathlib import Path

from tests.entrypoints.api.conftest import Client
from tests.entrypoints.described import description

PAGE = (Path(__file__).parents[3] / "docs" / "api.md").read_text()
LEFT_OUT = {"/v1/demo/tokens", "/v1/problems/{code}", "/healthz", "/livez", "/readyz"}


def test_every_route_is_on_the_page() -> None:
    paths = set(description()["paths"]) - LEFT_OUT
    named = set(re.findall(r"(?:GET|POST|PUT|DELETE) (/v1/[a-z/{}-]+)", PAGE))
    assert {path.replace("{workload_id}", "{id}") for path in paths} == named


async def test_every_metric_is_on_the_page(as_: Client) -> None:
    text = (await as_(None).get("/metrics")).text
    families = set(re.findall(r"^# TYPE (\w+)", text, re.MULTILINE))
    ours, _, of_gpus = PAGE.partition("## Metrics of GPUs")
    assert families == set(re.findall(r"`(allot_\w+)`", ours))
    assert set(re.findall(r"`(allot_\w+)`", of_gpus)).isdisjoint(families)
