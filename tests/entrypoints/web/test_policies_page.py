"""Policies: prices as a table, versions, and what each changed."""

from scheduler.domain.errors import RefusalCode
from tests.entrypoints.web.conftest import SignIn
from tests.entrypoints.web.reading import read
from tests.entrypoints.web.sample_people import MARA
from tests.entrypoints.web.sample_views import SampleService


async def test_prices_are_weight_times_factor(sign_in: SignIn) -> None:
    async with sign_in(MARA) as client:
        text = read(await client.get("/policies")).text
    assert "GPU class urgent standard off-peak h100 1.5 1 0.5 a100 0.825 0.55 0.275 l40s 0.45 0.3 0.15" in text


async def test_the_latest_version_is_shown_with_what_it_changed(sign_in: SignIn) -> None:
    async with sign_in(MARA) as client:
        text = read(await client.get("/policies")).text
    assert "in force since 17 Nov , applied by otto@example.com" in text
    assert "The text of 9f2c41d07a55" in text
    assert "- allowance: 200h" in text
    assert "+ allowance: 240h" in text


async def test_an_older_version_is_a_link_away_and_an_unknown_one_is_not_found(sign_in: SignIn) -> None:
    async with sign_in(MARA) as client:
        page = read(await client.get("/policies"))
        assert "/policies?version=11aa41d07a55#text" in page.links
        older = read(await client.get("/policies?version=11aa41d07a55"))
        unknown = await client.get("/policies?version=ffff")
    assert "The text of 11aa41d07a55" in older.text
    assert "What it changed" not in older.text
    assert unknown.status_code == 404
    assert RefusalCode.UNKNOWN_POLICY in unknown.text


async def test_before_the_first_version_the_page_says_so(service: SampleService, sign_in: SignIn) -> None:
    service.views.versions_value = []
    async with sign_in(MARA) as client:
        assert "No version has been applied yet." in read(await client.get("/policies")).text
