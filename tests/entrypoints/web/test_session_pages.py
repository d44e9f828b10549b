"""Signing in and out, with a token or as an invented person, and where nobody is signed in."""

import httpx
import pytest

from scheduler.domain.people import Role
from scheduler.entrypoints.api.auth import hash_of
from tests.entrypoints.web.conftest import SignIn
from tests.entrypoints.web.reading import read
from tests.entrypoints.web.sample_people import FINN, MARA, NOW, OTTO, PEOPLE
from tests.entrypoints.web.sample_views import SampleService


async def test_where_all_is_simulated_a_visitor_picks_a_person(service: SampleService, sign_in: SignIn) -> None:
    async with sign_in(None) as client:
        page = read(await client.get("/sign-in?then=/cluster"))
        offered = [form.fields["engineer"] for form in page.forms if "engineer" in form.fields]
        response = await client.post("/sign-in", data={"engineer": MARA.id, "then": "/cluster"})
        after = await client.get("/hours")
    assert sorted(offered) == sorted(person.id for person in PEOPLE)
    assert (response.status_code, response.headers["location"]) == (303, "/cluster")
    cookie = response.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert "Secure" not in cookie  # over plain HTTP it would never be sent back
    assert "Mara Lind" in read(after).text
    ((name, (_, subject, roles, token_hash), keywords),) = service.administration.asked
    assert (name, subject, roles) == ("issue_token", MARA.subject, frozenset({Role.ENGINEER}))
    assert token_hash == hash_of(_cookie(response))
    assert keywords["expires_at"] > NOW


async def test_on_a_real_cluster_nobody_can_be_picked(sign_in: SignIn, service: SampleService) -> None:
    service.settings.demo_sign_in = False
    async with sign_in(None) as client:
        page = read(await client.get("/sign-in"))
        response = await client.post("/sign-in", data={"engineer": MARA.id})
    assert "Mara" not in page.text
    assert response.status_code == 404
    assert "set-cookie" not in response.headers
    assert service.administration.asked == []


async def test_a_token_signs_in_and_an_unknown_one_does_not(service: SampleService, sign_in: SignIn) -> None:
    token = service.token_of(OTTO)
    async with sign_in(None) as client:
        wrong = await client.post("/sign-in", data={"token": "no-such-token-anywhere"})
        right = await client.post("/sign-in", data={"token": token})
        page = read(await client.get("/cluster"))
    assert wrong.status_code == 401
    assert "This token is not known, or no longer good." in read(wrong).text
    assert "set-cookie" not in wrong.headers
    assert right.headers["location"] == "/hours"
    assert "Otto Weiss" in page.text


async def test_another_sites_page_cannot_sign_anybody_in(service: SampleService, sign_in: SignIn) -> None:
    async with sign_in(None) as client:
        response = await client.post("/sign-in", data={"engineer": MARA.id}, headers={"Origin": "http://evil.test"})
    assert response.status_code == 403
    assert "set-cookie" not in response.headers


async def test_over_https_the_cookie_is_secure(service: SampleService, sign_in: SignIn) -> None:
    async with sign_in(None) as client:
        response = await client.post(
            "https://allot.test/sign-in", data={"engineer": MARA.id}, headers={"Origin": "https://allot.test"}
        )
    assert "Secure" in response.headers["set-cookie"]


async def test_signing_out_forgets_the_session(service: SampleService, sign_in: SignIn) -> None:
    async with sign_in(MARA) as client:
        response = await client.post("/sign-out")
        assert response.headers["location"] == "/"
        assert 'allot_session=""' in response.headers["set-cookie"]
    assert service.people.caller_of(hash_of(service.last_token), NOW) is None


@pytest.mark.parametrize("path", ["/hours", "/cluster", "/books", "/policies", "/statement", "/workloads/w-1"])
async def test_who_is_not_signed_in_is_led_to_where_they_can_be(path: str, sign_in: SignIn) -> None:
    async with sign_in(None) as client:
        response = await client.get(path)
    assert response.status_code == 303
    assert response.headers["location"] == f"/sign-in?then={path.replace('/', '%2F')}"


async def test_a_link_from_elsewhere_is_asked_once_more_because_the_cookie_is_strict(sign_in: SignIn) -> None:
    async with sign_in(None) as client:
        response = await client.get("/cluster?colour=owner", headers={"Sec-Fetch-Site": "cross-site"})
    assert response.status_code == 200
    assert response.headers["refresh"] == "0;url=/cluster?colour=owner"


async def test_a_form_of_somebody_who_was_signed_out_is_refused_as_a_page(sign_in: SignIn) -> None:
    async with sign_in(None) as client:
        response = await client.post("/workloads/w-1/stop")
    assert response.status_code == 401
    assert "/sign-in" in read(response).links


async def test_the_front_page_shows_cluster_queue_allowances_and_verdicts_to_anybody(sign_in: SignIn) -> None:
    async with sign_in(None) as client:
        text = read(await client.get("/")).text
    for said in (
        "Every GPU",
        "Queue, in the order it will be tried",
        "Verdicts, as they fall",
        "prod-canary",
        "Mara Lind",
    ):
        assert said in text
    assert "17.0 of 240.0 h" in text


@pytest.mark.parametrize(
    ("person", "home"), [(MARA, "/hours"), (OTTO, "/cluster"), (FINN, "/books"), (None, "/sign-in")]
)
async def test_on_a_real_cluster_the_front_page_leads_everybody_to_their_question(
    person: object, home: str, service: SampleService, sign_in: SignIn
) -> None:
    service.settings.demo_sign_in = False
    async with sign_in(person) as client:  # type: ignore[arg-type]  # a row of the table above
        response = await client.get("/")
    assert (response.status_code, response.headers["location"]) == (303, home)


def _cookie(response: httpx.Response) -> str:
    return response.headers["set-cookie"].split("allot_session=")[1].split(";")[0]


async def test_an_address_that_there_is_not_is_a_page_for_people_and_a_problem_for_programs(sign_in: SignIn) -> None:
    async with sign_in(MARA) as client:
        page = await client.get("/nothing-here", headers={"Accept": "text/html,*/*"})
        programs = [
            await client.get("/nothing-here"),
            await client.get("/v1/nothing-here", headers={"Accept": "text/html,*/*"}),
        ]
    assert (page.status_code, page.headers["content-type"]) == (404, "text/html; charset=utf-8")
    assert "There is no page /nothing-here. The links at the top lead to the pages that there are." in read(page).text
    assert [answer.json()["code"] for answer in programs] == ["unknown-address"] * 2


async def test_who_is_not_signed_in_is_led_to_the_links_and_not_told_of_links_that_are_not_there(
    sign_in: SignIn,
) -> None:
    async with sign_in(None) as client:
        page = read(await client.get("/nothing-here", headers={"Accept": "text/html"}))
    assert "Sign in first: the links to the pages that there are stand at the top from then on." in page.text
    assert "/sign-in" in page.links
