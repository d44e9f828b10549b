"""What every page keeps to: the content policy, the label of what is simulated, the brakes, its size, its markup."""

from dataclasses import replace

import pytest

from scheduler.domain.brakes import Brake
from scheduler.domain.people import Engineer
from scheduler.lifecycle.memory.observed_only import ObservedOnly
from tests.entrypoints.web.conftest import SignIn
from tests.entrypoints.web.reading import read
from tests.entrypoints.web.sample_cluster import cluster
from tests.entrypoints.web.sample_people import FINN, MARA, OTTO
from tests.entrypoints.web.sample_values import my_workloads
from tests.entrypoints.web.sample_views import SampleService

PAGES: list[tuple[str, Engineer | None]] = [
    ("/", None),
    ("/sign-in", None),
    ("/hours", MARA),
    ("/workloads", MARA),
    ("/workloads/w-nightly-agents", MARA),
    ("/workloads/w-there-is-none", MARA),
    ("/statement", MARA),
    ("/requests", MARA),
    ("/requests?ask=hours", MARA),
    ("/requests?ask=extension", MARA),
    ("/requests", FINN),
    ("/requests/p-policy", OTTO),
    ("/cluster", OTTO),
    ("/cluster?colour=owner", OTTO),
    ("/cluster/nodes/g-017", OTTO),
    ("/books", FINN),
    ("/policies", MARA),
    ("/policies?version=11aa41d07a55", OTTO),
]

every_page = pytest.mark.parametrize(
    ("path", "person"), PAGES, ids=[f"{path} for {person.subject if person else 'nobody'}" for path, person in PAGES]
)


@every_page
async def test_a_page_keeps_to_its_content_policy_and_closes_what_it_opens(
    path: str, person: Engineer | None, sign_in: SignIn
) -> None:
    async with sign_in(person) as client:
        response = await client.get(path)
    page = read(response)
    policy = response.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy
    assert response.headers["x-content-type-options"] == "nosniff"
    assert page.inline == []
    assert page.unlabelled == []
    assert len(page.ids) == len(set(page.ids)), "ids are unique: the live refresh matches by them"


@every_page
async def test_what_is_simulated_says_so_before_anything_else(
    path: str, person: Engineer | None, sign_in: SignIn
) -> None:
    async with sign_in(person) as client:
        page = read(await client.get(path))
    assert "simulated cluster" in page.text
    assert page.html.index('class="simulated"') < page.html.index("<main")


@every_page
async def test_a_service_that_only_observes_says_so_on_every_page(
    path: str, person: Engineer | None, service: SampleService, sign_in: SignIn
) -> None:
    service.world.observed = ObservedOnly()
    async with sign_in(person) as client:
        page = read(await client.get(path))
    assert "Observing only : nothing is launched, preempted or stopped here" in page.text


async def test_a_real_cluster_is_not_called_simulated(service: SampleService, sign_in: SignIn) -> None:
    service.clock.is_simulated = False
    async with sign_in(MARA) as client:
        page = read(await client.get("/hours"))
    assert "imulated" not in page.text


@every_page
async def test_each_brake_that_is_on_shows_on_every_page(
    path: str, person: Engineer | None, service: SampleService, sign_in: SignIn
) -> None:
    for brake in Brake:
        service.pause(brake, "switch firmware on rack 3")
    async with sign_in(person) as client:
        page = read(await client.get(path))
    for brake, paused in (
        (Brake.LAUNCH, "Launching"),
        (Brake.PREEMPT, "Preemption"),
        (Brake.RECLAIM, "Reclaiming"),
    ):
        assert f"{paused} is paused by otto@example.com, 12 min ago : switch firmware on rack 3" in page.text
        has_form = any(form.action == f"/brakes/{brake.value}/resume" for form in page.forms)
        assert has_form == (person is OTTO)


@every_page
async def test_a_stop_rate_that_is_reached_shows_on_every_page(
    path: str, person: Engineer | None, service: SampleService, sign_in: SignIn
) -> None:
    service.reach_stop_rate()
    async with sign_in(person) as client:
        page = read(await client.get(path))
    assert "The stop rate is reached : reclaim stopped 40 GPUs in ten minutes, the limit is 34." in page.text
    has_form = any(form.action == "/brakes/reclaim/resume" for form in page.forms)
    assert has_form == (person is OTTO)


@every_page
async def test_a_first_page_is_under_a_hundred_kilobytes(path: str, person: Engineer | None, sign_in: SignIn) -> None:
    async with sign_in(person) as client:
        response = await client.get(path)
        page_bytes = len(response.content)
        assets = [await client.get(href) for href in _assets_of(response.text)]
    assert len(assets) == 4
    assert (
        page_bytes + sum(len(asset.content) for asset in assets if "font" not in asset.headers["content-type"])
        < 100_000
    )
    assert int(response.headers["content-length"]) + sum(len(asset.content) for asset in assets) < 100_000


async def test_ten_thousand_gpus_travel_in_under_a_hundred_kilobytes(service: SampleService, sign_in: SignIn) -> None:
    service.views.cluster_value = cluster(1250)
    async with sign_in(OTTO) as client:
        response = await client.get("/cluster")
    assert response.headers["content-encoding"] == "gzip"
    assert int(response.headers["content-length"]) < 100_000
    assert "10 000 GPUs" in read(response).text


async def test_who_takes_no_gzip_gets_the_page_as_it_is(sign_in: SignIn) -> None:
    async with sign_in(MARA) as client:
        response = await client.get("/hours", headers={"Accept-Encoding": "identity"})
    assert "content-encoding" not in response.headers
    assert "Mara Lind" in response.text


async def test_hostile_names_are_text_and_never_markup(service: SampleService, sign_in: SignIn) -> None:
    hostile = '"><script>alert(1)</script>'
    work = my_workloads()[0]
    told = replace(work.verdict, sentence=hostile, workload_name=hostile, evidence={hostile: hostile})
    service.views.current = (replace(work, name=hostile, team=hostile, owner_name=hostile, verdict=told),)
    service.views.queue_value = service.views.current
    service.views.verdicts_value = (told,)
    service.pause(Brake.RECLAIM, hostile)
    for path, person in (("/", None), ("/hours", MARA), ("/cluster", OTTO), (f"/workloads/{work.id}", MARA)):
        async with sign_in(person) as client:
            response = await client.get(path)
        assert "<script>alert" not in response.text
        assert hostile in read(response).text


async def test_long_names_neither_break_the_page_nor_are_cut(service: SampleService, sign_in: SignIn) -> None:
    long = "x" * 120
    service.views.current = (replace(my_workloads()[0], name=long),)
    async with sign_in(MARA) as client:
        assert long in read(await client.get("/hours")).text


async def test_assets_are_named_by_their_content_and_cached_for_good(sign_in: SignIn) -> None:
    async with sign_in(None) as client:
        page = await client.get("/sign-in")
        (style,) = [href for href in _assets_of(page.text) if "allot.css" in href]
        response = await client.get(style)
        missing = await client.get("/static/passwd")
    assert "immutable" in response.headers["cache-control"]
    assert response.headers["content-type"].startswith("text/css")
    assert missing.status_code == 404


async def test_pages_stay_out_of_caches(sign_in: SignIn) -> None:
    async with sign_in(MARA) as client:
        assert (await client.get("/hours")).headers["cache-control"] == "no-store"


def _assets_of(html: str) -> list[str]:
    return [piece.split('"')[1] for piece in html.split(" ") if piece.startswith(('href="/static', 'src="/static'))]
