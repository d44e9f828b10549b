"""A workload's page: everything behind its verdict, and what can be done."""

import re
from dataclasses import replace
from zoneinfo import ZoneInfo

import pytest

from scheduler.domain.errors import Conflict
from scheduler.domain.units import Instant
from scheduler.entrypoints.web.moments import Moments
from scheduler.entrypoints.web.use_curve import use_curve
from tests.entrypoints.web.conftest import SignIn
from tests.entrypoints.web.reading import read
from tests.entrypoints.web.sample_people import MARA, NOW, H
from tests.entrypoints.web.sample_views import CURVE, SampleService

SANDBOX = "w-llama-70b-sandbox"


async def test_the_page_explains_the_verdict(sign_in: SignIn) -> None:
    async with sign_in(MARA) as client:
        text = read(await client.get("/workloads/w-nightly-agents")).text
    for said in (
        "Preempted by prod-canary (urgent over standard). Queued again.",
        "Its place in the queue is from its first submission.",
        "reason Preempted preemptor prod-canary",
        "pace band 6 of 10 who is behind plan is tried before who burns fast",
        "16 × h100",
        "Preempted borrowed 1 × 1 32.0 h",
        "Project aurora: 8.4 h available; h100 only",
        "Cost at most 2.0 h",
    ):
        assert said in text


async def test_an_elastic_job_says_how_many_of_its_pods_it_has(service: SampleService, sign_in: SignIn) -> None:
    (first, *others) = service.views.current
    elastic = replace(first, kind="job", pods=8, min_pods=2, pods_now=5)
    service.views.current = (elastic, *others)
    async with sign_in(MARA) as client:
        page = read(await client.get(f"/workloads/{first.id}")).text
        mine = read(await client.get("/hours")).text
    assert "2 to 8 pods × 2 × h100" in page
    assert "It has 5 of 8 pods" in page
    assert "10 × h100 (5 of 8 pods)" in mine


async def test_a_sandbox_that_is_called_so_is_not_called_so_twice(service: SampleService, sign_in: SignIn) -> None:
    """`allot sandbox start` calls it `sandbox` where no name is given."""
    (first, *others) = service.views.current
    service.views.current = (replace(first, name="sandbox", kind="sandbox"), *others)
    async with sign_in(MARA) as client:
        page = (await client.get(f"/workloads/{first.id}")).text
    heading = re.sub(r"<[^>]+>", "", re.findall(r"<h1>.*</h1>", page)[0])
    assert heading.strip() == "sandbox"
    assert "<dt>Kind</dt><dd>sandbox</dd>" in page


async def test_the_page_draws_the_curve_of_use(sign_in: SignIn) -> None:
    async with sign_in(MARA) as client:
        page = read(await client.get("/workloads/w-nightly-agents"))
    assert "Use of its GPUs" in page.text
    assert "The highest sample of any GPU, from 20 Nov 2026" in page.text


def test_a_bar_is_as_high_as_the_highest_sample_and_a_hole_where_nothing_was_read() -> None:
    drawn = use_curve(CURVE, Moments(NOW, ZoneInfo("UTC")))
    heights = [int(height) for height in re.findall(r'<rect [^>]* height="(\d+)"', drawn)]
    titles = re.findall(r"<title>([^<]+)</title>", drawn)
    assert heights == [64, 2]
    assert [title.partition("UTC: ")[2] for title in titles] == [
        "active, at most 100 %, 600 W",
        "idle-held, at most 0 %, 71 W",
    ]


def test_no_bar_lies_over_the_next_where_readings_go_over_the_edge_of_a_part() -> None:
    first = replace(CURVE[0], start=Instant(NOW), end=Instant(NOW + 90_000), state="active")
    second = replace(first, start=Instant(NOW + 60_000), end=Instant(NOW + 120_000), state="idle-held")
    drawn = use_curve([first, second], Moments(NOW, ZoneInfo("UTC")))
    assert re.findall(r'<rect x="([0-9.]+)"[^>]* width="([0-9.]+)"', drawn) == [("0.0", "299.5"), ("300.0", "299.5")]
    assert re.findall(r'<rect [^>]*class="([^"]+)"', drawn) == ["active", "idle-held"]


@pytest.mark.parametrize("act", ["cancel", "stop", "resume"])
async def test_an_act_is_one_form(act: str, service: SampleService, sign_in: SignIn) -> None:
    async with sign_in(MARA) as client:
        response = await client.post(f"/workloads/{SANDBOX}/{act}", data={"then": "/hours"})
    assert (response.status_code, response.headers["location"]) == (303, "/hours")
    ((name, (caller, target), _),) = service.commands.asked
    assert (name, caller.engineer, target) == (act, MARA.id, SANDBOX)


async def test_extending_is_by_hours(service: SampleService, sign_in: SignIn) -> None:
    async with sign_in(MARA) as client:
        form = read(await client.get(f"/workloads/{SANDBOX}")).form(f"/workloads/{SANDBOX}/extend")
        await client.post(form.action, data={**form.fields, "hours": "2"})
        await client.post(form.action, data={**form.fields, "hours": "2"})
    (name, arguments, said), (_, _, said_again) = service.commands.asked
    assert (name, arguments[1:]) == ("extend", (SANDBOX, 2 * H))
    assert said["command"] == said_again["command"] is not None


async def test_a_form_never_leads_to_another_site(sign_in: SignIn) -> None:
    for then in ("//evil.test", "https://evil.test", "/\\evil.test", "evil", "/hours\r\nSet-Cookie: x=1"):
        async with sign_in(MARA) as client:
            response = await client.post(f"/workloads/{SANDBOX}/stop", data={"then": then})
        assert response.headers["location"] == f"/workloads/{SANDBOX}"


async def test_an_act_that_is_refused_is_a_page_that_says_why(service: SampleService, sign_in: SignIn) -> None:
    service.commands.refusal = Conflict("w-1 is completed and cannot become stopped", remedy="submit it again")
    async with sign_in(MARA) as client:
        response = await client.post(f"/workloads/{SANDBOX}/stop")
    assert response.status_code == 409
    assert "W-1 is completed and cannot become stopped." in read(response).text


async def test_an_unknown_act_and_an_unknown_workload_are_not_found(sign_in: SignIn) -> None:
    async with sign_in(MARA) as client:
        assert (await client.post(f"/workloads/{SANDBOX}/delete")).status_code == 404
        response = await client.get("/workloads/w-nope")
    assert response.status_code == 404
    assert "There is no such workload" in read(response).text


async def test_all_workloads_can_be_filtered_by_state(sign_in: SignIn) -> None:
    async with sign_in(MARA) as client:
        everything = read(await client.get("/workloads")).text
        failed = read(await client.get("/workloads?state=failed")).text
        odd = await client.get("/workloads?state=odd")
    assert "finetune-v3" in everything
    assert "finetune-v3" not in failed
    assert "tokenizer-test" in failed
    assert odd.status_code == 200
