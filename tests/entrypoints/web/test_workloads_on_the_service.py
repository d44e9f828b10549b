"""The list of workloads and where a workload's page leads back to, on a small company."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from scheduler.entrypoints.running import Service
from scheduler.lifecycle.views.shapes import WorkloadPage
from tests.entrypoints.company import small_company, token_of
from tests.entrypoints.web.reading import read
from tests.entrypoints.web.signed_in import client_of, started

JOB = {
    "gpu_classes": ["H100"],
    "gpus_per_pod": 1,
    "pods": 1,
    "time_limit_ms": 3_600_000,
    "image": "registry.example.com/train:1",
}
PROJECTS = {"ada": "atlas", "olga": "ferry"}


@pytest.fixture
def company() -> Iterator[Service]:
    made = small_company()
    yield made
    made.store.close()


async def submitted(company: Service, who: str, name: str) -> str:
    async with client_of(company, who) as client:
        said = {"Authorization": f"Bearer {token_of(who)}"}
        made = await client.post("/v1/workloads", json={**JOB, "name": name, "project": PROJECTS[who]}, headers=said)
    assert made.status_code == 201, made.text
    workload_id: str = made.json()["id"]
    return workload_id


async def test_the_list_is_ones_own_an_operators_too_and_the_older_are_a_link_away(company: Service) -> None:
    for number in range(51):
        await submitted(company, "olga", f"own-{number:02}")
    await submitted(company, "ada", "of-ada")
    async with client_of(company, "olga") as client:
        newest = read(await client.get("/workloads"))
        (older,) = [link for link in newest.links if "cursor=" in link]
        oldest = read(await client.get(older))
    assert "of-ada" not in newest.text
    assert ("own-50" in newest.text, "own-01" in newest.text, "own-00" in newest.text) == (True, True, False)
    assert ("own-00" in oldest.text, "own-01" in oldest.text) == (True, False)
    assert not [link for link in oldest.links if "cursor=" in link]


async def test_a_workloads_page_leads_back_to_ones_hours_or_to_the_cluster_and_is_called_by_its_name(
    company: Service,
) -> None:
    workload_id = await submitted(company, "ada", "pretrain")
    crumbs = {}
    for who in ("ada", "olga"):
        async with client_of(company, who) as client:
            shown = (await client.get(f"/workloads/{workload_id}")).text
        assert "<title>pretrain · allot</title>" in shown
        crumbs[who] = shown.partition('<p class="crumb">')[2].partition("</p>")[0]
    assert crumbs == {"ada": '<a href="/hours">My hours</a>', "olga": '<a href="/cluster">Cluster</a>'}


async def test_what_starts_while_the_page_of_hours_is_made_is_on_it_once(
    company: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with client_of(company, "ada") as client:
        await started(client, "notebook")
        reading, cycles = company.views.workloads, [company.cycle]

        def starting(*about: Any, **asked: Any) -> WorkloadPage:
            found = reading(*about, **asked)
            if cycles:
                asyncio.run(cycles.pop().run_once())
            return found

        monkeypatch.setattr(type(company.views), "workloads", lambda _, *about, **asked: starting(*about, **asked))
        shown = read(await client.get("/hours"))
    assert cycles == []
    assert shown.text.count("notebook") == 1
