"""Bookings on the engineer's page and on the cluster's: what they say, and giving one back."""

from scheduler.domain.people import Caller, Role
from scheduler.domain.units import MS_PER_HOUR, GpuClassName, Instant, ProjectName, WorkloadId
from scheduler.entrypoints.running import Service
from scheduler.lifecycle.asking.booking import BookingWish
from tests.entrypoints.company import NOON, engineer_id
from tests.entrypoints.web.conftest import SignIn
from tests.entrypoints.web.reading import read
from tests.entrypoints.web.sample_people import MARA, OTTO
from tests.entrypoints.web.sample_views import SampleService
from tests.entrypoints.web.signed_in import client_of


def booked(company: Service, hours_ahead: int) -> WorkloadId:
    """Four GPUs of ada's for two hours."""
    person = company.world.people[engineer_id(company, "ada")]
    wish = BookingWish(
        gpu_class=GpuClassName("H100"),
        gpus=4,
        starts_at=Instant(NOON + hours_ahead * MS_PER_HOUR),
        length_ms=2 * MS_PER_HOUR,
        project=ProjectName("atlas"),
        name="demo-day",
    )
    ada = Caller("ada", frozenset({Role.ENGINEER}), person.id, person.team)
    return company.commands.book(ada, wish, now=NOON).id


async def test_an_engineers_page_shows_their_own_the_next_first_and_the_last_that_are_over(sign_in: SignIn) -> None:
    async with sign_in(MARA) as client:
        page = read(await client.get("/hours"))
    assert (
        page.text.index("demo-day active") < page.text.index("final-run booked") < page.text.index("last-week over")
    )
    assert "Mon 23 Nov, 15:32 – 19:32" in page.text
    assert "8 × h100 g-014" in page.text
    assert "24.0 h held 8.0 h charged" in page.text
    assert "32.0 h charged 5.0 h unused" in page.text
    assert "notice Your booking was moved to g-017: g-014 is cordoned." in page.text
    assert "teammates" not in page.text
    cancels = {form.action for form in page.forms if form.action.startswith("/bookings/")}
    assert cancels == {"/bookings/w-demo-day/cancel", "/bookings/w-final-run/cancel"}
    assert "costs 12.0 h" in page.text
    assert "costs nothing" in page.text


async def test_the_clusters_page_shows_an_operator_whose_they_are(sign_in: SignIn) -> None:
    async with sign_in(OTTO) as client:
        page = read(await client.get("/cluster"))
    assert "Bookings Booking and window For" in page.text
    assert "lea@example.com research" in page.text
    assert "last-week" not in page.text
    assert "/bookings/w-teammates/cancel" in {form.action for form in page.forms}


async def test_a_teammates_booking_is_seen_and_not_cancelled(sign_in: SignIn) -> None:
    async with sign_in(MARA) as client:
        page = read(await client.get("/cluster"))
    assert "Bookings of your team" in page.text
    assert "teammates" in page.text
    assert "/bookings/w-teammates/cancel" not in {form.action for form in page.forms}


async def test_where_nothing_is_booked_nothing_is_said_of_bookings(service: SampleService, sign_in: SignIn) -> None:
    service.views.bookings_value = []
    async with sign_in(MARA) as client:
        assert "bookings" not in read(await client.get("/hours")).ids
        assert "bookings" not in read(await client.get("/cluster")).ids


async def test_a_booking_is_given_back_by_its_form_which_said_what_it_costs(company: Service) -> None:
    name = booked(company, hours_ahead=2)
    async with client_of(company, "ada") as client:
        page = read(await client.get("/hours"))
        assert "costs 4.0 h" in page.text
        form = page.form(f"/bookings/{name}/cancel")
        after = read(await client.post(form.action, data=form.fields))
    assert "demo-day cancelled" in after.text
    assert "4.0 h charged" in after.text


async def test_an_operator_gives_a_booking_back_and_somebody_else_cannot(company: Service) -> None:
    name = booked(company, hours_ahead=48)
    async with client_of(company, "bob") as client:
        assert (await client.post(f"/bookings/{name}/cancel")).status_code == 404
    async with client_of(company, "olga") as client:
        form = read(await client.get("/cluster")).form(f"/bookings/{name}/cancel")
        after = read(await client.post(form.action, data=form.fields))
    assert "Every GPU" in after.text
    assert "bookings" not in after.ids


async def test_what_is_no_booking_is_not_cancelled_as_one(company: Service) -> None:
    async with client_of(company, "ada") as client:
        assert (await client.post("/bookings/w-none/cancel")).status_code == 404
